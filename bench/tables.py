"""Results as tables: one to read in a terminal, one for the README."""

from collections.abc import Sequence
from typing import Final

from bench.machine import sentence
from bench.results import YARDSTICK, Result, Row
from bench.timing import Spread

BUSY: Final = 1.15  # on a quiet machine the middle half of the rounds is within a few per cent


def terminal(result: Result) -> str:
    """Return a row a corpus and side: everything that was found."""
    head = ("corpus", "implementation", "ns a message, median [min-max]", "messages/s", "target ns",
            "times ours [min-max]", "cut wrongly")  # fmt: skip
    lines = [
        (
            row["corpus"],
            _title(row),
            f"{row['median']:,.0f} [{row['min']:,.0f}-{row['max']:,.0f}]",
            f"{1e9 / row['median']:,.0f}",
            f"{row['target']:,.0f}" if "target" in row else "",
            f"{_times(row['ratio'])} [{_times(row['ratio_min'])}-{_times(row['ratio_max'])}]",
            row.get("faults", ""),
        )
        for row in result["rows"]
    ]
    return "\n".join([grid(head, lines), "", *notes(result)])


def readme(result: Result) -> str:
    """Return the Markdown table of the README: a row an implementation, a column a corpus."""
    corpora = list(result["corpora"])
    sides = list(dict.fromkeys(row["side"] for row in result["rows"]))
    found = {(row["side"], row["corpus"]): row for row in result["rows"]}
    lines = []
    for side in sides:
        rows = [found[side, corpus] for corpus in corpora]
        cells = [f"{row['median']:,.0f} ns ({_times(row['ratio'])}x){_remark(row)}" for row in rows]
        lines.append((f"`{_title(rows[0])}`" if rows[0]["ours"] else _title(rows[0]), *cells))
    return "\n".join(
        [grid(("nanoseconds a message (times ours)", *corpora), lines), "", *notes(result)],
    )


def notes(result: Result) -> list[str]:
    """Return what must stand beside any of these figures."""
    lines = [
        f"{sentence(result['run'])}.",
        f"Medians of {result['rounds']} rounds in which all sides take turns; one thread, collector off.",
        f"The Python loop around each call ({result['loop']:.1f} ns) is included.",
        "Times ours: to segment, for counts to count.",
        f"import dispatcher.encoding: {result['import_ms']:.1f} ms in a fresh interpreter.",
    ]
    lines += [f"Absent: {name}: {reason}." for name, reason in result["absent"].items()]
    if busy := [row["corpus"] for row in result["rows"] if _disturbed(row)]:
        lines.append(f"The machine was busy during {', '.join(busy)}: measure again before quoting those.")
    if result["quick"]:
        lines.append("Quick run: few and short rounds. Not for quoting.")
    return lines


def _disturbed(row: Row) -> bool:
    """Whether the yardstick, ever the same work, took different times in the middle half of its rounds."""
    spread = Spread.of(row["rounds"])
    return row["side"] == YARDSTICK and spread.q3 > spread.q1 * BUSY


def _title(row: Row) -> str:
    return f"{row['side']} {row['version']}".strip()


def _remark(row: Row) -> str:
    faults = row.get("faults", "none")
    return "" if faults == "none" else f"; {faults}"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2f}"


def grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that is aligned, too."""
    widths = [max(len(line[at]) for line in [head, *lines]) for at in range(len(head))]

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([row(head), rule, *map(row, lines)])
