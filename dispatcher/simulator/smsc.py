"""The simulated SMSC as a whole, to be run by a command or embedded in a test.

::

    async with Simulator(Behaviour(latency_ms=5)) as smsc:
        ...  # connect an ESME to 127.0.0.1, smsc.port
        smsc.account("bank").change(tps=50)
        assert smsc.ledger.copies("token-1")[0].statuses == [0]

Laws:

* it listens on loopback unless told otherwise, in so many words;
* a seed repeats a run: the same submits in the same order give the same ledger;
* a change of behaviour takes effect at once, or not at all.
"""

import asyncio
import ipaddress
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final

import msgspec

from dispatcher.errors import ConfigError
from dispatcher.simulator.account import Account
from dispatcher.simulator.actions import perform
from dispatcher.simulator.agenda import Agenda
from dispatcher.simulator.behaviour import Behaviour
from dispatcher.simulator.connection import Connection
from dispatcher.simulator.control import Control
from dispatcher.simulator.ledger import Ledger
from dispatcher.simulator.settings import Settings, patched, patched_tls
from dispatcher.simulator.tls import BadHandshake, Tls, server_context

_TICK_S: Final = 0.1
"""How often timers are looked at: each of them is seconds long."""

_BACKLOG: Final = 1024
_STRANGERS_MAX: Final = 1000
"""Accounts made for whoever binds."""


