"""A daemon's HTTP door in little, for commands: it takes messages, knows repetition, and fails when told to.

Stands in until the tests of commands run against the real one; its answers are shaped as those of ingest/.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeDaemon:
    """What was taken, and what is to go wrong."""

    def __init__(self) -> None:
        self.url = ""
        self.taken: dict[str, dict[str, Any]] = {}
        """By client_ref or Idempotency-Key."""
        self.ids: dict[str, str] = {}
        self.asked: list[int] = []
        """Rows of each batch."""
        self.keys: list[str | None] = []
        """Authorization headers."""
        self.refuse: list[tuple[int, dict[str, Any]]] = []
        """Statuses and problems of the next requests, in place of an answer."""
        self.break_after: list[bool] = []
        """Of the next requests: take them, and close the connection without an answer."""
        self.flaws: dict[str, dict[str, Any]] = {}
        """Text -> the problem that its row gets."""
        self.busy: dict[str, int] = {}
        """Text -> how often its row is put off."""
        self.status: dict[str, list[dict[str, Any]]] = {}
        """Path -> answers, the last one for ever."""
        self.gate = threading.Event()
        """Batches are taken, and answered when it is set."""
        self.gate.set()

    def take(self, message: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        """Return the result of one message."""
        text = message["text"]
        if text in self.flaws:
            return self.flaws[text]
        if self.busy.get(text):
            self.busy[text] -= 1
            return {"code": "overloaded", "detail": "too much is waiting", "retry_after_ms": 1}
        name = key or message.get("client_ref") or uuid.uuid4().hex
        is_repeated = name in self.taken
        if is_repeated and self.taken[name] != message:
            return {"code": "idempotency_conflict", "detail": "this key came before with another body"}
        self.taken[name] = message
        message_id = self.ids.setdefault(name, str(uuid.uuid4()))
        return {"message_id": message_id, "segments": 1, "is_repeated": is_repeated}

    def check(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the dry run of one message: two segments each."""
        if message["text"] in self.flaws:
            return self.flaws[message["text"]]
        checked = {"alphabet": "ucs2", "segments": 2, "units": 100, "carriers": ["north"]}
        return {**checked, "price": "1.25", "currency": "EUR"}

    @contextmanager
    def running(self) -> Iterator["FakeDaemon"]:
        """Serve on a port of loopback."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.keys.append(self.headers["Authorization"])
                if fake.refuse:
                    status, problem = fake.refuse.pop(0)
                    return self.answer(status, json.dumps(problem).encode())
                if self.path == "/v1/messages":
                    result = fake.take(json.loads(body), self.headers["Idempotency-Key"])
                    said = json.dumps(result).encode()
                    status = 400 if "code" in result else 202
                elif self.path == "/v1/messages:check":
                    asked = json.loads(body)["messages"]
                    said = json.dumps({"results": [fake.check(each) for each in asked]}).encode()
                    status = 200
                else:
                    rows = [json.loads(line) for line in body.splitlines()]
                    fake.asked.append(len(rows))
                    said = b"".join(json.dumps(fake.take(row)).encode() + b"\n" for row in rows)
                    status = 200
                fake.gate.wait(60)
                if fake.break_after and fake.break_after.pop(0):
                    self.close_connection = True
                    return None
                return self.answer(status, said)

            def do_GET(self) -> None:
                answers = fake.status.get(self.path)
                if not answers:
                    return self.answer(404, b'{"code": "not_found", "detail": "there is no such message"}')
                found = answers.pop(0) if len(answers) > 1 else answers[0]
                return self.answer(200, json.dumps(found).encode())

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                if status in (429, 503):
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield self
            finally:
                self.gate.set()
                server.shutdown()
                thread.join()
