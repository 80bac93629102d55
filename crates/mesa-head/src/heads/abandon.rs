//! Abandoning changes.
//!
//! Three steps: the change is closed if it takes writes, so that all that was acknowledged is in its
//! last commit; one transaction of the catalog gives it up, with its bookmarks and what is on top of
//! it; then whoever was about to write on top of it is brought to what is below. Each step leaves
//! something that holds: a server that dies after the first one leaves a closed change, after the
//! second one heads that are put right by their first write.

use std::collections::BTreeMap;

use mesa_repo::{Actor, ChangeState, Repo, catalog::Abandonment};
use mesa_types::ChangeId;

use super::{Heads, open::no_change, write::busy};
use crate::error::{HeadError, Result};

/// Attempts while others write to the change.
const ATTEMPTS: usize = 16;

impl Heads {
    /// Gives a change up: its bookmarks go to its first parent, sessions go on there, and changes
    /// on top of it are put there and rebased when they are next looked at. What was written to it
    /// stays in its commits. `CHANGE_PUBLISHED` if it is published, or something on top of it.
    pub async fn abandon(&self, actor: &Actor, repo: &Repo, id: &ChangeId) -> Result<Abandonment> {
        if id.is_root() {
            return Err(root());
        }
        for _ in 0..ATTEMPTS {
            let read = self.catalog().change(&repo.org, &repo.id, id).await?;
            if read.ok_or_else(no_change)?.state == ChangeState::Open {
                self.close_change(repo, id, ChangeState::Closed).await?;
            }
            let done = self
                .catalog()
                .abandon_change(&repo.org, &repo.id, id, actor)
                .await;
            match done {
                Ok(done) => {
                    let pairs = BTreeMap::from([(*id, done.parent)]);
                    self.bring_along(repo, &pairs).await;
                    self.show_rebased(repo, &done);
                    return Ok(done);
                }
                Err(error) if error.code == "CHANGE_OPEN" => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy(&HeadError::gone()))
    }

    /// Brings an abandoned change back, closed, with its bookmarks and what was on top of it, as
    /// far as they are where abandoning it left them.
    pub async fn restore_abandoned(
        &self,
        actor: &Actor,
        repo: &Repo,
        id: &ChangeId,
    ) -> Result<Abandonment> {
        if id.is_root() {
            return Err(root());
        }
        let done = self
            .catalog()
            .restore_change(&repo.org, &repo.id, id, actor)
            .await?;
        let pair = (done.parent, *id);
        self.bring_followers(repo, &done.bookmarks, pair).await;
        self.show_rebased(repo, &done);
        Ok(done)
    }

    /// What somebody has open is rebased at once, beside the caller.
    fn show_rebased(&self, repo: &Repo, done: &Abandonment) {
        for (id, head) in &done.open {
            let key = (repo.org.clone(), head.clone());
            if !self.inner.live.lock().contains_key(&key) {
                continue;
            }
            let (heads, org, repo, id) = (self.clone(), repo.org.clone(), repo.id.clone(), *id);
            tokio::spawn(async move {
                if let Err(error) = heads.settled(&org, &repo, &id).await {
                    tracing::warn!(change = %id, %error, "a change is not rebased yet");
                }
            });
        }
    }
}

fn root() -> HeadError {
    HeadError::conflict("ROOT_CHANGE", "the root change cannot be abandoned")
}
