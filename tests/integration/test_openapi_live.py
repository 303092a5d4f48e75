"""A running server asked what its document allows, and what it does not, by schemathesis; over a socket."""

import asyncio
import itertools
from pathlib import Path
from typing import Any, cast

import hypothesis
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dispatcher.__main__ import main
from dispatcher.api import Checked
from dispatcher.app import Dispatcher
from dispatcher.faces import Http, KannelUser
from dispatcher.ingest.kannel import Kannel
from dispatcher.ingest.keys import KeyRing
from dispatcher.ingest.more import documentation, sendsms
from dispatcher.ingest.operations import KANNEL, OPERATIONS, described
from dispatcher.ingest.server import ROUTES, HttpServer
from dispatcher.model import Refused, SendRequest
from dispatcher.simulator import Simulator
from tests.integration.front import add_key
from tests.integration.house import config_for, run

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 60
"""Of each operation and way."""
SOUND = {"to": "+79001234567", "sender": "Bank", "text": "hi"}
"""Random strings are seldom numbers: with these a message is accepted, whatever else is asked for."""
NUMBERS = itertools.count(1)
USER = {"username": "test", "password": "test"}


PAGE = Kannel({"test": KannelUser(password_env="X")}, {"test": "test"}, lambda _: True, lambda: 1)
MORE = (*documentation("1", with_kannel=True), *sendsms(PAGE))


def test_the_table_and_the_routes_are_the_same() -> None:
    """Every route that the server has is in the document, and the other way round."""
    served = {(route.method, route.path) for route in (*ROUTES, *MORE)}
    assert {(row.method, row.path) for row in OPERATIONS + KANNEL} == served


@pytest.mark.parametrize("with_kannel", [False, True])
def test_the_document_is_valid(with_kannel: bool) -> None:
    """Another's validator finds nothing wrong; Kannel's page stands in it where it is served."""
    found = msgspec.json.decode(msgspec.json.encode(described("1", with_kannel=with_kannel)))
    assert [error.message for error in OpenAPIV31SpecValidator(found).iter_errors()] == []
    assert ("/cgi-bin/sendsms" in found["paths"]) is with_kannel


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`dispatcher openapi` prints the document."""
    assert main(["openapi"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["openapi"] == "3.1.0"


@pytest.mark.filterwarnings("ignore:")  # schemathesis' own
def test_nothing_is_answered_that_the_document_does_not_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound and unsound requests get no 5xx, and no status, type, header or body that is not described."""
    if not hasattr(Dispatcher, "check"):  # until the dry run is there
        monkeypatch.setattr(Dispatcher, "check", _checked, raising=False)

    def ask(url: str, token: str) -> dict[str, set[int]]:
        found: list[Any] = list(schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations())
        operations = sorted((each.ok() for each in found), key=lambda each: "{id}" in each.path)
        known: list[str] = []
        return {operation.label: _ask(operation, token, known) for operation in operations}

    async def scenario() -> dict[str, set[int]]:
        token = add_key(keys := tmp_path / "keys.json")
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            server = HttpServer(cast(Any, dispatcher), Http(port=0), KeyRing(keys), more=MORE)
            await server.start()
            try:
                return await asyncio.to_thread(ask, f"http://127.0.0.1:{server.port}", token)
            finally:
                await server.stop()

    seen = run(scenario(), 200)
    # schemathesis leaves out the address that it read the document from.
    assert set(seen) == {f"{row.method} {row.path}" for row in OPERATIONS + KANNEL} - {"GET /openapi.json"}
    assert seen["POST /v1/messages"] >= {202, 400, 401}
    assert seen["POST /v1/messages:batch"] >= {200, 400}
    assert seen["GET /v1/messages/{id}"] >= {200, 404}
    assert seen["POST /v1/messages/{id}:cancel"] >= {404, 409}
    assert seen["GET /v1/events"] >= {200, 400, 401}
    assert seen["GET /cgi-bin/sendsms"] >= {202, 400, 403}
    assert seen["POST /cgi-bin/sendsms"] >= {202, 400, 403}


async def _checked(_: Dispatcher, asked: list[SendRequest]) -> list[Checked | Refused]:
    each = Checked(alphabet="gsm7", segments=1, units=1, carriers=("c0",), currency="EUR")
    return [each for _ in asked]


def _ask(operation: Any, token: str, known: list[str]) -> set[int]:
    """Ask one operation in four ways; return the statuses that came. `known`: ids of accepted messages."""
    seen: set[int] = set()
    with requests.Session() as session:

        def ask(case: Any) -> None:
            if case.path == "/v1/events" and case.query and case.query.get("follow") in ("true", "1", ""):
                case.query["follow"] = "false"  # else it would have no end
            response = case.call(session=session)
            seen.add(response.status_code)
            case.validate_response(response, checks=CHECKS)
            if response.status_code == 202 and "sendsms" not in case.path:
                known.append(response.json()["message_id"])

        def ask_with_key(case: Any) -> None:
            case.headers["Authorization"] = f"Bearer {token}"
            ask(case)

        positive = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        _run(positive, ask)  # its keys are made up
        _run(positive, ask_with_key)
        _run(st.builds(_sound, positive, st.sampled_from(known or [""])), ask_with_key)
        try:
            _run(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), ask_with_key)
        except hypothesis.errors.Unsatisfiable:
            assert not operation.body, operation.label  # nothing can be wrong where nothing is said
    return seen


def _run(strategy: Any, ask: Any) -> None:
    """Ask with so many examples, the same in every run."""
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    hypothesis.seed(5)(settings(hypothesis.given(case=strategy)(lambda case: ask(case))))()


def _sound(case: Any, message_id: str) -> Any:
    """Return the case with a number, a sender and a text that can go, and with an id that there is."""
    body = case.body
    if isinstance(body, dict):
        messages = body.get("messages", [body])
        for message in messages if isinstance(messages, list) else []:
            if isinstance(message, dict):
                message.update(SOUND)
    to = f"7900{next(NUMBERS):07d}"  # each its own: the limit for one number is 503 in Kannel's words
    if "sendsms" in case.path and case.method.upper() == "GET":
        case.query.update(USER | {"to": to, "text": "hi", "from": "Bank"})
    elif "sendsms" in case.path:
        case.headers.update({f"X-Kannel-{name}": value for name, value in USER.items()})
        case.headers.update({"X-Kannel-To": to, "X-Kannel-From": "Bank"})
    if message_id and "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = message_id
    return case
