"""The repository checks itself: who may import whom, what pure code may not touch, sizes, docstrings, names.

A room is a module or a folder under ``dispatcher/``. Add yours to ``LAYERS``; where a check is in the way,
the table that it reads stands above it. Every check is also run over small bad trees, and must report them.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS: dict[int, tuple[str, ...]] = {
    # 0: the standard library only. The fronts of the divided folders hold a docstring and nothing else.
    0: ("__init__", "smpp.__init__", "carrier.__init__", "errors", "limits", "clock", "smpp.constants",
        "smpp.spec", "smpp.status", "_ext"),
    # 1: values and settings.
    1: ("model", "convert", "credentials", "delivery", "faces", "faces_kafka", "config", "private", "refusal",
        "state", "metrics"),
    # 2: pure logic, see IMPURE.
    2: ("admission", "api", "counters", "dlr_url", "encoding", "policy", "routing", "receipts", "slips",
        "carrier.profile",
        "carrier.profiles", "carrier.queue", "carrier.schedule", "carrier.retry", "smpp.session",
        "smpp.receipt_text", "smpp.time", "smpp.address", "smpp.flags", "smpp.data_coding", "smpp.rate",
        "smpp.dialect", "smpp.events", "smpp.account", "smpp.backoff", "smpp.reassembly", "store.records"),
    # 3: edges, which do not know of each other.
    3: ("smpp.connection", "smpp.dial", "smpp.bind", "smpp.budget", "smpp.report", "smpp.pool",
        "accounts", "files", "logs", "stalls", "systemd", "kafka", "store", "ingest", "outcomes"),
    # 4: the path of a message, which is given its ingest and outcomes.
    4: ("carrier.lane", "carrier.desk", "pipeline", "commits", "backlog", "aftermath", "evacuation",
        "cancelling", "recovery", "prepare", "reload", "switches", "dry_run", "feed", "gather", "simulator"),
    # 5: who puts it all together.
    5: ("app", "upkeep", "survey", "kafka_part", "parts", "daemon", "worker",
        "cli", "__main__"),
}  # fmt: skip
PURE_LAYER, FIRST_LAYER_WITH_ASYNCIO, PATH_LAYER, TOP_LAYER = 2, 3, 4, 5

GIVEN_TO_THE_PATH = {"ingest", "outcomes"}
"""Rooms that layer 4 is handed by app.py and never imports."""

PATH = {(room, other) for room in ("pipeline", "backlog", "aftermath", "evacuation", "cancelling", "recovery",
                                   "reload", "switches", "dry_run")
        for other in ("carrier.lane", "carrier.desk", "pipeline", "backlog", "aftermath", "evacuation",
                      "recovery", "cancelling", "prepare", "commits")}  # fmt: skip
"""The path of a message, divided by subject: its rooms of layer 4 know each other and the lane."""

UPWARD = {("_ext", "errors"), ("errors", "_ext"), ("smpp.status", "errors"), ("smpp.reassembly", "encoding"),
          ("state", "model"),
          ("config", "model"), ("config", "convert"), ("config", "faces"), ("config", "faces_kafka"),
          ("carrier.profile", "encoding"), ("carrier.profile", "smpp.dialect"),
          ("carrier.profile", "smpp.address"),
          ("admission", "carrier.profile"), ("admission", "slips"), ("admission", "carrier.schedule"),
          ("admission", "store.records"),
          ("dlr_url", "api"),
          ("ingest", "kafka"), ("outcomes", "kafka"), ("store", "kafka"),
          ("receipts", "smpp.dialect"), ("receipts", "smpp.receipt_text"), *PATH}  # fmt: skip
"""Imports inside a layer that are allowed between two folders: compiled modules raise our exceptions,
one of which names, for the type checker only, the Pdu that it carries; a wrong override is a ConfigError;
long messages are joined by the encoder library; the configuration has a policy for each traffic class, and
is converted; a carrier's profile is the encoder, the dialect and the addresses that it wants; admission
encodes by that profile, and makes the records of what it accepts; callbacks tell of events as the API does;
who speaks to Kafka finds its brokers and topics in one place; unusual receipts are read by the dialect."""

TABLES = ("dispatcher.errors", "dispatcher.smpp.constants", "dispatcher.smpp.spec")
"""Modules of layer 0 that compiled modules may import beside each other."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("ingest", "outcomes", "cli"),
    "aiokafka": ("kafka", "kafka_part", "ingest.kafka", "outcomes.kafka", "worker", "cli"),
    "apsw": ("store",),
    "msgspec": ("model", "admission", "api", "delivery", "dlr_url", "faces", "faces_kafka", "kafka", "state",
                "files", "logs", "feed", "daemon", "convert", "config", "policy", "routing", "receipts",
                "carrier", "smpp", "store", "ingest", "outcomes", "pipeline", "reload", "simulator", "app",
                "worker", "cli"),
    "numpy": ("encoding", "store", "outcomes", "routing.ported"),
    "prometheus_client": ("ingest",),
    "typing_extensions": ("encoding",),  # for mypy alone
    "uvloop": ("app", "daemon", "cli", "simulator"),
}  # fmt: skip
"""Third-party libraries and the rooms that may import them. numpy may also be in any file named batch.py."""

