"""The dry run: what a message would cost and where it would go, without effect; refusals as of `send`."""

from decimal import Decimal
from pathlib import Path

import pytest

from dispatcher.api import Checked
from dispatcher.app import Dispatcher
from dispatcher.model import Accepted, Refused, SendRequest, TrafficClass
from dispatcher.simulator import Simulator
from tests.integration.house import accepted, config_for, copies, outcomes, request, requests, run

pytestmark = pytest.mark.timeout(60)
MARKETING = TrafficClass.MARKETING


def test_what_it_would_cost(tmp_path: Path) -> None:
    """Alphabet, segments, what forces them, a cheaper text, the route by name, the price of its first."""

    async def scenario() -> None:
        async with Simulator() as first, Simulator() as second:
            config = config_for(
                tmp_path, first, second, carrier={"price": Decimal("0.045")}, currency="EUR", routes=[
                    {"carriers": ["c1", "c0"], "traffic_classes": ["marketing"]}, {"carriers": ["c0"]},
                ],
            )  # fmt: skip
            async with Dispatcher(config) as dispatcher:
                curly = "x" * 80 + "\N{RIGHT SINGLE QUOTATION MARK}"
                plain, long, bad = await dispatcher.check(
                    [request(1), request(2, MARKETING, text=curly), request(3, to="12")]
                )
                assert plain == Checked(
                    alphabet="gsm7",
                    segments=1,
                    units=len("Your code is 4711 t1"),
                    carriers=("c0",),
                    price=Decimal("0.045"),
                    currency="EUR",
                )
                assert long == Checked(
                    alphabet="ucs2",
                    segments=2,
                    units=81,
                    forced_by=(("\N{RIGHT SINGLE QUOTATION MARK}", 80),),
                    cheaper="x" * 80 + "'",
                    carriers=("c1", "c0"),
                    price=Decimal("0.090"),
                    currency="EUR",
                )
                assert isinstance(bad, Refused)

    run(scenario())


def test_the_refusals_of_send(tmp_path: Path) -> None:
    """For every kind of bad request both say the same; a repetition is no refusal, a conflict is one."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            routes = [{"carriers": ["c0"], "prefixes": ["79"]}]
            more = {"classes": {"marketing": {"max_segments": 1}}, "limits": {"batch_max": 30}}
            config = config_for(tmp_path, smsc, routes=routes, **more)
            async with Dispatcher(config) as dispatcher:
                key = request(1, client_ref="a")
                accepted(await dispatcher.send([key]))
                tried: list[SendRequest] = [
                    request(1, to="nobody"),
                    request(1, to="+491701234567"),
                    request(1, text=""),
                    request(1, sender="a name that is too long"),
                    request(1, ttl_ms=1 << 50),
                    request(1, send_after_ms=5),
                    request(1, client_ref="x" * 65),
                    request(1, MARKETING, text="x" * 161),
                    request(2, client_ref="a"),
                    "no request",  # type: ignore[list-item]
                    *requests(25, first=10),
                ]
                checked, sent = await dispatcher.check(tried), await dispatcher.send(tried)
                assert [each for each in checked if isinstance(each, Refused)] == [
                    each for each in sent if isinstance(each, Refused)
                ]
                assert [isinstance(each, Refused) for each in sent] == [True] * 10 + [False] * 20 + [True] * 5
                assert isinstance((await dispatcher.check([key]))[0], Checked)

    run(scenario())


def test_it_has_no_effect(tmp_path: Path) -> None:
    """Nothing is sent or stored, no number and no key is used up: the same is then accepted as new."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            row = dispatcher.journal.last_seq
            keyed = [request(n, client_ref=f"ref {n}", text="x" * 300 + f" t{n}") for n in range(50)]
            await dispatcher.check(keyed)
            assert dispatcher.journal.last_seq == row
            verdicts = await dispatcher.send(keyed)
            assert [each.message.n for each in accepted(verdicts)] == list(range(1, 51))
            assert not any(isinstance(each, Accepted) and each.is_repeated for each in verdicts)
            await outcomes(dispatcher, 50)
            assert set(copies(smsc).values()) == {2}

    run(scenario())


def test_a_text_that_turns_its_order_is_warned_of(tmp_path: Path) -> None:
    """Marks of direction are legal and go; a check names those that turn what is read. Control codes and
    halves of surrogate pairs are refused by the same check, and by sending."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            texts = ("pay \u202e100", "\u05e9\u05dc\u200f 100", "a\x00b", "a\ud800")
            asked = [request(number, text=text) for number, text in enumerate(texts)]
            turned, hebrew, nul, half = await dispatcher.check(asked)
            assert isinstance(turned, Checked)
            assert isinstance(hebrew, Checked)
            assert turned.warnings == (
                "position 4: U+202E RIGHT-TO-LEFT OVERRIDE turns the order of what follows it",
            )
            assert hebrew.warnings == ()
            sent = await dispatcher.send(asked)
            accepted(sent[:2])
            for refused in (nul, half, *sent[2:]):
                assert isinstance(refused, Refused)
                assert (refused.code, refused.field) == ("text_not_encodable", "text")
                assert refused.detail.startswith("position 1: U+")

    run(scenario())
