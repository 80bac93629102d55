"""Filesystems in this process: repos as trees of files, without FUSE and without root.

`mesa.fs.mount(repos=[...])` and `mesa.fs(layout={...}).mount()` make them. They need the native
module of the package; everything else in it does not.
"""

from mesa_sdk.fs._async import (
    AsyncBookmarksOps,
    AsyncChangesOps,
    AsyncMesaFileSystem,
    AsyncMesaFileSystemSubscription,
    AsyncWatcher,
)
from mesa_sdk.fs._bash import Bash
from mesa_sdk.fs._config import (
    Branch,
    DiskCacheConfig,
    Durability,
    MountMode,
    RepoConfig,
    Revision,
)
from mesa_sdk.fs._files import MesaFile
from mesa_sdk.fs._filesystem import (
    BookmarksOps,
    ChangesOps,
    MesaFileSystem,
    MesaFileSystemSubscription,
    Watcher,
)
from mesa_sdk.fs._layout import Layout, LayoutEntry, RepoEntry, RepoName, repo
from mesa_sdk.fs._mount import (
    AsyncFilesystems,
    AsyncLayoutDefinition,
    AsyncMount,
    Filesystems,
    LayoutDefinition,
    Mount,
)
from mesa_sdk.fs._types import (
    ChangeInfo,
    CheckpointResult,
    ExecResult,
    FsEntry,
    FsStat,
    WatchEvent,
)

__all__ = [
    "AsyncBookmarksOps",
    "AsyncChangesOps",
    "AsyncFilesystems",
    "AsyncLayoutDefinition",
    "AsyncMesaFileSystem",
    "AsyncMesaFileSystemSubscription",
    "AsyncMount",
    "AsyncWatcher",
    "Bash",
    "BookmarksOps",
    "Branch",
    "ChangeInfo",
    "ChangesOps",
    "CheckpointResult",
    "DiskCacheConfig",
    "Durability",
    "ExecResult",
    "Filesystems",
    "FsEntry",
    "FsStat",
    "Layout",
    "LayoutDefinition",
    "LayoutEntry",
    "MesaFile",
    "MesaFileSystem",
    "MesaFileSystemSubscription",
    "Mount",
    "MountMode",
    "RepoConfig",
    "RepoEntry",
    "RepoName",
    "Revision",
    "WatchEvent",
    "Watcher",
    "repo",
]
