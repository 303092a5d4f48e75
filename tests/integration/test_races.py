"""Our pool and a simulator in another process: they truly run at once, or take turns on one CPU.

A response may be here before a write has returned: whatever is registered too late is seen missing here. The
simulator's ledger is the second opinion. All of it on one processor and on two.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import pytest

from dispatcher.smpp.account import Account
from dispatcher.smpp.pool import Pool

from .conftest import Run
from .scripted import FAST, Ledger, until

pytestmark = pytest.mark.timeout(120)
MESSAGES = 20_000


class Elsewhere:
    """A simulator in another process."""

    def __init__(self, port: int, control_port: int) -> None:
        self.port = port
        self._url = f"http://127.0.0.1:{control_port}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Make one request of its control port. It blocks; the simulator does not."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self._url + path, data=data, method=method), timeout=20) as answer:
            return json.load(answer)


@contextmanager
def elsewhere(*flags: str) -> Iterator[Elsewhere]:
    """Start one; it inherits the processors of this process."""
    command = [
        sys.executable,
        "-m",
        "dispatcher",
        "simulate",
        "--quiet",
        "--port",
        "0",
        "--control-port",
        "0",
    ]
    with subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+), control on 127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found is not None
            yield Elsewhere(int(found[1]), int(found[2]))
        finally:
            process.kill()


async def begin(smsc: Elsewhere, **options: Any) -> tuple[Pool, Ledger]:
    """Bind."""
    ledger = Ledger()
    account = Account(host="127.0.0.1", port=smsc.port, system_id=b"bank", backoff=FAST, **options)
    pool = ledger.pool = Pool(account, ledger, random_source=lambda: 0.5)
    await pool.start()
    await until(lambda: sum(state.stage == "bound" for state in pool.snapshot().binds) == len(account.binds))
    return pool, ledger


def test_every_message_has_its_own_answer(run: Run, processors: int) -> None:
    """F48, F49: 20,000 messages over four binds: each came once, was answered once, with its own id."""

    async def main() -> None:
        pool, ledger = await begin(smsc, transceivers=4, window=32)
        tokens = [token.decode() for token in ledger.send(MESSAGES)]
        await until(lambda: len(ledger.answers) == MESSAGES, 60)
        await pool.close()
        seen = smsc.ask("GET", "/ledger")
        assert seen["accounts"]["bank"]["submits"] == ledger.times_answered == MESSAGES
        for token in tokens:
            (copy,) = seen["tokens"][token]["copies"]
            assert ledger.answers[token.encode()] == (0, copy["message_id"].encode())
        counters = pool.snapshot().counters
        assert [counters[name] for name in ("unknown", "duplicate", "mismatched", "late")] == [0] * 4
        assert (ledger.unanswered, ledger.unsent, ledger.alarms) == ([], [], [])

    with elsewhere() as smsc:
        run(main())


def test_binds_are_cut_again_and_again(run: Run, processors: int) -> None:
    """F29, F43: each cut costs at most a window: it was in flight; all others came once; all are told."""
    cuts = 8

    async def main() -> None:
        pool, ledger = await begin(smsc, transceivers=4, window=16)
        ledger.send(MESSAGES)
        for cut in range(cuts):
            await until(lambda cut=cut: len(ledger.answers) >= (cut + 1) * 1500, 60)  # type: ignore[misc]
            how = {"how": ("rst", "fin")[cut % 2], "bind": cut + 1}
            await asyncio.to_thread(smsc.ask, "POST", "/accounts/bank:disconnect", how)
        await until(lambda: len(ledger.answers) + len(ledger.unanswered) + len(ledger.unsent) == MESSAGES, 60)
        await pool.close()
        assert not set(ledger.answers) & set(ledger.unanswered)
        seen = smsc.ask("GET", "/ledger")["tokens"]
        assert len(ledger.unanswered) <= cuts * 16
        assert all(len(found["copies"]) == 1 for found in seen.values())
        assert {token.decode() for token in ledger.answers} <= set(seen)
        assert not {token.decode() for token in ledger.unsent} & set(seen)

    with elsewhere() as smsc:
        run(main())


def test_receipts_and_answers_cross(run: Run, processors: int) -> None:
    """F73: receipts before their responses, on other binds: all arrive and are acknowledged, once."""

    async def main() -> None:
        patch = {"receipts": {"before_response": 0.5, "bind": "any", "only_if_asked": False}}
        pool, ledger = await begin(smsc, transceivers=2, window=32)
        await asyncio.to_thread(smsc.ask, "PATCH", "/accounts/bank", patch)
        ledger.send(5000)
        await until(lambda: len(ledger.answers) == 5000, 60)
        await until(lambda: sum(len(incoming) for _, incoming in ledger.incoming) == 5000, 60)
        told = [each.receipted_message_id for _, incoming in ledger.incoming for each in incoming]
        assert sorted(told) == sorted(message_id for _, message_id in ledger.answers.values())  # type: ignore[type-var]
        await pool.close()
        totals = smsc.ask("GET", "/ledger")["accounts"]["bank"]
        assert totals["acknowledged"] == {"0": 5000}
        assert (totals["resent"], totals["dropped"]) == (0, 0)

    with elsewhere() as smsc:
        run(main())
