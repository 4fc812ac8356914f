"""What all pages of our own have in common: skeleton, colours, and the headers that keep them harmless.

Knows no content: what stands in a page is escaped by who wrote it.
"""

from __future__ import annotations

HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-type", b"text/html; charset=utf-8"),
    # Nothing but the page's own style: whatever an attacker gets into it stays text.
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
]

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>%(title)s</title>
<style>
:root { color-scheme: light dark; --ink: #1d2430; --soft: #667085; --line: #e2e5ea;
  --sheet: #fff; --desk: #f4f5f7; --mark: #0f766e }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --soft: #98a1b0; --line: #2c323c;
  --sheet: #191d24; --desk: #101318; --mark: #5eead4 } }
* { box-sizing: border-box }
body { margin: 0; padding: 1.5rem; background: var(--desk); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { width: 100%%; margin: 0 auto; padding: 2rem; background: var(--sheet);
  border: 1px solid var(--line); border-top: 4px solid var(--mark); border-radius: .6rem }
h1 { margin: 0 0 .5rem; font-size: 1.3rem; overflow-wrap: anywhere }
p { margin: 0 }
%(style)s
</style>
</head>
<body>
<main>
%(content)s
</main>
</body>
</html>
"""


def page(title: str, style: str, content: str) -> str:
    """A whole page. `content` is HTML, `title` escaped text; `style` adds to the common one."""
    return _PAGE % {"title": title, "style": style, "content": content}
