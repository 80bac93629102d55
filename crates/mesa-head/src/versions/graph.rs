//! Ancestry of commits, walked by generation: the cost is what lies between the two asked about.

use std::collections::{BTreeSet, HashMap};

use mesa_repo::{Catalog, Commit};
use mesa_types::{CommitOid, OrgId, RepoId};

use crate::error::{HeadError, Result};

/// Commits one question may look at.
const LOOKED_AT_MAX: usize = 100_000;

/// The commits of a repo.
pub(crate) struct Graph<'a> {
    pub catalog: &'a Catalog,
    pub org: &'a OrgId,
    pub repo: &'a RepoId,
}

impl Graph<'_> {
    /// Whether `above` is `oid` or an ancestor of it. `None` is before everything.
    pub async fn is_ancestor(
        &self,
        above: Option<CommitOid>,
        oid: Option<CommitOid>,
    ) -> Result<bool> {
        let Some(above) = above else { return Ok(true) };
        let Some(oid) = oid else { return Ok(false) };
        let floor = self.commit(above).await?.generation;
        let mut seen = BTreeSet::from([oid]);
        let mut open = vec![oid];
        while let Some(oid) = open.pop() {
            if oid == above {
                return Ok(true);
            }
            let commit = self.commit(oid).await?;
            if commit.generation <= floor {
                continue;
            }
            open.extend(commit.parents.into_iter().filter(|p| seen.insert(*p)));
            bounded(seen.len())?;
        }
        Ok(false)
    }

    /// The newest common ancestor; `None` if they have none.
    pub async fn merge_base(&self, one: CommitOid, other: CommitOid) -> Result<Option<Commit>> {
        const ONE: u8 = 1;
        const OTHER: u8 = 2;
        // The newest generation first: everything above a commit is seen before it.
        let mut open: BTreeSet<(u64, CommitOid)> = BTreeSet::new();
        let mut known: HashMap<CommitOid, (Commit, u8)> = HashMap::new();
        for (oid, mark) in [(one, ONE), (other, OTHER)] {
            let commit = self.commit(oid).await?;
            open.insert((commit.generation, oid));
            known.entry(oid).or_insert((commit, 0)).1 |= mark;
        }
        while let Some((_, oid)) = open.pop_last() {
            let Some((commit, marks)) = known.get(&oid).cloned() else {
                continue;
            };
            if marks == ONE | OTHER {
                return Ok(Some(commit));
            }
            for parent in commit.parents {
                if let Some((_, theirs)) = known.get_mut(&parent) {
                    *theirs |= marks;
                } else {
                    let commit = self.commit(parent).await?;
                    open.insert((commit.generation, parent));
                    known.insert(parent, (commit, marks));
                }
            }
            bounded(known.len())?;
        }
        Ok(None)
    }

    async fn commit(&self, oid: CommitOid) -> Result<Commit> {
        let found = self
            .catalog
            .commit_by_oid(self.org, self.repo, &oid)
            .await?;
        found.ok_or_else(|| HeadError::corrupt("a commit's parent is missing"))
    }
}

fn bounded(looked_at: usize) -> Result<()> {
    if looked_at > LOOKED_AT_MAX {
        return Err(HeadError::conflict(
            "HISTORY_TOO_LONG",
            "the two changes lie too far apart",
        ));
    }
    Ok(())
}
