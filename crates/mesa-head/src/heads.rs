//! All live heads of a server.

mod abandon;
mod bookmarks;
mod collect;
mod contains;
mod diff;
mod follow;
mod merge;
mod open;
mod past;
mod reads;
mod rebase;
mod recover;
mod registry;
mod repos;
mod resolve;
mod restore;
mod rewrite;
mod undo;
mod uploads;
mod write;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use mesa_object::OrgKey;
use mesa_proto::v1;
use mesa_repo::{Catalog, Change, Principal, Scope, Versioned, records::Org};
use mesa_store::{OrgPacks, PackStore};
use mesa_types::{ChangeId, HeadId, OrgId, RepoId, SessionId};
use parking_lot::Mutex;

pub(crate) use self::open::stored_id;
use self::registry::Slot;
pub use self::{
    collect::Collected,
    diff::{ConflictPaths, ConflictsShown, Difference},
    merge::{MergeInto, MergeOutcome, MergeSeen},
    past::{ActionCursor, ActionFilter, ActionPage},
    resolve::Resolutions,
    restore::{At, NotThere, Restore},
    undo::{Rewritten, Undo, UndoOutcome},
    write::{NewChange, Write},
};
pub use crate::head::command::{Access, SealedAt};
use crate::{
    Attached,
    config::HeadsConfig,
    error::{HeadError, Result},
    head::{
        Head,
        command::{Command, Reply},
        load::Parts,
    },
};

/// Sessions whose head is remembered.
const SESSIONS_MAX: usize = 65_536;

/// The registry of live heads; cheap to clone.
#[derive(Clone)]
pub struct Heads {
    inner: Arc<Inner>,
}

struct Inner {
    catalog: Catalog,
    packs: PackStore,
    config: Arc<HeadsConfig>,
    orgs: Mutex<HashMap<OrgId, OrgPacks>>,
    live: Mutex<HashMap<(OrgId, HeadId), Slot>>,
    /// Where sessions are, as far as is known: see [`Heads::ask_session`].
    sessions: Mutex<HashMap<(OrgId, SessionId), (HeadId, RepoId)>>,
    cursors: Mutex<collect::Cursors>,
    bookmark_turns: [tokio::sync::Mutex<()>; 64],
    rebase_turns: [tokio::sync::Mutex<()>; 64],
    /// Changes that could not be rebased, as they were then.
    stuck: Mutex<HashMap<ChangeId, mesa_meta::Version>>,
}

