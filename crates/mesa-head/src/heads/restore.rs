//! Bringing paths back as they were.

use mesa_repo::{Actor, Change, PageRequest, Repo, Versioned};
use mesa_types::{ChangeId, CommitOid, Nanos, NodeKind, ObjectId};

use super::{
    Heads,
    open::no_change,
    past::Place,
    rewrite::{Rewrite, root_value},
    undo::Rewritten,
};
use crate::{
    ViewTarget,
    edit::Prepared,
    error::{HeadError, Result},
    oplog::{
        listing::Lister,
        segments::PathSet,
        state::{base_at, no_operation, not_kept},
        transform::{How, Target, Within, transform},
    },
    versions::store::Versions,
};

/// Changes looked at for the one that was there at some time.
const CHANGES_MAX: usize = 1000;
/// Commits of one change looked at.
const COMMITS_MAX: usize = 10_000;

/// A state of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// A change as it is now.
    Change(ChangeId),
    /// A commit.
    Commit(CommitOid),
    /// What the change, or the one it is on top of, was at a time.
    Time(Nanos),
    /// After an operation of the change.
    After(u64),
    /// Before an operation of the change.
    Before(u64),
}

/// Paths to be brought back.
#[derive(Debug, Clone)]
pub struct Restore {
    /// Whose operations and times are meant.
    pub change: ChangeId,
    /// The state.
    pub at: At,
    /// Where that is written.
    pub onto: ViewTarget,
    /// Raw paths; the empty one is the whole tree.
    pub paths: Vec<Vec<u8>>,
    /// Paths that were not there are removed.
    pub allow_remove: bool,
}

/// Paths that were not there then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotThere(pub Vec<Vec<u8>>);

/// A restore with its state found.
pub(super) struct Wish {
    root: Option<ObjectId>,
    paths: Vec<Vec<u8>>,
}

impl Heads {
    /// Brings paths back as they were: content, type, mode, owners, extended attributes, and what
    /// is below directories. The inner error: paths that were not there.
    pub async fn restore(
        &self,
        actor: &Actor,
        repo: &Repo,
        wanted: Restore,
    ) -> Result<Result<Rewritten, NotThere>> {
        self.restore_seen(actor, repo, wanted, None).await
    }

    /// The same, if what is written to has the commit that the caller saw, zeros for none
    /// (`STALE_COMMIT`).
    pub async fn restore_seen(
        &self,
        actor: &Actor,
        repo: &Repo,
        wanted: Restore,
        seen: Option<CommitOid>,
    ) -> Result<Result<Rewritten, NotThere>> {
        let root = self.state(repo, &wanted.change, wanted.at).await?;
        if !wanted.allow_remove {
            let store = self.versions(repo).await?;
            let tree = root_value(&store, root).await?;
            let mut lister = Lister::new(&store);
            let mut missing = Vec::new();
            for path in &wanted.paths {
                let there = lister.find(&tree, path).await?;
                // The root of a tree that has nothing is no more there than any other path.
                let is_there = match &there {
                    Some(root) if path.is_empty() => {
                        let listed = lister.list(&[Some(root)]).await?;
                        listed.iter().any(|listing| !listing.is_empty())
                    }
                    other => other.is_some(),
                };
                if !is_there {
                    missing.push(path.clone());
                }
            }
            if !missing.is_empty() {
                return Ok(Err(NotThere(missing)));
            }
        }
        // A path below another one comes back with it.
        let paths: PathSet = wanted.paths.into_iter().collect();
        let wish = Wish {
            root,
            paths: paths.into_paths().collect(),
        };
        let what = Rewrite::Restore(wish);
        let done = self.rewrite(actor, repo, &wanted.onto, &what, seen).await?;
        done.map(Ok)
            .map_err(|_| HeadError::corrupt("a restore with conflicts"))
    }

    /// The snapshot of a state.
    async fn state(&self, repo: &Repo, change: &ChangeId, at: At) -> Result<Option<ObjectId>> {
        match at {
            At::Change(id) => Ok(self.seal_or_root(repo, &id).await?.root),
            At::Commit(oid) => {
                let found = self
                    .catalog()
                    .commit_by_oid(&repo.org, &repo.id, &oid)
                    .await?;
                let missing =
                    || HeadError::not_found("COMMIT_NOT_FOUND", "there is no such commit");
                Ok(found.ok_or_else(missing)?.root)
            }
            At::After(seq) | At::Before(seq) => {
                let place = self.place(repo, change).await?.ok_or_else(no_operation)?;
                let (after, to) = (place.span.after, place.span.to);
                let log = self.log(repo, &place.span.head);
                if seq <= after || seq > to || log.row_of(seq).await?.is_none() {
                    return Err(no_operation());
                }
                let seq = seq - u64::from(matches!(at, At::Before(_)));
                let parts = self.parts(&repo.org).await?;
                self.state_after(&parts, repo, &place, seq).await
            }
            At::Time(time) => self.time_state(repo, change, time).await,
        }
    }

