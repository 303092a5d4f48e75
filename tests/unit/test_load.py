"""What `dispatcher bench` makes of what it measured: percentiles, growth, the search, page, comparison."""

import re
from pathlib import Path

import msgspec
import pytest

from dispatcher.cli import bench
from dispatcher.cli.demo.traffic import PATTERN
from dispatcher.cli.load import ceiling, figures, mix, page, plot, report
from dispatcher.cli.load.compare import compare
from dispatcher.cli.load.figures import GROWTH_MAX, Ceiling, Latency, Proof, Report, Sample, Trial, latency_of
from dispatcher.cli.load.machine import describe_run
from dispatcher.cli.load.trial import growth_of
from dispatcher.encoding import segment

SECONDS = 12


def sample(second: int, daemon: float) -> Sample:
    """Return a second at 20,000 segments."""
    return Sample(
        at_s=second, due=20_000, taken=20_000, reported=20_000, behind=2_000, waiting=0, commits=150,
        octets=5e6, memory_bytes=2**27, daemon=daemon, carrier=0.1, client=0.05, others=0.0,
    )  # fmt: skip


def trial(*, daemon: float = 0.3, p99: float = 8.0, growth: float = 0.0, rate: float = 20_000) -> Trial:
    """Return a trial whose seconds are all nearly alike."""
    latency = Latency(100, 2.0, p99, p99 + 1, p99 + 2)
    return Trial(
        segments_per_s=rate,
        seconds=SECONDS,
        messages=1000,
        refused=0,
        samples=[sample(second, daemon * (1 + second % 3 / 100)) for second in range(SECONDS)],
        accepted=latency,
        carrier=dict.fromkeys(mix.CLASSES, latency),
        over_time=dict.fromkeys(("accepted", *mix.CLASSES), [latency] * SECONDS),
        late=latency,
        growth=growth,
        core=daemon,
        cpu_us=daemon / rate * 1e6,
        commits_per_s=150,
        octets_a_segment=250,
        drain_s=0.2,
        yardstick_ns=60,
    )


def made(sustained: Trial | None, found: Ceiling | None = None) -> Report:
    """Return a report."""
    settings = {"binds": 4, "window": 250, "receipt_delay_ms": 100, "filesystem": "ext4"}
    return Report(
        run=dict(describe_run("dispatcher")),
        settings=settings | {"fdatasync_ms": [0.2, 0.9]},
        sustained=sustained,
        ceiling=found,
        proof=Proof(1, 1, 1, 1, 0),
    )


def test_percentiles_are_of_the_values_themselves() -> None:
    """Milliseconds; the last one is the greatest; of nothing, zeros."""
    assert latency_of([n * 1_000_000 for n in range(1000, 0, -1)]) == Latency(1000, 501, 991, 1000, 1000)
    assert latency_of([]) == Latency(0, 0, 0, 0, 0)


def test_growth_is_of_the_last_third_over_the_first() -> None:
    """A queue that grows by 7 a reading does so at any level; one that shakes does not grow."""
    assert growth_of([1000 + 7 * at for at in range(30)]) == pytest.approx(7, rel=0.01)
    assert growth_of([5, 9] * 15) == 0
    assert growth_of([1, 2]) > 1e9


def test_every_message_has_its_number_and_the_segments_that_were_promised() -> None:
    """25 segments of 20 messages; the number is in the recipient, the class follows from it."""
    step = len(PATTERN)
    lines = [msgspec.json.decode(line) for line in mix.body(40, step).splitlines()]
    assert [mix.number_of(line["to"][1:].encode()) for line in lines] == list(range(40, 60))
    assert [line["traffic_class"] for line in lines] == list(PATTERN)
    assert sum(len(segment(line["text"]).segments) for line in lines) == mix.SEGMENTS == mix.segments_of(step)
    assert len({line["client_ref"] for line in lines}) == step


@pytest.mark.parametrize("rate", [20, 1_000, 20_000, 200_000, 3_000_000])
def test_batches_add_up_to_the_rate(rate: float) -> None:
    """Whole patterns, no more than a request may hold, at exactly the rate."""
    count, every_s = mix.batch_of(rate)
    assert count % len(PATTERN) == 0
    assert count <= mix.BATCH_MAX
    assert mix.segments_of(count) / every_s == pytest.approx(rate)


@pytest.mark.parametrize("limit", [900, 20_000, 31_000, 170_000])
def test_the_ceiling_is_found(limit: float) -> None:
    """Whatever the limit is, the search ends within 5 % below it; the long trial is of the rate it names."""
    tried: list[tuple[float, float]] = []

    def attempt(rate: float, seconds: float) -> Trial:
        tried.append((rate, seconds))
        return trial(rate=rate, growth=0.0 if rate <= limit else 0.1)

    found = ceiling.find(attempt, 20_000, 5, 30)
    assert found.trial is not None
    assert limit / ceiling.NEAR <= found.trial.segments_per_s <= limit
    assert tried[-1] == (found.trial.segments_per_s, 30.0)
    assert [(step.segments_per_s, step.seconds) for step in found.steps] == tried


