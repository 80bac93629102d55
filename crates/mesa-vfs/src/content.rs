//! Content on the local disk: the cache of clean content and the private work files of files
//! opened for writing.
//!
//! - [`ContentStore`]: one per daemon; complete clean files by content reference under a quota,
//!   small contents in memory, downloads with each object in flight only once.
//! - [`Content`]: a store seen from one session, which knows where missing bytes come from.
//! - [`WorkFile`]: the private file of a node opened for writing. It never becomes a cache entry.

mod clean;
pub(crate) mod fetch;
mod local;
mod lru;
mod protect;
pub(crate) mod store;
mod work;
pub(crate) mod work_dir;

pub use clean::CleanFile;
pub(crate) use fetch::Fetcher;
pub use local::Content;
pub(crate) use protect::Protect;
pub use store::{ContentConfig, ContentStats, ContentStore};
pub use work::{WorkFile, WorkId, WorkStat};
