"""The admin port over real sockets: what it says is what the simulated carriers and the journal say."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from dispatcher.app import Dispatcher
from dispatcher.errors import ConfigError
from dispatcher.faces import Admin, ServerTls
from dispatcher.ingest.admin import AdminServer
from dispatcher.metrics import HISTOGRAM, METRICS, OTHERS_COUNT
from dispatcher.model import TrafficClass
from dispatcher.simulator import Simulator
from dispatcher.smpp.constants import CommandStatus
from dispatcher.state import State
from dispatcher.survey import Survey
from tests.integration.house import accepted, config_for, outcomes, request, requests, run, until

ADMIN = Admin(port=0)


@asynccontextmanager
async def admin_of(
    dispatcher: Dispatcher, switches: Any = None
) -> AsyncIterator[tuple[aiohttp.ClientSession, Survey]]:
    """Serve the admin port of a dispatcher; give a client of it."""
    survey = Survey(dispatcher)
    server = AdminServer(ADMIN, survey, switches, version="1.2.3")
    port = await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            yield client, survey
    finally:
        await server.stop(1_000)


async def get(client: aiohttp.ClientSession, path: str, **more: Any) -> tuple[int, str]:
    """Return status and body."""
    async with client.get(path, **more) as response:
        return response.status, await response.text()


async def scraped(client: aiohttp.ClientSession) -> list[Sample]:
    """Return all samples of /metrics, read by Prometheus' own parser."""
    status, text = await get(client, "/metrics")
    assert status == 200
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that have these labels; there must be one."""
    found = [
        sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert found, (name, labels)
    return sum(found)


def test_every_metric_is_there_and_true(tmp_path: Path) -> None:
    """Against the ledger of the carrier: what was accepted, submitted, receipted, ended; by class and all."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            await until(lambda: dispatcher.pipeline.lanes[1].is_bound)
            codes = [request(n, TrafficClass.AUTHORIZATION, source="core") for n in range(40)]
            verdicts = await dispatcher.send(
                [*codes, *requests(160, TrafficClass.MARKETING, 40), request(999, to="nonsense")]
            )
            accepted(verdicts[:-1])
            await dispatcher.send([request(1000, client_ref="once", source="core")])
            await dispatcher.send([request(1000, client_ref="once", source="core")])
            await outcomes(dispatcher, 201)
            async with admin_of(dispatcher) as (client, survey):
                survey.more.append(lambda: {name: [(METRICS[name].labels, 3.0)] for name in OTHERS_COUNT})
                samples = await scraped(client)
            names = {sample.name for sample in samples}
            for metric in METRICS.values():
                shown = metric.name + "_count" if metric.kind == HISTOGRAM else metric.name
                optional = metric.name in ("dispatcher_submit_errors_total", "dispatcher_carrier_alarm",
                                           "dispatcher_connections_closed_total")  # fmt: skip
                assert optional or shown in names, metric.name
            assert "process_cpu_seconds_total" in names
            ledger = smsc.ledger.of("bank")
            assert ledger.accepted == 201
            name = "dispatcher_messages_accepted_total"
            assert total(samples, name) == 201
            assert total(samples, name, **{"source": "core", "class": "authorization"}) == 40
            assert total(samples, name, **{"source": "", "class": "marketing"}) == 160
            assert total(samples, "dispatcher_messages_rejected_total", reason="number_malformed") == 1
            assert total(samples, "dispatcher_messages_repeated_total") == 1
            assert total(samples, "dispatcher_submits_total", carrier="c0", result="ok") == ledger.accepted
            assert total(samples, "dispatcher_submits_ok_total", **{"class": "marketing"}) == 160
            for histogram, labels, count in (
                ("dispatcher_queue_seconds", {"class": "authorization"}, 40),
                ("dispatcher_queue_seconds", {"class": "marketing"}, 160),
                ("dispatcher_queue_seconds", {"class": "service"}, 0),
                ("dispatcher_submit_latency_seconds", {"carrier": "c0"}, 201),
                ("dispatcher_delivery_seconds", {"carrier": "c0"}, 201),
                ("dispatcher_end_to_end_seconds", {"class": "authorization"}, 40),
                ("dispatcher_end_to_end_seconds", {"class": "transactional"}, 1),
            ):
                assert total(samples, f"{histogram}_count", **labels) == count, (histogram, labels)
                assert total(samples, f"{histogram}_bucket", le="+Inf", **labels) == count
            assert total(samples, "dispatcher_receipts_total", carrier="c0", state="delivered") == 201
            assert total(samples, "dispatcher_outcomes_total", outcome="delivered", reason="receipt") == 201
            assert total(samples, "dispatcher_outcomes_total", **{"class": "marketing"}) == 160
            assert total(samples, "dispatcher_queue_messages") == 0
            assert total(samples, "dispatcher_receipts_awaited") == 0
            assert total(samples, "dispatcher_bind_up", carrier="c0", bind="1") == 1
            assert 1 <= total(samples, "dispatcher_window_room", carrier="c0", bind="1") <= 50
            assert total(samples, "dispatcher_rate_limit_per_second", carrier="c0") == 20_000
            records = 201 + sum(dispatcher.pipeline.book.kinds(1))
            assert total(samples, "dispatcher_store_records_total") == records
            assert total(samples, "dispatcher_store_commit_seconds_count") > 0

    run(scenario())


