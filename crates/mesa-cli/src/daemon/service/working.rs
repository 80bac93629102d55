//! What a mounted repo works on, and letting it work on something else.

use std::time::Duration;

use mesa_types::RepoName;
use mesa_vfs::{
    fs::FsError,
    session::{SessionTarget, SwitchError},
};
use serde_json::{Value, json};

use super::{Service, slug_of};
use crate::{
    daemon::control::{Goal, Seen},
    error::{CliError, CliResult, Exit},
};

/// Between looks at what a mount shows.
const LOOK: Duration = Duration::from_millis(10);
/// Looks at notices on their way to the kernel.
const LOOKS_MAX: usize = 200;

impl Service {
    /// What a repo works on, when everything done in it is on the server and it shows `seen`.
    pub async fn working(
        &self,
        org: &str,
        repo: &str,
        seen: Option<Seen>,
        limit: Duration,
    ) -> CliResult<Value> {
        let (slug, name) = (slug_of(org)?, name_of(repo)?);
        let opened = self.mount.session(&slug, &name).await;
        let session = opened.map_err(|error| cannot_open(org, repo, error))?;
        let ready = async {
            session.sync().await?;
            while !seen.as_ref().is_none_or(|seen| match seen {
                Seen::Operation(seq) => session.head_seq().0 >= *seq,
                Seen::Left(change) => session.info().change_id != *change,
            }) {
                tokio::time::sleep(LOOK).await;
            }
            // What the server moved under it is read again.
            self.mount.settled(&slug, &name).await
        };
        match tokio::time::timeout(limit, ready).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(self.not_synced(Some(error))),
            Err(_) => return Err(self.not_synced(None)),
        }
        if seen.is_some() {
            self.told().await;
        }
        // The server's word: the head may have gone on while the stream was down.
        let at = session.seal().await?;
        session.note_place(&at);
        let (server, ca_file) = {
            let plan = self.plan.lock();
            (plan.server.clone(), plan.ca_file.clone())
        };
        let status = session.status();
        Ok(json!({
            "server": server,
            "ca_file": ca_file,
            "change_id": at.change_id,
            "parent_change_id": Some(at.parent_change_id).filter(|id| !id.is_empty()),
            "bookmark": status.bookmark,
            "isolate": session.is_isolated(),
            "read_only": status.read_only || self.plan.lock().read_only,
        }))
    }

    /// Lets a repo work on something else; answers the change it works on then.
    pub async fn switch(
        &self,
        org: &str,
        repo: &str,
        to: Goal,
        limit: Duration,
    ) -> CliResult<Value> {
        let (slug, name) = (slug_of(org)?, name_of(repo)?);
        let target = match to {
            Goal::Bookmark(name) => SessionTarget::Bookmark(name),
            Goal::Change(id) => {
                let wrong = |_| CliError::usage(format!("'{id}' is not a change id"));
                SessionTarget::Change(id.parse().map_err(wrong)?)
            }
        };
        let switching = self.mount.switch(&slug, &name, target);
        match tokio::time::timeout(limit, switching).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(self.refused(org, repo, error)),
            Err(_) => {
                return Err(CliError::new(
                    Exit::NotSynced,
                    format!("{org}/{repo} did not come to its new change in time"),
                )
                .hint("`mesa status` shows where it is"));
            }
        }
        self.told().await;
        let opened = self.mount.session(&slug, &name).await;
        let session = opened.map_err(|error| cannot_open(org, repo, error))?;
        let info = session.info();
        Ok(json!({ "change_id": info.change_id, "bookmark": info.bookmark }))
    }

    /// Returns when the kernel was told of what changed: when no more notices reach it for a
    /// moment.
    async fn told(&self) {
        let counters = self.handle.counters();
        let mut before = counters.notices();
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK).await;
            let now = counters.notices();
            if now == before {
                return;
            }
            before = now;
        }
    }

    fn refused(&self, org: &str, repo: &str, error: SwitchError) -> CliError {
        match error {
            SwitchError::InUse { paths } => {
                let mut failure = CliError::new(
                    Exit::Conflict,
                    format!("files of {org}/{repo} are open for writing"),
                )
                .hint("close the programs that write there, then try again");
                failure.causes = paths
                    .iter()
                    .map(|path| format!("{} is open", path.display()))
                    .collect();
                failure
            }
            SwitchError::NotSynced(error) => self.not_synced(Some(error)),
            SwitchError::Open(error) => {
                CliError::failure(format!("{org}/{repo} cannot go to that change"))
                    .caused_by(&error)
            }
        }
    }
}

fn name_of(repo: &str) -> CliResult<RepoName> {
    repo.parse()
        .map_err(|e| CliError::usage(format!("the repo name '{repo}' {e}")))
}

fn cannot_open(org: &str, repo: &str, error: FsError) -> CliError {
    let exit = match error {
        FsError::NotFound => Exit::NotFound,
        FsError::Access | FsError::NotPermitted => Exit::NotPermitted,
        _ => Exit::Failure,
    };
    CliError::new(exit, format!("the mount cannot open {org}/{repo}"))
        .caused_by(&error)
        .hint("`mesa logs` may tell why")
}
