"""What a crash run is made of: the same for the parent and for every child, from one file and one seed."""

import json
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from dispatcher.config import Config, from_dict
from dispatcher.model import SendRequest, TrafficClass
from dispatcher.simulator import Behaviour, MessageId, Receipts, Settings, Uniform

WINDOW: Final = 10
"""Of each of the two carriers: what one kill may leave in doubt, and so double, at each."""
ACCOUNTS: Final = ("plain", "hex")
SHARES: Final = (0.2, 0.3, 0.2, 0.3)
"""Of the traffic classes, highest first."""
LONG_SHARE: Final = 0.15
LATER_SHARE: Final = 0.05
LATER_MS: Final = 500
LATER_STEP_MS: Final = 6
"""From message to message: about the time that a child takes for one, its start included."""
FILE: Final = "scene.json"


class Scene(msgspec.Struct, frozen=True):
    """One run. `start_ms` stands for now in all requests, so that a repeated one has the same body."""

    seed: int
    messages: int
    start_ms: int
    port: int = 0
    throttled: float = 0.0
    """The share of submits that the carriers refuse with ESME_RTHROTTLED."""
    break_ms: int = 0
    """How long connections last before the carriers reset them; 0: for ever."""
    pause_ms: int = 10
    """Between the client's batches. 10 is as fast as carriers are: all classes are in flight; with
    less, messages wait."""
    disk_ms: int = 0
    """How much longer every commit takes: what does not wait for it is caught."""

    def save(self, folder: Path) -> None:
        """Write it where children look for it."""
        (folder / FILE).write_bytes(msgspec.json.encode(self))


def load(folder: Path) -> Scene:
    """Return what `save` wrote."""
    return msgspec.json.decode((folder / FILE).read_bytes(), type=Scene)


def requests(scene: Scene) -> list[SendRequest]:
    """Return all requests of a run. The token of each is its key and the last word of its text."""
    random = Random(scene.seed)
    found = []
    for number in range(scene.messages):
        traffic_class = random.choices(list(TrafficClass), SHARES)[0]
        text = f"Code {random.randrange(10_000):04d}"
        if random.random() < LONG_SHARE:
            text = " ".join(
                [text, *["Do not tell it to anyone, not even to the bank."] * random.randint(4, 6)]
            )
        later_ms = scene.start_ms + LATER_MS + number * LATER_STEP_MS if random.random() < LATER_SHARE else 0
        found.append(
            SendRequest(
                to=f"+7900{number:07d}",
                text=f"{text} {token_of(number)}",
                sender="Bank",
                traffic_class=traffic_class,
                client_ref=token_of(number),
                send_after_ms=later_ms,
            )
        )
    return found


def token_of(number: int) -> str:
    """Return the token of a request by its place."""
    return f"t{number}"


def token_of_number(to: str) -> str:
    """Return the token of the message to a number."""
    return token_of(int(to.removeprefix("7900")))


def config(scene: Scene, folder: Path) -> Config:
    """Return a configuration with two carriers, and graces and timers that let a run end within seconds."""
    carrier: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": scene.port,
        "window": WINDOW,
        "tps": 20_000,
        "receipt_timer_ms": 3_000,
        "timers": {"response_ms": 10_000},
    }
    short = {"grace_ms": 300, "attempts": 20}
    return from_dict(
        {
            "store": str(folder / "store"),
            "carriers": {
                "plain": {**carrier, "system_id": "plain"},
                "hex": {**carrier, "system_id": "hex", "profile": "hex_ids"},
            },
            "routes": [{"carriers": list(ACCOUNTS), "weights": [1, 1]}],
            "classes": {"authorization": {"attempts": 20}, "transactional": short, "service": short},
        }
    )


def settings(scene: Scene) -> Settings:
    """Return the simulated carriers: slow enough for a window to fill, receipts early, late and twice."""
    errors = {"RTHROTTLED": scene.throttled} if scene.throttled else {}
    receipts = Receipts(delay_ms=Uniform(0, 30), before_response=0.1, duplicate=0.1, resend_after_ms=2_000)
    behaviour = Behaviour(latency_ms=Uniform(5, 25), receipts=receipts, errors=errors)
    hexadecimal = msgspec.structs.replace(
        behaviour, message_id=MessageId(notation="HEX", receipt_notation="decimal")
    )
    return Settings(port=0, seed=scene.seed, accounts={"plain": behaviour, "hex": hexadecimal})


def as_json(value: object) -> str:
    """Return one line that can be read again."""
    return json.dumps(value, separators=(",", ":"))
