//! Webhook targets, the events they are to be told, and deliveries.

use std::{collections::BTreeSet, fmt};

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{
    BookmarkName, ChangeId, CommitOid, DeliveryId, EventName, Nanos, OrgId, RepoId, WebhookId,
};
use serde::{Deserialize, Serialize};

use super::sync::Sync;
use crate::record::Record;

/// A secret encrypted under the server key (layout: [`crate::auth::server_key`]), in hex.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedText(#[serde(with = "crate::record::hex_text")] pub Vec<u8>);

impl fmt::Debug for SealedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedText(..)")
    }
}

/// A place that is told of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookTarget {
    /// Its id.
    pub id: WebhookId,
    /// The org.
    pub org: OrgId,
    /// Name for people.
    pub name: Option<String>,
    /// Where deliveries go.
    pub url: String,
    /// What it is told of.
    pub events: BTreeSet<EventName>,
    /// The repos it is told of; `None` = all of the org.
    pub repos: Option<BTreeSet<RepoId>>,
    /// Signs deliveries.
    pub secret: SealedText,
    /// When it was created.
    pub created: Nanos,
    /// When it last changed.
    pub updated: Nanos,
}

impl WebhookTarget {
    /// Where the target is stored.
    pub fn key_of(org: &OrgId, id: &WebhookId) -> Key {
        KeyBuf::new(org.as_str()).text("t").text(id.as_str()).into()
    }

    /// What every target's row of an org begins with.
    pub fn prefix(org: &OrgId) -> Key {
        KeyBuf::new(org.as_str()).text("t").into()
    }

    /// Whether it is told of an event of this repo.
    pub fn wants(&self, event: EventName, repo: &RepoId) -> bool {
        self.events.contains(&event) && self.repos.as_ref().is_none_or(|repos| repos.contains(repo))
    }
}

impl Record for WebhookTarget {
    const TABLE: Table = Table::Hooks;
    const NAME: &'static str = "webhook target";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.id)
    }
}

/// What of a repo an update can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoFace {
    /// Name.
    pub name: String,
    /// Default bookmark.
    pub default_bookmark: String,
    /// Labels.
    pub tags: std::collections::BTreeMap<String, String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HookEventKind {
    /// The repo was created.
    RepoCreated,
    /// The repo's name, default bookmark or labels changed.
    RepoUpdated {
        /// Before.
        before: RepoFace,
        /// After.
        after: RepoFace,
    },
    /// The repo was deleted.
    RepoDeleted,
    /// A bookmark was created.
    BookmarkCreated {
        /// Name.
        name: BookmarkName,
        /// What it names.
        change: ChangeId,
    },
    /// A bookmark moved.
    BookmarkMoved {
        /// Name.
        name: BookmarkName,
        /// Before.
        from: ChangeId,
        /// After.
        to: ChangeId,
    },
    /// A bookmark was deleted.
    BookmarkDeleted {
        /// Name.
        name: BookmarkName,
        /// What it named.
        change: ChangeId,
    },
    /// Another bookmark was merged into this one, which moved to the merge.
    BookmarkMerged {
        /// Name.
        name: BookmarkName,
        /// What it names now.
        change: ChangeId,
    },
    /// A change was created.
    ChangeCreated {
        /// The change.
        change: ChangeId,
    },
    /// A change has a new commit.
    ChangeEvolved {
        /// The change.
        change: ChangeId,
        /// Its commit before.
        from: CommitOid,
        /// Its commit now.
        to: CommitOid,
    },
    /// A sync got another status.
    SyncChanged {
        /// The sync as it was then.
        sync: Box<Sync>,
    },
}

