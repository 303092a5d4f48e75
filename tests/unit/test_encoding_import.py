"""The encoder stands alone: no event loop, no network, no store, and numpy only for the batch forms."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

BLOCKED = (
    "asyncio", "uvloop", "aiohttp", "aiokafka", "apsw", "sqlite3", "http", "urllib", "socket", "ssl", "select",
    "selectors", "logging", "numpy", "pandas", "pyarrow", "msgspec", "threading", "multiprocessing",
    "concurrent", "subprocess", "json", "pickle", "inspect", "ast", "dataclasses", "datetime", "decimal",
    "random", "tempfile", "pathlib", "regex", "hypothesis", "pytest",
)  # fmt: skip

BLOCKER = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise AssertionError("imported " + name)
sys.meta_path.insert(0, Blocker())
for name in list(sys.modules):
    if name.partition(".")[0] in {BLOCKED!r}:
        del sys.modules[name]
"""

LEAN = {
    "__future__", "_collections", "_collections_abc", "_functools", "_operator", "_sre", "_stat", "_typing",
    "collections", "contextlib", "copyreg", "cython_runtime", "enum", "functools", "genericpath", "itertools",
    "keyword", "operator", "os", "posixpath", "re", "reprlib", "stat", "types", "typing", "unicodedata",
    "warnings",
}  # fmt: skip
"""What importing it may load beyond a Python that was started without site, by top-level name."""


def run(code: str, *flags: str) -> str:
    """Return what a Python of its own prints; fail with its complaint."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}"],
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_blocker_blocks() -> None:
    """Seen to fail: a blocked module cannot be imported."""
    for name in ("asyncio", "numpy", "http.client", "logging"):
        code = f"{BLOCKER}\ntry:\n    import {name}\nexcept AssertionError as error:\n    print(error)"
        assert run(code).startswith("imported")


def test_everything_but_the_batch_forms_works_without_the_rest() -> None:
    """Segment, count, explain, decode, reassemble, replace and transliterate load nothing of the blocked."""
    code = f"""{BLOCKER}
from dispatcher.encoding import (
    ConfigError, Part, TooManySegmentsError, count, decode, encoder, explain, normalize_nfc, pack, reassemble,
    remove_symbols, replace_smart, segment, split_header, strip_accents, transliterate, unpack,
)
message = segment("Ваш код 4821 " * 20, reference=3)
assert reassemble([Part(part.user_data, 8) for part in message.segments]).text == message.text
assert explain("“Café” " * 30).suggestions
assert count("x" * 200, languages=("tr",), packing="packed").segments == 2
assert decode(b"a") == "a" and unpack(pack(b"abc"), 3) == b"abc" and split_header(b"") == (None, b"")
for change in (normalize_nfc, replace_smart, strip_accents, remove_symbols, transliterate):
    change("“Щука” é 👍")
for wrong in (lambda: encoder(alphabet="gsm8"), lambda: segment("x" * 9999), lambda: segment("\\ud800")):
    try: wrong()
    except ValueError as error: str(error), repr(error)
print("done")
"""
    assert run(code) == "done\n"


@pytest.mark.parametrize("call", ["count_batch(['x'])", "segment_batch(['x'])"])
def test_numpy_comes_with_the_first_batch(call: str) -> None:
    """Not with the import: with the call."""
    code = f"""
import dispatcher.encoding
from dispatcher.encoding import count_batch, segment_batch
print("numpy" in sys.modules)
{call}
print("numpy" in sys.modules)
"""
    assert run(code) == "False\nTrue\n"


def test_importing_is_lean() -> None:
    """Beyond bare Python it loads a handful of small standard modules, and of ours only encoding."""
    code = "before = set(sys.modules)\nimport dispatcher.encoding\nprint(*sorted(set(sys.modules) - before))"
    loaded = set(run(code, "-I", "-S").split())
    ours = {name for name in loaded if name.partition(".")[0] == "dispatcher"}
    others = {name.partition(".")[0] for name in loaded - ours}
    assert {name for name in others if not name.startswith("_cython_")} <= LEAN
    assert {name.split(".")[1] for name in ours if "." in name} == {"_ext", "encoding", "errors", "limits"}


def test_errors_pass_between_processes() -> None:
    """The exceptions survive pickling with their attributes, as a worker of a pool would send them."""
    code = """
import pickle
from dispatcher.encoding import TooManySegmentsError, UnencodableError, segment
for text in ("x" * 9999, "x" * 2000, "\\ud800"):
    try: segment(text)
    except ValueError as error:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and vars(again) == vars(error) and str(again) == str(error)
print("done")
"""
    assert run(code) == "done\n"
