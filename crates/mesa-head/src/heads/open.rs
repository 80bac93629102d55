//! OpenHead: which head a target means, and a session in it.

use bytes::Bytes;
use mesa_meta::{Batch, Committed, Table};
use mesa_proto::v1::{self, target::Kind as Target};
use mesa_repo::{Change, ChangeState, Principal, RecordBatch, Repo, Scope, Versioned};
use mesa_types::{BookmarkName, ChangeId, HeadId, ObjectId, RepoName, SessionId};

use super::{Heads, recover::Lost, repos};
use crate::{
    error::{HeadError, Result},
    head::{
        change_id,
        command::{Command, HeadFacts, Join, Resumed, wire_range},
        seal::stored_oids,
        session::token_hash,
    },
    rows::{self, HeadRow, IdSpan, Pending, SessionRow},
};

/// Attempts while others open the same bookmark.
const ATTEMPTS: usize = 8;
/// Longest client and host names kept.
const TEXT_MAX: usize = 200;

/// A head and how it was found.
pub(super) struct Found {
    pub head: HeadId,
    /// Its change, perhaps one that does not exist yet.
    pub change: ChangeId,
    /// Of a pending head: the change it is on top of.
    pub parent: Option<ChangeId>,
    /// The bookmark it was found by.
    pub bookmark: Option<BookmarkName>,
}

