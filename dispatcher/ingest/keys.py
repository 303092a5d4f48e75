"""API keys: who may send, as whom, what, and how fast.

A token is ``dsk_<id>_<secret>``; only a hash of the secret is stored. SHA-256 once is enough: the secret has
256 random bits, which nobody guesses however fast the hash is. Slow hashes are for passwords, and would cost
every request milliseconds. Secrets are compared in constant time, an unknown id against a dummy.
"""

import asyncio
import base64
import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from dispatcher import private
from dispatcher.convert import problems
from dispatcher.errors import ConfigError
from dispatcher.faces import LABEL_WORDS, ClassName, Http, Label

log = logging.getLogger("dispatcher.ingest.keys")

KEYS_FILE: Final = "keys.json"
"""In the store's folder, where the configuration names no other."""
ID_CHARACTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without those that look alike."""
ID_LENGTH: Final = 8
SECRET_OCTETS: Final = 32
LOOK_AGAIN_S: Final = 1.0
"""How old what is known of the file may be."""
_PREFIX: Final = "dsk_"
_TOKEN_LENGTH: Final = len(_PREFIX) + ID_LENGTH + 1 + 43


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One key, without its secret. Several may have one name: to change a secret, two hold for a while."""

    id: Annotated[str, Meta(min_length=1, max_length=32)]
    name: Label
    """The `source` of what it sends."""
    hash: str
    """SHA-256 of the secret, hexadecimal."""
    created_at: str
    senders: tuple[str, ...] = ()
    """That it may send as; empty: any."""
    traffic_classes: tuple[ClassName, ...] = ()
    """That it may send in; empty: any."""
    rate: Annotated[float, Meta(ge=0, le=10_000_000)] = 0.0
    """Messages a second; 0: no limit."""
    may_read_all: bool = False
    """It sees the messages of all sources, not only its own."""
    is_disabled: bool = False

    def __repr__(self) -> str:
        return f"<ApiKey {self.id} {self.name}{', disabled' if self.is_disabled else ''}>"


class _File(Struct, frozen=True, kw_only=True):
    version: Annotated[int, Meta(ge=1, le=1)] = 1
    keys: tuple[ApiKey, ...] = ()


def make_key(
    name: str,
    created_at: str,
    *,
    senders: tuple[str, ...] = (),
    traffic_classes: tuple[ClassName, ...] = (),
    rate: float = 0.0,
    may_read_all: bool = False,
) -> tuple[ApiKey, str]:
    """Return a new key and its token, which is nowhere else. ConfigError: a value that cannot be."""
    key_id = "".join(secrets.choice(ID_CHARACTERS) for _ in range(ID_LENGTH))
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_OCTETS)).rstrip(b"=").decode()
    key = ApiKey(
        id=key_id,
        name=name,
        hash=_hash(secret),
        created_at=created_at,
        senders=senders,
        traffic_classes=traffic_classes,
        rate=rate,
        may_read_all=may_read_all,
    )
    for problem in problems(msgspec.to_builtins(key), ApiKey):
        raise ConfigError(_plain(problem))
    return key, f"{_PREFIX}{key_id}_{secret}"


def load(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys of a file; of none, none. ConfigError: it cannot be read, or is no such file."""
    try:
        found = msgspec.json.decode(path.read_bytes())
        for problem in problems(found, _File):
            raise ConfigError(f"{path}: {_plain(problem)}")
        return msgspec.convert(found, _File).keys
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: it is no file of keys, or is damaged: {error}") from None


def _plain(problem: str) -> str:
    """Return a problem in words: a pattern says little to a person."""
    where, is_pattern, _ = problem.partition(": expected str matching regex")
    return f"{where}: {LABEL_WORDS}" if is_pattern else problem


def save(path: Path, keys: tuple[ApiKey, ...]) -> None:
    """Write a file whole or not at all; only its owner may read it. OSError: it cannot be written.

    Written by root, it belongs to whom the folder belongs to: a daemon of that user has to read it.
    """
    body = msgspec.json.format(msgspec.json.encode(_File(keys=keys)), indent=1) + b"\n"
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            private.give(descriptor, path.parent)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold off other commands that change a file of keys."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        private.give(descriptor, path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def keys_path(http: Http, store: str, folder: Path) -> Path:
    """Return the file of API keys; `folder` is where relative names of the configuration start."""
    return folder / http.keys_file if http.keys_file else Path(store) / KEYS_FILE


class KeyRing:
    """The keys of a file, read again when it has changed: within a second, and never on the loop."""

    def __init__(self, path: Path, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock_s = clock_s
        self._keys: dict[str, ApiKey] = {}
        self._seen: tuple[int, int, int] | None = None
        self._looked_s = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    async def open(self) -> None:
        """Read the file. ConfigError: it is no file of keys."""
        found = await asyncio.to_thread(self._read)
        if found is not None:
            self._seen, self._keys = found
        self._looked_s = self._clock_s()

    async def find(self, token: str) -> ApiKey | None:
        """Return the key of a token, if it is right and not disabled."""
        if self._clock_s() - self._looked_s >= LOOK_AGAIN_S:
            if self._looking is None:  # requests that come meanwhile wait for the same look
                self._looking = asyncio.get_running_loop().create_task(self._look())
            await asyncio.shield(self._looking)
        key = None
        secret = ""
        if len(token) == _TOKEN_LENGTH and token.startswith(_PREFIX) and token[12] == "_":
            key, secret = self._keys.get(token[4:12]), token[13:]
        is_right = hmac.compare_digest(_hash(secret), key.hash if key is not None else _DUMMY)
        return key if is_right and key is not None and not key.is_disabled else None

    async def _look(self) -> None:
        try:
            found = await asyncio.to_thread(self._read)
            if found is not None:
                self._seen, self._keys = found
        except ConfigError as error:
            log.error("keys stay as they were: %s", error)
        finally:
            self._looked_s = self._clock_s()
            self._looking = None

    def _read(self) -> tuple[tuple[int, int, int], dict[str, ApiKey]] | None:
        """In a thread: return what is new, or None."""
        try:
            stat = self.path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            seen = (0, 0, 0)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from None
        if seen == self._seen:
            return None
        return seen, {key.id: key for key in load(self.path)}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


_DUMMY: Final = "0" * 64