impl HookEventKind {
    /// The event's name.
    pub fn name(&self) -> EventName {
        match self {
            Self::RepoCreated => EventName::RepoCreated,
            Self::RepoUpdated { .. } => EventName::RepoUpdated,
            Self::RepoDeleted => EventName::RepoDeleted,
            Self::BookmarkCreated { .. } => EventName::BookmarkCreated,
            Self::BookmarkMoved { .. } => EventName::BookmarkMoved,
            Self::BookmarkDeleted { .. } => EventName::BookmarkDeleted,
            Self::BookmarkMerged { .. } => EventName::BookmarkMerged,
            Self::ChangeCreated { .. } => EventName::ChangeCreated,
            Self::ChangeEvolved { .. } => EventName::ChangeEvolved,
            Self::SyncChanged { sync } => sync.status.event(),
        }
    }
}

/// Something that happened, written in the transaction that did it and kept until the deliveries
/// that tell of it are queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookEvent {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// Place in the order: a ULID, ascending.
    pub id: String,
    /// When.
    pub at: Nanos,
    /// What.
    pub what: HookEventKind,
}

impl HookEvent {
    /// What every event's row of an org begins with.
    pub fn prefix(org: &OrgId) -> Key {
        KeyBuf::new(org.as_str()).text("e").into()
    }
}

impl Record for HookEvent {
    const TABLE: Table = Table::Hooks;
    const NAME: &'static str = "event";

    fn key(&self) -> Key {
        KeyBuf::new(self.org.as_str())
            .text("e")
            .text(&self.id)
            .into()
    }
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its first or next attempt.
    Pending,
    /// The target answered 2xx.
    Delivered,
    /// Given up.
    Failed,
}

/// One request to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: Nanos,
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// How long it took.
    pub millis: u64,
}

/// One event on its way to one target, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The org.
    pub org: OrgId,
    /// The target.
    pub target: WebhookId,
    /// Its id; ascending for a target.
    pub id: DeliveryId,
    /// The event's id, the same in every delivery of it.
    pub event_id: String,
    /// The event's name.
    pub event: EventName,
    /// The repo.
    pub repo: RepoId,
    /// The body, byte for byte.
    pub body: String,
    /// How far it is.
    pub state: DeliveryState,
    /// Attempts so far, the newest last.
    pub attempts: Vec<Attempt>,
    /// When the next attempt is due, while it is pending.
    pub next: Nanos,
    /// When it was queued.
    pub created: Nanos,
    /// When it was delivered or given up.
    pub finished: Option<Nanos>,
    /// The delivery that this one repeats.
    #[serde(default)]
    pub repeats: Option<DeliveryId>,
}

impl Delivery {
    /// Where the delivery is stored.
    pub fn key_of(org: &OrgId, target: &WebhookId, id: &DeliveryId) -> Key {
        KeyBuf::new(org.as_str())
            .text("d")
            .text(target.as_str())
            .text(id.as_str())
            .into()
    }

    /// What every delivery's row of a target begins with.
    pub fn prefix(org: &OrgId, target: &WebhookId) -> Key {
        KeyBuf::new(org.as_str())
            .text("d")
            .text(target.as_str())
            .into()
    }
}

impl Record for Delivery {
    const TABLE: Table = Table::Hooks;
    const NAME: &'static str = "delivery";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.target, &self.id)
    }
}

/// Leads to a pending delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedDelivery {
    /// The org.
    pub org: OrgId,
    /// The target.
    pub target: WebhookId,
    /// The delivery.
    pub id: DeliveryId,
}

impl QueuedDelivery {
    /// What every row of an org's queues begins with.
    pub fn prefix_of_org(org: &OrgId) -> Key {
        KeyBuf::new(org.as_str()).text("q").into()
    }

    /// What every row of a target's queue begins with.
    pub fn prefix(org: &OrgId, target: &WebhookId) -> Key {
        KeyBuf::new(org.as_str())
            .text("q")
            .text(target.as_str())
            .into()
    }

    /// Where the row of a delivery is stored.
    pub fn key_of(org: &OrgId, target: &WebhookId, id: &DeliveryId) -> Key {
        KeyBuf::new(org.as_str())
            .text("q")
            .text(target.as_str())
            .text(id.as_str())
            .into()
    }
}

impl Record for QueuedDelivery {
    const TABLE: Table = Table::Hooks;
    const NAME: &'static str = "queued delivery";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.target, &self.id)
    }
}
