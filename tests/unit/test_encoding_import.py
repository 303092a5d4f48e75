"""What importing the encoder brings along, seen from a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKED = (
    "aiohttp", "aiokafka", "apsw", "asyncio", "dataclasses", "http", "httptools", "inspect", "json", "kafka",
    "logging", "msgspec", "numpy", "prometheus_client", "socket", "sqlite3", "ssl", "subprocess",
    "unittest", "urllib", "uvloop",
)  # fmt: skip
BLOCKER = f"""
import sys
class Blocker:
    blocked = set({BLOCKED!r})
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.blocked:
            raise ImportError(f"{{name}} is blocked")
Blocker.blocked -= set(sys.modules)  # what an environment's own start-up files have loaded
sys.meta_path.insert(0, Blocker())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, without the site module's imports."""
    return subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_needs_no_loop_no_network_no_store_and_no_numpy() -> None:
    """With all of them blocked, everything but the batch forms works."""
    done = run(
        BLOCKER
        + "from dispatcher.encoding import count, decode, explain, reassemble, segment, transliterate\n"
        "message = segment('Ваш код 4821 ' * 9)\n"
        "assert count(message.text).segments == len(message) == 2\n"
        "assert reassemble([p.user_data for p in message.segments]).total == 2\n"
        "assert explain('“x” ' * 30).suggestions[-1].actions == ('replace_smart',)\n"
        "assert transliterate('код').text == 'kod'\n"
        "assert decode(b'abc') == 'abc'\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_blocker_blocks() -> None:
    """The test above can fail: a batch call needs numpy and says so."""
    done = run(BLOCKER + "from dispatcher.encoding import count_batch\ncount_batch(['x'])\n")
    assert "numpy is blocked" in done.stderr


def test_numpy_comes_with_the_first_batch() -> None:
    """Importing does not load it; a batch form does."""
    done = run(
        "from dispatcher.encoding import count_batch\n"
        "assert 'numpy' not in sys.modules\n"
        "count_batch(['x'])\n"
        "assert 'numpy' in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr


def test_what_it_loads_is_bounded() -> None:
    """Beyond the standard library's smallest parts and its own modules there is nothing."""
    done = run(
        "before = set(sys.modules)\n"
        "import dispatcher.encoding\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(' '.join(sorted(new)))\n"
    )
    lean = {
        "__future__", "_collections", "_collections_abc", "_functools", "_operator", "_sre", "_typing",
        "_warnings", "annotationlib", "ast", "collections", "contextlib", "copyreg", "dispatcher", "enum",
        "functools", "itertools", "keyword", "operator", "re", "reprlib", "types", "typing", "unicodedata",
        "warnings", "_ast", "_weakref", "weakref", "_py_warnings", "cython_runtime",
    }  # fmt: skip
    loaded = {name for name in done.stdout.split() if not name.startswith("_cython_")}
    assert loaded - lean == set(), done.stderr


@pytest.mark.parametrize("name", ["segment", "count"])
def test_the_compiled_functions_alone_say_what_they_miss(name: str) -> None:
    """Imported without their library, they name it instead of crashing."""
    done = run(f"from dispatcher._ext.segment import {name}\n{name}('x')\n")
    assert "import dispatcher.encoding" in done.stderr
    assert done.returncode == 1
