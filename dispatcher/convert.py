"""Plain tables, as TOML or JSON has them, to values: strict, and every error names the path of the key.

Law: a person can mend what an error says without reading this code: the whole path (``carriers.mts.tsp``),
what was expected, and what comes close. msgspec does the work, a leaf at a time: of a table by name or of a
list it would say ``$[...]``.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from dispatcher.errors import ConfigError

T = TypeVar("T", bound=Struct)
CLOSE: Final = 0.6
"""How alike two words are to be taken for one: difflib's measure; "tsp" and "tps" have 0.67."""


def convert(data: object, into: type[T], at: str = "") -> T:
    """Return `data` as the Struct `into`; `at` is the path that leads to it.

    ConfigError: a key that is unknown or missing, a value of another type or out of its range, or what the
    Struct's own ``__post_init__`` refuses.
    """
    for problem in problems(data, into, at):
        raise ConfigError(problem)
    return msgspec.convert(data, into)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" where something known comes close, else what is known."""
    known = list(known)
    return closest(word, known) or f"; known are {', '.join(known) or 'none'}"


def closest(word: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" where something known comes close, else nothing."""
    return _closest(str(word), tuple(known))


@lru_cache(maxsize=1024)
def _closest(word: str, known: tuple[str, ...]) -> str:
    """The same, remembered: it takes a tenth of a millisecond, and mistakes come by the thousand."""
    close = difflib.get_close_matches(word, known, 1, CLOSE)
    return f"; did you mean {close[0]!r}?" if close else ""


def join(at: str, key: object) -> str:
    """Return the path of a key in the table at a path."""
    return f"{at}.{key}" if at else str(key)


def fields_of(kind: Any) -> dict[str, Any] | None:
    """Return the types of the fields where `kind` is, or may be, a Struct; else None."""
    struct = _one(kind, _is_struct)
    return None if struct is None else get_type_hints(struct, include_extras=True)


def value_of(kind: Any) -> Any:
    """Return the type of the values where `kind` is, or may be, a table by name; else None."""
    table = _one(kind, _is_table)
    return None if table is None else get_args(table)[1]


def problems(data: object, kind: Any, at: str = "") -> Iterator[str]:
    """Yield everything in `data` that `kind` does not allow, its path in front."""
    struct = _one(kind, _is_struct)
    table = _one(kind, _is_table)
    items = _one(kind, _is_list)
    if isinstance(data, Mapping) and struct is not None:
        yield from _problems_of_struct(data, struct, at)
    elif isinstance(data, Mapping) and table is not None:
        for key, value in data.items():
            yield from _leaf(key, get_args(table)[0], join(at, key))
            yield from problems(value, get_args(table)[1], join(at, key))
        yield from _leaf(data, Annotated[dict[Any, Any], *_constraints(kind)], at)
    elif isinstance(data, list | tuple) and items is not None:
        for index, value in enumerate(data):
            yield from problems(value, get_args(items)[0], f"{at}[{index}]")
        yield from _leaf(data, Annotated[tuple[Any, ...], *_constraints(kind)], at)
    else:
        yield from _leaf(data, kind, at)


def _problems_of_struct(data: Mapping[Any, Any], struct: type[Struct], at: str) -> Iterator[str]:
    hints = get_type_hints(struct, include_extras=True)
    is_sound = True
    for key, value in data.items():
        if key not in hints:
            is_sound = False
            yield f"{join(at, key)}: unknown key{did_you_mean(key, hints)}"
        else:
            for problem in problems(value, hints[key], join(at, key)):
                is_sound = False
                yield problem
    for field in msgspec.structs.fields(struct):
        if field.required and field.name not in data:
            is_sound = False
            yield f"{join(at, field.name)}: it is missing"
    if is_sound:
        yield from _leaf(data, struct, at)  # what its __post_init__ says


def _leaf(data: object, kind: Any, at: str) -> Iterator[str]:
    if isinstance(data, float) and not math.isfinite(data):
        yield f"{at}: expected a finite number, got {data}"
        return
    choices = [value for each in _choices(kind) if get_origin(each) is Literal for value in get_args(each)]
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        if choices and isinstance(data, str):
            known = f"one of {', '.join(map(str, choices))}{closest(data, map(str, choices))}"
            yield f"{at}: {data!r} is not {known}"
        else:
            yield f"{at}: {_readable(str(error))}" if at else _readable(str(error))


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
