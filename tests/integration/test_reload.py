"""A changed configuration while traffic flows: all of it or nothing, lost 0, doubled 0 (F98)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dispatcher.app import Dispatcher
from dispatcher.config import Config, from_dict
from dispatcher.errors import ConfigError
from dispatcher.model import Outcome, Reason, TrafficClass
from dispatcher.simulator import Behaviour, Simulator
from dispatcher.simulator.behaviour import Receipts
from tests.integration.house import (
    SWIFT_TIMERS,
    accepted,
    copies,
    outcomes,
    requests,
    run,
    until,
)

pytestmark = pytest.mark.timeout(120)
DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)
MARKETING = TrafficClass.MARKETING


def config(folder: Path, carriers: dict[str, Simulator], route: list[str], **more: Any) -> Config:
    """Return a configuration with these carriers; `more` holds top-level tables, or keys of one carrier."""
    tables = {
        name: {
            "host": "127.0.0.1",
            "port": smsc.port,
            "system_id": "bank",
            "window": 50,
            "tps": 20_000,
            "timers": SWIFT_TIMERS,
            **more.pop(name, {}),
        }
        for name, smsc in carriers.items()
    }
    routes = [{"carriers": route}]
    return from_dict({"store": str(folder / "store"), "carriers": tables, "routes": routes, **more})


async def bound(dispatcher: Dispatcher, *names: str) -> None:
    """Wait until these carriers can send."""
    lanes = {lane.name: lane for lane in dispatcher.pipeline.lanes.values()}
    await until(lambda: all(lanes[name].is_bound for name in names), "bound")


def test_a_bad_configuration_changes_nothing(tmp_path: Path) -> None:
    """F98: what cannot work is refused by name and the old one stays in force: no bind or route moves."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            before = config(tmp_path, {"a": smsc}, ["a"])
            async with Dispatcher(before) as dispatcher:
                await bound(dispatcher, "a")
                both = {"a": smsc, "b": smsc}
                bad = [
                    (config(tmp_path / "other", {"a": smsc}, ["a"]), "store: .* restart"),
                    (config(tmp_path, both, ["b"], b={"password_file": "no"}), r"carriers\.b\.password_file"),
                    (config(tmp_path, both, ["b"], b={"tls": {"ca_file": "no"}}), r"carriers\.b\.tls"),
                    (config(tmp_path, both, ["b"], b={"profile": "smpp35"}), r"carriers\.b\.profile"),
                    (config(tmp_path, both, ["b"], numbering_plan="no"), "numbering_plan"),
                    (config(tmp_path, both, ["b"], default_country="QQ"), "default_country"),
                ]
                for each, complaint in bad:
                    with pytest.raises(ConfigError, match=complaint):
                        await dispatcher.reload(each)
                    assert dispatcher.config is before
                    assert list(dispatcher.journal.carriers) == ["a"]
                accepted(await dispatcher.send(requests(5)))
                assert set((await outcomes(dispatcher, 5)).values()) == {DELIVERED}
                assert smsc.account("bank").inner.binds_seen == 1
                assert await dispatcher.reload(before) == []

    run(scenario())


def test_routes_and_tps_rebind_nothing(tmp_path: Path) -> None:
    """F98: a changed route, rate, class or limit is in force for the next message, and no bind is touched."""

    async def scenario() -> None:
        async with Simulator() as first, Simulator() as second:
            both = {"a": first, "b": second}
            async with Dispatcher(config(tmp_path, both, ["a", "b"])) as dispatcher:
                await bound(dispatcher, "a", "b")
                accepted(await dispatcher.send(requests(5)))
                changed = config(
                    tmp_path,
                    both,
                    ["b", "a"],
                    a={"tps": 50, "receipt_timer_ms": 5_000},
                    classes={"marketing": {"max_segments": 1}},
                    limits={"batch_max": 7},
                )
                said = await dispatcher.reload(changed)
                assert said == [
                    "carriers.a: tps 20000 -> 50, receipt_timer_ms 7200000 -> 5000",
                    "routes",
                    "classes.marketing.max_segments 10 -> 1",
                    "limits.batch_max 10000 -> 7",
                ]
                verdicts = await dispatcher.send(requests(8, first=10))
                assert len(accepted(verdicts[:7])) == 7
                assert set((await outcomes(dispatcher, 12)).values()) == {DELIVERED}
                assert {f"t{n}" for n in range(10, 17)} <= set(second.ledger.tokens)
                assert [smsc.account("bank").inner.binds_seen for smsc in (first, second)] == [1, 1]

    run(scenario())


def test_a_lower_tps_holds_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F98: after a reload no second of grants is above the lower rate; nothing is lost, nothing doubled."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            before = config(tmp_path, {"a": smsc}, ["a"], a={"tps": 400})
            async with Dispatcher(before) as dispatcher:
                await bound(dispatcher, "a")
                accepted(await dispatcher.send(requests(600, MARKETING)))
                await until(lambda: smsc.ledger.of("bank").submits >= 100)
                lane = dispatcher.pipeline.lanes[1]
                submit, sent = lane._submit, []

                def note(batch: list[Any], taken_by: list[Any], now_ns: int, *more: Any) -> None:
                    sent.append((now_ns, len(batch)))
                    submit(batch, taken_by, now_ns, *more)

                monkeypatch.setattr(lane, "_submit", note)
                await until(lambda: sum(count for _, count in sent) >= 100)
                await dispatcher.reload(config(tmp_path, {"a": smsc}, ["a"], a={"tps": 100}))
                lowered = len(sent)
                await until(lambda: sum(count for _, count in sent[lowered:]) >= 120)
                for at_ns, _ in sent[lowered:]:
                    assert sum(n for each, n in sent if at_ns - 10**9 < each <= at_ns) <= 100
                await dispatcher.reload(config(tmp_path, {"a": smsc}, ["a"], a={"tps": 20_000}))
                assert set((await outcomes(dispatcher, 600)).values()) == {DELIVERED}
                assert set(copies(smsc).values()) == {1}

    run(scenario())


