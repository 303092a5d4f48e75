"""The configuration as it lies on disk: a TOML file, ``conf.d/*.toml`` beside it, the environment.

Files are read in name order: tables merge, lists of tables are joined, anything else that is given twice is
an error. Then ``DISPATCHER_HTTP__PORT=9000`` lays one value over them. Every error says where it stands:
``dispatcher.toml:12: carriers.mts.tsp: unknown key; did you mean 'tps'?``.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from dispatcher.config import Config, all_problems, from_dict
from dispatcher.convert import fields_of, join, problems, value_of
from dispatcher.errors import ConfigError

NAME: Final = "dispatcher.toml"
PREFIX: Final = "DISPATCHER_"
PLAIN_KEYS: Final = frozenset({"store", "default_country", "numbering_plan", "ported_numbers", "currency"})
"""Keys of the top that ``DISPATCHER_KEY`` sets. Other names without ``__`` belong to others: Kubernetes sets
``DISPATCHER_PORT`` for a service of that name."""


class Loaded(Struct, frozen=True):
    """A configuration, and where it comes from."""

    config: Config
    """Its `store` is absolute, or relative to the working folder as the path of the file is."""
    path: Path
    data: dict[str, Any]
    """What was given, as plain tables; the rest are defaults."""
    places: dict[str, str]
    """Path of a key that was given: ``FILE:LINE``, or the environment variable."""

    @property
    def folder(self) -> Path:
        """Where relative file names of the configuration start."""
        return self.path.parent


def default_path(environ: Mapping[str, str] = os.environ, *, is_root: bool | None = None) -> Path:
    """Return where the configuration is looked for unless a command is told; systemd's word comes first."""
    if folder := environ.get("CONFIGURATION_DIRECTORY", "").partition(":")[0]:
        return Path(folder) / NAME
    if os.geteuid() == 0 if is_root is None else is_root:
        return Path("/etc/dispatcher") / NAME
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config"
    return Path(home) / "dispatcher" / NAME


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Read a configuration; ConfigError holds everything that is wrong with it, one problem a line.

    PermissionError: a file may not be read.
    """
    tables = _Tables()
    for file in [path, *_more_files(path.parent / "conf.d")]:
        tables.add(file)
    if not tables.wrong:
        tables.override(environ)
    if "store" not in tables.data and (folder := environ.get("STATE_DIRECTORY", "").partition(":")[0]):
        tables.data["store"], tables.places["store"] = folder, "$STATE_DIRECTORY"
    found = [*_secrets(tables), *all_problems(tables.data)]
    wrong = tables.wrong or [located(problem, tables.places, path) for problem in found]
    if wrong:
        raise ConfigError("\n".join(wrong))
    config = from_dict(tables.data)
    config = msgspec.structs.replace(config, store=str(path.parent / config.store))
    return Loaded(config, path, tables.data, tables.places)


def located(problem: str, places: Mapping[str, str], path: Path) -> str:
    """Return a problem, which begins with the path of a key, with the place of that key in front."""
    at, _, rest = problem.partition(": ")
    inner = f"{at}.{rest.partition(': ')[0]}"  # "http: port: ..." is about http.port
    for key in (inner if inner in places else at, *_above(at)):
        if key in places:
            return f"{places[key]}: {problem}"
    return f"{path}: {problem}"


def _secrets(tables: "_Tables") -> Iterator[str]:
    """Yield passwords that stand in a file: it is copied, shown and kept in repositories."""
    carriers = tables.data.get("carriers")
    for name, carrier in carriers.items() if isinstance(carriers, dict) else ():
        at = f"carriers.{name}.password"
        is_given = isinstance(carrier, dict) and "password" in carrier
        if is_given and not tables.places.get(at, "").startswith(PREFIX):
            yield f"{at}: a secret does not stand in a file; expected password_file or password_env"


def _more_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.toml") if not file.name.startswith("."))


def _above(at: str) -> Iterator[str]:
    """Yield the paths of the tables and lists that hold a key, the nearest first."""
    while (shorter := re.sub(r"(\.[^.\[\]]*|\[\d+\])$", "", at)) != at:
        yield shorter
        at = shorter


class _Tables:
    """What was read so far."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.wrong: list[str] = []

    def add(self, file: Path) -> None:
        """Read one more file, or note why that cannot be."""
        try:
            text = file.read_text(encoding="utf-8")
            data = tomllib.loads(text)
        except PermissionError:
            raise
        except OSError as error:
            self.wrong.append(f"{file}: {error.strerror}")
        except UnicodeDecodeError as error:
            self.wrong.append(f"{file}: octet {error.start} is not UTF-8")
        except tomllib.TOMLDecodeError as error:
            self.wrong.append(_syntax(file, str(error)))
        else:
            counts = {key: len(value) for key, value in self.data.items() if isinstance(value, list)}
            here = {key: f"{file}:{line}" for key, line in lines_of_keys(text, counts).items()}
            self._merge(self.data, data, "", here, file)
            for key, place in here.items():
                self.places.setdefault(key, place)

    def _merge(
        self, into: dict[str, Any], more: dict[str, Any], at: str, here: dict[str, str], file: Path
    ) -> None:
        for key, value in more.items():
            path = join(at, key)
            if key not in into:
                into[key] = value
            elif isinstance(value, dict) and isinstance(into[key], dict):
                self._merge(into[key], value, path, here, file)
            elif _is_tables(value) and _is_tables(into[key]):
                into[key] += value
            else:
                before = located(path, self.places, file).rpartition(": ")[0]
                self.wrong.append(located(f"{path}: {before} gives it already", here, file))

    def override(self, environ: Mapping[str, str]) -> None:
        """Lay values of the environment over it, each read as its key's type asks."""
        for name in sorted(environ):
            keys = name.removeprefix(PREFIX).split("__")
            if not name.startswith(PREFIX) or (len(keys) == 1 and keys[0].lower() not in PLAIN_KEYS):
                continue
            table, kind, at = self.data, Config, ""
            for index, key in enumerate(keys):
                key, kind = _inside(table, kind, key)
                at = join(at, key)
                if index == len(keys) - 1:
                    table[key] = _typed(environ[name], kind)
                    self.places[at] = name
                elif not isinstance(table.setdefault(key, {}), dict):
                    self.wrong.append(f"{name}: {at} is no table")
                    break
                else:
                    table = table[key]
                    self.places.setdefault(at, name)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _syntax(file: Path, message: str) -> str:
    """Turn tomllib's "... (at line 3, column 5)" into "FILE:3: ..."."""
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    return f"{file}:{found[1]}: {message[: found.start()]}" if found else f"{file}: {message}"


