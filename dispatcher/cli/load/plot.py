"""Lines over time as SVG, to stand in a page: axes, a grid, a legend, nothing that moves.

Colours and text come from the page's style sheet: .line-0, .line-1 ... and .grid, .label.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 860
HEIGHT: Final = 240
LEFT: Final = 64
"""Room for the figures of the y axis."""
RIGHT: Final = 12
TOP: Final = 12
BOTTOM: Final = 28
COLOURS: Final = 5
"""Lines of one plot; the page has so many colours."""


def lines(title: str, unit: str, series: Mapping[str, Sequence[float]], *, is_log: bool = False) -> str:
    """Return a figure: each series has a value a second, from the first second on.

    `is_log`: powers of ten, for latencies, whose tail would flatten all else; values up to 0 are not drawn.
    ValueError: more series than there are colours.
    """
    if len(series) > COLOURS:
        raise ValueError(f"{len(series)} lines, {COLOURS} colours")
    seconds = max((len(values) for values in series.values()), default=0)
    shown = [value for values in series.values() for value in values if value > 0 or not is_log]
    scale = _Scale(min(shown, default=0.0), max(shown, default=1.0), is_log)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}, {unit}", True)}">'
    ]
    parts += [
        f'<path class="grid" d="M{LEFT} {scale.y(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="label" x="{LEFT - 6}" y="{scale.y(tick) + 4:.1f}" text-anchor="end">'
        f"{short(tick)}</text>"
        for tick in scale.ticks
    ]
    parts += [
        f'<text class="label" x="{_x(tick, seconds):.1f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{tick} s</text>"
        for tick in _seconds(seconds)
    ]
    for at, (name, values) in enumerate(series.items()):
        points = [
            f"{_x(second + 1, seconds):.1f} {scale.y(value):.1f}"
            for second, value in enumerate(values)
            if value > 0 or not is_log
        ]
        if points:
            parts.append(
                f'<path class="line line-{at}" d="M{"L".join(points)}"><title>{escape(name)}</title></path>'
            )
    legend = "".join(f'<span class="key key-{at}">{escape(name)}</span>' for at, name in enumerate(series))
    return (
        f"<figure><figcaption>{escape(title)}, {escape(unit)} {legend}</figcaption>"
        f"{''.join(parts)}</svg></figure>"
    )


def short(value: float) -> str:
    """Return a figure of few characters: 20k, 1.5M, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


class _Scale:
    """The y axis; linear ones begin at 0."""

    def __init__(self, low: float, high: float, is_log: bool) -> None:
        self._is_log = is_log
        if is_log:
            self._low = math.floor(math.log10(low or 1.0))
            self._high = max(self._low + 1, math.ceil(math.log10(high or 1.0)))
            self.ticks = [10.0**power for power in range(self._low, self._high + 1)]
        else:
            step = _step((max(high, 0.0) - min(low, 0.0)) or 1.0)
            self._low = math.floor(min(low, 0.0) / step)
            self._high = max(self._low + 1, math.ceil(high / step))
            self.ticks = [step * at for at in range(self._low, self._high + 1)]
        self._bottom, self._top = self.ticks[0], self.ticks[-1]

    def y(self, value: float) -> float:
        """Return where a value stands."""
        if self._is_log:
            share = (math.log10(value) - self._low) / (self._high - self._low)
        else:
            share = (value - self._bottom) / (self._top - self._bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _step(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that some five ticks span it."""
    size = 10.0 ** math.floor(math.log10(span / 5))
    return next(factor * size for factor in (1, 2, 5, 10) if factor * size >= span / 5)


def _x(second: float, seconds: int) -> float:
    return LEFT + second / max(1, seconds) * (WIDTH - RIGHT - LEFT)


def _seconds(seconds: int) -> range:
    step = max(1, round(_step(seconds))) if seconds else 1
    return range(0, seconds + 1, step)
