"""Horizontal bars as SVG, written by hand: no library, one file, readable on light and on dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, VALUE, LETTER, LEGEND = (
    780,
    130,
    7,
    130,
)  # of the whole, of the figures' column, of a letter of a name at most
BAR, GAP, TOP, BOTTOM = 20, 8, 58, 38
# The background is drawn too: a page's own may be of the other kind than the reader's system.
STYLE = """
  .back { fill: #ffffff } .text { fill: #1f2328 } .weak { fill: #59636e }
  .front, .less { fill: #4c8dd6 } .pool, .more { fill: #e0973c } .both { fill: #8c7ab8 }
  .ours { stroke: #1f2328; stroke-width: 1.5 }
  text { font: 13px system-ui, sans-serif }
  .bold { font-weight: 600 }
  .title { font-size: 15px; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } .text { fill: #f0f6fc } .weak { fill: #9198a1 } .ours { stroke: #f0f6fc }
  }
"""


@dataclass(frozen=True)
class Bar:
    """One row: its parts are drawn one after the other, and `said` stands behind them."""

    label: str
    parts: tuple[tuple[str, float], ...]  # class of the colour, value
    said: str
    is_ours: bool = False

    @property
    def whole(self) -> float:
        return sum(value for _, value in self.parts)


def chart(
    title: str,
    subtitle: str,
    bars: Sequence[Bar],
    legend: Sequence[tuple[str, str]] = (),
    mark: float | None = None,
    room: int = VALUE,
) -> str:
    """`legend` has pairs of a colour's class and what it stands for; at `mark` a line is drawn.

    `room` is that of the figures behind the bars.
    """
    height = TOP + len(bars) * (BAR + GAP) + BOTTOM
    left = 38 + max((len(bar.label) for bar in bars), default=0) * LETTER
    longest = max([*(bar.whole for bar in bars), mark or 0.0])
    scale = (WIDTH - left - room) / (longest or 1.0)
    line = left + mark * scale if mark is not None else None
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}" rx="6"/>',
        _text(16, 26, title, "text title"),
        _text(16, 45, subtitle, "weak"),
        *_legend(legend, height - 12),
    ]
    for number, bar in enumerate(bars):
        lines += _bar(bar, left, TOP + number * (BAR + GAP), scale, line)
    if line is not None:
        lines.append(
            f'<path class="ours" d="M{line:.1f} {TOP - 5}V{height - BOTTOM + 4}" stroke-dasharray="4 3"/>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _bar(bar: Bar, left: int, y: int, scale: float, line: float | None) -> list[str]:
    """What is said of it stands behind it, and behind the line that it does not reach."""
    middle = y + BAR - 5
    lines = [_text(left - 10, middle, bar.label, "text bold" if bar.is_ours else "text", end=True)]
    x = float(left)
    for colour, value in bar.parts:
        width = value * scale
        lines.append(f'<rect class="{colour}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}"/>')
        x += width
    if bar.is_ours:
        place = f'x="{left}" y="{y}" width="{bar.whole * scale:.1f}" height="{BAR}"'
        lines.append(f'<rect class="ours" fill="none" {place}/>')
    return [*lines, _text(max(x, line or 0.0) + 8, middle, bar.said, "text")]


def _legend(pairs: Sequence[tuple[str, str]], y: int) -> list[str]:
    lines, x = [], 16
    for colour, name in pairs:
        lines.append(f'<rect class="{colour}" x="{x}" y="{y - 11}" width="12" height="12"/>')
        lines.append(_text(x + 18, y, name, "weak"))
        x += 18 + len(name) * LETTER + 24
    return lines


def _text(x: float, y: float, said: str, kind: str, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}"{anchor}>{escape(said)}</text>'
