"""Apache Kafka itself on loopback: fetched through Maven, run in KRaft mode, and the tests against it.

``python -m tests.kafka.apache [pytest's arguments]``; ``make test-kafka`` calls it. Java 17 and mvn must be
there. The jars stay in build/kafka, and the broker's data in a folder that is deleted at the end.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.kafka.brokers import free_port
from tests.test_architecture import ROOT

VERSION: Final = os.environ.get("KAFKA_VERSION", "4.3.1")
FOLDER: Final = ROOT / "build" / "kafka"
START_S: Final = 60.0
"""A JVM on a busy machine."""
POM: Final = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""
PROPERTIES: Final = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def jars() -> Path:
    """Return the folder of its jars, fetched once a version. SystemExit: that is not possible here."""
    for needed in ("java", "mvn"):
        if shutil.which(needed) is None:
            sys.exit(f"apache: {needed} is not there: apt install default-jdk-headless maven")
    lib = FOLDER / VERSION
    if not (lib / f"kafka_2.13-{VERSION}.jar").exists():
        print(f"fetching Apache Kafka {VERSION} through Maven into {lib.relative_to(ROOT)}")
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "pom.xml").write_text(POM)
        fetch = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={lib}"]
        if subprocess.run(fetch, cwd=FOLDER, check=False).returncode:
            sys.exit("apache: Maven could not fetch it; what it said stands above")
    return lib


@contextmanager
def apache() -> Iterator[str]:
    """Run one broker; yield its address."""
    lib, folder = jars(), Path(tempfile.mkdtemp(prefix="kafka-"))
    port, controller = free_port(), free_port()
    properties = folder / "server.properties"
    properties.write_text(PROPERTIES.format(port=port, controller=controller, folder=folder))
    java = ["java", "-Xmx512m", "-cp", f"{lib}/*"]
    log = (folder / "log").open("wb")
    identity = subprocess.run(
        [*java, "kafka.tools.StorageTool", "random-uuid"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    formatting = [*java, "kafka.tools.StorageTool", "format", "-t", identity, "-c", str(properties)]
    subprocess.run(formatting, check=True, stdout=log, stderr=log)
    process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], cwd=folder, stdout=log, stderr=log)
    try:
        end_s = time.monotonic() + START_S
        while not _answers(f"127.0.0.1:{port}"):
            if process.poll() is not None or time.monotonic() > end_s:
                sys.exit(f"apache: it does not start:\n{(folder / 'log').read_text()[-4000:]}")
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        log.close()
        shutil.rmtree(folder)


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    probe = f"import socket; socket.create_connection(({host!r}, {port}), 1).close()"
    return subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0


def main() -> int:
    """Run the tests against it."""
    with apache() as address:
        print(f"Apache Kafka {VERSION} at {address}")
        command = [sys.executable, "-m", "pytest", "tests/kafka", *sys.argv[1:]]
        environ = {**os.environ, "KAFKA_BOOTSTRAP": address}
        return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
