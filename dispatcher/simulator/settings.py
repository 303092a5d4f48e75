"""Settings of the simulator: from TOML, from a JSON patch, from Python; clear errors for a person.

Law: all or nothing. A bad key or value leaves what was in force, and the error says where (the whole key
path), what was expected, and what comes close.
"""

import difflib
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from dispatcher.errors import ConfigError
from dispatcher.simulator.behaviour import Behaviour
from dispatcher.simulator.mischief import check_rule
from dispatcher.simulator.tls import Tls

TOKEN_DEFAULT: Final = ""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole simulator."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 2775
    """0: any free one."""
    control_port: Annotated[int, Meta(ge=-1, le=65_535)] = -1
    """-1: none; 0: any free one. Always on 127.0.0.1."""
    allow_remote: bool = False
    tls: Tls | None = None
    """On the SMPP port; the control port stays plain, and on loopback."""
    system_id: str = "simulator"
    """What the SMSC calls itself in bind responses."""
    seed: int = 0
    ledger: Literal["tokens", "counts"] = "tokens"
    """counts: totals only, for benches."""
    tokens_max: Annotated[int, Meta(ge=1)] = 1_000_000
    """Copies remembered, about 500 octets each; beyond it the ledger says that it is not complete."""
    token: str = TOKEN_DEFAULT
    """A regular expression whose first group is the token of a text; "": the last word."""
    times: bool = False
    """The ledger says when each submit_sm came; without, a seeded run gives the same ledger twice."""
    connections_max: Annotated[int, Meta(ge=1)] = 10_000
    accounts: dict[str, Behaviour] = {}
    """By system_id. Without any, whoever binds gets a perfect SMSC: see `unknown_accounts`."""
    unknown_accounts: Literal["refuse", "accept"] | None = None
    """What happens to other system_ids; unset: accept if there are no accounts, else refuse (0x0F)."""


T = TypeVar("T", bound=Struct)


def parse(data: Mapping[str, Any], into: type[T], at: str = "") -> T:
    """Return the values; ConfigError names the key."""
    _check_keys(data, into, at)
    try:
        value = msgspec.convert(data, into)
    except msgspec.ValidationError as error:
        raise ConfigError(_readable(str(error), at)) from None
    for name, behaviour in _behaviours(value, at):
        for index, rule in enumerate(behaviour.mischief):
            try:
                check_rule(rule)
            except ValueError as error:
                raise ConfigError(f"{name}mischief[{index}]: {error}") from None
    return value


def load(path: Path) -> Settings:
    """Return what a TOML file says; ConfigError, OSError."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        return parse(data, Settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def patched(behaviour: Behaviour, patch: Mapping[str, Any], at: str = "") -> Behaviour:
    """Return a behaviour changed by a merge patch (RFC 7396): null takes a key back to its default."""
    return parse(_merge(msgspec.to_builtins(behaviour), patch), Behaviour, at)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `Settings`."""
    return msgspec.json.schema(Settings)


def patched_tls(tls: Tls | None, patch: Mapping[str, Any] | None) -> Tls | None:
    """Return TLS changed by a merge patch; None turns it off."""
    if patch is None:
        return None
    return parse(_merge({} if tls is None else msgspec.to_builtins(tls), patch), Tls, "tls")


# ---- helpers ----

_WHOLE: Final = ("latency_ms", "delay_ms", "states", "errors", "errors_to")
"""Keys that a patch replaces as a whole: half of a distribution or of a set of weights means nothing."""


def _merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping) or not isinstance(old, Mapping):
        return patch
    merged = dict(old)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value if key in _WHOLE else _merge(merged.get(key), value)
    return merged


def _behaviours(value: Struct, at: str) -> list[tuple[str, Behaviour]]:
    if isinstance(value, Behaviour):
        return [(f"{at}." if at else "", value)]
    if isinstance(value, Settings):
        return [(f"accounts.{name}.", behaviour) for name, behaviour in value.accounts.items()]
    return []


def _check_keys(data: object, kind: object, at: str) -> None:
    """Raise for a key that no struct has (msgspec would name it without its path), for nan and inf."""
    if isinstance(data, float) and not math.isfinite(data):
        raise ConfigError(f"{at}: expected a finite number, got {data}")
    if isinstance(data, Mapping):
        if (struct := _struct_of(kind, data)) is not None:
            hints = get_type_hints(struct, include_extras=True)
            tag = struct.__struct_config__.tag_field
            for key, value in data.items():
                path = f"{at}.{key}" if at else str(key)
                if key not in hints and key != tag:
                    raise ConfigError(f"{path}: unknown key{_close(str(key), list(hints))}")
                _check_keys(value, hints.get(key, object), path)
        elif (of := _of(kind, dict)) is not None:
            for key, value in data.items():
                _check_keys(value, get_args(of)[1], f"{at}.{key}" if at else str(key))
    elif isinstance(data, list) and (of := _of(kind, tuple)) is not None:
        for index, value in enumerate(data):
            _check_keys(value, get_args(of)[0], f"{at}[{index}]")


def _choices(kind: object) -> list[object]:
    """Return the members of a union, annotations taken off."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _choices(get_args(kind)[0])
    if origin in (Union, UnionType):
        return [choice for each in get_args(kind) for choice in _choices(each)]
    return [kind]


def _struct_of(kind: object, data: Mapping[str, Any]) -> type[Struct] | None:
    structs = [each for each in _choices(kind) if isinstance(each, type) and issubclass(each, Struct)]
    if len(structs) > 1:
        structs = [each for each in structs if each.__struct_config__.tag == data.get("kind")]
    return structs[0] if structs else None


def _of(kind: object, container: type) -> object | None:
    return next((each for each in _choices(kind) if get_origin(each) is container), None)


def _readable(message: str, at: str) -> str:
    """Turn "Expected `int` - at `$.receipts.share`" into "receipts.share: expected int"."""
    what, _, where = message.partition(" - at `")
    path = where.rstrip("`").removeprefix("$").lstrip(".")
    path = ".".join(part for part in (at, path) if part) or "(all)"
    what = what.replace("`", "")
    return f"{path}: {what[:1].lower()}{what[1:]}"


def _close(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"
