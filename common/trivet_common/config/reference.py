"""docs/reference.md, drawn from the models: a table per section. A test holds the page to it."""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .model_routes import RouteOptions
from .outline import annotation_of, is_list, is_named, kind_of, section_in, sections, short_of
from .section import Section

_TOP = """\
# Every setting of trivet.yaml

Made from the models in `common/trivet_common/config/`; do not edit it. After a change there, write it anew:

    python -c 'from trivet_common.config import *; print(reference_markdown(), end="")' > docs/reference.md

- Durations: `500ms`, `30s`, `5m`, `1h`, `1d`. Sizes: `64KiB`, `10MB`, `1GiB`. A number alone is a mistake.
- `off` and `false` are alike. Only `true` and `false` are switches: `yes`, `no` and `on` are words.
- Relative paths are relative to the file they are written in.
- `${NAME}` and `${NAME:-default}` are put in after the file is parsed, in values only; `$${` is a plain `${`.
- `$PORT` is honoured where `listen` is absent, `$WEB_CONCURRENCY` where a pool has no `workers`.
- YAML anchors, merges and tags are not used; `defaults` is there for what routes have in common.
"""


def reference_markdown() -> str:
    """The whole page."""
    homes: dict[type[Section], str] = {}
    for path, section in sections():
        homes.setdefault(section, path)
    # The keys of `defaults` are those of a route, and stand there.
    parts = [_section(section, homes) for section in homes if section is not RouteOptions]
    return "\n".join([_TOP, *parts])


def _section(section: type[Section], homes: dict[type[Section], str]) -> str:
    lines = [
        f"## {_title(homes[section])}",
        "",
        "| key | type | default | unit | meaning |",
        "|---|---|---|---|---|",
    ]
    # What a section adds to the one it extends comes first: a route's path before its options.
    fields = section.model_fields
    for name in sorted(fields, key=lambda name: name not in section.__annotations__):
        key = fields[name].alias or name
        annotation = annotation_of(section, key)
        kind = kind_of(annotation)
        unit = kind.unit if kind else ""
        cells = [
            f"`{key}`",
            _type(annotation, homes),
            _default(fields[name]),
            unit,
            fields[name].description or "",
        ]
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    if section.later:
        later = ", ".join(f"`{key}` ({what})" for key, what in section.later.items())
        lines += ["", f"Not yet built: {later}."]
    return "\n".join(lines) + "\n"


def _title(path: str) -> str:
    return f"`{path}`" if path else "The site"


def _type(annotation: Any, homes: dict[type[Section], str]) -> str:
    section = section_in(annotation)
    if section is RouteOptions:
        return "a mapping of a route's options: " + ", ".join(f"`{key}`" for key in RouteOptions.model_fields)
    if section is not None:
        return _section_type(annotation, homes[section])
    kind = kind_of(annotation)
    label = kind.label if kind else "any"
    if is_named(annotation):
        return f"a mapping of names to {label}s"
    return f"{label}, or a list" if is_list(annotation) else label


def _section_type(annotation: Any, home: str) -> str:
    short = short_of(annotation)
    what = "names" if is_named(annotation) else "a list" if is_list(annotation) else "a mapping"
    what = f"{what}, see [`{home}`](#{home.lower().replace('.', '')})"
    return f"{short.label}, or {what}" if short and not is_named(annotation) else what


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined or field.default in (None, (), {}):
        return ""
    return f"`{str(field.default).lower()}`" if isinstance(field.default, bool) else f"`{field.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
