"""From one configuration to another while it runs: nothing is lost, and only what changed is touched.

`prepare` has found by then all that could fail; `take_up` is one turn of the loop, so that no message sees
half of each. Carriers that are new start, changed ones are taken up by their lanes, those that are gone
leave: see evacuation.py. `changes` says in words what is different.
"""

import os
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from dispatcher import receipts
from dispatcher._ext.book import Book
from dispatcher._ext.events import EventBuffer
from dispatcher.admission import Admission
from dispatcher.aftermath import Aftermath
from dispatcher.carrier.lane import Lane, Reserved
from dispatcher.carrier.queue import ClassQueue
from dispatcher.config import Config
from dispatcher.model import TrafficClass
from dispatcher.pipeline import Pipeline
from dispatcher.prepare import Prepared
from dispatcher.routing.health import Health
from dispatcher.store.journal import Journal

OURS: Final = ("carriers", "routes", "default_country", "numbering_plan", "ported_numbers", "classes",
               "retention", "limits", "currency")  # fmt: skip
"""Sections that a running dispatcher takes up."""
BESIDE: Final = ("http", "admin", "webhooks", "callbacks", "event_files", "log", "process")
"""The others: of the daemon and its parts."""
PARKED_MAX: Final = 200_000
"""Receipts without a message that are kept: a carrier's backlog of a bad night."""
SETTLED_MAX: Final = 1_000_000
"""Ids remembered after their end, some 60 octets each: duplicates of receipts come within minutes."""
_NUMBERS: Final = (int, float)


def assemble(
    new: Prepared,
    journal: Journal,
    failed: Callable[[BaseException], None],
    now_ms: Callable[[], int],
) -> Pipeline:
    """Return a pipeline that has this configuration from the start; its `recall` is still to be given."""
    events = EventBuffer()
    book = Book(events, seed=os.urandom(16), parked_max=PARKED_MAX, settled_max=SETTLED_MAX)
    admission = Admission(new.config, new.normalise, new.router.route, new.profiles, os.urandom)
    streams = journal.stream("later"), journal.stream("received")
    pipeline = Pipeline(new.config, admission, journal, book, events, *streams, failed, now_ms)
    pipeline.aftermath = Aftermath(pipeline, new.config, Health({}), random.random)
    take_up(pipeline, None, new)
    return pipeline


def take_up(pipeline: Pipeline, old: Config | None, new: Prepared) -> None:
    """Bring a pipeline to a configuration; `old` is the one that it has, None before its first."""
    config, journal = new.config, pipeline.journal
    pipeline.configure(config)
    pipeline.aftermath.configure(config, new.numbers)
    pipeline.profiles.update(new.profiles)
    for name, number in new.numbers.items():
        assert journal.carrier(name) == number
        profile = new.profiles[number]
        receipts.teach(pipeline.book, number, profile.dialect, receipts=profile.asks_receipts)
        lane = pipeline.leaving.pop(number, None) or pipeline.lanes.get(number)
        if lane is None:
            _begin(pipeline, name, new, is_running=old is not None)
        else:
            pipeline.lanes[number] = lane
            _change(pipeline, lane, config, new)
    for number in [number for number in pipeline.lanes if number not in new.profiles]:
        _leave(pipeline, number)
    pipeline.admission.configure(config, new.normalise, new.router.route, pipeline.profiles)
    if old is not None and any(
        name in old.carriers and old.carriers[name].profile != carrier.profile
        for name, carrier in config.carriers.items()
    ):
        pipeline.framed_from_ms = pipeline.now_ms()


def _begin(pipeline: Pipeline, name: str, new: Prepared, *, is_running: bool) -> None:
    config, number = new.config, new.numbers[name]
    queues = tuple(
        ClassQueue(each, pipeline.journal.stream(f"{name}/{each.name.lower()}"), config.limits.lane_max)
        for each in TrafficClass
    )
    lane = pipeline.lanes[number] = Lane(
        number,
        name,
        new.accounts[number],
        config.carriers[name].tps * pipeline.share,
        queues,
        _reserved(config),
        pipeline,
        pipeline.now_ms,
        context=new.contexts[number],
    )
    if is_running:
        for queue in queues:  # of what is accepted already, nothing waits here
            queue.loaded_n = queue.tail_n = pipeline.admission.next_n - 1
        lane.pool.begin()


def _change(pipeline: Pipeline, lane: Lane, config: Config, new: Prepared) -> None:
    for queue in lane.queues:
        queue.most = config.limits.lane_max
    account, context = new.accounts[lane.number], new.contexts[lane.number]
    lane.take_up(account, context, config.carriers[lane.name].tps * pipeline.share, _reserved(config))


def _leave(pipeline: Pipeline, number: int) -> None:
    lane = pipeline.leaving[number] = pipeline.lanes.pop(number)
    pipeline.aftermath.health.retire(number)
    lane.pause(True)
    lane.give_back()


def _reserved(config: Config) -> Reserved:
    policies = [config.classes[traffic_class] for traffic_class in TrafficClass]
    return Reserved(
        tuple(policy.reserved_window for policy in policies),
        tuple(policy.reserved_tps for policy in policies),
    )


# ---- in words ----


def changes(old: Prepared, new: Prepared) -> list[str]:
    """Say what is different, a line a carrier or section; no secret is in it."""
    said = list(_carriers(old, new))
    for section in OURS[1:]:
        before, after = getattr(old.config, section), getattr(new.config, section)
        if isinstance(before, Struct):
            said += [f"{section}.{each}" for each in _different(before, after)]
        elif before != after:
            said.append(section if section == "routes" else f"{section} {before} -> {after}")
        elif section in ("numbering_plan", "ported_numbers") and after is not None:
            said.append(f"{section} read again")
    return said


def changes_beside(old: Config, new: Config) -> list[str]:
    """Say what is different in what stands beside the dispatcher; no secret and no address is in it."""
    said: list[str] = []
    for section in BESIDE:
        before, after = getattr(old, section), getattr(new, section)
        if isinstance(before, Struct):
            said += [f"{section}.{each}" for each in _different(before, after)]
            continue
        for name in {**before, **after}:
            if name not in before or name not in after:
                said.append(f"{section}.{name}: {'added' if name in after else 'removed'}")
            elif keys := list(_different(before[name], after[name])):
                said.append(f"{section}.{name}: {', '.join(keys)}")
    return said


def _carriers(old: Prepared, new: Prepared) -> Iterator[str]:
    before, after = old.config.carriers, new.config.carriers
    for name in after:
        if name not in before:
            yield f"carriers.{name}: added"
            continue
        keys = [each for each in _different(before[name], after[name]) if not each.startswith("password")]
        number = new.numbers[name]
        if old.accounts[number].password != new.accounts[number].password:
            keys.insert(0, "password")
        if keys:
            yield f"carriers.{name}: {', '.join(keys)}"
    for name in before:
        if name not in after:
            yield f"carriers.{name}: removed"


def _different(old: Any, new: Any) -> Iterator[str]:
    """Yield the keys that differ in two values of one type; numbers with what they were and are."""
    for key in old.__struct_fields__:
        before, after = getattr(old, key), getattr(new, key)
        if before == after:
            continue
        if isinstance(before, Struct) and type(before) is type(after):
            yield from (f"{key}.{each}" for each in _different(before, after))
        elif isinstance(before, _NUMBERS) and isinstance(after, _NUMBERS):
            yield (
                f"{key} {before:g} -> {after:g}" if isinstance(after, float) else f"{key} {before} -> {after}"
            )
        else:
            yield key
