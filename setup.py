"""The compiled modules: every ``ext/NAME.pyx`` becomes ``dispatcher._ext.NAME``.

Switches, read from the environment (``make debug`` and ``make sanitize`` set them):

``DISPATCHER_DEBUG=1``
    assertions, line tracing, bounds checks and annotated HTML in ``build/cython-debug``; no optimisation.
``DISPATCHER_SANITIZE=1``
    address and undefined-behaviour sanitizers; run with the matching runtime preloaded.

There is no abi3 wheel on purpose: the encoder reads a ``str`` in place (PyUnicode_DATA), which the limited
API does not allow; its substitutes copy the text first.
"""

import os
from multiprocessing import get_start_method
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("DISPATCHER_DEBUG") == "1"
SANITIZE = os.environ.get("DISPATCHER_SANITIZE") == "1"
CORES = len(os.sched_getaffinity(0))

compile_args = [
    "-O3",
    "-funroll-loops",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    "-Wall",
    "-Wno-unused-function",
]
link_args: list[str] = []
macros: list[tuple[str, str | None]] = []
# Signatures are embedded in the form that inspect understands: the stubs are checked against them.
directives: dict[str, object] = {
    "language_level": 3,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "autotestdict": False,
    "binding": False,
}

if DEBUG:
    compile_args = ["-O0", "-g3", "-UNDEBUG"]
    macros.append(("CYTHON_TRACE_NOGIL", "1"))
    directives |= {"linetrace": True, "boundscheck": True, "initializedcheck": True, "overflowcheck": True}
if SANITIZE:
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    # Python itself compiles with -fwrapv, under which a signed overflow would count as intended.
    compile_args = ["-O1", "-g", "-UNDEBUG", "-fno-wrapv", "-fno-omit-frame-pointer", *sanitizers]
    link_args = sanitizers

# A change to any of these makes everything again. Cython would overlook the directives, and a module's own
# .pxd where it stands in another folder than the .pyx.
build_dir = Path("build/cython-debug" if DEBUG else "build/cython")
shared = ["setup.py", *map(str, [*Path("ext").glob("*.h"), *Path("ext").glob("*.pxd")])]
shared += map(str, Path("dispatcher/_ext").glob("*.pxd"))
generated = [path.stat().st_mtime for path in build_dir.glob("ext/*.c")]
stale = bool(generated) and min(generated) < max(Path(path).stat().st_mtime for path in shared)

extensions = [
    Extension(
        f"dispatcher._ext.{source.stem}",
        [str(source)],
        include_dirs=["ext"],
        depends=shared,
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
        build_dir=str(build_dir),
        compiler_directives=directives,
        annotate=DEBUG,
        force=stale,
        nthreads=CORES if get_start_method() == "fork" else 0,  # others would run this file again
    ),
    options={"build_ext": {"parallel": CORES}},
)