STATES = {"DELIVRD": 1, "UNDELIV": 1, "REJECTD": 1}


def test_refusals_and_receipts_are_counted_by_their_name(tmp_path: Path) -> None:
    """What the carrier refuses and reports is in the results, by status and by state, and in the outcomes."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            await until(lambda: dispatcher.pipeline.lanes[1].is_bound)
            smsc.account("bank").change(errors={"RINVDSTADR": 0.5}, receipts={"states": STATES})
            accepted(await dispatcher.send(requests(100)))
            await outcomes(dispatcher, 100)
            async with admin_of(dispatcher) as (client, _):
                samples = await scraped(client)
            ledger = smsc.ledger.of("bank")
            refused = ledger.responses[CommandStatus.ESME_RINVDSTADR]
            assert 0 < refused < 100
            assert total(samples, "dispatcher_submits_total", result="refused") == refused
            assert total(samples, "dispatcher_submits_total", result="ok") == ledger.accepted
            assert total(samples, "dispatcher_submit_errors_total", status="ESME_RINVDSTADR") == refused
            assert len(ledger.receipts) == len(STATES)
            for state, count in ledger.receipts.items():
                name = {2: "delivered", 5: "undeliverable", 8: "rejected"}[state]
                assert total(samples, "dispatcher_receipts_total", state=name) == count
            assert total(samples, "dispatcher_outcomes_total", **{"class": "transactional"}) == 100
            ends = total(samples, "dispatcher_outcomes_total", outcome="delivered", reason="receipt")
            assert ends == ledger.receipts[2]
            assert total(samples, "dispatcher_outcomes_total", reason="refused") == refused

    run(scenario())


def test_readiness_follows_the_carrier_and_the_drain(tmp_path: Path) -> None:
    """Not ready while no carrier is bound, ready again when one is; alive all the time; closed: not ready."""

    async def scenario() -> None:
        smsc = Simulator()
        await smsc.start()
        dispatcher = Dispatcher(config_for(tmp_path, smsc))
        async with admin_of(dispatcher) as (client, _):
            assert (await get(client, "/livez"))[0] == 200
            assert (await get(client, "/startupz")) == (503, "starting\n")
            assert (await get(client, "/readyz")) == (503, "not ready: stage\n")
            assert (await get(client, "/metrics"))[0] == 503
            await dispatcher.open()
            lane = dispatcher.pipeline.lanes[1]
            await until(lambda: lane.is_bound)
            assert (await get(client, "/startupz"))[0] == 200
            assert (await get(client, "/readyz")) == (200, "ok\n")
            assert (await get(client, "/healthz"))[0] == 200
            await smsc.stop()
            await until(lambda: not lane.is_bound)
            assert (await get(client, "/readyz")) == (503, "not ready: carriers\n")
            status, text = await get(client, "/readyz?verbose")
            assert status == 503
            assert "[-] carriers: 0 of 1 bound" in text
            assert "[+] store: ok" in text
            status, text = await get(client, "/readyz?verbose", headers={"Accept": "application/json"})
            checks = {check["name"]: check["is_ok"] for check in msgspec.json.decode(text)["checks"]}
            assert checks == {
                "stage": True,
                "carriers": False,
                "store": True,
                "disk": True,
                "projection": True,
            }
            assert (await get(client, "/livez"))[0] == 200
            dispatcher.pipeline.is_closing = True
            assert "draining" in (await get(client, "/readyz?verbose"))[1]
            await dispatcher.close(500)
            assert (await get(client, "/readyz"))[0] == 503
            assert (await get(client, "/livez"))[0] == 200

    run(scenario())


class Switchboard:
    """What was switched."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []

    async def pause(self, name: str) -> None:
        """Note it."""
        self._note("pause", name)

    async def resume(self, name: str) -> None:
        """Note it."""
        self._note("resume", name)

    async def drain(self, name: str) -> None:
        """Note it."""
        self._note("drain", name)

    def _note(self, action: str, name: str) -> None:
        if name != "c0":
            raise ConfigError("no carrier has this name")
        self.done.append((action, name))