impl Heads {
    /// Heads over a catalog and packs. Nothing is read until something is opened.
    pub fn new(catalog: Catalog, packs: PackStore, config: HeadsConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                catalog,
                packs,
                config: Arc::new(config),
                orgs: Mutex::default(),
                live: Mutex::default(),
                sessions: Mutex::default(),
                cursors: Mutex::default(),
                bookmark_turns: [const { tokio::sync::Mutex::const_new(()) }; 64],
                rebase_turns: [const { tokio::sync::Mutex::const_new(()) }; 64],
                stuck: Mutex::default(),
            }),
        }
    }

    /// The catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// The bounds.
    pub fn config(&self) -> &HeadsConfig {
        &self.inner.config
    }

    /// Heads in memory.
    pub fn live_count(&self) -> usize {
        self.inner.live.lock().len()
    }

    /// The packs of an org.
    pub async fn packs(&self, org: &OrgId) -> Result<OrgPacks> {
        if let Some(packs) = self.inner.orgs.lock().get(org) {
            return Ok(packs.clone());
        }
        let record = self.inner.catalog.read::<Org>(&Org::key_of(org)).await?;
        let record = record
            .ok_or_else(|| HeadError::not_found("ORG_NOT_FOUND", "there is no such org"))?
            .record;
        let packs = self
            .inner
            .packs
            .org(org.clone(), OrgKey::new(record.chunk_key.0));
        self.inner.orgs.lock().insert(org.clone(), packs.clone());
        Ok(packs)
    }

    /// Starts a session's two-way stream.
    pub async fn attach(&self, caller: &Principal, hello: v1::Hello) -> Result<Attached> {
        let (_, _, attached) = self
            .ask_session(caller, &hello.session, |session, reply| Command::Attach {
                session,
                hello: hello.clone(),
                reply,
            })
            .await?;
        Ok(attached)
    }

    /// Ends a session in good order.
    pub async fn close_session(
        &self,
        caller: &Principal,
        request: v1::CloseSessionRequest,
    ) -> Result<v1::CloseSessionResponse> {
        let (_, session, ()) = self
            .ask_session(caller, &request.session, |session, reply| Command::Close {
                session,
                token: request.resume_token.clone(),
                reply,
            })
            .await?;
        let key = (caller.org.clone(), session);
        self.inner.sessions.lock().remove(&key);
        Ok(v1::CloseSessionResponse {})
    }

    /// Seals the head of a session.
    pub async fn seal_session(
        &self,
        caller: &Principal,
        request: v1::SealRequest,
    ) -> Result<v1::SealResponse> {
        let (head, _) = self.session(caller, &request.session).await?;
        let at = self
            .call(&caller.org, &head, |reply| Command::Seal {
                change: None,
                reply,
            })
            .await?;
        let parent = self.pending_parent(&caller.org, &head, at.change).await?;
        Ok(v1::SealResponse {
            parent_change_id: parent.map_or_else(String::new, |id| id.to_string()),
            change_id: at.change.to_string(),
            commit_oid: at.commit.map_or(String::new(), |oid| oid.to_string()),
            head_seq: at.head_seq,
        })
    }

    /// What a change that does not exist yet is on top of.
    async fn pending_parent(
        &self,
        org: &OrgId,
        head: &HeadId,
        change: ChangeId,
    ) -> Result<Option<ChangeId>> {
        let key = crate::rows::head_key(org, head);
        let Some(stored) = self
            .catalog()
            .meta()
            .get(mesa_meta::Table::Heads, &key)
            .await?
        else {
            return Ok(None);
        };
        let row: crate::rows::HeadRow = crate::rows::decode(&stored.value)?;
        let is_here = crate::head::change_id(&row.change) == change;
        Ok(row
            .pending
            .filter(|_| is_here)
            .map(|pending| pending.parent()))
    }

    /// Seals a change: everything its head acknowledged so far is in the commit named in the
    /// answer. A change without a live head is sealed already. One that is to be rebased is first.
    pub async fn seal(&self, org: &OrgId, repo: &RepoId, change: &ChangeId) -> Result<SealedAt> {
        let record = self.settled(org, repo, change).await?;
        self.sealed_from(org, repo, change, record).await
    }

    /// The same without a rebase.
    async fn sealed(&self, org: &OrgId, repo: &RepoId, change: &ChangeId) -> Result<SealedAt> {
        let record = self.inner.catalog.change(org, repo, change).await?;
        self.sealed_from(org, repo, change, record).await
    }

    async fn sealed_from(
        &self,
        org: &OrgId,
        repo: &RepoId,
        change: &ChangeId,
        mut read: Option<Versioned<Change>>,
    ) -> Result<SealedAt> {
        const ATTEMPTS: usize = 8;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                read = self.inner.catalog.change(org, repo, change).await?;
            }
            let record = read.take().ok_or_else(|| {
                HeadError::not_found("CHANGE_NOT_FOUND", "there is no such change")
            })?;
            let Some(head) = &record.head else {
                return Ok(SealedAt {
                    change: *change,
                    commit: record.commit,
                    head_seq: 0,
                    root: record.root,
                });
            };
            if let Some(at) = self.at_rest(org, head, change).await? {
                return Ok(at);
            }
            let sealed = self.call(org, head, |reply| Command::Seal {
                change: Some(*change),
                reply,
            });
            match sealed.await {
                // It was closed meanwhile: its record says what it became.
                Err(error) if error.code == "CHANGE_LEFT" => {}
                answer => return answer,
            }
        }
        Err(HeadError::gone())
    }

    /// Where a head is sealed, if nothing came after: its row says so, and nothing is loaded or
    /// written.
    async fn at_rest(
        &self,
        org: &OrgId,
        head: &HeadId,
        change: &ChangeId,
    ) -> Result<Option<SealedAt>> {
        // In memory it may know more than its row.
        if self
            .inner
            .live
            .lock()
            .contains_key(&(org.clone(), head.clone()))
        {
            return Ok(None);
        }
        let key = crate::rows::head_key(org, head);
        let meta = self.inner.catalog.meta();
        let Some(stored) = meta.get(mesa_meta::Table::Heads, &key).await? else {
            return Ok(None);
        };
        let row: crate::rows::HeadRow = crate::rows::decode(&stored.value)?;
        let here = crate::head::change_id(&row.change) == *change;
        let commit = crate::head::oid(&row.commit);
        let rests = row.seq == row.sealed_seq && !row.recommit && commit.is_some();
        Ok((here && rests).then(|| SealedAt {
            change: *change,
            commit,
            head_seq: row.sealed_seq,
            root: mesa_types::ObjectId::from_slice(&row.base),
        }))
    }

    /// Seals every live head and drops it from memory: for shutdown. Streams end; clients connect
    /// again to whoever serves next. Answers how many heads could not be sealed (their log has
    /// everything).
    pub async fn flush_all(&self) -> usize {
        let live: Vec<_> = self.inner.live.lock().values().cloned().collect();
        let stop = live.iter().filter_map(|slot| slot.get()).map(|head| async {
            let (reply, done) = tokio::sync::oneshot::channel();
            if head.commands.send(Command::Stop(reply)).await.is_err() {
                return true;
            }
            matches!(done.await, Ok(Ok(())))
        });
        let done = futures::future::join_all(stop).await;
        done.into_iter().filter(|sealed| !sealed).count()
    }

    /// Ends everything open in a repo that was deleted.
    pub async fn drop_repo(&self, repo: &RepoId) {
        let live: Vec<_> = self.inner.live.lock().values().cloned().collect();
        for head in live.iter().filter_map(|slot| slot.get()) {
            if head.repo == *repo {
                let (reply, done) = tokio::sync::oneshot::channel();
                if head.commands.send(Command::Stop(reply)).await.is_ok() {
                    // An error means that it is gone already.
                    let _ = done.await;
                }
            }
        }
        self.inner.sessions.lock().retain(|_, (_, of)| of != repo);
    }

    /// The head of a session the caller may use.
    async fn session(&self, caller: &Principal, session: &str) -> Result<(HeadId, SessionId)> {
        caller.require(Scope::Read)?;
        let id: SessionId = session.parse().map_err(|_| HeadError::no_session())?;
        let key = (caller.org.clone(), id.clone());
        let known = self.inner.sessions.lock().get(&key).cloned();
        let (head, repo) = if let Some(known) = known {
            known
        } else {
            let found = self.find_session(&caller.org, &id).await?;
            self.remember_session(&caller.org, &id, &found.0, &found.1);
            found
        };
        if !caller.sees(&repo) {
            return Err(HeadError::no_session());
        }
        Ok((head, id))
    }

    /// Asks the head of a session. One that followed a bookmark away from others has another head
    /// than it had.
    async fn ask_session<T>(
        &self,
        caller: &Principal,
        session: &str,
        command: impl Fn(SessionId, Reply<T>) -> Command,
    ) -> Result<(HeadId, SessionId, T)> {
        let (head, id) = self.session(caller, session).await?;
        let asked = self.call(&caller.org, &head, |reply| command(id.clone(), reply));
        match asked.await {
            Err(error) if error.code == "SESSION_NOT_FOUND" => {
                let (now, repo) = self.find_session(&caller.org, &id).await?;
                if now == head {
                    return Err(error);
                }
                self.remember_session(&caller.org, &id, &now, &repo);
                let asked = self.call(&caller.org, &now, |reply| command(id.clone(), reply));
                let answer = asked.await?;
                Ok((now, id, answer))
            }
            answer => Ok((head, id, answer?)),
        }
    }

    async fn find_session(&self, org: &OrgId, id: &SessionId) -> Result<(HeadId, RepoId)> {
        let row = self
            .session_row(org, id)
            .await?
            .ok_or_else(HeadError::no_session)?;
        let head = row.head.parse().map_err(|_| HeadError::no_session())?;
        let repo = row.repo.parse().map_err(|_| HeadError::no_session())?;
        Ok((head, repo))
    }

    fn remember_session(&self, org: &OrgId, id: &SessionId, head: &HeadId, repo: &RepoId) {
        let mut sessions = self.inner.sessions.lock();
        if sessions.len() >= SESSIONS_MAX {
            sessions.clear();
        }
        sessions.insert((org.clone(), id.clone()), (head.clone(), repo.clone()));
    }

    async fn session_row(
        &self,
        org: &OrgId,
        id: &SessionId,
    ) -> Result<Option<crate::rows::SessionRow>> {
        let key = crate::rows::session_key(org, id);
        let meta = self.inner.catalog.meta();
        let row = meta.get(mesa_meta::Table::Sessions, &key).await?;
        row.map(|row| crate::rows::decode(&row.value)).transpose()
    }

    pub(crate) async fn parts(&self, org: &OrgId) -> Result<Parts> {
        Ok(Parts {
            catalog: self.inner.catalog.clone(),
            packs: self.packs(org).await?,
            config: Arc::clone(&self.inner.config),
        })
    }

    pub(crate) async fn head(&self, org: &OrgId, id: &HeadId) -> Result<Arc<Head>> {
        let parts = self.parts(org).await?;
        registry::get(&self.inner, parts, id).await
    }

    /// Asks a head; if it leaves memory meanwhile, it is loaded again and asked again.
    pub(crate) async fn call<T>(
        &self,
        org: &OrgId,
        head: &HeadId,
        command: impl Fn(Reply<T>) -> Command,
    ) -> Result<T> {
        const ATTEMPTS: usize = 4;
        for _ in 0..ATTEMPTS {
            let live = self.head(org, head).await?;
            let (reply, answer) = tokio::sync::oneshot::channel();
            if live.commands.send(command(reply)).await.is_err() {
                continue;
            }
            // What the head holds is not to outlive it because of this call.
            drop(live);
            if let Ok(answer) = answer.await {
                return answer;
            }
        }
        Err(HeadError::gone())
    }
}

impl Inner {
    fn forget(this: &Weak<Self>, id: &(OrgId, HeadId), slot: &Weak<registry::Cell>) {
        let (Some(inner), Some(slot)) = (this.upgrade(), slot.upgrade()) else {
            return;
        };
        let mut live = inner.live.lock();
        if live.get(id).is_some_and(|held| Arc::ptr_eq(held, &slot)) {
            live.remove(id);
        }
    }
}
