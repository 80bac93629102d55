//! The catalog: orgs, API keys, repos, bookmarks, changes, commits, the repo-level operation log
//! and the audit log, as typed records over a [`mesa_meta::MetaStore`]; and authentication.
//!
//! Three ways to use it:
//! - [`Catalog`] methods read and commit on their own, with a bounded number of attempts when
//!   another writer was faster;
//! - [`RecordBatch`] adds records to a [`mesa_meta::Batch`] that the caller commits with rows of
//!   its own (the live layer creates a change and moves a bookmark with its first log entry);
//! - [`Authenticator`] turns a bearer credential into a [`Principal`].

pub mod auth;
pub mod bootstrap;
pub mod catalog;
pub mod error;
mod glob;
pub mod page;
pub mod record;
pub mod records;
pub mod tags;

pub use auth::{AuthError, AuthErrorKind, Authenticator, Author, Principal, Secret, ServerKey};
pub use catalog::{Abandonment, Actor, Catalog, CatalogEvent};
pub use error::{Error, ErrorKind};
pub use page::{Page, PageRequest};
pub use record::{Record, RecordBatch, Versioned};
pub use records::{
    Abandoned, ApiKey, Audit, Bookmark, Change, ChangeState, Child, Commit, Evolution, Operation,
    OperationKind, Org, Repo, Scope, Scopes, Signature, WebhookTarget,
};
