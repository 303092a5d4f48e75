"""A report as one HTML page that needs nothing else: no script, no font, no picture from anywhere."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from dispatcher.cli.load import plot, report
from dispatcher.cli.load.figures import Latency, Report, Trial
from dispatcher.cli.load.machine import sentence
from dispatcher.cli.load.mix import CLASSES

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --text: #222; --soft: #666; --back: #fff;
  --c0: #1f6fb4; --c1: #d9731a; --c2: #2a8f4d; --c3: #b5397b; --c4: #7a6cc7 }
@media (prefers-color-scheme: dark) { :root { --text: #ddd; --soft: #999; --back: #161616;
  --c0: #6db3f2; --c1: #f0a45d; --c2: #6fcf8f; --c3: #ec86bb; --c4: #b3a8f5 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 880px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; width: 100% } th, td { padding: .25em .75em; text-align: right;
  border-bottom: 1px solid var(--line) } th:first-child, td:first-child { text-align: left }
figure { margin: 1.5em 0 } figcaption { font-weight: 600 } svg { width: 100%; height: auto }
.grid { stroke: var(--line); stroke-width: 1; fill: none } .label { fill: var(--soft); font-size: 12px }
.line { fill: none; stroke-width: 2; stroke-linejoin: round } .key { font-weight: 400; margin-left: 1em }
.key::before { content: ""; display: inline-block; width: 1em; height: 3px; margin-right: .4em;
  vertical-align: middle; background: currentColor } .soft { color: var(--soft) }
""" + "".join(
    f".line-{at} {{ stroke: var(--c{at}) }} .key-{at} {{ color: var(--c{at}) }} "
    for at in range(plot.COLOURS)
)


_LATENCIES: Final = {
    "authorization": "Codes, read by the carrier",
    "marketing": "Marketing, read by the carrier",
    "accepted": "Answered",
}
"""Plots, a line for each of three percentiles."""


def html(found: Report) -> str:
    """Return the page."""
    body = [f"<h1>dispatcher bench, {escape(found.run['date'])}</h1>"]
    body.append(f"<p>{escape(sentence(found.run))}</p>")  # type: ignore[arg-type]  # read from JSON
    if found.sustained is not None:
        trial = found.sustained
        body.append(f"<h2>{trial.segments_per_s:,.0f} segments a second for {trial.seconds:.0f} s</h2>")
        body += _trial(trial)
    if found.ceiling is not None:
        body.append("<h2>The ceiling</h2>")
        body += [f"<p>{escape(line)}</p>" for line in report.ceiling(found.ceiling)]
        rows = [
            (f"{step.segments_per_s:,.0f}", f"{step.seconds:.0f} s", "held" if step.held else "not held",
             f"{step.growth:+.2%}", f"{step.core:.0%}")
            for step in found.ceiling.steps
        ]  # fmt: skip
        body.append(_table(("segments/s", "for", "", "queue a second", "of one core"), rows))
        if found.ceiling.trial is not None:
            body += _trial(found.ceiling.trial)
    body.append("<h2>Proof and settings</h2>")
    body += [f"<p>{escape(line)}</p>" for line in list(report.lines(found))[-3:-1]]
    body.append(
        '<p class="soft">Every request had its time before the run began (open loop), and every latency '
        "counts from that time: what is late is not forgiven. The carrier is a simulator on this machine; "
        "the daemon has one core for itself.</p>"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>dispatcher bench, {escape(found.run['date'])}</title><style>{_STYLE}</style></head>\n"
        "<body>" + "\n".join(body) + "</body></html>\n"
    )


def _trial(trial: Trial) -> Iterator[str]:
    rows = [("request answered, all on disk", trial.accepted)]
    rows += [(f"read by the carrier, {name}", trial.carrier[name]) for name in CLASSES]
    rows.append(("lateness of the client itself, in all of the above", trial.late))
    yield _table(
        ("milliseconds from the intended send", "p50", "p99", "p99.9", "max"),
        [(name, *(f"{each:.1f}" for each in _four(latency))) for name, latency in rows],
    )
    yield from (f"<p>{escape(line.strip())}</p>" for line in list(report.sustained(trial))[-3:])
    samples, over_time = trial.samples, trial.over_time
    yield plot.lines(
        "Rate",
        "segments a second",
        {name: [float(getattr(each, name)) for each in samples] for name in ("due", "taken", "reported")},
    )
    for name, title in _LATENCIES.items():
        yield plot.lines(
            title,
            "ms from the intended send",
            {
                "p50": [each.p50 for each in over_time[name]],
                "p99": [each.p99 for each in over_time[name]],
                "max": [each.max for each in over_time[name]],
            },
            is_log=True,
        )
    names = ("daemon", "carrier", "client", "others")
    yield plot.lines(
        "CPU", "share of one core", {name: [getattr(each, name) for each in samples] for name in names}
    )
    yield plot.lines(
        "Due and not reported yet", "segments", {"behind": [float(each.behind) for each in samples]}
    )


def _four(latency: Latency) -> tuple[float, ...]:
    return latency.p50, latency.p99, latency.p999, latency.max


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
