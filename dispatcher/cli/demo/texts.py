"""The first part of ``make demo``: real texts explained, then many made into segments."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dispatcher.cli.segments import describe

if TYPE_CHECKING:
    from dispatcher.encoding import Cost

TEXTS = {
    "A one-time code": "Your one-time code is 482913. Do not tell it to anyone, not even to the bank.",
    "Marketing, with curly quotes and an emoji": (
        "Black Friday at the bank 🎉 “Gold” cards free for the first year, 5% cashback on everything, "
        "and €50 for every friend who joins. Tell them ‘FRIDAY’ before 30.11 – terms at example.com/bf"
    ),
}
MANY = 1_000_000
SLICE = 10_000


def show() -> None:
    """Print it."""
    from dispatcher.encoding import explain, segment, segment_batch

    for title, text in TEXTS.items():
        print(f"{title}\n  {text}")
        message, explanation = segment(text), explain(text)
        for line in describe(message, explanation):
            print(f"  {line}")
        print(f"  each character costs: {_costs(explanation.costs)}\n")
    texts = [
        f"Your one-time code is {number:06d}. Do not tell it to anyone, please." for number in range(SLICE)
    ]
    segment_batch(texts)
    began = time.perf_counter()
    for _ in range(MANY // SLICE):
        segment_batch(texts)
    took = time.perf_counter() - began
    print(f"{MANY:,} such codes made into segments: {MANY / took / 1e6:.1f} million a second\n")


def _costs(costs: tuple[Cost, ...]) -> str:
    """Runs of characters by their cost: most cost one unit, so only the others are spelled out."""
    runs: list[str] = []
    plain = 0
    for cost in costs:
        if cost.units == 1:
            plain += 1
            continue
        if plain:
            runs.append(f"{plain}×1")
            plain = 0
        runs.append(f"{cost.character}=2")
    return " ".join([*runs, f"{plain}×1"] if plain else runs)
