"""Other people's SMS encoders, a module each, all with the same face (see face.py)."""

from typing import Final

from bench.peers import aiosmpplib, calculator, gsm0338, smpp34, smpplib, smsutil
from bench.peers.face import Absent, Peer

PEERS: Final[tuple[Peer, ...]] = (smpplib, aiosmpplib, smsutil, gsm0338, smpp34, calculator)

__all__ = ["PEERS", "Absent", "Peer"]
