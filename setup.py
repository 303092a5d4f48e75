"""The compiled modules: every ``ext/NAME.pyx`` becomes ``dispatcher._ext.NAME``.

Switches, read from the environment (``make debug`` and ``make sanitize`` set them):

``DISPATCHER_DEBUG=1``
    assertions, line tracing, bounds checks and annotated HTML in ``build/cython``; no optimisation.
``DISPATCHER_SANITIZE=1``
    address and undefined-behaviour sanitizers; run with the matching runtime preloaded.

There is no abi3 wheel on purpose: the encoder reads a ``str`` in place (PyUnicode_DATA), which the limited
API does not allow; its substitutes copy the text first.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("DISPATCHER_DEBUG") == "1"
SANITIZE = os.environ.get("DISPATCHER_SANITIZE") == "1"

compile_args = ["-O3", "-fno-strict-aliasing", "-fvisibility=hidden", "-Wall", "-Wno-unused-function"]
link_args: list[str] = []
macros: list[tuple[str, str | None]] = []
directives: dict[str, object] = {"language_level": 3, "embedsignature": True, "binding": False}

if DEBUG:
    compile_args = ["-O0", "-g3", "-UNDEBUG"]
    macros.append(("CYTHON_TRACE_NOGIL", "1"))
    directives |= {"linetrace": True, "boundscheck": True, "initializedcheck": True, "overflowcheck": True}
if SANITIZE:
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    compile_args = ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer", *sanitizers]
    link_args = sanitizers

extensions = [
    Extension(
        f"dispatcher._ext.{source.stem}",
        [str(source)],
        include_dirs=["ext"],
        depends=[str(header) for pattern in ("*.h", "*.pxd") for header in Path("ext").glob(pattern)],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for source in sorted(Path("ext").glob("*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        include_path=["ext", "."],
        build_dir="build/cython-debug" if DEBUG else "build/cython",
        compiler_directives=directives,
        annotate=DEBUG,
        force=DEBUG,
    )
)
