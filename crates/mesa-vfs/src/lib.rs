//! The client core: one filesystem tree of orgs and repos over live heads, with local metadata,
//! journal, dirty files, content cache and uploader. Knows no kernel interface and no errno; the
//! FUSE daemon and the SDKs drive it through [`fs::Filesystem`].

mod boot;
pub mod content;
pub mod fs;
pub mod journal;
pub mod mount;
pub mod session;
mod transfer;
pub mod tree;
