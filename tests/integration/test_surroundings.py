"""F18: what stands around the process changes nothing of what it does."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from dispatcher._ext.pdu import decode
from dispatcher.model import SendRequest, TrafficClass
from dispatcher.simulator import Simulator
from dispatcher.store.audit import audit
from tests.integration import serving as house
from tests.integration.house import run, until

TEXTS = ("Your code is 4711", "Код 4711: никому не говорите", "IĞDIR İstanbul ıi", "code 🙂 4711", "a\nb €")
USUAL = {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
TURKISH = {"PYTHONHASHSEED": "4242", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0", "TZ": "Pacific/Kiritimati"}
BARE = {
    "LC_ALL": "POSIX",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "TMPDIR": "/nowhere",
    "HOME": "/nowhere",
}
MACHINE = ("loop_stalled", "loop_turns")
"""Events that tell of what else the machine does meanwhile."""
STRANGE = [
    pytest.param(TURKISH, None, id="seed, locale, zone"),
    pytest.param(BARE, house.NOBODY, id="ASCII, may write nowhere"),
]


def asked() -> list[SendRequest]:
    """Return messages of all classes and alphabets."""
    return [
        SendRequest(
            to=f"+7900{number:07d}",
            text=TEXTS[number % len(TEXTS)],
            sender="Bank",
            traffic_class=TrafficClass(number % 4),
        )
        for number in range(40)
    ]


def sent(folder: Path, environ: dict[str, str], uid: int | None) -> tuple[list[Any], list[str]]:
    """Let a daemon in these surroundings send them; return what the carrier read, and the log's events."""

    async def scenario() -> tuple[list[Any], list[str]]:
        async with Simulator() as smsc:
            read: list[Any] = []
            submitted = smsc.ledger.submitted

            def keep(account: str, bind: int, incoming: Any) -> Any:
                pdus = [decode(each.pdu) for each in incoming]
                read.extend((pdu.destination_addr, pdu.data_coding, pdu.short_message) for pdu in pdus)
                return submitted(account, bind, incoming)

            smsc.ledger.submitted = keep  # type: ignore[method-assign]
            data = house.data_for(folder, smsc)
            path = house.write(folder, data)
            path.write_text("# Настройки банка\n" + path.read_text("utf-8"), "utf-8")
            await house.fill(data, asked(), uid)
            async with house.serving(path, uid=uid, environ=environ) as served:
                await until(lambda: smsc.ledger.of("bank").accepted == len(asked()), "all are sent", 30)
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0
                lines = [json.loads(line) for line in served.raw]
                assert all(line["ts"].endswith("Z") for line in lines)
        assert audit(folder / "store").is_right
        said = [line["event"] for line in lines if line["level"] != "debug"]
        return sorted(read), sorted(event for event in said if event not in MACHINE)

    return run(scenario())


@pytest.fixture(scope="module")
def usual() -> tuple[list[Any], list[str]]:
    """Return the same in usual surroundings."""
    with house.place_for(None) as folder:
        return sent(folder, USUAL, None)


@pytest.mark.parametrize(("environ", "uid"), STRANGE)
def test_surroundings_change_nothing(
    environ: dict[str, str], uid: int | None, usual: tuple[list[Any], list[str]]
) -> None:
    """F18: another seed of hashes, locale, time zone; no temporary folder, no home, and nothing but its store
    that may be written: the carrier reads the same octets, the log says the same."""
    if uid not in house.users():
        uid = None
    with house.place_for(uid) as strange:
        read, said = sent(strange, USUAL | environ, uid)
    assert len(read) == len(asked())
    assert (read, said) == usual
