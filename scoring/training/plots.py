"""Plain SVG charts for the model card: nothing to install, readable in a diff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]
_WIDTH, _HEIGHT, _MARGIN = 420, 280, 45
_STYLE = 'font-family="sans-serif" font-size="12" fill="#333"'


def line_chart(
    series: Mapping[str, Points],
    *,
    x: str,
    y: str,
    limits: tuple[float, float] = (1, 1),
) -> str:
    """Lines through points; both axes run from 0 to their limit.

    >>> "<polyline" in line_chart({"ours": [(0, 0), (1, 1)]}, x="recall", y="precision")
    True
    """
    colours = ("#1f6feb", "#999999", "#d29922")
    parts = [_axes(x, y, limits)]
    for index, (name, points) in enumerate(series.items()):
        places = " ".join(f"{_x(px, limits):.1f},{_y(py, limits):.1f}"
                          for px, py in points)  # fmt: skip
        colour = colours[index % len(colours)]
        parts.append(
            f'<polyline points="{places}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>'
            f'<text x="{_MARGIN + 10}" y="{20 + 15 * index}" font-size="12" '
            f'font-family="sans-serif" fill="{colour}">{_escaped(name)}</text>'
        )
    return _document(parts, _HEIGHT)


def bar_chart(bars: Sequence[tuple[str, float]], *, largest: float = 0.0) -> str:
    """Horizontal bars with their values, top down.

    >>> bar_chart([("amount", 0.5), ("hour", 0.25)]).count("<rect")
    3
    """
    top = max([largest, *(value for _, value in bars)]) or 1.0
    parts = []
    for row, (name, value) in enumerate(bars):
        at = 10 + 22 * row
        length = max(0.0, value) / top * 180
        parts.append(
            f'<text x="160" y="{at + 13}" text-anchor="end" {_STYLE}>'
            f"{_escaped(name)}</text>"
            f'<rect x="168" y="{at}" width="{length:.1f}" height="16" fill="#1f6feb"/>'
            f'<text x="{172 + length:.1f}" y="{at + 13}" {_STYLE}>{value:.3g}</text>'
        )
    return _document(parts, 20 + 22 * len(bars))


def _axes(x: str, y: str, limits: tuple[float, float]) -> str:
    right, bottom = _WIDTH - 15, _HEIGHT - _MARGIN
    return (
        f'<path d="M{_MARGIN},10 V{bottom} H{right}" fill="none" stroke="#333"/>'
        f'<text x="{_WIDTH // 2}" y="{_HEIGHT - 10}" {_STYLE}>{_escaped(x)}</text>'
        f'<text x="12" y="{_HEIGHT // 2}" transform="rotate(-90 12 {_HEIGHT // 2})" '
        f"{_STYLE}>{_escaped(y)}</text>"
        f'<text x="{right - 15}" y="{bottom + 15}" {_STYLE}>{limits[0]:.3g}</text>'
        f'<text x="{_MARGIN - 30}" y="20" {_STYLE}>{limits[1]:.3g}</text>'
        f'<text x="{_MARGIN - 12}" y="{bottom + 15}" {_STYLE}>0</text>'
    )


def _x(value: float, limits: tuple[float, float]) -> float:
    share = min(max(value / limits[0], 0.0), 1.0)
    return _MARGIN + share * (_WIDTH - 15 - _MARGIN)


def _y(value: float, limits: tuple[float, float]) -> float:
    share = min(max(value / limits[1], 0.0), 1.0)
    return _HEIGHT - _MARGIN - share * (_HEIGHT - _MARGIN - 10)


def _document(parts: list[str], height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}">'
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
