"""A report as lines for a terminal: what was offered, what became of it, and where it was measured."""

from collections.abc import Iterator, Sequence
from statistics import median

from dispatcher.cli.load.figures import Ceiling, Latency, Report, Trial
from dispatcher.cli.load.machine import sentence
from dispatcher.cli.load.mix import CLASSES


def lines(report: Report) -> Iterator[str]:
    """Yield them."""
    if report.sustained is not None:
        yield from sustained(report.sustained)
    if report.ceiling is not None:
        yield from ceiling(report.ceiling)
    proof, settings = report.proof, report.settings
    yield (
        f"Proof: {proof.segments:,} segments accepted, submitted, answered, reported and acknowledged; "
        "lost 0, doubled 0, complaints of the audit 0"
    )
    yield (
        f"{settings['binds']} binds x {settings['window']}, receipts after "
        f"{settings['receipt_delay_ms']:.0f} ms, synchronous=FULL on {settings['filesystem']}, where a sync "
        f"of one page takes {settings['fdatasync_ms'][0]:.2f} ms (p99 {settings['fdatasync_ms'][1]:.2f})"
    )
    yield sentence(report.run)  # type: ignore[arg-type]  # read from JSON


def sustained(trial: Trial) -> Iterator[str]:
    """Yield what the headline test has found."""
    yield (
        f"{trial.segments_per_s:,.0f} segments a second for {trial.seconds:.0f} s over HTTP, durable, with "
        f"receipts, at times fixed before: {'held' if trial.held else 'NOT HELD'}"
        f"{f', {trial.refused:,} messages refused' if trial.refused else ''}"
    )
    yield f"  {'ms from the intended send':34}" + "".join(
        f"{name:>10}" for name in ("p50", "p99", "p99.9", "max")
    )
    yield f"  {'request answered, all on disk':34}{_latency(trial.accepted)}"
    for name in CLASSES:
        yield f"  {f'read by the carrier, {name}':34}{_latency(trial.carrier[name])}"
    yield f"  {'(the client itself was late by':34}{_latency(trial.late)})"
    reported = median([each.reported for each in trial.samples]) if trial.samples else 0
    yield (
        f"  reported {reported:,.0f} segments a second (median of the seconds), queue {trial.growth:+.2%} a "
        f"second, all reported {trial.drain_s:.2f} s after the last request"
    )
    yield (
        f"  daemon: {trial.core:.1%} of one core, {trial.cpu_us:.1f} us CPU a segment; "
        f"{trial.commits_per_s:,.0f} commits a second, {trial.octets_a_segment:,.0f} bytes a segment"
    )
    if trial.samples:
        shares = {
            name: median([getattr(each, name) for each in trial.samples])
            for name in ("carrier", "client", "others")
        }
        first, last = trial.samples[0].memory_bytes, trial.samples[-1].memory_bytes
        yield (
            "  beside it: "
            + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
            + f" of a core; the daemon's memory {first / 2**20:,.0f} to {last / 2**20:,.0f} MiB"
        )


def ceiling(found: Ceiling) -> Iterator[str]:
    """Yield the highest rate."""
    if found.trial is None:
        yield f"Ceiling: none of {len(found.steps)} rates was held"
        return
    trial = found.trial
    yield (
        f"Ceiling: {trial.segments_per_s:,.0f} segments a second held for {trial.seconds:.0f} s, no queue "
        f"growing ({len(found.steps)} rates tried); {trial.core:.0%} of one core, {trial.cpu_us:.1f} us "
        f"CPU a segment, codes read by the carrier p99 {trial.carrier['authorization'].p99:.1f} ms"
    )


def _latency(latency: Latency) -> str:
    values: Sequence[float] = (latency.p50, latency.p99, latency.p999, latency.max)
    return "".join(f"{each:10.1f}" for each in values)
