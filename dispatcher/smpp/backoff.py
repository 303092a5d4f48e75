"""When to try again: the reconnect budget, the circuit and the slow start of an account; pure, time is given.

Laws:

* one budget for all binds of an account: attempts are at least `spacing_ms` apart, one at a time;
* trouble that comes together counts once: ten binds lost in one instant are one step of the backoff;
* the backoff falls back only when a bind was stable for `stable_ms`: a flapping one keeps climbing;
* wrong credentials lock accounts out: at most one attempt in the first minute and ten in an hour;
* jitter only lengthens waits whose minimum was promised (credentials, already bound), and shortens others.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

from dispatcher.smpp.constants import CommandStatus

NANOSECONDS_PER_MS: Final = 1_000_000


class Trouble(StrEnum):
    """Why there is no bind. A closed list: each has its way of waiting."""

    CONNECT = "connect"
    REFUSED = "refused"
    CREDENTIALS = "credentials"
    ALREADY_BOUND = "already_bound"
    LOST = "lost"
    STUCK = "stuck"


BIND_TROUBLE: Final = {
    CommandStatus.ESME_RINVPASWD: Trouble.CREDENTIALS,
    CommandStatus.ESME_RINVSYSID: Trouble.CREDENTIALS,
    CommandStatus.ESME_RINVSYSTYP: Trouble.CREDENTIALS,
    CommandStatus.ESME_RALYBND: Trouble.ALREADY_BOUND,
}
"""What a command_status in a bind_resp means; any other is REFUSED."""


class Backoff(NamedTuple):
    """Every wait of an account, in milliseconds."""

    first_ms: int = 1_000
    most_ms: int = 60_000
    spacing_ms: int = 1_000
    """Between two attempts of the account, whatever came of the first."""
    stable_ms: int = 30_000
    """A bind that lasted so long was no flap."""
    credentials_ms: int = 61_000
    """After the first refused password; doubled each time. A second over the promised minute."""
    credentials_most_ms: int = 900_000
    already_bound_ms: int = 60_000
    """Longer than the SMSC keeps a dead session (60 to 300 s); doubled each time."""
    already_bound_most_ms: int = 300_000
    stuck_max: int = 3
    """Stuck windows, without an answer in between, that open the circuit."""
    circuit_ms: int = 60_000
    circuit_most_ms: int = 900_000
    quiet_ms: int = 1_000
    """Nothing is submitted so soon after a bind: most flaps end sooner."""
    ramp_ms: int = 250
    """Then one submit until it is answered, and twice as many each so long; 0: the whole window at once."""
    jitter: float = 0.25


DEFAULT_BACKOFF: Final = Backoff()


class Reconnect:
    """The reconnect budget of one account. `random` gives numbers from 0 to below 1."""

    def __init__(self, policy: Backoff, random: Callable[[], float]) -> None:
        self.policy = policy
        self._random = random
        self._level = 0
        """Failed attempts since the last stable bind."""
        self._refusals = 0
        """Refused credentials since the last bind."""
        self._tried_ns = -1
        """Of the last attempt."""
        self._until_ns = -1
        """No attempt of any bind before."""

    def __repr__(self) -> str:
        return f"<Reconnect level {self._level}, {self._refusals} credentials refused>"

    def wait_ns(self, now_ns: int) -> int:
        """Return how long from now no bind of the account may be tried; 0: now."""
        spaced_ns = self._tried_ns + self.policy.spacing_ms * NANOSECONDS_PER_MS if self._tried_ns >= 0 else 0
        return max(0, spaced_ns - now_ns, self._until_ns - now_ns)

    def attempt(self, now_ns: int) -> None:
        """Note an attempt."""
        self._tried_ns = now_ns

    def failed(self, trouble: Trouble, now_ns: int) -> None:
        """Note that an attempt failed or a bind was lost: everybody waits."""
        policy = self.policy
        if trouble is Trouble.CREDENTIALS:
            wait_ms = min(policy.credentials_ms << min(self._refusals, 20), policy.credentials_most_ms)
            self._refusals += 1
            self._until_ns = now_ns + self._longer(wait_ms)
        elif trouble is not Trouble.ALREADY_BOUND and now_ns >= self._until_ns:
            wait_ms = min(policy.first_ms << min(self._level, 20), policy.most_ms)
            self._level += 1
            self._until_ns = now_ns + self._shorter(wait_ms)

    def pause_ns(self, times: int) -> int:
        """Return how long a single bind waits that was refused as already bound `times` times running."""
        policy = self.policy
        wait_ms = policy.already_bound_ms << min(max(times - 1, 0), 20)
        return self._longer(min(wait_ms, policy.already_bound_most_ms))

    def bound(self) -> None:
        """Note that a bind was accepted: the credentials are right."""
        self._refusals = 0

    def stable(self) -> None:
        """Note that a bind has lasted: the next trouble starts from the bottom."""
        self._level = 0

    def reset(self, policy: Backoff) -> None:
        """Start afresh, with changed settings; the spacing holds on."""
        self.policy = policy
        self._level = self._refusals = 0
        self._until_ns = -1

    def _longer(self, wait_ms: int) -> int:
        return int(wait_ms * NANOSECONDS_PER_MS * (1 + self.policy.jitter * self._random()))

    def _shorter(self, wait_ms: int) -> int:
        return int(wait_ms * NANOSECONDS_PER_MS * (1 - self.policy.jitter * self._random()))


class Circuit:
    """Whether an account that takes submits answers them. Open: it gets none, its queue goes elsewhere.

    ::

        CLOSED ──stuck_max stuck──> OPEN ──circuit_ms──> HALF_OPEN: one submit on one bind
           ^                          ^                      │ │
           └────────── answered ──────┼──────────────────────┘ │
                                      └──── stuck, for longer ─┘
    """

    def __init__(self, policy: Backoff) -> None:
        self.policy = policy
        self._stuck = 0
        self._opened = 0
        """How often it opened since the last answer."""
        self._until_ns = -1
        """Open until then; -1: closed."""

    def stuck(self, now_ns: int) -> bool:
        """Note a stuck window; return whether this one opened the circuit."""
        if self.wait_ns(now_ns):
            return False
        self._stuck += 1
        if self._stuck < self.policy.stuck_max:
            return False
        wait_ms = min(self.policy.circuit_ms << min(self._opened, 20), self.policy.circuit_most_ms)
        self._until_ns = now_ns + wait_ms * NANOSECONDS_PER_MS
        self._opened += 1
        return True

    def answered(self) -> bool:
        """Note an answer; return whether it closed the circuit."""
        opened = self._until_ns >= 0
        self._stuck = self._opened = 0
        self._until_ns = -1
        return opened

    @property
    def closed(self) -> bool:
        """Whether every bind may be used."""
        return self._until_ns < 0

    def wait_ns(self, now_ns: int) -> int:
        """Return how long it stays open; 0: closed, or half open and one submit may probe."""
        return max(0, self._until_ns - now_ns)


class SlowStart:
    """How many submits a new bind may have unanswered: none, then one, then twice as many at each step."""

    def __init__(self, policy: Backoff, bound_ns: int) -> None:
        self._ramp_ns = policy.ramp_ms * NANOSECONDS_PER_MS
        self._open_ns = bound_ns + policy.quiet_ms * NANOSECONDS_PER_MS
        self._answered_ns = -1

    def answered(self, now_ns: int) -> None:
        """Note the first answer: the SMSC does take submits."""
        if self._answered_ns < 0:
            self._answered_ns = now_ns

    def allowed(self, now_ns: int, window: int) -> int:
        """Return the window for now."""
        if now_ns < self._open_ns:
            return 0
        if not self._ramp_ns:
            return window
        if self._answered_ns < 0:
            return 1
        doublings = 1 + (now_ns - self._answered_ns) // self._ramp_ns
        return window if doublings > 16 else min(window, 1 << doublings)

    def next_ns(self, now_ns: int, window: int) -> int:
        """Return when more is allowed if nothing happens meanwhile; -1: never."""
        if now_ns < self._open_ns:
            return self._open_ns
        if not self._ramp_ns or self._answered_ns < 0 or self.allowed(now_ns, window) >= window:
            return -1
        steps = (now_ns - self._answered_ns) // self._ramp_ns
        return self._answered_ns + (steps + 1) * self._ramp_ns