impl Heads {
    /// Joins or prepares a head, or resumes a session in it.
    pub async fn open_head(
        &self,
        caller: &Principal,
        request: v1::OpenHeadRequest,
    ) -> Result<v1::OpenHeadResponse> {
        caller.require(Scope::Read)?;
        repos::check_org(caller, &request.org)?;
        let name: RepoName = request
            .repo
            .parse()
            .map_err(|_| HeadError::not_found("REPO_NOT_FOUND", "there is no such repo"))?;
        let repo = self.catalog().visible_repo(caller, &name).await?.record;
        if let Some(resume) = &request.resume {
            return self.resume_head(caller, &repo, resume).await;
        }
        let read_only = request.read_only || !caller.allows(&repo.id, Scope::Write);
        let target = request.target.clone().and_then(|target| target.kind);
        let span = if read_only {
            IdSpan::default()
        } else {
            self.new_ids(&repo, request.want_ids).await?
        };
        let session = SessionId::from_unique(&self.catalog().unique());
        let mut token = [0; 32];
        self.catalog().random().fill(&mut token);
        let now = self.catalog().now();
        let mut row = SessionRow {
            repo: repo.id.as_str().to_owned(),
            key: caller.key.as_str().to_owned(),
            token: token_hash(&token),
            ranges: (span.count > 0).then_some(span).into_iter().collect(),
            created_ns: now.0,
            seen_ns: now.0,
            client: cut(&request.client),
            host: cut(&request.host),
            read_only,
            isolated: request.isolate,
            ..SessionRow::default()
        };
        let mut tries = 0;
        let joined = loop {
            tries += 1;
            let found = self
                .find_head(&repo, target.clone(), request.isolate && !read_only)
                .await?;
            found.head.as_str().clone_into(&mut row.head);
            row.bookmark = found
                .bookmark
                .as_ref()
                .map_or(String::new(), ToString::to_string);
            let joined = self
                .call(&caller.org, &found.head, |reply| {
                    let join = Join {
                        session: session.clone(),
                        row: row.clone(),
                        follows: found.bookmark.clone().filter(|_| !request.isolate),
                    };
                    Command::Join(Box::new(join), reply)
                })
                .await;
            match joined {
                Ok(joined) => {
                    self.remember_session(&caller.org, &session, &found.head, &repo.id);
                    break joined;
                }
                // A pending head that vanished with its last session just now.
                Err(error) if error.code == "HEAD_NOT_FOUND" && tries < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        };
        Ok(v1::OpenHeadResponse {
            resume_token: Bytes::copy_from_slice(&token),
            ids: (span.count > 0).then(|| wire_range(&span)),
            ..self
                .response(caller, &repo, &session, &row, joined.at)
                .await?
        })
    }

    async fn resume_head(
        &self,
        caller: &Principal,
        repo: &Repo,
        resume: &v1::Resume,
    ) -> Result<v1::OpenHeadResponse> {
        let (_, session) = self.session(caller, &resume.session).await?;
        let row = self
            .session_row(&caller.org, &session)
            .await?
            .filter(|row| row.repo == repo.id.as_str())
            .ok_or_else(HeadError::no_session)?;
        drop(row);
        let (head, session, resumed) = self
            .ask_session(caller, session.as_str(), |session, reply| Command::Resume {
                session,
                token: resume.token.clone(),
                last_client_seq: resume.last_client_seq,
                give_up: resume.give_up,
                reply,
            })
            .await?;
        match resumed {
            Resumed::InPlace {
                at,
                acked_client_seq,
                row,
            } => Ok(v1::OpenHeadResponse {
                resume_token: resume.token.clone(),
                ids: row.ranges.last().map(wire_range),
                resumed: true,
                acked_client_seq,
                ..self.response(caller, repo, &session, &row, *at).await?
            }),
            // Without operations of its own there is nothing to recover.
            Resumed::Lost { row, .. } if row.read_only => Err(HeadError::no_session()),
            Resumed::Lost { reason, row } => {
                caller.require_in(&repo.id, Scope::Write)?;
                let lost = Lost {
                    head,
                    session,
                    row: *row,
                    reason,
                    head_seq: resume.head_seq,
                    acked_client_seq: resume.acked_client_seq,
                };
                let lost = self.recover(caller, repo, lost).await?;
                Ok(v1::OpenHeadResponse {
                    repo: Some(repos::info(caller, repo)),
                    lost: Some(lost),
                    server_now_ns: self.catalog().now().0,
                    ..v1::OpenHeadResponse::default()
                })
            }
        }
    }

    async fn response(
        &self,
        caller: &Principal,
        repo: &Repo,
        session: &SessionId,
        row: &SessionRow,
        at: HeadFacts,
    ) -> Result<v1::OpenHeadResponse> {
        let packs = self.packs(&caller.org).await?;
        Ok(v1::OpenHeadResponse {
            session: session.as_str().to_owned(),
            repo: Some(repos::info(caller, repo)),
            change_id: at.change.to_string(),
            bookmark: row.bookmark.clone(),
            head: row.head.clone(),
            epoch: at.epoch,
            head_seq: at.head_seq,
            root: Some(at.root),
            limits: Some(self.config().limits),
            chunk_key: Bytes::copy_from_slice(packs.key().as_bytes()),
            read_only: row.read_only,
            key_expires_ns: caller.expires.map_or(0, |at| at.0),
            server_now_ns: self.catalog().now().0,
            ..v1::OpenHeadResponse::default()
        })
    }

    async fn new_ids(&self, repo: &Repo, wanted: u32) -> Result<IdSpan> {
        let count = match wanted {
            0 => self.config().ids_default,
            count => count.min(self.config().ids_max),
        };
        let first = self
            .catalog()
            .allocate_file_ids(&repo.org, repo, count)
            .await?;
        Ok(IdSpan {
            first: first.0,
            count: count.into(),
        })
    }

    pub(super) async fn find_head(
        &self,
        repo: &Repo,
        target: Option<Target>,
        isolate: bool,
    ) -> Result<Found> {
        let bookmark = match target {
            Some(Target::Change(text)) => {
                let id: ChangeId = text.parse().map_err(|_| no_change())?;
                return self.head_at_change(repo, id, None, isolate).await;
            }
            Some(Target::Bookmark(name)) if !name.is_empty() => {
                name.parse().map_err(|_| no_bookmark())?
            }
            _ => repo.default_bookmark.clone(),
        };
        let read = self
            .catalog()
            .bookmark(&repo.org, &repo.id, &bookmark)
            .await?
            .ok_or_else(no_bookmark)?;
        let found = self
            .head_at_change(repo, read.change, Some(&bookmark), isolate)
            .await?;
        Ok(Found {
            bookmark: Some(bookmark),
            ..found
        })
    }

    /// The head of an open change, or a pending one on top of a change that takes no writes: of an
    /// abandoned one, on top of what is below it. An
    /// isolated session never writes into a change of others: an open one is closed.
    async fn head_at_change(
        &self,
        repo: &Repo,
        id: ChangeId,
        bookmark: Option<&BookmarkName>,
        isolate: bool,
    ) -> Result<Found> {
        let (mut id, mut parent) = (id, None);
        while !id.is_root() {
            let found = self.settled(&repo.org, &repo.id, &id).await?;
            let found = found.ok_or_else(no_change)?;
            if found.state == ChangeState::Abandoned {
                // As for the sessions that were in it.
                id = found.parents.first().copied().unwrap_or(ChangeId::ROOT);
                continue;
            }
            if found.state == ChangeState::Open && !isolate {
                return Ok(Found {
                    head: self.head_of_open(&found).await?,
                    change: id,
                    parent: None,
                    bookmark: None,
                });
            }
            if found.state == ChangeState::Open {
                self.close_change(repo, &id, ChangeState::Closed).await?;
            }
            parent = Some(found.record);
            break;
        }
        let follow = bookmark.filter(|_| !isolate);
        let (head, change) = self.pending_head(repo, parent.as_ref(), follow).await?;
        Ok(Found {
            head,
            change,
            parent: Some(id),
            bookmark: None,
        })
    }

    /// The head of an open change; made if it never had one.
    pub(super) async fn head_of_open(&self, change: &Versioned<Change>) -> Result<HeadId> {
        if let Some(head) = &change.head {
            return Ok(head.clone());
        }
        let head = HeadId::from_unique(&self.catalog().unique());
        let (commits, generation) = self.lineage(change).await?;
        let row = HeadRow {
            repo: change.repo.as_str().to_owned(),
            change: Bytes::copy_from_slice(&change.id.0),
            base: stored_id(change.root),
            parent_commits: commits,
            generation,
            commit: change
                .commit
                .map_or_else(Bytes::new, |oid| Bytes::copy_from_slice(&oid.0)),
            created_ns: self.catalog().now().0,
            ..HeadRow::default()
        };
        let with_head = Change {
            head: Some(head.clone()),
            ..change.record.clone()
        };
        let mut batch = Batch::new();
        let key = rows::head_key(&change.org, &head);
        batch.put(Table::Heads, key, rows::encode(&row));
        batch.replace_record(&with_head, change.version);
        match self.catalog().meta().commit(batch).await? {
            Committed::Yes(_) => Ok(head),
            Committed::Conflict(_) => {
                let (org, repo) = (&change.org, &change.repo);
                let fresh = self.catalog().change(org, repo, &change.id).await?;
                fresh
                    .and_then(|fresh| fresh.record.head)
                    .ok_or_else(HeadError::gone)
            }
        }
    }

    /// Parent commits and generation of a change's own commits.
    async fn lineage(&self, change: &Change) -> Result<(Vec<Bytes>, u64)> {
        let mut commits = Vec::new();
        let mut generation = 1;
        for parent in change.parents.iter().filter(|parent| !parent.is_root()) {
            let at = self.seal(&change.org, &change.repo, parent).await?;
            if let Some(oid) = at.commit {
                commits.extend(stored_oids(&[oid]));
                let commit = self
                    .catalog()
                    .commit_by_oid(&change.org, &change.repo, &oid)
                    .await?;
                generation = generation.max(commit.map_or(1, |commit| commit.generation + 1));
            }
        }
        Ok((commits, generation))
    }

    /// A head whose change does not exist yet. With a bookmark: the one that all share who open it.
    async fn pending_head(
        &self,
        repo: &Repo,
        parent: Option<&Change>,
        follow: Option<&BookmarkName>,
    ) -> Result<(HeadId, ChangeId)> {
        let meta = self.catalog().meta();
        let parent_id = parent.map_or(ChangeId::ROOT, |parent| parent.id);
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new();
            if let Some(name) = follow {
                let key = rows::pending_key(&repo.org, &repo.id, name);
                match meta.get(Table::Heads, &key).await? {
                    None => batch.absent(Table::Heads, key),
                    Some(stored) => {
                        let head = std::str::from_utf8(&stored.value)
                            .ok()
                            .and_then(|text| text.parse::<HeadId>().ok());
                        if let Some(head) = head
                            && let Some(change) = self.is_pending_on(repo, &head, parent_id).await?
                        {
                            return Ok((head, change));
                        }
                        batch.is(Table::Heads, key, stored.version)
                    }
                };
            }
            let head = HeadId::from_unique(&self.catalog().unique());
            let row = self.pending_row(repo, parent, follow).await?;
            batch.put(
                Table::Heads,
                rows::head_key(&repo.org, &head),
                rows::encode(&row),
            );
            if let Some(name) = follow {
                let key = rows::pending_key(&repo.org, &repo.id, name);
                batch.put(Table::Heads, key, head.as_str().to_owned());
            }
            if let Committed::Yes(_) = meta.commit(batch).await? {
                return Ok((head, change_id(&row.change)));
            }
        }
        Err(HeadError::gone())
    }