    async fn time_state(
        &self,
        repo: &Repo,
        change: &ChangeId,
        time: Nanos,
    ) -> Result<Option<ObjectId>> {
        let mut id = *change;
        for _ in 0..CHANGES_MAX {
            if id.is_root() {
                return Ok(None);
            }
            let read = self.catalog().change(&repo.org, &repo.id, &id).await?;
            let read = read.ok_or_else(no_change)?;
            if read.created <= time {
                return self.change_at(repo, &read, time).await;
            }
            id = read.parents.first().copied().unwrap_or(ChangeId::ROOT);
        }
        Err(not_kept())
    }

    /// What a change was at a time at which it existed.
    async fn change_at(
        &self,
        repo: &Repo,
        change: &Versioned<Change>,
        time: Nanos,
    ) -> Result<Option<ObjectId>> {
        if let Some(place) = self.place(repo, &change.id).await?
            && let Some(root) = self.logged_at(repo, &place, time).await?
        {
            return Ok(root);
        }
        self.commit_at(repo, &change.id, time).await
    }

    /// The same from the log and the bases, as far as they are kept.
    async fn logged_at(
        &self,
        repo: &Repo,
        place: &Place,
        time: Nanos,
    ) -> Result<Option<Option<ObjectId>>> {
        let span = &place.span;
        let log = self.log(repo, &span.head);
        let parts = self.parts(&repo.org).await?;
        let seq = log
            .last_before(Nanos(time.0.saturating_add(1)), span.to)
            .await?;
        if seq > span.after {
            return self.state_after(&parts, repo, place, seq).await.map(Some);
        }
        let base = base_at(&parts, &repo.org, &span.head, &place.row, time).await?;
        Ok(base
            .filter(|(seq, _)| (span.after..=span.to).contains(seq))
            .map(|(_, root)| root))
    }

    /// The newest commit a change had at a time.
    async fn commit_at(&self, repo: &Repo, id: &ChangeId, time: Nanos) -> Result<Option<ObjectId>> {
        let (mut newest, mut cursor, mut looked) = (None, None, 0);
        loop {
            let request = PageRequest {
                cursor,
                limit: Some(mesa_repo::page::LIMIT_MAX),
            };
            let catalog = self.catalog();
            let page = catalog
                .list_evolution(&repo.org, &repo.id, id, &request)
                .await?;
            looked += page.items.len();
            let known = page.items.iter().rev().find(|e| e.at <= time);
            newest = known.map(|evolution| evolution.commit).or(newest);
            let beyond = page.items.last().is_some_and(|e| e.at > time);
            cursor = page.next;
            if beyond || cursor.is_none() || looked > COMMITS_MAX {
                break;
            }
        }
        let oid = newest.ok_or_else(not_kept)?;
        let commit = self.catalog().commit_by_oid(&repo.org, &repo.id, &oid);
        Ok(commit.await?.ok_or_else(not_kept)?.root)
    }
}

impl Wish {
    /// The operations that bring the paths back in the tree `head`.
    pub async fn files(
        &self,
        store: &Versions,
        head: Option<ObjectId>,
        now: Nanos,
    ) -> Result<Vec<Prepared>> {
        let head = root_value(store, head).await?;
        let origin = root_value(store, self.root).await?;
        let mut lister = Lister::new(store);
        let mut targets: Vec<Target> = Vec::new();
        for path in &self.paths {
            let to = lister.find(&origin, path).await?;
            if to.is_some() {
                // Directories above that are gone come back, without anything else in them.
                let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/');
                for (end, _) in ends {
                    let above = &path[..end];
                    let here = lister.find(&head, above).await?;
                    let known = targets.iter().any(|target| target.path == above);
                    if known || here.is_some_and(|value| value.kind() == NodeKind::Dir) {
                        continue;
                    }
                    targets.push(Target {
                        path: above.to_vec(),
                        to: lister.find(&origin, above).await?,
                        shallow: true,
                    });
                }
            }
            targets.push(Target {
                path: path.clone(),
                to,
                shallow: false,
            });
        }
        let how = (How::Restore, now);
        transform(store, [&head, &origin], targets, &Within::default(), how).await
    }
}
