//! A Mesa filesystem inside the process: no FUSE, no root, by path.
//!
//! [`FileSystem`] presents the same client core as the FUSE daemon (`mesa-vfs`: cache, journal,
//! sharing, durability) to programs, for the SDKs of other languages above all. It is cheap to
//! clone and may be used from many threads at once. Its futures may be polled by any executor.
//!
//! ```no_run
//! use mesa_fs::{Credential, FileSystem, MountOptions, RepoMount, Secret};
//!
//! # async fn example() -> Result<(), mesa_fs::Error> {
//! let key = Credential::Fixed(Secret::new("mesa_..."));
//! let mut options = MountOptions::new("http://127.0.0.1:7117", key);
//! options.repos.push(RepoMount::new("acme", "agent-workspace"));
//! let fs = FileSystem::open(options)?;
//! fs.write("/acme/agent-workspace/notes.md", b"# Plan\n").await?;
//! fs.append("/acme/agent-workspace/notes.md", b"1. Begin\n").await?;
//! assert_eq!(fs.read("/acme/agent-workspace/notes.md").await?, &b"# Plan\n1. Begin\n"[..]);
//! fs.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Paths begin at the mount's root, with or without a slash: `/<org>/<repo>/...`, or where
//! [`RepoMount::path`] puts the repo. Neither `..` nor a symlink leads out of the mount: absolute
//! targets begin at its root, too.

mod api;
mod attributes;
mod copy;
mod core;
mod credential;
mod directories;
mod error;
mod file;
mod files;
mod filesystem;
mod metadata;
mod names;
mod open_options;
mod options;
mod places;
mod remove;
mod runtime;
mod stat;
mod stream;
mod versions;
mod walk;
mod watch;

pub use copy::CopyOptions;
pub use credential::{Credential, ProviderError, Token, TokenProvider};
pub use error::{Class, Code, Error, Result};
pub use file::File;
pub use filesystem::{FileSystem, WeakFileSystem};
pub use mesa_client::{Secret, SyncApi};
pub use mesa_vfs::{
    mount::{MountStatus, OrgStatus, RepoStatus},
    session::{Connection, Durability, Status},
};
pub use open_options::OpenOptions;
pub use options::{At, MountOptions, RepoMount};
pub use remove::RemoveOptions;
pub use stat::{DirEntry, FileKind, Stat};
pub use stream::{ReadStream, ReadStreamOptions, WriteStream};
pub use versions::{ChangeAt, Repo};
pub use watch::{Changed, Watch};
