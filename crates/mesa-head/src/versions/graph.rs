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

    /// The best common ancestors of `other` and any of `ones`: those that no other common ancestor
    /// descends from, the newest first. There are several where lines were merged into each other
    /// at the same time.
    pub async fn merge_bases(&self, ones: &[CommitOid], other: CommitOid) -> Result<Vec<Commit>> {
        const ONE: u8 = 1;
        const OTHER: u8 = 2;
        // An ancestor of a common ancestor.
        const BEYOND: u8 = 4;
        // The newest generation first: everything above a commit is seen before it.
        let mut open: BTreeSet<(u64, CommitOid)> = BTreeSet::new();
        let mut known: HashMap<CommitOid, (Commit, u8)> = HashMap::new();
        let ones = ones.iter().map(|oid| (*oid, ONE));
        for (oid, mark) in ones.chain([(other, OTHER)]) {
            let commit = self.commit(oid).await?;
            open.insert((commit.generation, oid));
            known.entry(oid).or_insert((commit, 0)).1 |= mark;
        }
        let mut found = Vec::new();
        // What is open and may still lead to another one.
        let mut wanted = known.len();
        while wanted > 0
            && let Some((_, oid)) = open.pop_last()
        {
            let Some((commit, mut marks)) = known.get(&oid).cloned() else {
                continue;
            };
            wanted -= usize::from(marks & BEYOND == 0);
            if marks == ONE | OTHER {
                marks |= BEYOND;
                found.push(commit.clone());
            }
            for parent in commit.parents {
                if let Some((_, theirs)) = known.get_mut(&parent) {
                    wanted -= usize::from(*theirs & BEYOND == 0 && marks & BEYOND != 0);
                    *theirs |= marks;
                } else {
                    let commit = self.commit(parent).await?;
                    wanted += usize::from(marks & BEYOND == 0);
                    open.insert((commit.generation, parent));
                    known.insert(parent, (commit, marks));
                }
            }
            bounded(known.len())?;
        }
        Ok(found)
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