    /// The change of a head that is pending on top of `parent`.
    pub(super) async fn is_pending_on(
        &self,
        repo: &Repo,
        head: &HeadId,
        parent: ChangeId,
    ) -> Result<Option<ChangeId>> {
        let key = rows::head_key(&repo.org, head);
        let Some(stored) = self.catalog().meta().get(Table::Heads, &key).await? else {
            return Ok(None);
        };
        let row: HeadRow = rows::decode(&stored.value)?;
        let here = row.pending.filter(|pending| pending.parent() == parent);
        Ok(here.map(|_| change_id(&row.change)))
    }

    async fn pending_row(
        &self,
        repo: &Repo,
        parent: Option<&Change>,
        follow: Option<&BookmarkName>,
    ) -> Result<HeadRow> {
        let mut row = HeadRow {
            repo: repo.id.as_str().to_owned(),
            change: Bytes::copy_from_slice(&self.catalog().new_change_id().0),
            generation: 1,
            pending: Some(Pending {
                parents: vec![Bytes::copy_from_slice(
                    &parent.map_or(ChangeId::ROOT, |p| p.id).0,
                )],
                bookmarks: follow.map(ToString::to_string).into_iter().collect(),
            }),
            created_ns: self.catalog().now().0,
            ..HeadRow::default()
        };
        if let Some(parent) = parent {
            let at = self.seal(&parent.org, &parent.repo, &parent.id).await?;
            row.base = stored_id(at.root);
            if let Some(oid) = at.commit {
                row.parent_commits = stored_oids(&[oid]);
                let commit = self
                    .catalog()
                    .commit_by_oid(&repo.org, &repo.id, &oid)
                    .await?;
                row.generation = commit.map_or(1, |commit| commit.generation + 1);
            }
        }
        Ok(row)
    }
}

/// An object id as stored; empty = none.
pub(crate) fn stored_id(id: Option<ObjectId>) -> Bytes {
    id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id.0))
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

pub(super) fn no_change() -> HeadError {
    HeadError::not_found("CHANGE_NOT_FOUND", "there is no such change")
}

pub(super) fn no_bookmark() -> HeadError {
    HeadError::not_found("BOOKMARK_NOT_FOUND", "there is no such bookmark")
}
