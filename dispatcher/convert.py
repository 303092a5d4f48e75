"""Plain tables, as TOML or JSON has them, to values: strict, and every error names the path of the key.

Law: a person can mend what an error says without reading this code: the whole path (``carriers.mts.tsp``),
what was expected, and what comes close. msgspec does the work, a leaf at a time: of a table by name or of a
list it would say ``$[...]``.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from dispatcher.errors import ConfigError

T = TypeVar("T", bound=Struct)


def convert(data: object, into: type[T], at: str = "") -> T:
    """Return `data` as the Struct `into`; `at` is the path that leads to it.

    ConfigError: a key that is unknown or missing, a value of another type or out of its range, or what the
    Struct's own ``__post_init__`` refuses.
    """
    _check(data, into, at)
    return msgspec.convert(data, into)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" where something known comes close, else what is known."""
    known = list(known)
    close = difflib.get_close_matches(str(word), known, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known) or 'none'}"


def join(at: str, key: object) -> str:
    """Return the path of a key in the table at a path."""
    return f"{at}.{key}" if at else str(key)


def _check(data: object, kind: Any, at: str) -> None:
    """Raise for the first thing in `data` that `kind` does not allow, its path in front."""
    struct = _one(kind, _is_struct)
    table = _one(kind, _is_table)
    items = _one(kind, _is_list)
    if isinstance(data, Mapping) and struct is not None:
        _check_struct(data, struct, at)
    elif isinstance(data, Mapping) and table is not None:
        for key, value in data.items():
            _leaf(key, get_args(table)[0], join(at, key))
            _check(value, get_args(table)[1], join(at, key))
        _leaf(data, Annotated[dict[Any, Any], *_constraints(kind)], at)
    elif isinstance(data, list | tuple) and items is not None:
        for index, value in enumerate(data):
            _check(value, get_args(items)[0], f"{at}[{index}]")
        _leaf(data, Annotated[tuple[Any, ...], *_constraints(kind)], at)
    else:
        _leaf(data, kind, at)


def _check_struct(data: Mapping[Any, Any], struct: type[Struct], at: str) -> None:
    hints = get_type_hints(struct, include_extras=True)
    for key, value in data.items():
        if key not in hints:
            raise ConfigError(f"{join(at, key)}: unknown key{did_you_mean(key, hints)}")
        _check(value, hints[key], join(at, key))
    for field in msgspec.structs.fields(struct):
        if field.required and field.name not in data:
            raise ConfigError(f"{join(at, field.name)}: it is missing")
    _leaf(data, struct, at)  # what its __post_init__ says


def _leaf(data: object, kind: Any, at: str) -> None:
    if isinstance(data, float) and not math.isfinite(data):
        raise ConfigError(f"{at}: expected a finite number, got {data}")
    choices = [value for each in _choices(kind) if get_origin(each) is Literal for value in get_args(each)]
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        if choices and isinstance(data, str):
            known = f"one of {', '.join(map(str, choices))}{did_you_mean(data, map(str, choices))}"
            raise ConfigError(f"{at}: {data!r} is not {known}") from None
        raise ConfigError(f"{at}: {_readable(str(error))}" if at else _readable(str(error))) from None


def _choices(kind: Any) -> list[Any]:
    """Return the members of a union, annotations taken off."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _choices(get_args(kind)[0])
    if origin in (Union, UnionType):
        return [choice for each in get_args(kind) for choice in _choices(each)]
    return [kind]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _is_table(kind: Any) -> bool:
    origin: object = get_origin(kind)
    return origin is dict


def _is_list(kind: Any) -> bool:
    origin: object = get_origin(kind)
    return origin is tuple


def _one(kind: Any, wanted: Callable[[Any], bool]) -> Any:
    return next((each for each in _choices(kind) if wanted(each)), None)


def _constraints(kind: Any) -> tuple[Any, ...]:
    found = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return found or (msgspec.Meta(),)


def _readable(message: str) -> str:
    """Turn "Expected `int` <= 5 - at `$`" into "expected int <= 5"."""
    what = message.partition(" - at `")[0].replace("`", "")
    return f"{what[:1].lower()}{what[1:]}"
