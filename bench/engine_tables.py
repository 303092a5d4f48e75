"""Results of the engine tier as tables: one to read in a terminal, one for the README."""

from typing import Final

from bench.clients import encoded, floor, pool, raw
from bench.engine import C_PAIR
from bench.machine import sentence
from bench.results import Result, Row
from bench.tables import grid

WAKING: Final = 2.0
"""Rounds of one side that differ by so much: somebody else worked, here or on the host."""
_CORE: Final = (pool.NAME, encoded.NAME, floor.NAME, raw.NAME, C_PAIR)
_OUTER: Final = ((pool.NAME,), (raw.NAME, C_PAIR))
"""What stands above the peers in their table, and what below."""


def terminal(result: Result) -> str:
    """Return a row a pair and side: everything that was found."""
    head = ("binds x window", "side", "messages/s, median [min-max]", "CPU us", "SMSC CPU us", "aim",
            "of the C floor", "of C, C SMSC")  # fmt: skip
    lines = []
    for row in result["rows"]:
        rate = 1e9 / row["median"]
        target = row.get("target", 0.0)
        lines.append(
            (
                row["corpus"],
                _title(row),
                f"{rate:,.0f} [{1e9 / row['max']:,.0f}-{1e9 / row['min']:,.0f}]",
                f"{row['cpu_us']:.2f}",
                f"{row['smsc_cpu_us']:.2f}" if row["smsc_cpu_us"] else "",
                f"{1e9 / target:,.0f} {'met' if row['median'] <= target else 'MISSED'}" if target else "",
                *(f"{_rate(result, row['corpus'], side, rate):.0%}" for side in (floor.NAME, C_PAIR)),
            )
        )
    return "\n".join([grid(head, lines), "", *notes(result)])


def readme(result: Result) -> str:
    """Return the Markdown tables of the README: ours at every pair, and the peers where they ran."""
    found = {(row["corpus"], row["side"]): row for row in result["rows"]}
    versions = {row["side"]: _title(row) for row in result["rows"]}
    peers = [side for side in versions if side not in _CORE]
    head = ("binds x window", *_CORE)
    lines = [(pair, *(_cell(found.get((pair, side))) for side in _CORE)) for pair in result["corpora"]]
    with_peers = [pair for pair in result["corpora"] if any((pair, side) in found for side in peers)]
    above, below = _OUTER
    peer_lines = [
        (versions[side], *(_cell(found.get((pair, side))) for pair in with_peers))
        for side in (*above, *peers, *below)
    ]
    peer_head = ("binds x window", *with_peers)
    return "\n".join([grid(head, lines), "", grid(peer_head, peer_lines), "", *notes(result)])


def notes(result: Result) -> list[str]:
    """Return what must stand beside any of these figures."""
    lines = [
        f"{sentence(result['run'])}.",
        f"Messages a second, medians of {result['rounds']} rounds (peers: at most 3) in which all sides take",
        "turns; in brackets CPU microseconds a message of the flooding process. Loopback, 60-character",
        "codes; the flood has one core, the SMSC the other. With receipts a message counts when its receipt",
        "was parsed, matched and acknowledged (the C flood only acknowledges). Raw octets are of the same",
        "sizes, counted and never looked at.",
    ]
    if method := result.get("method", ""):
        lines.append(f"{method.partition(';')[0]}.")
    lines += [f"Absent: {name}: {reason}." for name, reason in result["absent"].items()]
    if busy := [
        f"{row['corpus']} {row['side']}"
        for row in result["rows"]
        if row["side"] in _CORE and row["max"] > WAKING * row["min"]
    ]:
        lines.append(f"The machine was unsteady during {', '.join(busy)}.")
    if result["quick"]:
        lines.append("Quick run: few and short rounds. Not for quoting.")
    return lines


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    rate = 1e9 / row["median"]
    figure = f"{rate / 1e6:.2f} M" if rate >= 1e6 else f"{rate / 1e3:.{0 if rate >= 1e4 else 1}f} k"
    return f"{figure} ({row['cpu_us']:.2f})"


def _rate(result: Result, corpus: str, side: str, rate: float) -> float:
    """Return a rate as a share of that of a side at the same pair."""
    (other,) = [row for row in result["rows"] if (row["corpus"], row["side"]) == (corpus, side)]
    return rate * other["median"] / 1e9


def _title(row: Row) -> str:
    return f"{row['side']} {row['version']}".strip()