def is_problem(status: int, body: str, content_type: str) -> None:
    """See that what was refused says so as RFC 9457 does."""
    if status >= 400:
        assert content_type == "application/problem+json"
        found = json.loads(body)
        assert found["status"] == status
        assert found["code"]
        assert found["detail"]


def test_carriers_are_switched_by_post_alone(tmp_path: Path) -> None:
    """pause, resume and drain reach the dispatcher; unknown names, GET and browsers get a problem."""

    async def scenario() -> None:
        board = Switchboard()
        async with (
            Simulator() as smsc,
            Dispatcher(config_for(tmp_path, smsc)) as dispatcher,
            admin_of(dispatcher, board) as (client, _),
            admin_of(dispatcher) as (unwired, _),
        ):

            async def post(path: str, **more: Any) -> int:
                async with client.post(f"/v1/carriers/{path}", **more) as response:
                    is_problem(response.status, await response.text(), response.content_type)
                    return response.status

            for action in ("pause", "resume", "drain"):
                assert await post(f"c0:{action}") == 200
            assert [action for action, _ in board.done] == ["pause", "resume", "drain"]
            assert await post("c1:pause") == 404
            assert await post("c0:explode") == 404
            assert await post("c0:pause", headers={"Origin": "https://example.com"}) == 403
            for path, status in (("/v1/carriers/c0:pause", 405), ("/v2/nothing", 404)):
                async with client.get(path) as response:
                    assert response.status == status
                    is_problem(status, await response.text(), response.content_type)
                    assert response.headers.get("Allow") == ("POST" if status == 405 else None)
            assert len(board.done) == 3
            assert (await get(client, "/version"))[1] == '{"version":"1.2.3"}'
            async with unwired.post("/v1/carriers/c0:pause") as response:
                assert response.status == 501

    run(scenario())


def test_nothing_personal_is_shown(tmp_path: Path) -> None:
    """No number and no text of what was sent, nor any part of them, is in metrics or state (law 11)."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            numbers = range(9_000_001, 9_000_006)
            asked = [request(each, text=f"secret word {each}", source="core") for each in numbers]
            accepted(await dispatcher.send(asked))
            await outcomes(dispatcher, 5)
            async with admin_of(dispatcher) as (client, _):
                shown = (await get(client, "/metrics"))[1] + (await get(client, "/v1/state"))[1]
            shown += repr(Survey(dispatcher).state())
            assert "core" in shown
            for each in asked:
                assert each.to.lstrip("+") not in shown
                assert each.to[-7:] not in shown
            assert "secret" not in shown

    run(scenario())


def test_the_state_is_what_top_reads(tmp_path: Path) -> None:
    """/v1/state decodes as the State that it is, queues and ages of what waits included."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            smsc.refuse_connections()
            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                accepted(await dispatcher.send(requests(30, TrafficClass.SERVICE)))
                async with admin_of(dispatcher) as (client, _):

                    async def oldest_ms() -> int:
                        state = msgspec.json.decode((await get(client, "/v1/state"))[1], type=State)
                        (carrier,) = state.carriers
                        assert (carrier.name, carrier.is_bound, carrier.binds_up) == ("c0", False, 0)
                        assert carrier.queues["service"].waiting == 30
                        assert carrier.queues["marketing"].waiting == 0
                        assert state.accepted == {"": dict.fromkeys(state.accepted[""], 0) | {"service": 30}}
                        return carrier.queues["service"].oldest_ms

                    first_ms = await oldest_ms()
                    while await oldest_ms() <= first_ms:
                        pass

    run(scenario())


def test_the_port_may_be_tls_and_may_be_taken(tmp_path: Path) -> None:
    """With a certificate it speaks TLS only; a port that another has is an OSError: try again later."""

    async def scenario() -> None:
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / "a.pem")
        )
        secured = Admin(port=0, tls=ServerTls(certificate_file="a.pem"))
        client_side = ssl.create_default_context()
        authority.configure_trust(client_side)
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            survey = Survey(dispatcher)
            first = AdminServer(secured, survey, folder=tmp_path)
            port = await first.start()
            second = AdminServer(Admin(port=port), survey)
            with pytest.raises(OSError, match="in use"):
                await second.start()
            async with aiohttp.ClientSession() as client:
                url = f"https://127.0.0.1:{port}/livez"
                async with client.get(url, ssl=client_side) as response:
                    assert response.status == 200
                with pytest.raises(aiohttp.ClientError):
                    await client.get(url.replace("https", "http"))
            await first.stop(1_000)
            assert await second.start() == port
            await second.stop(1_000)
            await second.stop(1_000)  # twice does nothing

    run(scenario())
