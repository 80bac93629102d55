//! Identifiers, names and small values shared by the server and the clients. No I/O, no clock.
//!
//! Everything here is a newtype: a [`RepoName`] cannot be passed where an [`OrgSlug`] is wanted,
//! and a value that exists has passed its validation.

pub mod content;
pub mod event;
pub mod ids;
pub mod limits;
pub mod names;
pub mod node;
pub mod random;
pub mod secret;
pub mod time;

pub use content::{ChunkId, ContentRef, ObjectId};
pub use event::EventName;
pub use ids::{
    ChangeId, CommitOid, DeliveryId, FileId, GitOid, HeadId, KeyId, OrgId, RepoId, SessionId,
    SyncId, WebhookId,
};
pub use names::{BookmarkName, EntryName, NameError, OrgSlug, RepoName};
pub use node::{Attr, NodeKind, Owner};
pub use random::Random;
pub use secret::Secret;
pub use time::Nanos;
