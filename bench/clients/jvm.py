"""Peers in Java: fetched from Maven Central and compiled by an explicit step, into build/java:

python -m bench.clients.jvm --install
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.clients.face import CODES, DESTINATIONS, Absent, Job
from bench.machine import ROOT

ARTIFACTS: Final = {"jsmpp": "org.jsmpp:jsmpp:3.0.1", "cloudhopper": "com.fizzed:ch-smpp:5.0.9"}
LOGGER: Final = "org.slf4j:slf4j-nop:1.7.36"
"""Both log by slf4j; nothing is to be written."""
SOURCES: Final = Path(__file__).parent / "java"
FOLDER: Final = ROOT / "build" / "java"
_POM: Final = """\
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>bench</groupId><artifactId>bench</artifactId><version>1</version><dependencies>{}</dependencies></project>
"""
_DEPENDENCY: Final = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
)


def version(name: str) -> str:
    """Return the version of a peer that is built, with Java's."""
    built = FOLDER / name / "version"
    return built.read_text("utf-8") if built.exists() else ""


def missing(name: str) -> Absent | None:
    """Say what is missing, if anything."""
    if shutil.which("java") is None:
        return Absent("java is not on the PATH: apt install default-jdk-headless")
    if not version(name):
        return Absent(f"{name} is not built: python -m bench.clients.jvm --install (needs a JDK and Maven)")
    return None


def command(name: str, job: Job) -> list[str]:
    """Return the command that floods; it is told the first code and destination, the same for all."""
    folder = FOLDER / name
    words = ["java", "-Xmx512m", "-cp", f"{folder}/classes:{folder}/jars/*", name.capitalize()]
    return [*words, *job.arguments, CODES[0], DESTINATIONS[0]]


def install(name: str) -> None:
    """Fetch and compile one peer. CalledProcessError, FileNotFoundError."""
    folder = FOLDER / name
    (folder / "classes").mkdir(parents=True, exist_ok=True)
    wanted = [ARTIFACTS[name], LOGGER]
    pom = _POM.format("".join(_DEPENDENCY.format(*each.split(":")) for each in wanted))
    (folder / "pom.xml").write_text(pom, "utf-8")
    subprocess.run(
        ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder}/jars"],
        cwd=folder, check=True,
    )  # fmt: skip
    sources = [str(SOURCES / each) for each in ("Span.java", f"{name.capitalize()}.java")]
    subprocess.run(["javac", "-cp", f"{folder}/jars/*", "-d", f"{folder}/classes", *sources], check=True)
    told = subprocess.run(["java", "--version"], capture_output=True, text=True, check=True).stdout
    (folder / "version").write_text(f"{wanted[0].rpartition(':')[2]}, Java {told.split()[1]}", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        raise SystemExit("\n".join(f"{name} {version(name) or 'is absent'}" for name in ARTIFACTS))
    for each in ARTIFACTS:
        install(each)
