//! The records and where they are stored.
//!
//! Keys are tuples (see [`mesa_meta::KeyBuf`]); the first component is the shard.
//!
//! | table | key | value |
//! |---|---|---|
//! | `orgs` | `g, "o", org` | [`Org`] |
//! | `orgs` | `g, "s", slug` | [`org::OrgSlugRow`] |
//! | `api_keys` | `org, "k", key` | [`ApiKey`] |
//! | `api_keys` | `org, "u", key` | [`api_key::KeyUse`] |
//! | `api_keys` | `g, "h", lookup hash (32)` | [`api_key::KeyByLookup`] |
//! | `api_keys` | `g, "i", key` | [`api_key::KeyById`] |
//! | `repos` | `org, "r", repo` | [`Repo`] |
//! | `repos` | `org, "n", name` | [`repo::RepoByName`] |
//! | `repos` | `org, "t", tag (u64)` | [`repo::RepoByTag`] |
//! | `repos` | `org, "f", repo` | [`repo::FileIdCounter`] |
//! | `bookmarks` | `org, repo, name` | [`Bookmark`] |
//! | `changes` | `org, repo, change (16)` | [`Change`] |
//! | `changes` | `org, ".child", repo, parent (16), change (16)` | [`Child`] |
//! | `changes` | `org, ".abandoned", repo, change (16)` | [`Abandoned`] |
//! | `commits` | `org, repo, oid (20)` | [`Commit`] |
//! | `evolution` | `org, repo, change (16), n (u64)` | [`Evolution`] |
//! | `operations` | `org, repo, ulid` | [`Operation`] |
//! | `audit` | `org or g, ulid` | [`Audit`] |
//! | `hooks` | `org, "t", target` | [`WebhookTarget`] |
//! | `hooks` | `org, "e", ulid` | [`webhook::HookEvent`] |
//! | `hooks` | `org, "d", target, delivery` | [`webhook::Delivery`] |
//! | `hooks` | `org, "q", target, delivery` | [`webhook::QueuedDelivery`] |
//! | `syncs` | `org, "u", repo` | [`Upstream`] |
//! | `syncs` | `org, "s", repo, sync` | [`Sync`] |

pub mod api_key;
pub mod audit;
pub mod bookmark;
pub mod change;
pub mod commit;
pub mod descent;
pub mod operation;
pub mod org;
pub mod repo;
pub mod scope;
pub mod sync;
pub mod webhook;

pub use api_key::ApiKey;
pub use audit::Audit;
pub use bookmark::Bookmark;
pub use change::{Change, ChangeState, Evolution, Signature};
pub use commit::Commit;
pub use descent::{Abandoned, Child};
pub use operation::{Operation, OperationKind};
pub use org::Org;
pub use repo::Repo;
pub use scope::{Scope, Scopes};
pub use sync::{Sync, Upstream};
pub use webhook::WebhookTarget;

/// The shard of rows that belong to no org.
pub const GLOBAL_SHARD: &str = "g";