def test_a_changed_password_rebinds_one_at_a_time(tmp_path: Path) -> None:
    """F98: under traffic, a new password costs one bind at a time and no message."""

    async def scenario() -> None:
        async with Simulator(Behaviour(password="old")) as smsc:
            old = {"transceivers": 3, "password": "old", "tps": 1000}
            async with Dispatcher(config(tmp_path, {"a": smsc}, ["a"], a=old)) as dispatcher:
                pool = dispatcher.pipeline.lanes[1].pool
                await until(lambda: smsc.account("bank").binds == 3)
                accepted(await dispatcher.send(requests(2000, MARKETING)))
                smsc.account("bank").change(password="new")
                new = config(tmp_path, {"a": smsc}, ["a"], a={**old, "password": "new"})
                assert await dispatcher.reload(new) == ["carriers.a: password"]
                fewest = 3
                while min(state.generation for state in pool.snapshot().binds) < 2:
                    fewest = min(fewest, sum(state.stage == "bound" for state in pool.snapshot().binds))
                    await asyncio.sleep(0.001)
                assert fewest == 2
                assert set((await outcomes(dispatcher, 2000)).values()) == {DELIVERED}
                assert set(copies(smsc).values()) == {1}
                assert smsc.account("bank").inner.binds_seen == 6

    run(scenario())


def test_a_carrier_is_added_and_one_removed_in_flight(tmp_path: Path) -> None:
    """F98: what waits for the one that is gone goes by the new one, what it has in flight is answered, its
    receipts are waited for, then it unbinds; nothing is lost or goes twice. Taken back, it begins again."""

    async def scenario() -> None:
        slow = Behaviour(latency_ms=300, receipts=Receipts(delay_ms=700))
        async with Simulator(slow) as first, Simulator() as second:
            before = config(tmp_path, {"a": first}, ["a"], a={"window": 10, "tps": 1000})
            async with Dispatcher(before) as dispatcher:
                await bound(dispatcher, "a")
                accepted(await dispatcher.send(requests(500, MARKETING)))
                await until(lambda: first.ledger.of("bank").submits >= 1)
                after = config(tmp_path, {"b": second}, ["b"])
                assert await dispatcher.reload(after) == [
                    "carriers.b: added",
                    "carriers.a: removed",
                    "routes",
                ]
                assert dispatcher.switches() == {"b": "on", "a": "leaving"}
                accepted(await dispatcher.send(requests(100, first=500)))
                assert set((await outcomes(dispatcher, 600)).values()) == {DELIVERED}
                await until(lambda: first.account("bank").binds == 0, "it unbinds")
                await until(lambda: not dispatcher.pipeline.leaving, "it is gone")
                assert first.ledger.of("bank").submits <= 20
                assert set((copies(first) + copies(second)).values()) == {1}
                assert len(copies(first) + copies(second)) == 600
                await dispatcher.reload(config(tmp_path, {"a": first, "b": second}, ["a", "b"]))
                await bound(dispatcher, "a")
                accepted(await dispatcher.send(requests(20, first=600)))
                assert set((await outcomes(dispatcher, 620)).values()) == {DELIVERED}
                assert len(copies(first) + copies(second)) == 620

    run(scenario())


def test_a_removed_carrier_whose_messages_nobody_else_takes(tmp_path: Path) -> None:
    """F98: with no rule of today for them, what waits ends as NO_CARRIER; also the tail in the journal."""

    async def scenario() -> None:
        async with Simulator() as first, Simulator() as second:
            limits = {"lane_max": 100}
            before = config(tmp_path, {"a": first}, ["a"], a={"tps": 20}, limits=limits)
            async with Dispatcher(before) as dispatcher:
                await bound(dispatcher, "a")
                for start in range(0, 600, 200):
                    accepted(await dispatcher.send(requests(200, MARKETING, start)))
                await until(lambda: first.ledger.of("bank").submits >= 1)
                assert dispatcher.pipeline.lanes[1].queues[MARKETING].is_behind
                table = {
                    "host": "127.0.0.1",
                    "port": second.port,
                    "system_id": "bank",
                    "timers": SWIFT_TIMERS,
                }
                routes = [{"carriers": ["b"], "prefixes": ["49"]}]
                store = str(tmp_path / "store")
                after = {"store": store, "carriers": {"b": table}, "routes": routes, "limits": limits}
                await dispatcher.reload(from_dict(after))
                ended = await outcomes(dispatcher, 600)
                assert set(ended.values()) == {DELIVERED, (Outcome.REJECTED, Reason.NO_CARRIER)}
                sent = sum(outcome == DELIVERED for outcome in ended.values())
                assert sent == first.ledger.of("bank").submits < 100

    run(scenario())
