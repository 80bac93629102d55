//! Writes of the server's: file operations on a change or bookmark, new changes, closing them.

use bytes::Bytes;
use mesa_meta::{Batch, Committed, Table};
use mesa_proto::v1;
use mesa_repo::{Actor, Change, ChangeState, Repo, Versioned};
use mesa_types::{ChangeId, CommitOid, GitOid, HeadId};

use super::{
    Heads, SealedAt,
    open::{Found, no_change, stored_id},
};
use crate::{
    ViewTarget,
    edit::{ConflictEdit, Describe, Edit, Edited, Expect, FileEdit, Prepared, content, plan},
    error::{HeadError, HeadErrorKind, Result},
    head::{command::Command, freeze::Frozen, seal::stored_oids},
    rows::{self, HeadRow, IdSpan, Pending},
};

/// Attempts while others write to the same change.
const ATTEMPTS: usize = 16;

/// A write to a change, or to whatever a bookmark names.
#[derive(Debug, Clone)]
pub struct Write {
    /// A change that takes no more writes gets a new one on top; a bookmark goes along to it.
    pub target: ViewTarget,
    /// File operations, all or none of them.
    pub edits: Vec<FileEdit>,
    /// What the change says about itself from now on.
    pub describe: Describe,
    /// The commit the caller saw, zeros for none; `STALE_COMMIT` if the change has another one.
    pub base_commit: Option<CommitOid>,
}

/// A change to be made.
#[derive(Debug, Clone)]
pub struct NewChange {
    /// Its parents, the first of them the one whose files it begins with. An open one is closed.
    pub parents: Vec<ChangeId>,
    /// What it does to the files of the first parent.
    pub edits: Vec<FileEdit>,
    /// What it says about itself.
    pub describe: Describe,
}

impl Heads {
    /// Writes and seals. Answers the change written to with its commit. If there was nothing to
    /// write, the change stays as it is.
    pub async fn write(&self, actor: &Actor, repo: &Repo, write: Write) -> Result<SealedAt> {
        let packs = self.packs(&repo.org).await?;
        let files = content::prepare(&packs, write.edits).await?;
        let ids = self.server_ids(repo, &files).await?;
        let id = format!("rest-{}", self.catalog().unique());
        let mut last = HeadError::gone();
        for _ in 0..ATTEMPTS {
            let found = self.find_for_write(repo, &write.target).await?;
            if let Some(expected) = write.base_commit {
                let at = self
                    .seal_or_root(repo, found.parent.as_ref().unwrap_or(&found.change))
                    .await?;
                if !is_at(&at, expected) {
                    self.discard(repo, &found).await?;
                    return Err(stale(Some(expected)));
                }
            }
            let edit = Edit {
                id: id.clone(),
                files: files.clone(),
                ids,
                actor: actor.clone(),
                origin: "rest",
                describe: write.describe.clone(),
                expect: Expect {
                    change: Some(found.change),
                    commit: write.base_commit.filter(|_| found.parent.is_none()),
                    seq: None,
                    bookmark: found.bookmark.clone(),
                    pending: write.base_commit.is_some() && found.parent.is_some(),
                },
                commit: false,
                rebase: None,
                undone: None,
                conflicts: ConflictEdit::Keep,
            };
            match self.edit(repo, &found.head, edit).await {
                Ok(edited) => return self.edited(repo, &found, edited).await,
                Err(error) if is_passing(&error) => last = error,
                Err(error) => {
                    self.discard(repo, &found).await?;
                    return Err(error);
                }
            }
        }
        Err(busy(&last))
    }

    /// Makes a change on top of others, with its first commit.
    pub async fn create_change(
        &self,
        actor: &Actor,
        repo: &Repo,
        new: NewChange,
    ) -> Result<SealedAt> {
        let packs = self.packs(&repo.org).await?;
        let files = content::prepare(&packs, new.edits).await?;
        let ids = self.server_ids(repo, &files).await?;
        let id = format!("rest-{}", self.catalog().unique());
        for parent in &new.parents {
            self.not_abandoned(repo, parent).await?;
            self.close_change(repo, parent, ChangeState::Closed).await?;
        }
        let (head, change) = self.hidden_head(repo, &new.parents).await?;
        let found = Found {
            head,
            change,
            parent: new.parents.first().copied(),
            bookmark: None,
        };
        let edit = Edit {
            id,
            files,
            ids,
            actor: actor.clone(),
            origin: "rest",
            describe: new.describe,
            expect: Expect::default(),
            commit: true,
            rebase: None,
            undone: None,
            conflicts: ConflictEdit::Keep,
        };
        match self.edit(repo, &found.head, edit).await {
            Ok(edited) => self.edited(repo, &found, edited).await,
            Err(error) => {
                self.discard(repo, &found).await?;
                Err(error)
            }
        }
    }

