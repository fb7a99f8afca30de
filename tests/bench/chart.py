"""Two kinds of chart as SVG text: bars over steps, and how large a share is done by when."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 260, 52, 34, 44
COLOURS = ("#1f6f78", "#c8553d", "#7a6c9d")

Line = tuple[str, Sequence[tuple[float, float]]]


def _frame(title: str, axis: str, body: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(axis)}</text>'
    )
    return "\n".join((head, *body, "</svg>")) + "\n"


def shares(title: str, axis: str, lines: Sequence[Line], ticks: Sequence[float]) -> str:
    """Return a chart of lines whose heights are shares from 0 to 1."""
    low, high = ticks[0], ticks[-1]
    across, down = WIDTH - LEFT - 20, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return LEFT + (min(max(value, low), high) - low) / (high - low) * across

    def y(share: float) -> float:
        return TOP + (1 - share) * down

    body = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        body.append(
            f'<path d="M{LEFT} {y(share):.1f}H{LEFT + across}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        )
    for tick in ticks:
        body.append(
            f'<text x="{x(tick):.1f}" y="{TOP + down + 16}" text-anchor="middle">{tick:g}</text>'
        )
    for number, (name, points) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = "L".join(f"{x(at):.1f} {y(share):.1f}" for at, share in points)
        body.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body.append(
            f'<text x="{LEFT + across - 4}" y="{TOP + down - 12 - 16 * number}" '
            f'text-anchor="end" fill="{colour}">{escape(name)}</text>'
        )
    return _frame(title, axis, body)
