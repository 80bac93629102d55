"""Servers, a proxy that fails on demand, and a receiver of webhooks, all on this machine."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import os
import queue
import signal
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ORG = "my-org"
ROOT = "z" * 32

_serial = itertools.count()


def unique(stem: str) -> str:
    return f"{stem}-{os.getpid()}-{next(_serial)}"


def mesa_binary() -> Path:
    """The program under test: MESA_BIN, else the workspace's build."""
    workspace = Path(__file__).resolve().parents[3]
    found = Path(os.environ.get("MESA_BIN") or workspace / "target/debug/mesa")
    assert found.exists(), f"{found} is missing: build the workspace, or set MESA_BIN"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A `mesa serve` process."""

    def __init__(self, directory: Path, *args: str) -> None:
        self.data = directory / "data"
        self._args = args
        self._log = directory / "log"
        self.port = free_port()
        self._tls = "--tls-cert" in args
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = [mesa_binary(), "serve", "--data-dir", self.data]
        listen = ["--listen", f"127.0.0.1:{self.port}", "--bootstrap-org", ORG]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MESA_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*program, *listen, *self._args],
                env={**clean, "HOME": str(self._log.parent)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while not self._is_ready():
            assert time.monotonic() < deadline, self._log.read_text()
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            # Whether its certificate is trusted is what tests are about.
            answer = httpx.get(f"{self.url}/readyz", trust_env=False, verify=False)
            return answer.status_code == 200
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    @property
    def admin_key(self) -> str:
        return (self.data / "admin.key").read_text().strip()


@dataclass
class Fault:
    """What the proxy does with a request instead of, or after, passing it on."""

    #: An answer of its own; 0: none at all, the connection is cut.
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    #: The server gets the request all the same, but its answer is lost.
    after: bool = False


class FlakyProxy(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Passes requests on to a server, unless a fault is queued."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.seen: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Passing)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class _Passing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FlakyProxy  # pyright: ignore[reportIncompatibleVariableOverride]

    def _pass(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        headers = {k.lower(): v for k, v in self.headers.items()}
        self.server.seen.append({"method": self.command, "path": self.path, **headers})
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault is not None and not fault.after:
            self._answer(fault.status, fault.headers, fault.body)
            return
        dropped = ("host", "connection", "content-length")
        answer = httpx.request(
            self.command,
            self.server.upstream + self.path,
            headers={k: v for k, v in headers.items() if k not in dropped},
            content=body,
            trust_env=False,
        )
        if fault is not None:
            self._answer(fault.status, fault.headers, fault.body)
            return
        kept = {
            k: v
            for k, v in answer.headers.items()
            if k not in ("connection", "content-length", "transfer-encoding", "content-encoding")
        }
        self._answer(answer.status_code, kept, answer.content)

    do_GET = do_POST = do_PATCH = do_DELETE = _pass

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook target that keeps what it gets."""

    daemon_threads = True

    def __init__(self) -> None:
        self.deliveries: queue.Queue[tuple[bytes, dict[str, str]]] = queue.Queue()
        super().__init__(("127.0.0.1", 0), _Keeping)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class _Keeping(http.server.BaseHTTPRequestHandler):
    server: Receiver  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.deliveries.put((body, dict(self.headers)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def flaky(server: Server) -> Generator[FlakyProxy, None, None]:
    proxy = FlakyProxy(server.url)
    try:
        yield proxy
    finally:
        proxy.end()