LAZY_ROOM = "encoding"
"""Importing it must pull in no third-party library: those stand inside its functions."""

IMPURE: dict[str, str] = {
    "asyncio": "the shell owns the event loop",
    "datetime.now": "time is an argument",
    "io": "files belong to the edges",
    "logging": "edges log, pure code returns what happened",
    "open": "files belong to the edges",
    "os": "files and environment belong to the edges",
    "pathlib": "files belong to the edges",
    "random": "randomness is an argument, or a run cannot be repeated",
    "secrets": "randomness is an argument, or a run cannot be repeated",
    "socket": "sockets belong to the edges",
    "threading": "the shell owns the threads",
    "time": "time is an argument",
}
"""What layer 2 and ext/ may not import or call, and why."""

LINES_MAX = {".py": 400, ".pyx": 600, ".pxd": 600}
EXCEPTIONS: dict[str, tuple[int, str]] = {
    "dispatcher/encoding/tables.py": (1200, "the tables of TS 23.038: data, a character a line"),
}
"""Files that may be longer, how long, and why."""

FOLDERS = {"dispatcher", "ext", "tests", "bench"}
UNTRACKED = {"build", "dist"}
MACHINE_PATH = re.compile(r"(?<![\w.~>)}])/(?:root|home|Users|work|mnt|tmp/(?:bash_jobs|lab))/[\w.]")


# ---- checks of one file: (path, text) -> complaints -------------------------------------------------------


def check_imports(path: str, text: str) -> Iterator[str]:
    """A room imports lower layers and its own folder."""
    room, layer = room_of(module_name(path))
    if layer is None:
        yield "is in no room: add it to LAYERS"
        return
    for target in imported_names(path, text):
        if not target.startswith("dispatcher."):
            continue
        their_room, their_layer = room_of(target.removeprefix("dispatcher."))
        together = folder_of(room) == folder_of(their_room) or (room, their_room) in UPWARD
        if their_layer is None:
            yield f"imports {target}, which is in no room: add it to LAYERS"
        elif their_layer > layer or (their_layer == layer != TOP_LAYER and not together):
            yield f"{room} (layer {layer}) imports {their_room} (layer {their_layer})"
        elif layer == PATH_LAYER and their_room in GIVEN_TO_THE_PATH:
            yield f"{room} imports {their_room}, which app.py gives to it"


def check_libraries(path: str, text: str) -> Iterator[str]:
    """Third-party libraries stay in their rooms, asyncio in the shell; encoding imports lazily."""
    room, layer = room_of(module_name(path))
    lazy = set(imported_names(path, text)) - set(imported_names(path, text, at_import=True))
    for target in set(imported_names(path, text)):
        library = target.partition(".")[0]
        if library == "asyncio" and layer is not None and layer < FIRST_LAYER_WITH_ASYNCIO:
            yield f"{room} (layer {layer}) imports asyncio"
        if library == "dispatcher" or library in STDLIB:
            continue
        rooms = LIBRARIES.get(library, ())
        if not any(within(room, allowed) or within(module_name(path), allowed) for allowed in rooms):
            if not (library == "numpy" and path.endswith("/batch.py")):
                yield f"imports {library}: LIBRARIES allows it in {rooms or 'no room'}"
        elif room == LAZY_ROOM and target not in lazy:
            yield f"imports {library} at its top: inside a function, or importing {LAZY_ROOM} pulls it in"