class Handle:
    """An account, as a test or the control port sees it."""

    def __init__(self, account: Account) -> None:
        self.inner = account

    @property
    def name(self) -> str:
        """Its system_id."""
        return self.inner.name

    @property
    def behaviour(self) -> Behaviour:
        """What is in force."""
        return self.inner.behaviour

    @property
    def binds(self) -> int:
        """Bound connections now."""
        return len(self.inner.connections)

    def change(self, patch: Mapping[str, Any] | None = None, **more: Any) -> Behaviour:
        """Change keys of the behaviour: change(tps=50, receipts={"share": 0}). ConfigError: none changed."""
        changes = {**(patch or {}), **{key: msgspec.to_builtins(value) for key, value in more.items()}}
        self.inner.change(patched(self.inner.behaviour, changes, f"accounts.{self.name}"))
        return self.inner.behaviour

    def act(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Do something at once, see `actions.py`: act("disconnect", how="rst")."""
        return perform(self.inner, action, parameters)


class Simulator:
    """An SMSC on a socket. `behaviour` is that of whoever binds; or give whole `settings`."""

    def __init__(
        self, behaviour: Behaviour | None = None, settings: Settings | None = None, **more: Any
    ) -> None:
        if settings is None:
            settings = Settings(port=0)
        if more:
            settings = msgspec.structs.replace(settings, **more)
        check_host(settings.host, settings.allow_remote)
        self.settings = settings
        self.tls = settings.tls
        self._bad_handshakes: set[BadHandshake] = set()
        self.system_id = settings.system_id
        self.ledger = Ledger(
            mode=settings.ledger,
            token=settings.token,
            copies_max=settings.tokens_max,
            seed=settings.seed,
            times=settings.times,
        )
        self.connections: set[Connection] = set()
        self.refused_connections = 0
        self.accounts: dict[str, Account] = {}
        self._default = behaviour if behaviour is not None else Behaviour()
        self._accepts_strangers = (
            settings.unknown_accounts == "accept" if settings.unknown_accounts else not settings.accounts
        )
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self.control: Control | None = None
        self.port = settings.port

    def __repr__(self) -> str:
        return f"<Simulator on {self.settings.host}:{self.port}, {len(self.connections)} connections>"

    async def __aenter__(self) -> "Simulator":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. OSError: the port is taken."""
        self._loop = asyncio.get_running_loop()
        self.agenda = Agenda(self._loop)
        for name, behaviour in self.settings.accounts.items():
            self._add(name, behaviour)
        await self.listen()
        if self.settings.control_port >= 0:
            self.control = Control(self)
            try:
                await self.control.start(self.settings.control_port)
            except OSError:
                await self.stop()
                raise
        self._ticking = self._loop.call_later(_TICK_S, self._tick)
        if self.settings.times:
            self.ledger.lateness.start()

    async def listen(self) -> None:
        """Take connections, again perhaps: on the port that it had before. ConfigError: TLS is wrong."""
        if self._server is None:
            self._server = await self._listening(self.tls)
            self.port = self._server.sockets[0].getsockname()[1]

    async def secure(self, patch: Mapping[str, Any] | None) -> Tls | None:
        """Change TLS for connections to come (None: turn it off). ConfigError: nothing was changed."""
        tls = patched_tls(self.tls, patch)
        if tls is not None:
            server_context(tls)  # to fail before anything is closed
        self.tls = tls
        if self._server is not None:
            self.refuse_connections()
            await self.listen()
        return tls

    async def _listening(self, tls: Tls | None) -> asyncio.Server:
        context, factory = None, self._connected
        if tls is not None:
            context = server_context(tls)
            if tls.handshake != "complete":
                context, factory = None, partial(BadHandshake, tls.handshake, self._bad_handshakes)
        return await self._loop.create_server(
            factory, self.settings.host, self.port, backlog=_BACKLOG, ssl=context
        )

    def refuse_connections(self) -> None:
        """Stop listening: whoever connects is refused by the kernel. What is connected stays."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Close everything."""
        if self._ticking is not None:
            self._ticking.cancel()
        self.ledger.lateness.stop()
        self.refuse_connections()
        if self.control is not None:
            await self.control.stop()
        for stalled in list(self._bad_handshakes):
            stalled.transport.abort()
        for connection in list(self.connections):
            connection.wire.pace(False, 0)  # thawed, so that a peer sees the close
            connection.wire.close()
        for _ in range(20):  # let transports say their last: connection_lost comes in a later turn
            if not self.connections:
                break
            await asyncio.sleep(0.005)
        for connection in list(self.connections):
            connection.abort()
        self.agenda.clear()
        await asyncio.sleep(0)

    # ---- accounts ----

    def account(self, system_id: str) -> Handle:
        """Return an account, one that is yet to bind too; KeyError where it is none."""
        account = self.account_of(system_id)
        if account is None:
            raise KeyError(system_id)
        return Handle(account)

    def account_of(self, system_id: str) -> Account | None:
        """Return the account that may bind so."""
        account = self.accounts.get(system_id)
        if account is None and self._accepts_strangers and len(self.accounts) < _STRANGERS_MAX:
            return self._add(system_id, self._default)
        return account

    def receipt_window(self) -> int:
        """Return the greatest window for receipts of any account."""
        windows = [account.behaviour.receipts.window for account in self.accounts.values()]
        return max([self._default.receipts.window, *windows])

    def reset(self) -> None:
        """Forget the ledger and the receipts to come; binds and behaviours stay."""
        for account in self.accounts.values():
            account.post.drop()
        self.ledger.reset()

    def state(self) -> dict[str, Any]:
        """Return everything that can be seen from outside, for JSON."""
        return {
            "port": self.port,
            "listening": self._server is not None,
            "tls": msgspec.to_builtins(self.tls),
            "connections": len(self.connections),
            "ledger": self.ledger.mode,
            "accounts": {
                name: {
                    "binds": [
                        {
                            "number": connection.number,
                            "state": connection.session.state.value,
                            "unanswered": connection.unanswered,
                            "receipts_in_flight": connection.session.exchange.in_flight,
                            "unsent_octets": connection.wire.unsent,
                        }
                        for connection in account.connections
                    ],
                    "binds_seen": account.binds_seen,
                    "binds_refused": account.binds_refused,
                    "receipts_pending": account.post.pending,
                    "receipts_waiting": len(account.post.waiting),
                    "totals": msgspec.to_builtins(self.ledger.of(name)),
                    "behaviour": msgspec.to_builtins(account.behaviour),
                }
                for name, account in self.accounts.items()
            },
        }

    def _add(self, name: str, behaviour: Behaviour) -> Account:
        account = self.accounts[name] = Account(name, behaviour, self.ledger, self.agenda, self.settings.seed)
        return account

    # ---- connections ----

    def _connected(self) -> asyncio.BaseProtocol:
        if len(self.connections) >= self.settings.connections_max:
            self.refused_connections += 1
            return _Refused()
        return Connection(self)

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        self._ticking = self._loop.call_later(_TICK_S, self._tick)
        for connection in list(self.connections):
            if not connection.wire.closed:
                connection.tick(now_ns)


class _Refused(asyncio.Protocol):
    """One connection too many: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def check_host(host: str, allow_remote: bool) -> None:
    """Raise ConfigError for an address that others can reach: a simulator has no defences."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not allow_remote:
        raise ConfigError(
            f"host: {host!r} is no loopback address; allow_remote opens the simulator to others"
        )
