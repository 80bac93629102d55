"""A repo in a sandbox, with one call.

:func:`mount_in_sandbox` makes a key for one repo that expires, installs `mesa` in the sandbox,
mounts, and waits until the directory can be used. The end sends everything, unmounts and revokes
the key.
"""

from mesa_sdk.sandbox._adapters import (
    AsyncBlaxelSandbox,
    AsyncDaytonaSandbox,
    AsyncE2bSandbox,
    AsyncSprite,
    AsyncSuperserveSandbox,
    BlaxelSandbox,
    DaytonaSandbox,
    E2bSandbox,
    Sprite,
    SuperserveSandbox,
    blaxel,
    daytona,
    e2b,
    execute,
    sprites,
    superserve,
)
from mesa_sdk.sandbox._errors import (
    SandboxCommandError,
    SandboxError,
    SandboxInstallError,
    SandboxKeyError,
    SandboxMountError,
    SandboxNotReadyError,
    SandboxRenewalError,
    SandboxRepoError,
    SandboxRevocationError,
    SandboxSyncError,
    SandboxUnmountError,
)
from mesa_sdk.sandbox._mount import AsyncSandboxMount, SandboxMount, mount_in_sandbox
from mesa_sdk.sandbox._runner import (
    AsyncSandboxRunner,
    SandboxCommand,
    SandboxOutput,
    SandboxRunner,
    Secrets,
)
from mesa_sdk.sandbox._scripts import InstallMethod

__all__ = [
    "AsyncBlaxelSandbox",
    "AsyncDaytonaSandbox",
    "AsyncE2bSandbox",
    "AsyncSandboxMount",
    "AsyncSandboxRunner",
    "AsyncSprite",
    "AsyncSuperserveSandbox",
    "BlaxelSandbox",
    "DaytonaSandbox",
    "E2bSandbox",
    "InstallMethod",
    "SandboxCommand",
    "SandboxCommandError",
    "SandboxError",
    "SandboxInstallError",
    "SandboxKeyError",
    "SandboxMount",
    "SandboxMountError",
    "SandboxNotReadyError",
    "SandboxOutput",
    "SandboxRenewalError",
    "SandboxRepoError",
    "SandboxRevocationError",
    "SandboxRunner",
    "SandboxSyncError",
    "SandboxUnmountError",
    "Secrets",
    "Sprite",
    "SuperserveSandbox",
    "blaxel",
    "daytona",
    "e2b",
    "execute",
    "mount_in_sandbox",
    "sprites",
    "superserve",
]