def check_purity(path: str, text: str) -> Iterator[str]:
    """Pure rooms touch no clock, file, socket, randomness or log."""
    room, layer = room_of(module_name(path))
    if layer != PURE_LAYER:
        return
    for target in imported_names(path, text):
        name = target.partition(".")[0]
        if name in IMPURE:
            yield f"{room} imports {name}: {IMPURE[name]}"
    for name in called_names(text):
        for banned in (name, re.sub(r"^date(time)?\.(now|utcnow|today)$", "datetime.now", name)):
            if banned in IMPURE:
                yield f"{room} calls {name}(): {IMPURE[banned]}"
                break


def check_print(path: str, text: str) -> Iterator[str]:
    """Only commands print."""
    if room_of(module_name(path))[0] != "cli" and "print" in called_names(text):
        yield "calls print(): only cli does"


def check_length(path: str, text: str) -> Iterator[str]:
    """Files stay small enough to read at one sitting."""
    allowed, _ = EXCEPTIONS.get(path, (LINES_MAX[Path(path).suffix], ""))
    if (lines := text.count("\n")) > allowed:
        yield f"has {lines} lines, {allowed} are allowed: divide it, or give a reason in EXCEPTIONS"


def check_docstring(path: str, text: str) -> Iterator[str]:
    """A module opens with its law and its plan."""
    if path.endswith(".py"):
        if not ast.get_docstring(ast.parse(text)):
            yield "has no module docstring"
    elif path.endswith(".pyx") and not re.match(r'(#.*\n|\s)*"""\S', text):
        yield "has no module docstring"
    elif path.endswith(".pxd") and not re.match(r'(#.*\n|\s)*("""\S|#)', text):
        yield "has neither a docstring nor a comment at its top"


def check_test_docstrings(path: str, text: str) -> Iterator[str]:
    """Every test says which behaviour it holds."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test") and not ast.get_docstring(node):
            yield f"{node.name} has no docstring"


def check_compiled_purity(path: str, text: str) -> Iterator[str]:
    """ext/ works over bytes and ints: what is banned in pure rooms is banned there."""
    for match in re.finditer(r"^[ \t]*(?:from|c?import)[ \t]+([\w.]+)", text, re.MULTILINE):
        name = re.sub(r"^(cpython|libc|posix)\.", "", match[1]).partition(".")[0]
        if name in IMPURE:
            yield f"imports {match[1]}: {IMPURE[name]}"
        if name == "dispatcher" and not match[1].startswith(("dispatcher._ext", *TABLES)):
            yield f"imports {match[1]}: compiled modules know {', '.join(TABLES)} and each other"


def check_machine_paths(path: str, text: str) -> Iterator[str]:
    """Nothing of one developer's machine stands in the repository."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := MACHINE_PATH.search(line):
            yield f"line {number} holds a path of some machine: {match[0]}..."


# ---- checks of the whole tree: paths -> complaints --------------------------------------------------------


def check_stubs_exist(paths: set[str]) -> Iterator[str]:
    """Each compiled module has a stub, and each stub a module."""
    sources = {Path(path).stem for path in paths if Path(path).match("ext/*.pyx")}
    stubs = {Path(path).stem for path in paths if Path(path).match("dispatcher/_ext/*.pyi")}
    yield from (f"ext/{name}.pyx has no dispatcher/_ext/{name}.pyi" for name in sorted(sources - stubs))
    yield from (f"dispatcher/_ext/{name}.pyi has no ext/{name}.pyx" for name in sorted(stubs - sources))
    for path in sorted(paths):
        if path.startswith("dispatcher/_ext/") and path.endswith(".py") and Path(path).name != "__init__.py":
            yield f"{path}: _ext holds nothing but compiled modules, their .pxd and .pyi"


