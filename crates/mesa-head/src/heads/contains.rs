//! Whether nothing is lost when a bookmark goes.

use mesa_repo::{ChangeState, Repo};
use mesa_types::ChangeId;

use super::Heads;
use crate::error::Result;

impl Heads {
    /// Whether `change` has everything that `other` has, now and for good: `other` is one of its
    /// ancestors and takes no more writes, or it is the same change.
    pub async fn contains(&self, repo: &Repo, change: &ChangeId, other: &ChangeId) -> Result<bool> {
        if change == other || other.is_root() {
            return Ok(true);
        }
        let catalog = self.catalog();
        let record = catalog.change(&repo.org, &repo.id, other).await?;
        if record.is_none_or(|record| record.state == ChangeState::Open) {
            return Ok(false);
        }
        let below = self.seal_or_root(repo, other).await?;
        let above = self.seal_or_root(repo, change).await?;
        let is_known = below.change == *other && above.change == *change;
        let graph = self.graph(repo);
        Ok(is_known && graph.is_ancestor(below.commit, above.commit).await?)
    }
}
