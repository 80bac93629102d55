//! One live head: its state in memory and the task that owns it.
//!
//! Everything that changes the head goes through the task ([`actor`]) as a [`Command`]. The task
//! takes all commands that wait, applies them to the state in memory, commits one batch of rows,
//! and only then answers and tells subscribers ([`turn`]). If the commit fails, the state in
//! memory is dropped, all streams end, and the next caller loads the head from its rows.
//!
//! Readers share the state through a lock that the task holds from the first change until the
//! commit, so nobody sees what is not durable.

pub(crate) mod actor;
mod append;
mod attach;
pub(crate) mod command;
mod content;
mod edit;
pub(crate) mod fanout;
pub(crate) mod freeze;
mod lease;
pub(crate) mod load;
pub(crate) mod materialize;
pub(crate) mod recent;
mod roll;
pub(crate) mod seal;
pub(crate) mod session;
mod split;
mod turn;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use mesa_meta::Version;
use mesa_repo::Catalog;
use mesa_store::OrgPacks;
use mesa_types::{ChangeId, FileId, GitOid, HeadId, Nanos, ObjectId, RepoId, SessionId};
use tokio::sync::{RwLock, mpsc};

use self::{
    command::{Command, Reply},
    lease::Lease,
    recent::Recent,
    session::Session,
};
use crate::{
    config::HeadsConfig, content::Unsealed, rows::HeadRow, tree::Tree, versions::table::Table,
};

/// A head in memory.
pub(crate) struct Head {
    pub id: HeadId,
    pub repo: RepoId,
    pub root: FileId,
    pub packs: OrgPacks,
    pub catalog: Catalog,
    pub config: Arc<HeadsConfig>,
    pub state: RwLock<State>,
    pub commands: mpsc::Sender<Command>,
}

/// What changes.
pub(crate) struct State {
    pub row: HeadRow,
    pub version: Version,
    /// The row has this process's epoch; else it gets it with whatever is written next.
    pub taken_over: bool,
    pub tree: Tree,
    /// What was in conflict when that was last looked at.
    pub conflicts: Option<Arc<Table>>,
    pub unsealed: Unsealed,
    pub sessions: HashMap<SessionId, Session>,
    pub lease: Lease,
    pub recent: Recent,
    /// Time of the first operation after the last seal began.
    pub unsealed_since: Option<Nanos>,
    /// Time of the last operation.
    pub last_op: Nanos,
    /// Sequence of the seal that is running.
    pub sealing: Option<u64>,
    /// No seal is tried before this time, after a failed one.
    pub seal_after: Nanos,
    /// When the last session left, or the head was last used.
    pub idle_since: Nanos,
    /// No new streams: the head is about to leave memory.
    pub stopping: bool,
    /// Numbers streams and freezes.
    pub streams: u64,
    /// The description was newer than the commit when the running seal began.
    pub recommitting: bool,
    /// Writes of the server's that wait until nobody decides alone.
    pub edits: VecDeque<edit::Waiting>,
    /// Bookmarks by which unsealed operations were written, with the sequence of the last: they go
    /// along with those.
    pub named: HashMap<String, u64>,
    /// Removes what a resolved conflict was shown in, as soon as nobody decides alone.
    pub leftovers: Option<Box<crate::edit::Edit>>,
    /// Who wants the change closed.
    pub closing: Vec<roll::Closing>,
    /// Who wants the head held still.
    pub freezers: VecDeque<Reply<freeze::Frozen>>,
    /// The head is held still.
    pub frozen: Option<freeze::Held>,
}

impl Head {
    /// The org.
    pub fn org(&self) -> &mesa_types::OrgId {
        self.packs.org_id()
    }

    /// The current time.
    pub fn now(&self) -> Nanos {
        self.catalog.now()
    }
}

impl State {
    /// The change.
    pub fn change(&self) -> ChangeId {
        change_id(&self.row.change)
    }

    /// The newest commit of the change.
    pub fn commit(&self) -> Option<GitOid> {
        oid(&self.row.commit)
    }

    /// The head leaves memory: nobody waits here any more.
    fn turn_away(&mut self) {
        self.edits.clear();
        self.closing.clear();
        self.freezers.clear();
    }

    /// Root object of the base.
    pub fn base(&self) -> Option<ObjectId> {
        ObjectId::from_slice(&self.row.base)
    }
}

pub(crate) fn change_id(bytes: &[u8]) -> ChangeId {
    bytes.try_into().map_or(ChangeId::ROOT, ChangeId)
}

pub(crate) fn oid(bytes: &[u8]) -> Option<GitOid> {
    bytes.try_into().ok().map(GitOid)
}