# ---- the environment --------------------------------------------------------------------------------------


def _inside(table: dict[str, Any], kind: Any, name: str) -> tuple[str, Any]:
    """Return the key that a part of a variable's name means, and the type of its value."""
    fields = fields_of(kind)
    known = list(fields) if fields is not None else list(table)
    key = next((each for each in known if _as_variable(each) == name.upper()), name.lower())
    return key, fields.get(key) if fields is not None else value_of(kind)


def _as_variable(key: str) -> str:
    return re.sub(r"\W", "_", key).upper()


def _typed(text: str, kind: Any) -> object:
    """Return the text itself where the key takes it, else what it says in TOML."""
    if kind is not None and not any(problems(text, kind)):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


# ---- lines ------------------------------------------------------------------------------------------------

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(rf"\s*({_DOTTED})\s*=")


def lines_of_keys(text: str, counts: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the line, from 1, of every table and key of a TOML file that is sound.

    `counts`: how many tables of each list files before this one had. Keys of inline tables are not looked
    for, their line is that of the table.
    """
    counts = dict(counts or {})
    found: dict[str, int] = {}
    table, is_in_text = "", False
    for number, line in enumerate(text.splitlines(), 1):
        was_in_text = is_in_text
        if (line.count('"""') + line.count("'''")) % 2:
            is_in_text = not is_in_text
        if was_in_text:
            continue
        if header := _HEADER.match(line):
            table = _path(header[2], "", counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, 0) + 1
                table = f"{table}[{counts[table] - 1}]"
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(_path(key[1], table, {}), number)
    return found


def _path(dotted: str, at: str, counts: Mapping[str, int]) -> str:
    """Return the path of a dotted key; a list of tables on the way means its last one so far."""
    parts = re.findall(_PART, dotted)
    for index, part in enumerate(parts):
        at = join(at, part.strip("\"'"))
        if index < len(parts) - 1 and at in counts:
            at = f"{at}[{counts[at] - 1}]"
    return at
