"""What the caller wants, checked before anything is sent."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from mesa_sdk.errors import InvalidOptionsError
from mesa_sdk.sandbox._runner import AsyncSandboxRunner, SandboxRunner
from mesa_sdk.sandbox._scripts import InstallMethod, Place
from mesa_sdk.types import Scope

_TIMEOUT_MIN = 10.0
_TIMEOUT_MAX = 3600.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The arguments of `mount_in_sandbox`. What they mean is said there."""

    scopes: Sequence[Scope]
    ttl_seconds: int
    key_name: str
    mount_point: str | None
    install: InstallMethod
    version: str | None
    setup_fuse: bool | None
    server_url: str | None
    bookmark: str | None
    isolate: bool
    env: Mapping[str, str]
    timeout: float
    renew: bool

    def check(self, runner: SandboxRunner | AsyncSandboxRunner) -> None:
        """Refuses what cannot be right."""
        if self.install not in get_args(InstallMethod):
            methods = ", ".join(get_args(InstallMethod))
            raise InvalidOptionsError(f"install must be one of {methods}")
        if not _TIMEOUT_MIN <= self.timeout <= _TIMEOUT_MAX:
            raise InvalidOptionsError(f"timeout must be from {_TIMEOUT_MIN} to {_TIMEOUT_MAX}")
        if self.mount_point is not None and not self.mount_point.startswith(("/", "~/")):
            raise InvalidOptionsError("mount_point must begin with / or ~/")
        if self.version is not None and not re.fullmatch(r"[0-9A-Za-z.+-]+", self.version):
            raise InvalidOptionsError("version is none")
        # A list of several is what the variable for it would take it for.
        if self.bookmark is not None and re.search(r"[,\s]", self.bookmark):
            raise InvalidOptionsError("bookmark is no name of one")
        for name, value in self.env.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise InvalidOptionsError(f"env: {name} is no name of a variable")
            if name == "MESA_ORGS":
                raise InvalidOptionsError("env: MESA_ORGS is what this sets")
            if runner.secrets == "stdin" and ("\n" in value or "\r" in value):
                raise InvalidOptionsError(f"env: {name} has several lines")

    def place(
        self, api_url: str, org: str, repo: str, runner: SandboxRunner | AsyncSandboxRunner
    ) -> Place:
        """What the scripts are about."""
        return Place(
            server=server_url(self.server_url or api_url),
            org=org,
            repo=repo,
            install=self.install,
            version=self.version,
            setup_fuse=runner.setup_fuse if self.setup_fuse is None else self.setup_fuse,
            mount_point=self.mount_point,
            bookmark=self.bookmark,
            isolate=self.isolate,
            read_only=all(scope == "read" for scope in self.scopes),
            timeout=math.floor(self.timeout),
        )


def server_url(text: str) -> str:
    """Without `/v1`, as installers are found below it."""
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise InvalidOptionsError("server_url is no http or https URL")
    return text.rstrip("/").removesuffix("/v1")
