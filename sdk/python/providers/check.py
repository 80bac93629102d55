"""The adapters take what the providers' own packages answer. Types only: nothing of it is run."""

from typing import TYPE_CHECKING

from mesa_sdk import AsyncMesa, Mesa
from mesa_sdk.sandbox import (
    AsyncSandboxMount,
    AsyncSandboxRunner,
    SandboxMount,
    SandboxRunner,
    blaxel,
    daytona,
    e2b,
    mount_in_sandbox,
    sprites,
    superserve,
)

if TYPE_CHECKING:
    import blaxel.core as of_blaxel
    import daytona as of_daytona
    import e2b as of_e2b
    import sprites as of_sprites
    import superserve as of_superserve
    from typing_extensions import assert_type

    def blocking(
        in_e2b: of_e2b.Sandbox,
        in_daytona: of_daytona.Sandbox,
        in_blaxel: of_blaxel.SyncSandboxInstance,
        in_superserve: of_superserve.Sandbox,
        in_sprites: of_sprites.Sprite,
    ) -> None:
        """Handles that block."""
        assert_type(e2b(in_e2b), SandboxRunner)
        assert_type(daytona(in_daytona), SandboxRunner)
        assert_type(blaxel(in_blaxel), SandboxRunner)
        assert_type(superserve(in_superserve), SandboxRunner)
        assert_type(sprites(in_sprites), SandboxRunner)
        assert_type(mount_in_sandbox(Mesa(), e2b(in_e2b), repo="r"), SandboxMount)
        assert_type(mount_in_sandbox(AsyncMesa(), e2b(in_e2b), repo="r"), AsyncSandboxMount)
        e2b(in_daytona)  # pyright: ignore[reportCallIssue, reportArgumentType]
        daytona(in_e2b)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def awaiting(
        in_e2b: of_e2b.AsyncSandbox,
        in_daytona: of_daytona.AsyncSandbox,
        in_blaxel: of_blaxel.SandboxInstance,
        in_superserve: of_superserve.AsyncSandbox,
        in_sprites: of_sprites.AsyncSprite,
    ) -> None:
        """Handles that are awaited."""
        assert_type(e2b(in_e2b), AsyncSandboxRunner)
        assert_type(daytona(in_daytona), AsyncSandboxRunner)
        assert_type(blaxel(in_blaxel), AsyncSandboxRunner)
        assert_type(superserve(in_superserve), AsyncSandboxRunner)
        assert_type(sprites(in_sprites), AsyncSandboxRunner)
        assert_type(mount_in_sandbox(AsyncMesa(), e2b(in_e2b), repo="r"), AsyncSandboxMount)
        mount_in_sandbox(Mesa(), e2b(in_e2b), repo="r")  # pyright: ignore[reportCallIssue, reportArgumentType]
