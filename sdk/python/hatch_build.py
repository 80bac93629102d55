"""Puts the native module into the wheel.

MESA_SDK_NATIVE names what `cargo build -p mesa-python` made; without it the wheel is for every
platform, and mounts need another one. MESA_SDK_PLATFORM is the platform's tag in the wheel's name
when it is not this machine's (`manylinux_2_28_x86_64`).
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeHook(BuildHookInterface[Any]):
    """Called for each archive."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the module, and says for which platform it is."""
        given = os.environ.get("MESA_SDK_NATIVE")
        if self.target_name != "wheel" or version == "editable" or not given:
            return
        native = Path(given).resolve(strict=True)
        platform = os.environ.get("MESA_SDK_PLATFORM") or sysconfig.get_platform()
        build_data["force_include"][str(native)] = "mesa_sdk/_native.abi3.so"
        build_data["pure_python"] = False
        build_data["tag"] = f"cp310-abi3-{platform.replace('-', '_').replace('.', '_')}"
