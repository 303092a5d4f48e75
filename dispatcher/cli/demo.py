"""``make demo``: real texts explained, then a million counted."""

import sys
import time

from dispatcher.cli.segments import describe

TEXTS = {
    "A one-time code": "Your one-time code is 482913. Do not tell it to anyone, not even to the bank.",
    "A card notice in Russian": (
        "Покупка 1 249,90 р. ПЯТЁРОЧКА 24.11 14:05, карта *4821. Доступно: 18 503,17 р. Не Вы? Позвоните 900."
    ),
    "The same, written for GSM 7-bit": (
        "Pokupka 1 249,90 r. PYATYOROCHKA 24.11 14:05, karta *4821. "
        "Dostupno: 18 503,17 r. Ne Vy? Pozvonite 900."
    ),
    "Marketing, with a euro sign": (
        "Black Friday at the bank: {Gold} cards free for the first year, 5% cashback on everything, "
        "and €50 for every friend who joins. Tell them [code FRIDAY] before 30.11 - terms at example.com/bf"
    ),
    "The same, with curly quotes and an emoji": (
        "Black Friday at the bank 🎉 “Gold” cards free for the first year, 5% cashback on everything, "
        "and €50 for every friend who joins. Tell them ‘FRIDAY’ before 30.11 – terms at example.com/bf"
    ),
}
MANY = 1_000_000


def main() -> int:
    """Show the encoder at work; return the exit code."""
    from dispatcher.encoding import count_batch, explain, segment, segment_batch

    for title, text in TEXTS.items():
        print(f"{title}\n  {text}")
        message, explanation = segment(text), explain(text)
        for line in describe(message, explanation):
            print(f"  {line}")
        print(f"  each character costs: {_costs(explanation.costs)}\n")

    texts = [
        f"Your one-time code is {number:06d}. Do not tell it to anyone, please." for number in range(MANY)
    ]
    for name, batch in (("counted", count_batch), ("made into finished segments", segment_batch)):
        batch(texts[:1000])
        began = time.perf_counter()
        batch(texts)
        took = time.perf_counter() - began
        print(f"{MANY:,} one-time codes {name} in {took:.3f} s: {MANY / took / 1e6:.1f} million a second")
    return 0


def _costs(costs: object) -> str:
    """Runs of characters by their cost: most cost one unit, so only the others are spelled out."""
    from dispatcher.encoding import Cost

    runs: list[str] = []
    plain = 0
    for cost in costs:  # type: ignore[attr-defined]
        assert isinstance(cost, Cost)
        if cost.units == 1:
            plain += 1
            continue
        if plain:
            runs.append(f"{plain}×1")
            plain = 0
        runs.append(f"{cost.character}=2")
    return " ".join([*runs, f"{plain}×1"] if plain else runs)


if __name__ == "__main__":
    sys.exit(main())
