"""Apache Kafka itself on loopback: fetched through Maven, run in KRaft mode, and the tests against it.

``python -m tests.kafka.apache [pytest's arguments]``; ``make test-kafka`` calls it. Java 17 and mvn must be
there. The jars stay in build/kafka, and the broker's data in a folder that is deleted at the end. A second
listener wants TLS and a password: KAFKA_SECURE and KAFKA_SECURE_CA tell the tests where it is; a third one a
client's certificate: KAFKA_MUTUAL, and KAFKA_CLIENT is a file with one and its key.
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

import trustme
from cryptography.hazmat.primitives import serialization

from tests.kafka.brokers import free_port
from tests.test_architecture import ROOT

VERSION: Final = os.environ.get("KAFKA_VERSION", "4.3.1")
FOLDER: Final = ROOT / "build" / "kafka"
USER: Final = "dispatcher"
PASSWORD: Final = "rehearsal-4711"
PLAIN: Final = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
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
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},{locked}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},{locked}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,MUTUAL:SSL
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={plain}
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={scram}
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram}
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
def apache() -> Iterator[dict[str, str]]:
    """Run one broker; yield what the tests' environment says of it."""
    lib, folder = jars(), Path(tempfile.mkdtemp(prefix="kafka-"))
    port, controller, secure, mutual = (free_port() for _ in range(4))
    locked = f"SASL_SSL://127.0.0.1:{secure},MUTUAL://127.0.0.1:{mutual}"
    properties = folder / "server.properties"
    values = {"port": port, "controller": controller, "locked": locked, "folder": folder, "scram": SCRAM}
    properties.write_text(PROPERTIES.format(**values, plain=PLAIN))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "broker.pem").write_bytes(_keystore(authority.issue_cert("127.0.0.1")))
    authority.issue_cert("client@bank.example").private_key_and_cert_chain_pem.write_to_path(
        folder / "client.pem"
    )
    java = ["java", "-Xmx512m", "-cp", f"{lib}/*"]
    log = (folder / "log").open("wb")
    identity = subprocess.run(
        [*java, "kafka.tools.StorageTool", "random-uuid"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    formatting = [*java, "kafka.tools.StorageTool", "format", "-t", identity, "-c", str(properties)]
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        formatting += ["--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]"]
    subprocess.run(formatting, check=True, stdout=log, stderr=log)
    process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], cwd=folder, stdout=log, stderr=log)
    try:
        end_s = time.monotonic() + START_S
        while not _answers(f"127.0.0.1:{port}"):
            if process.poll() is not None or time.monotonic() > end_s:
                sys.exit(f"apache: it does not start:\n{(folder / 'log').read_text()[-4000:]}")
            time.sleep(0.2)
        yield {
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{port}",
            "KAFKA_SECURE": f"127.0.0.1:{secure}",
            "KAFKA_SECURE_CA": str(folder / "ca.pem"),
            "KAFKA_MUTUAL": f"127.0.0.1:{mutual}",
            "KAFKA_CLIENT": str(folder / "client.pem"),
        }
    finally:
        process.terminate()
        process.wait()
        log.close()
        shutil.rmtree(folder)


def _keystore(certificate: trustme.LeafCert) -> bytes:
    """Return key and chain as Kafka reads them: PKCS #8, which trustme does not write."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    chain = [each.bytes() for each in certificate.cert_chain_pems]
    return b"".join([key.private_bytes(serialization.Encoding.PEM, *form), *chain])


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    probe = f"import socket; socket.create_connection(({host!r}, {port}), 1).close()"
    return subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0


def main() -> int:
    """Run the tests against it."""
    with apache() as found:
        print(f"Apache Kafka {VERSION} at {found['KAFKA_BOOTSTRAP']}")
        command = [sys.executable, "-m", "pytest", "tests/kafka", *sys.argv[1:]]
        return subprocess.run(command, cwd=ROOT, env={**os.environ, **found}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