def check_top_level(paths: set[str]) -> Iterator[str]:
    """The folders at the top are fixed."""
    for folder in sorted({path.partition("/")[0] for path in paths if "/" in path}):
        if folder not in FOLDERS and not folder.startswith("."):
            yield f"{folder}/ stands at the top level: allowed are {sorted(FOLDERS)}"


# ---- what the checks stand on -----------------------------------------------------------------------------

STDLIB = frozenset(sys.stdlib_module_names)


def module_name(path: str) -> str:
    """dispatcher/smpp/pool.py -> smpp.pool."""
    return path.removeprefix("dispatcher/").removesuffix(".py").replace("/", ".")


def room_of(name: str) -> tuple[str, int | None]:
    """Return the room of a dotted name under dispatcher, and its layer: the longest name in LAYERS wins."""
    parts = name.split(".")
    candidates = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    fronts = ["__init__"] if name.startswith("__") else [f"{name}.__init__"]  # dispatcher.__version__; smpp
    for candidate in candidates + fronts:
        for layer, rooms in LAYERS.items():
            if candidate in rooms:
                return candidate, layer
    return name, None


def folder_of(room: str) -> str:
    """Return the top folder of a room; a module is a folder of its own."""
    return room.partition(".")[0]


def within(name: str, room: str) -> bool:
    """Tell whether a dotted name is the room or lies in it."""
    return name == room or name.startswith(f"{room}.")


def imported_names(path: str, text: str, at_import: bool = False) -> Iterator[str]:
    """Yield the dotted name of everything imported; ``at_import``: only what importing the module runs."""
    pending: list[ast.AST] = [ast.parse(text)]
    while pending:
        node = pending.pop()
        if at_import and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or typing_only(node)):
            continue
        pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.removesuffix(".py").split("/")[: -node.level] if node.level else []
            origin = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def typing_only(node: ast.AST) -> bool:
    """Tell whether this is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def called_names(text: str) -> set[str]:
    """Return what is called, as it is written: ``open``, ``datetime.now``."""
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return {ast.unparse(function) for function in calls if isinstance(function, ast.Name | ast.Attribute)}


def source_files() -> dict[str, Path]:
    """Return every text of the repository by its path from the top, without what was generated."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name in FOLDERS | {".ci", ".github"}:
            files += (path for path in folder.rglob("*") if path.is_file())
        elif folder.is_dir() and not folder.name.endswith(".egg-info") and folder.name not in UNTRACKED:
            files.append(folder / "_")  # stands for what is in a folder that we do not look into
    named = {path.relative_to(ROOT).as_posix(): path for path in files}
    generated = re.compile(r"__pycache__|^bench/results/|\.(so|pyc|html|c)$|^\.(coverage|git$)")
    return {name: path for name, path in sorted(named.items()) if not generated.search(name)}


# ---- the tests --------------------------------------------------------------------------------------------

FileCheck = Callable[[str, str], Iterator[str]]
TreeCheck = Callable[[set[str]], Iterator[str]]

FILE_CHECKS: dict[FileCheck, str] = {
    check_imports: r"dispatcher/.*\.py",
    check_libraries: r"dispatcher/.*\.py",
    check_purity: r"dispatcher/.*\.py",
    check_print: r"dispatcher/.*\.py",
    check_length: r"dispatcher/.*\.py|ext/.*\.(pyx|pxd)",
    check_docstring: r"(dispatcher|ext|bench)/.*\.(py|pyx|pxd)",
    check_test_docstrings: r"tests/.*\.py",
    check_compiled_purity: r"ext/.*\.(pyx|pxd|pxi)|dispatcher/_ext/.*\.pxd",
    check_machine_paths: r".*",
}
TREE_CHECKS: tuple[TreeCheck, ...] = (check_stubs_exist, check_top_level)
SOURCES = source_files()


