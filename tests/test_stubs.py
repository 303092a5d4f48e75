"""The stubs of the compiled modules say what the modules are.

``mypy.stubtest`` compares names, parameters and defaults in both directions. It sees through the signatures
that Cython embeds (``embedsignature.format`` in setup.py), and is silent about a callable whose signature it
cannot read: hence the second test. The constructor of a ``cdef class`` stays out of sight for both.
"""

import ast
import importlib
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import MODULES, ROOT

MODULE_NAMES = [f"dispatcher._ext.{name}" for name in MODULES]
OPTIONS = [
    "--concise",
    f"--allowlist={ROOT / 'tests' / 'stubs_allowlist.txt'}",
    "--ignore-unused-allowlist",
    "--ignore-disjoint-bases",  # true of every cdef class; matters only to a subclass of two
]


def stubtest(folder: Path, *options: str) -> str:
    """Compare the modules of this tree with the stubs of the package in ``folder``; return complaints."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", *OPTIONS, *options, *MODULE_NAMES],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def members(owner: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield each public callable of a module, and of its classes, with its dotted name."""
    for name, member in vars(owner).items():
        if name.startswith("_") or inspect.ismodule(member):
            continue
        if inspect.isclass(member):
            if member.__module__ == path:
                yield from members(member, path)
        elif callable(member) or isinstance(member, staticmethod | classmethod):
            yield f"{path}.{name}", member


def test_stubs_match_the_compiled_modules() -> None:
    """Names, parameters and defaults in the .pyi files are those of the modules."""
    assert stubtest(ROOT) == ""


@pytest.mark.parametrize("name", MODULES)
def test_every_callable_shows_its_signature(name: str) -> None:
    """stubtest passes over a callable without a readable signature: there is none."""
    module = importlib.import_module(f"dispatcher._ext.{name}")
    blind = []
    for path, member in members(module, module.__name__):
        try:
            inspect.signature(member)  # type: ignore[arg-type]
        except ValueError:
            blind.append(path)
    assert not blind, f"give these a default that is a literal or None: {blind}"


# ---- seen to fail: each change to a real stub must be reported --------------------------------------------


Change = Callable[[ast.FunctionDef, list[ast.stmt]], str]


def drop_a_function(function: ast.FunctionDef, body: list[ast.stmt]) -> str:
    """Remove the function from the stub."""
    body.remove(function)
    return f"{function.name} is not present in stub"


def invent_a_function(function: ast.FunctionDef, body: list[ast.stmt]) -> str:
    """Add a function that the module does not have."""
    body.append(ast.parse("def invented() -> None: ...").body[0])
    return "invented is not present at runtime"


def rename_a_parameter(function: ast.FunctionDef, body: list[ast.stmt]) -> str:
    """Give the first parameter another name."""
    function.args.args[0].arg = "other_name"
    return f"{function.name} is inconsistent"


def change_a_default(function: ast.FunctionDef, body: list[ast.stmt]) -> str:
    """Turn the first flag's default round."""
    for default in [*function.args.defaults, *function.args.kw_defaults]:
        if isinstance(default, ast.Constant) and isinstance(default.value, bool):
            default.value = not default.value
            return f"{function.name} is inconsistent"
    return ""


def test_a_wrong_stub_is_reported(tmp_path: Path) -> None:
    """A missing or invented name, a wrong parameter and a wrong default in a stub are found."""
    package = tmp_path / "dispatcher"
    shutil.copytree(ROOT / "dispatcher", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nfollow_imports = silent\n", "utf-8")  # who uses the stub may break over it

    changes: list[Change] = [change_a_default, drop_a_function, rename_a_parameter, invent_a_function]
    expected = []
    for stub in sorted((package / "_ext").glob("*.pyi")):
        tree = ast.parse(stub.read_text("utf-8"))
        for node in [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.args.args]:
            for change in changes:
                if complaint := change(node, tree.body):
                    expected.append(complaint)
                    changes.remove(change)
                    break
        stub.write_text(ast.unparse(tree), "utf-8")
    assert not changes, f"the stubs hold nothing to try these on: {changes}"

    report = stubtest(tmp_path, f"--mypy-config-file={config}")
    assert [complaint for complaint in expected if complaint not in report] == []
