//! The live layer: heads with their operation log, sessions, leases, sealing, and views.
//!
//! [`Heads`] is the way in. The mount protocol's calls are its methods, with messages in and out
//! and no transport; [`View`] reads a change's present state; [`Heads::seal`] turns it into a
//! commit. Design: `docs/design/sync.md`.

pub mod config;
mod content;
pub mod edit;
pub mod error;
mod export;
mod head;
pub mod heads;
mod load;
pub mod op;
pub mod oplog;
pub mod rows;
mod seal;
pub mod tree;
mod versions;
mod view;
mod wire;

pub use self::{
    config::HeadsConfig,
    edit::{BadPath, Describe, FileEdit, FileMode, FilePath},
    error::{HeadError, HeadErrorKind, Result},
    export::Exported,
    head::fanout::{Attached, AttachedSender},
    heads::{
        Access, ActionCursor, ActionFilter, ActionPage, At, Collected, ConflictPaths,
        ConflictsShown, Difference, Heads, MergeInto, MergeOutcome, MergeSeen, NewChange, NotThere,
        Resolutions, Restore, Rewritten, SealedAt, Undo, UndoOutcome, Write,
    },
    oplog::{Action, OpSort, Operation},
    versions::merge::{HunkResolve, PathConflict, Resolve},
    view::{View, ViewEntry, ViewNode, ViewTarget},
};