    /// Closes a change with this description. One that takes no more writes keeps its own, also if
    /// somebody else closed it a moment ago: nothing new is made for a description. Answers as
    /// [`Self::close_change`].
    pub async fn close_described(
        &self,
        actor: &Actor,
        repo: &Repo,
        id: &ChangeId,
        describe: Describe,
    ) -> Result<Option<ChangeId>> {
        let edit = Edit {
            id: format!("rest-{}", self.catalog().unique()),
            files: Vec::new(),
            ids: IdSpan::default(),
            actor: actor.clone(),
            origin: "rest",
            describe,
            expect: Expect {
                change: Some(*id),
                ..Expect::default()
            },
            commit: false,
            rebase: None,
            undone: None,
            conflicts: ConflictEdit::Keep,
        };
        let mut last = HeadError::gone();
        for _ in 0..ATTEMPTS {
            if id.is_root() || edit.describe.is_empty() {
                return self.close_change(repo, id, ChangeState::Closed).await;
            }
            let change = self.settled(&repo.org, &repo.id, id).await?;
            let change = change.ok_or_else(no_change)?;
            if change.state != ChangeState::Open {
                return Ok(None);
            }
            let head = self.head_of_open(&change).await?;
            match self.edit(repo, &head, edit.clone()).await {
                Ok(_) => return self.close_change(repo, id, ChangeState::Closed).await,
                Err(error) if is_passing(&error) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(busy(&last))
    }

    /// Ends a change's open life: what was acknowledged is in its last commit, who writes to it
    /// goes on in a new change on top. Answers the change that its head goes on in, if it has one.
    pub async fn close_change(
        &self,
        repo: &Repo,
        id: &ChangeId,
        state: ChangeState,
    ) -> Result<Option<ChangeId>> {
        for _ in 0..ATTEMPTS {
            if id.is_root() {
                return Ok(None);
            }
            let change = self.settled(&repo.org, &repo.id, id).await?;
            let change = change.ok_or_else(no_change)?;
            if change.state != ChangeState::Open {
                return self.published(repo, change, state).await;
            }
            let head = self.head_of_open(&change).await?;
            let closed = self
                .call(&repo.org, &head, |reply| Command::CloseChange {
                    change: *id,
                    state,
                    reply,
                })
                .await;
            match closed {
                Ok(next) => return Ok(Some(next)),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(busy(&HeadError::gone()))
    }

    /// A closed change that is published.
    async fn published(
        &self,
        repo: &Repo,
        change: Versioned<Change>,
        state: ChangeState,
    ) -> Result<Option<ChangeId>> {
        if state == ChangeState::Published && change.state == ChangeState::Closed {
            self.catalog()
                .set_change_state(&repo.org, &repo.id, &change.id, state, &Actor::server())
                .await?;
        }
        Ok(None)
    }

    pub(super) async fn edit(&self, repo: &Repo, head: &HeadId, edit: Edit) -> Result<Edited> {
        self.call(&repo.org, head, |reply| {
            Command::Edit(Box::new(edit.clone()), reply)
        })
        .await
    }

    /// A write with which a head that is held still goes on.
    pub(super) async fn edit_held(
        &self,
        repo: &Repo,
        head: &HeadId,
        held: Option<Frozen>,
        edit: Edit,
    ) -> Result<Edited> {
        if let Some(held) = held {
            match held.hold.end_with(Box::new(edit.clone())).await {
                // What became of it is known by its id.
                Err(error) if error.code == "HEAD_RELOADED" => {}
                done => return done,
            }
        }
        self.edit(repo, head, edit).await
    }

    /// What a write left: the change with a commit that has it.
    pub(super) async fn edited(
        &self,
        repo: &Repo,
        found: &Found,
        edited: Edited,
    ) -> Result<SealedAt> {
        if let (Some(parent), false) = (found.parent, edited.exists) {
            self.discard(repo, found).await?;
            return self.seal(&repo.org, &repo.id, &parent).await;
        }
        self.seal(&repo.org, &repo.id, &edited.change).await
    }

    /// A hidden head made for a write that came to nothing.
    pub(super) async fn discard(&self, repo: &Repo, found: &Found) -> Result<()> {
        if found.parent.is_none() || found.bookmark.is_some() {
            return Ok(());
        }
        match self.call(&repo.org, &found.head, Command::Discard).await {
            Err(error) if error.kind != HeadErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) async fn find_for_write(&self, repo: &Repo, target: &ViewTarget) -> Result<Found> {
        use v1::target::Kind;
        let target = match target {
            ViewTarget::Bookmark(name) => Kind::Bookmark(name.to_string()),
            ViewTarget::Change(id) => {
                self.not_abandoned(repo, id).await?;
                Kind::Change(id.to_string())
            }
        };
        self.find_head(repo, Some(target), false).await
    }

    /// Refuses what would be written on top of an abandoned change.
    pub(super) async fn not_abandoned(&self, repo: &Repo, id: &ChangeId) -> Result<()> {
        if id.is_root() {
            return Ok(());
        }
        let found = self.catalog().change(&repo.org, &repo.id, id).await?;
        if found.is_some_and(|found| found.state == ChangeState::Abandoned) {
            return Err(HeadError::conflict(
                "CHANGE_ABANDONED",
                format!("{id} was abandoned: bring it back first"),
            ));
        }
        Ok(())
    }

    async fn server_ids(&self, repo: &Repo, files: &[Prepared]) -> Result<IdSpan> {
        let count = plan::ids_wanted(files);
        self.some_ids(repo, count).await
    }

    pub(super) async fn some_ids(&self, repo: &Repo, count: u64) -> Result<IdSpan> {
        let Ok(wanted) = u32::try_from(count) else {
            return Err(HeadError::invalid("more new files than one write can make"));
        };
        if wanted == 0 {
            return Ok(IdSpan::default());
        }
        let first = self
            .catalog()
            .allocate_file_ids(&repo.org, repo, wanted)
            .await?;
        Ok(IdSpan {
            first: first.0,
            count,
        })
    }

    /// A pending head that nobody finds: for a change with these parents, which are closed, and
    /// the tree of the first.
    pub(super) async fn hidden_head(
        &self,
        repo: &Repo,
        parents: &[ChangeId],
    ) -> Result<(HeadId, ChangeId)> {
        let mut at = Vec::with_capacity(parents.len());
        for parent in parents {
            at.push(self.seal_or_root(repo, parent).await?);
        }
        self.hidden_head_at(repo, parents, &at).await
    }

    /// The same with what the parents are known to be sealed at.
    pub(super) async fn hidden_head_at(
        &self,
        repo: &Repo,
        parents: &[ChangeId],
        sealed: &[SealedAt],
    ) -> Result<(HeadId, ChangeId)> {
        let head = HeadId::from_unique(&self.catalog().unique());
        let change = self.catalog().new_change_id();
        let mut row = HeadRow {
            repo: repo.id.as_str().to_owned(),
            change: Bytes::copy_from_slice(&change.0),
            generation: 1,
            pending: Some(Pending {
                parents: parents
                    .iter()
                    .map(|id| Bytes::copy_from_slice(&id.0))
                    .collect(),
                bookmarks: Vec::new(),
            }),
            created_ns: self.catalog().now().0,
            ..HeadRow::default()
        };
        for (n, at) in sealed.iter().enumerate() {
            if n == 0 {
                row.base = stored_id(at.root);
            }
            if let Some(oid) = at.commit {
                row.parent_commits.extend(stored_oids(&[oid]));
                let commit = self
                    .catalog()
                    .commit_by_oid(&repo.org, &repo.id, &oid)
                    .await?;
                let after = commit.map_or(1, |commit| commit.generation + 1);
                row.generation = row.generation.max(after);
            }
        }
        let mut batch = Batch::new();
        let key = rows::head_key(&repo.org, &head);
        batch.put(Table::Heads, key, rows::encode(&row));
        match self.catalog().meta().commit(batch).await? {
            Committed::Yes(_) => Ok((head, change)),
            Committed::Conflict(_) => Err(HeadError::gone()),
        }
    }
}

/// Whether another attempt may succeed.
pub(super) fn is_passing(error: &HeadError) -> bool {
    matches!(
        error.code,
        "CHANGE_LEFT" | "WRITTEN_MEANWHILE" | "HEAD_NOT_FOUND" | "HEAD_RELOADED" | "TOOK_TOO_LONG"
    )
}

pub(super) fn busy(last: &HeadError) -> HeadError {
    HeadError::conflict(
        "LOCK_CONFLICT",
        format!("others kept writing to the same change: {last}"),
    )
}

/// Whether this is the commit a caller saw; zeros stand for none.
pub(super) fn is_at(at: &SealedAt, seen: CommitOid) -> bool {
    at.commit.unwrap_or(GitOid([0; 20])) == seen
}

pub(super) fn stale(expected: Option<CommitOid>) -> HeadError {
    let expected = expected.map_or_else(String::new, |oid| oid.to_string());
    HeadError::conflict(
        "STALE_COMMIT",
        format!("{expected} is not the change's commit any more"),
    )
}
