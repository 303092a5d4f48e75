"""Law 11 with Kafka: no full number and no text in the log, the metrics, and the topic of outcomes."""

import json
import signal
from pathlib import Path

from dispatcher.simulator import Behaviour, Simulator
from tests.integration.house import run
from tests.integration.serving import serving, write
from tests.kafka.house import (
    CLASSES,
    ask,
    data_with,
    kafka_table,
    make_topics,
    message,
    outcomes_of,
    produce,
    records_of,
)
from tests.personal import occurrences

COUNT, TEXT = 40, "Parole"


def test_nothing_personal_is_said_beside_kafka(crashable: str, fresh: str, tmp_path: Path) -> None:
    """Sound messages, and records of which nothing can be made, with numbers and texts in values, keys,
    headers and wrong places; dead letters alone hold their record as it came, for who may read it."""
    said = tmp_path / "said"
    said.mkdir()
    to = [f"+790{34_618_273 + 137 * number}" for number in range(COUNT + 12)]  # no ends of ids look like them
    good = [message(number, to=to.pop(), text=f"{TEXT} t{number}") for number in range(COUNT)]
    bad = [
        f'{{"to":"{to[0]}","text":"{TEXT}'.encode(),
        json.dumps({"to": to[1] + "99999", "text": TEXT, "sender": "Bank"}).encode(),
        json.dumps({"to": [to[2]], "text": TEXT, "sender": "Bank"}).encode(),
        json.dumps({"to": to[3], "text": TEXT, "sender": TEXT * 9}).encode(),
        json.dumps({"to": to[4], "text": TEXT, "sender": "Bank", to[5]: TEXT}).encode(),
        json.dumps({"to": to[6], "text": TEXT, "sender": "Bank", "traffic_class": TEXT}).encode(),
        json.dumps({"to": TEXT, "text": to[7], "sender": "Bank", "client_ref": "r"}).encode(),
        to[8].encode(),
        TEXT.encode() + b"\xff",
    ]

    async def scenario() -> None:
        table = kafka_table(crashable, fresh)
        await make_topics(table)
        service = f"{fresh}.service"
        async with Simulator(Behaviour()) as smsc:
            path = write(tmp_path, data_with(tmp_path, smsc, table, log={"level": "debug"}))
            async with serving(path) as daemon:
                await daemon.says("kafka_assigned", len(CLASSES))
                await produce(crashable, service, good)
                await produce(crashable, service, bad, [(to[9], TEXT.encode())], is_raw=True)
                told = await outcomes_of(crashable, f"{fresh}.outcomes", COUNT)
                dead = await records_of(crashable, f"{fresh}.dead_letters", len(bad))
                assert {record.value for record in dead} == set(bad)
                (said / "outcomes").write_text(json.dumps(told))
                (said / "metrics").write_text(await ask(daemon, "/metrics"))
                (said / "ready").write_text(await ask(daemon, "/readyz?verbose"))
                daemon.signal(signal.SIGUSR1)
                await daemon.says("state")
                daemon.signal(signal.SIGTERM)
                assert await daemon.ended() == 0
                (said / "log").write_bytes(b"\n".join(str(line).encode() for line in daemon.raw))

    run(scenario(), 90)
    numbers = [each["to"][2:] for each in good] + [each[2:] for each in to]
    assert [str(each) for each in occurrences([said], numbers, [TEXT])] == []
