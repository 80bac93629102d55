"""What the steps of the helper raise. Keys never stand in it."""

from __future__ import annotations

from typing import ClassVar

from mesa_sdk.errors import MesaError


class SandboxError(MesaError):
    """A step failed; what was done before it has been taken back.

    `exit_code` is that of the command in the sandbox, None if none ran to its end; `output` is what
    it printed, standard output first. `__cause__` is the server's refusal, or says what the
    sandbox's client raised. `unrevoked_key_id` names a key that could not be revoked and works
    until it expires.
    """

    #: What the helper was doing.
    step: ClassVar[str] = "sandbox"

    def __init__(
        self, what: str, why: str, *, exit_code: int | None = None, output: str = ""
    ) -> None:
        super().__init__(f"SANDBOX_{self.step.upper()}_FAILED", f"{what}: {why}")
        self.exit_code = exit_code
        self.output = output
        self.unrevoked_key_id: str | None = None


class SandboxRepoError(SandboxError):
    """The repo is not there, or the credential does not see it."""

    step = "repo"


class SandboxKeyError(SandboxError):
    """No key could be made for the sandbox."""

    step = "key"


class SandboxInstallError(SandboxError):
    """`mesa` could not be installed in the sandbox."""

    step = "install"


class SandboxMountError(SandboxError):
    """`mesa mount` failed in the sandbox."""

    step = "mount"


class SandboxNotReadyError(SandboxError):
    """The mount is there, but the repo did not appear in it in time."""

    step = "ready"


class SandboxCommandError(SandboxError):
    """A command of the caller ended with another exit code than 0, or was not run."""

    step = "command"


class SandboxRenewalError(SandboxError):
    """The mount could not be given a new key; the one it has works until it expires."""

    step = "renewal"


class SandboxSyncError(SandboxError):
    """Not everything is on the server.

    What was not sent stays in the sandbox and goes up when the repo is mounted there again.
    """

    step = "sync"


class SandboxUnmountError(SandboxError):
    """Everything is on the server, but the mount could not be taken away."""

    step = "unmount"


class SandboxRevocationError(SandboxError):
    """The sandbox's key could not be revoked; it works until it expires."""

    step = "revocation"
