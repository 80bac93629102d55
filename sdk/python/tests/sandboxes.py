"""A server that is none, and a sandbox without a machine: both tell what they were asked."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import httpx

from mesa_sdk import AsyncMesa, Mesa
from mesa_sdk.sandbox import (
    AsyncSandboxMount,
    SandboxCommand,
    SandboxMount,
    SandboxOutput,
    Secrets,
    execute,
    mount_in_sandbox,
)

SECRET = "mesa_verysecretkey"
POINT = "/home/user/mnt"
MARK = "=mesa-mount= "


class FakeApi:
    """Makes keys `key_1`, `key_2`, ..."""

    def __init__(self) -> None:
        #: What was asked, in order.
        self.asked: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.life = timedelta(hours=1)
        #: Refuses what begins so.
        self.refusing: str | None = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/").split("/")
        if path[-1] == "whoami":
            who = {"id": "o", "slug": "my-org", "name": "My"}
            facts = {"key_id": "k", "key_name": None, "scopes": ["admin"], "repo_ids": None}
            return httpx.Response(200, json={"org": who, **facts, "expires_at": None})
        said, done = self._done(request, path)
        self.asked.append(said)
        if self.refusing is not None and said.startswith(self.refusing):
            body = {"error": {"code": "REPO_NOT_FOUND", "message": "no such thing"}}
            return httpx.Response(404, json=body)
        return httpx.Response(200, json=done)

    def _done(self, request: httpx.Request, path: list[str]) -> tuple[str, dict[str, Any]]:
        if request.method == "DELETE":
            return f"revoke {path[-1]}", {"success": True}
        if request.method == "GET":
            repo = {"id": f"id_{path[1]}", "org": path[0], "name": path[1], "tags": {}}
            state = {"default_bookmark": "main", "head_change_id": "z", "upstream": None}
            return f"repo {path[1]}", {**repo, **state, "created_at": "2026-01-01T00:00:00Z"}
        self.made.append({"org": path[0], **json.loads(request.content)})
        number = len(self.made)
        begin = datetime(2020, 1, 1, tzinfo=timezone.utc)
        times = {"created_at": begin.isoformat(), "expires_at": (begin + self.life).isoformat()}
        facts = {"name": None, "scopes": [], "repo_ids": None, "tags": {}, **times}
        key = {"id": f"key_{number}", "key": f"{SECRET}{number}"}
        return f"make key_{number}", {**key, **facts}


def purpose(command: SandboxCommand) -> str:
    """What a script is for."""
    text = command.argv[2]
    if "mesa unmount" in text:
        return "unmount by force" if "--force" in text else "unmount"
    for word, found in (
        ("mesa mount", "mount"),
        ("mesa sync", "sync"),
        ("mesa edit", "edit"),
        ("tries=", "ready"),
        ("mesa version", "install"),
    ):
        if word in text:
            return found
    return "command"


Answer = SandboxOutput | Exception | Callable[[], SandboxOutput]


class FakeSandbox:
    """Everything succeeds in it, but for what is told to fail."""

    def __init__(self) -> None:
        self.commands: list[SandboxCommand] = []
        self.already_mounted = False
        #: By purpose.
        self.answers: dict[str, Answer] = {}

    @property
    def purposes(self) -> list[str]:
        return [purpose(command) for command in self.commands]

    @property
    def shown(self) -> str:
        """All that the sandbox's service could see on a command line, or somebody prints."""
        return "\n".join(f"{c.line} {c.argv} {c!r}" for c in self.commands)

    def run(self, command: SandboxCommand) -> SandboxOutput:
        self.commands.append(command)
        answer = self.answers.get(purpose(command))
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer()
        if answer is not None:
            return answer
        if purpose(command) != "mount":
            return SandboxOutput(0)
        said = {"mount_point": POINT, "already_mounted": self.already_mounted}
        return SandboxOutput(0, f"motd\n{MARK}{json.dumps(said)}\n")


class Kit:
    """Both fakes, with a client and a runner of one kind."""

    def __init__(self, kind: Literal["sync", "async", "threads"]) -> None:
        self.kind = kind
        self.api = FakeApi()
        self.sandbox = FakeSandbox()

    @contextlib.asynccontextmanager
    async def mounted(
        self, *, secrets: Secrets = "env", **options: Any
    ) -> AsyncGenerator[SandboxMount | AsyncSandboxMount, None]:
        options = {"repo": "work", **options}
        transport = httpx.MockTransport(self.api.answer)
        known: Any = {"api_key": "x", "api_url": "https://mesa.example.com"}
        if self.kind == "sync":
            with httpx.Client(transport=transport) as client:
                mesa = Mesa(http_client=client, **known)
                runner = execute(self.sandbox.run, secrets=secrets)
                with mount_in_sandbox(mesa, runner, **options) as work:
                    yield work
            return

        async def arun(command: SandboxCommand) -> SandboxOutput:
            return self.sandbox.run(command)

        run: Any = arun if self.kind == "async" else self.sandbox.run
        async with httpx.AsyncClient(transport=transport) as client:
            mesa = AsyncMesa(http_client=client, **known)
            async with mount_in_sandbox(mesa, execute(run, secrets=secrets), **options) as work:
                yield work


async def result(value: Any) -> Any:
    """What a method of either kind answers."""
    return await value if inspect.isawaitable(value) else value