def test_a_rate_that_holds_only_for_a_while_is_not_the_ceiling() -> None:
    """The long trial decides."""

    def attempt(rate: float, seconds: float) -> Trial:
        return trial(rate=rate, growth=0.0 if rate <= (900 if seconds == 30 else 1000) else 1.0)

    found = ceiling.find(attempt, 1000, 5, 30)
    assert found.trial is not None
    assert 900 * ceiling.LESS < found.trial.segments_per_s <= 900


def test_where_no_rate_is_held_there_is_no_ceiling() -> None:
    """The search ends all the same."""
    found = ceiling.find(lambda rate, seconds: trial(rate=rate, growth=1.0), 1000, 5, 30)
    assert found.trial is None
    assert len(found.steps) == ceiling.TRIALS_MAX


def test_a_rate_is_held_or_not() -> None:
    """Less than a hundredth of growth, and nothing refused."""
    assert trial(growth=GROWTH_MAX).held
    assert not trial(growth=GROWTH_MAX * 1.1).held
    assert not msgspec.structs.replace(trial(), refused=1).held
    assert not msgspec.structs.replace(
        trial(), stopped=True
    ).held  # what counted before it was stopped may look well


def test_the_page_needs_nothing_else() -> None:
    """No script, nothing from another host; the figures and all plots are in it; it is well formed."""
    step = figures.Step(40_000, 5, False, 0.2, 0.9)
    text = page.html(made(trial(), Ceiling([step], trial(rate=30_000))))
    assert not re.search(r"<script|<link|<img|@import|url\(|https?:", text)
    assert text.count("<svg") == text.count("</svg>") == 12
    assert "30,000 segments a second held for 12 s" in text
    for tag in ("table", "figure", "p", "h2", "tr", "svg"):
        assert len(re.findall(f"<{tag}[ >]", text)) == text.count(f"</{tag}>")


def test_lines_stay_within_the_plot() -> None:
    """Linear from 0, logarithmic by powers of ten; what is not above 0 has no logarithm and is left out."""
    for is_log, values in ((False, [0.0, 3.0, 47.0]), (True, [0.0, 0.02, 950.0]), (False, [-5.0, 5.0])):
        text = plot.lines("t", "u", {"a": values}, is_log=is_log)
        path = re.search(r'class="line line-0" d="M([^"]+)"', text)
        assert path is not None
        points = [tuple(map(float, pair.split())) for pair in path[1].split("L")]
        assert len(points) == len([value for value in values if value > 0 or not is_log])
        assert all(plot.LEFT <= x <= plot.WIDTH and plot.TOP <= y <= plot.HEIGHT for x, y in points)
        assert points[-1][1] < points[0][1]


def test_a_plot_of_nothing_is_a_plot() -> None:
    """A run without a whole second has a page, too; more lines than colours are a mistake of ours."""
    assert "<svg" in plot.lines("t", "u", {"a": []}, is_log=True)
    with pytest.raises(ValueError, match="6 lines"):
        plot.lines("t", "u", {str(at): [1.0] for at in range(6)})


def test_the_terminal_names_every_class() -> None:
    """And says that a rate was not held."""
    text = "\n".join(report.lines(made(trial(growth=0.2))))
    assert all(name in text for name in mix.CLASSES)
    assert "NOT HELD" in text


def test_a_report_is_read_as_it_was_saved(tmp_path: Path) -> None:
    """Another file, or another format, is an error that says so."""
    path = tmp_path / "a.json"
    figures.save(found := made(trial()), path)
    assert figures.read(path) == found
    for text in ("{}", "not JSON"):
        path.write_text(text)
        with pytest.raises(figures.ReportError, match=r"a\.json is no report"):
            figures.read(path)
    figures.save(msgspec.structs.replace(found, format=2), path)
    with pytest.raises(figures.ReportError, match="format 2"):
        figures.read(path)


def test_compare_finds_what_became_dearer() -> None:
    """CPU by the yardstick, latencies at the same rate, the ceiling beyond its steps."""
    before = made(trial(), Ceiling([], trial(rate=100_000)))
    assert [each.name for each in compare(before, before) if each.is_bad] == []
    slow = made(trial(daemon=0.4, p99=30), Ceiling([], trial(rate=80_000)))
    bad = [each.name for each in compare(before, slow) if each.is_bad]
    assert "sustained: CPU a segment, of the yardstick" in bad
    assert "sustained: authorization, p99 ms of a second" in bad
    assert "ceiling, segments/s" in bad
    assert "sustained: authorization, p50 ms of a second" not in bad
    machine = msgspec.structs.replace(trial(daemon=0.6), yardstick_ns=120)  # half as fast in all
    assert not [each for each in compare(made(trial()), made(machine)) if each.is_bad]


def test_compare_tells_what_is_missing() -> None:
    """A part that is no longer measured is bad, a new one is not."""
    assert [each.verdict for each in compare(made(trial()), made(None))] == ["gone"]
    assert [each.verdict for each in compare(made(None), made(trial()))] == ["new"]


def test_the_disk_is_told(tmp_path: Path) -> None:
    """The file system of the folder, and what a sync takes there."""
    assert re.fullmatch(r"[a-z0-9.]+", bench._filesystem(tmp_path))
    low, high = bench._fdatasync_ms(tmp_path)
    assert 0 <= low <= high