@pytest.mark.parametrize("path", [path for path in SOURCES if not path.endswith("/_")])
def test_file(path: str) -> None:
    """The file keeps every rule that concerns it."""
    text = SOURCES[path].read_text("utf-8")
    checks = [check for check, pattern in FILE_CHECKS.items() if re.fullmatch(pattern, path)]
    assert [complaint for check in checks for complaint in check(path, text)] == []


@pytest.mark.parametrize("check", TREE_CHECKS, ids=lambda check: check.__name__)
def test_tree(check: TreeCheck) -> None:
    """The tree as a whole keeps its shape."""
    assert list(check(set(SOURCES))) == []


def test_every_exception_is_needed() -> None:
    """A file in EXCEPTIONS exists and is too long for the ordinary limit."""
    for path, (allowed, reason) in EXCEPTIONS.items():
        assert reason, path
        assert LINES_MAX[Path(path).suffix] < SOURCES[path].read_text("utf-8").count("\n") <= allowed, path


DOC = '"""A docstring."""\n'
BAD_FILES: list[tuple[FileCheck, str, str, str]] = [
    (check_imports, "dispatcher/errors.py", "from dispatcher import model", "imports model (layer 1)"),
    (check_imports, "dispatcher/limits.py", "import dispatcher.errors", "imports errors (layer 0)"),
    (check_imports, "dispatcher/policy/consent.py", "from dispatcher import routing", "imports routing"),
    (check_imports, "dispatcher/smpp/session.py", "from . import connection", "smpp.connection (layer 3)"),
    (check_imports, "dispatcher/smpp/session.py", "from ..store.journal import Journal", "imports store"),
    (check_imports, "dispatcher/store/x.py", "def f():\n    from dispatcher import ingest", "imports ingest"),
    (check_imports, "dispatcher/pipeline.py", "from dispatcher.outcomes import webhook", "app.py gives"),
    (check_imports, "dispatcher/encoding/x.py", "from dispatcher.app import run", "imports app (layer 5)"),
    (check_imports, "dispatcher/app.py", "import dispatcher.smpp.new", "in no room"),
    (check_imports, "dispatcher/helpers.py", "", "is in no room"),
    (check_imports, "dispatcher/smpp/new.py", "", "is in no room"),
    (check_libraries, "dispatcher/config.py", "import asyncio", "imports asyncio"),
    (check_libraries, "dispatcher/ingest/http.py", "import aiokafka", "LIBRARIES allows it in"),
    (check_libraries, "dispatcher/app.py", "from requests import get", "no room"),
    (check_libraries, "dispatcher/encoding/x.py", "import numpy as np", "at its top"),
    (check_libraries, "dispatcher/encoding/x.py", "def f():\n    import msgspec", "imports msgspec"),
    (check_purity, "dispatcher/encoding/x.py", "import random", "randomness is an argument"),
    (check_purity, "dispatcher/routing/x.py", "from time import monotonic", "time is an argument"),
    (check_purity, "dispatcher/receipts.py", "def f():\n    import logging", "edges log"),
    (check_purity, "dispatcher/carrier/retry.py", "x = open('f')", "calls open()"),
    (check_purity, "dispatcher/smpp/time.py", "x = datetime.now()", "calls datetime.now()"),
    (check_purity, "dispatcher/smpp/time.py", "x = date.today()", "calls date.today()"),
    (check_print, "dispatcher/pipeline.py", "print(1)", "calls print()"),
    (check_length, "dispatcher/app.py", "x = 1\n" * 401, "401 lines, 400 are allowed"),
    (check_length, "dispatcher/smpp/pool.py", "x = 1\n" * 401, "401 lines, 400 are allowed"),
    (check_length, "ext/pdu.pyx", "x = 1\n" * 601, "601 lines, 600 are allowed"),
    (check_docstring, "dispatcher/app.py", "x = 1", "no module docstring"),
    (check_docstring, "ext/pdu.pyx", "# cython: x=1\n\ncimport y\n" + DOC, "no module docstring"),
    (check_docstring, "ext/pdu.pxd", "cimport y", "neither"),
    (check_test_docstrings, "tests/test_x.py", "class T:\n    def test_it(self): ...", "test_it has no"),
    (check_compiled_purity, "ext/pdu.pyx", "def f():\n    from time import time", "time is an argument"),
    (check_compiled_purity, "ext/pdu.pyx", "from posix.time cimport clock_gettime", "time is an argument"),
    (check_compiled_purity, "ext/pdu.pyx", "import asyncio", "event loop"),
    (check_compiled_purity, "ext/pdu.pyx", "from dispatcher.config import Config", "dispatcher.errors"),
    (check_machine_paths, "README.md", "see\n" + "/" + "root/notes.txt", "line 2"),
    (check_machine_paths, "tests/x.py", "p = '" + "/" + "tmp/bash_jobs/1'", "line 1"),
]
BAD_TREES: list[tuple[TreeCheck, set[str], str]] = [
    (check_stubs_exist, {"ext/pdu.pyx"}, "no dispatcher/_ext/pdu.pyi"),
    (check_stubs_exist, {"dispatcher/_ext/pdu.pyi"}, "no ext/pdu.pyx"),
    (check_stubs_exist, {"dispatcher/_ext/helper.py"}, "nothing but compiled modules"),
    (check_top_level, {"scripts/run.sh"}, "scripts/ stands at the top level"),
]
GOOD_FILES: list[tuple[FileCheck, str, str]] = [
    (check_imports, "dispatcher/__init__.py", ""),
    (check_imports, "dispatcher/encoding/x.py", "from dispatcher._ext import gsm7\nfrom . import tables"),
    (check_imports, "dispatcher/smpp/session.py", "from dispatcher.smpp import constants, receipt_text"),
    (check_imports, "dispatcher/store/journal.py", "from dispatcher.store.records import pack"),
    (check_imports, "dispatcher/_ext/__init__.py", "from dispatcher.errors import EncodingError"),
    (check_imports, "dispatcher/cli/demo.py", "from dispatcher import __version__, app"),
    (check_libraries, "dispatcher/encoding/x.py", "def f():\n    import numpy as np"),
    (check_libraries, "dispatcher/encoding/x.py", "if TYPE_CHECKING:\n    import numpy as np"),
    (check_libraries, "dispatcher/routing/batch.py", "import numpy as np"),
    (check_libraries, "dispatcher/outcomes/kafka.py", "import asyncio\nimport aiokafka"),
    (check_purity, "dispatcher/app.py", "import time, random, logging"),
    (check_purity, "dispatcher/smpp/time.py", "from datetime import datetime\nx = now + delta"),
    (check_print, "dispatcher/cli/demo.py", "print(1)"),
    (check_length, "ext/pdu.pyx", "x = 1\n" * 600),
    (check_docstring, "ext/pdu.pyx", "# cython: x=1\n\n" + DOC),
    (check_compiled_purity, "ext/pdu.pyx", "from dispatcher.errors import E\nfrom libc.string cimport x"),
    (check_machine_paths, "README.md", "https://example.org/home/x ../shared/vectors /usr/bin/python3"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "path", "text", "complaint"), BAD_FILES)
def test_a_bad_file_is_reported(check: FileCheck, path: str, text: str, complaint: str) -> None:
    """Each check of a file has been seen to fail."""
    assert complaint in "\n".join(check(path, text))


@pytest.mark.parametrize(("check", "paths", "complaint"), BAD_TREES)
def test_a_bad_tree_is_reported(check: TreeCheck, paths: set[str], complaint: str) -> None:
    """Each check of the tree has been seen to fail."""
    assert complaint in "\n".join(check(paths))


@pytest.mark.parametrize(("check", "path", "text"), GOOD_FILES)
def test_a_good_file_is_not_reported(check: FileCheck, path: str, text: str) -> None:
    """What the design allows passes."""
    assert list(check(path, text)) == []


def test_every_check_is_seen_to_fail() -> None:
    """A new check comes with a bad file or a bad tree."""
    assert {check for check, *_ in BAD_FILES} == set(FILE_CHECKS)
    assert {check for check, *_ in BAD_TREES} == set(TREE_CHECKS)
