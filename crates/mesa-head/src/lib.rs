//! The live layer: heads with their operation log, sessions, leases, sealing, and views.
//!
//! [`Heads`] is the way in. The mount protocol's calls are its methods, with messages in and out
//! and no transport; [`View`] reads a change's present state; [`Heads::seal`] turns it into a
//! commit. Design: `docs/design/sync.md`.

pub mod config;
mod content;
pub mod error;
mod export;
mod head;
pub mod heads;
mod load;
pub mod op;
pub mod rows;
mod seal;
pub mod tree;
mod view;
mod wire;

pub use self::{
    config::HeadsConfig,
    error::{HeadError, HeadErrorKind, Result},
    export::Exported,
    head::fanout::{Attached, AttachedSender},
    heads::{Access, Collected, Heads, SealedAt},
    view::{View, ViewEntry, ViewNode, ViewTarget},
};
