"""A small server on loopback that speaks as much of the Hugging Face hub's API as downloads use, and can fail."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Fault = Literal["truncated", "cut", "corrupt", "slow", "stall", "trickle"]


@dataclass
class HubServer:
    """Repositories, what goes wrong with them, and what was asked for.

    Attributes:
        files: By ``owner/name/filename``; plain addresses by their path.
        refusals: HTTP status and error code of repositories that answer with an error.
        faults: What happens to a file on its way; each is used once and then forgotten, except ``slow``,
            ``stall`` (half of the content and then nothing) and ``trickle`` (small parts with pauses).
        requests: Method and path of every request for a model.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        if self.path != "/api/agent-harnesses":  # huggingface_hub asks once a day who uses it, before anything else
            self.hub.requests.append(f"{self.command} {self.path}")
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path)
        repository, name = match.groups() if match else ("", self.path)
        if repository in self.hub.refusals:
            self._refuse(*self.hub.refusals[repository])
            return
        key = f"{repository}/{name}" if match else name
        if key not in self.hub.files:
            known = any(file.startswith(f"{repository}/") for file in self.hub.files)
            self._refuse(404, "EntryNotFound" if known else "RepoNotFound")
            return
        self._send(key, self.hub.files[key], body=body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, key: str, content: bytes, *, body: bool) -> None:
        etag = hashlib.sha256(content).hexdigest()
        fault = self.hub.faults.get(key)
        if fault == "slow":
            self.hub.released.wait(30)
            self.close_connection = True
            return
        size = len(content)
        if body and fault and fault not in {"stall", "trickle"}:
            del self.hub.faults[key]
            if fault == "corrupt":
                content = bytes(byte ^ 255 for byte in content[:64]) + content[64:]
            if fault == "truncated":
                content = content[: size // 2]
        start = int(re.sub(r"\D", "", self.headers.get("Range", "").partition("-")[0]) or 0)
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Linked-Etag", f'"{etag}"')
        self.send_header("X-Linked-Size", str(size))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        if body:
            self._write(content[start : size // 2] if fault in {"cut", "stall"} else content[start:], fault)
        if fault == "cut" and body:
            self.close_connection = True

    def _write(self, content: bytes, fault: Fault | None) -> None:
        part = max(1, len(content) // 6) if fault == "trickle" else len(content)
        for at in range(0, len(content), part):
            self.wfile.write(content[at : at + part])
            self.wfile.flush()
            if fault == "trickle":
                self.hub.released.wait(0.4)
        if fault == "stall":
            self.hub.released.wait(30)
            self.close_connection = True
