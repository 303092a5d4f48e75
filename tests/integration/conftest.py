"""Each test here runs on both loops; race tests also on one and on two processors."""

import asyncio
import datetime
import os
import warnings
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["stdlib", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on one of the loops."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    def run_on_loop(coroutine: Coroutine[Any, Any, None]) -> None:
        with warnings.catch_warnings():
            # A failed test leaves sockets open; uvloop never ends where this warning is an error.
            warnings.simplefilter("ignore", ResourceWarning)
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(asyncio.wait_for(coroutine, 30))

    return run_on_loop


@pytest.fixture(params=[1, 2])
def processors(request: pytest.FixtureRequest) -> Iterator[int]:
    """Pin the process to one processor, or to two."""
    before = os.sched_getaffinity(0)
    if len(before) < request.param:
        pytest.skip(f"this machine has {len(before)} processor")
    os.sched_setaffinity(0, sorted(before)[: request.param])
    yield request.param
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make an authority, and certificates good and bad, an SMSC's and an ESME's."""
    trustme = pytest.importorskip("trustme")

    folder = tmp_path_factory.mktemp("tls")
    authority, other = trustme.CA(), trustme.CA()
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
    made = {
        "good": authority.issue_cert("127.0.0.1", "localhost"),
        "expired": authority.issue_cert("127.0.0.1", not_after=past),
        "other": authority.issue_cert("smsc.example"),
        "untrusted": other.issue_cert("127.0.0.1"),
        "client": authority.issue_cert("bank.example"),
        "stranger": other.issue_cert("bank.example"),
    }
    paths = {"ca": folder / "ca.pem"}
    authority.cert_pem.write_to_path(paths["ca"])
    for name, certificate in made.items():
        paths[name] = folder / f"{name}.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(paths[name])
    return paths
