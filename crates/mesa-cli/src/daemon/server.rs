//! The daemon's end of the control socket.

use std::{os::unix::net::UnixListener, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::Semaphore,
};

use super::{
    control::{Answer, Command, LINE_BYTES_MAX, Request, VERSION},
    frame::Kind,
    service::Service,
    upward::Upward,
};
use crate::error::{CliError, CliResult, Exit};

/// Commands answered at the same time.
const COMMANDS_MAX: u32 = 64;
/// How long commands under way may take once the mount is gone.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The control socket being answered.
pub struct Control {
    accepting: tokio::task::JoinHandle<()>,
    slots: Arc<Semaphore>,
}

impl Control {
    /// Answers until [`Control::end`]. `supervisor` learns of changed plans.
    pub fn start(listener: UnixListener, service: Arc<Service>, supervisor: Arc<Upward>) -> Self {
        let slots = Arc::new(Semaphore::new(COMMANDS_MAX as usize));
        let accepting = tokio::spawn(serve(listener, service, supervisor, Arc::clone(&slots)));
        Self { accepting, slots }
    }

    /// Takes no new commands and lets those under way have their answers: the one that removed
    /// the mount is among them.
    pub async fn end(self) {
        self.accepting.abort();
        let all = self.slots.acquire_many(COMMANDS_MAX);
        if tokio::time::timeout(LAST_ANSWERS, all).await.is_err() {
            tracing::warn!("commands were left without an answer");
        }
    }
}

async fn serve(
    listener: UnixListener,
    service: Arc<Service>,
    supervisor: Arc<Upward>,
    slots: Arc<Semaphore>,
) {
    let listener = match listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixListener::from_std(listener))
    {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "no control socket");
            return;
        }
    };
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = Arc::clone(&service);
                let supervisor = Arc::clone(&supervisor);
                tokio::spawn(async move {
                    let _gone = converse(stream, &service, &supervisor).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(
    stream: UnixStream,
    service: &Arc<Service>,
    supervisor: &Arc<Upward>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = Vec::new();
    BufReader::new(read)
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .await?;
    let _answering = service.answering();
    let result = match serde_json::from_slice::<Request>(&line) {
        Ok(request) if request.v == VERSION => execute(request.command, service, supervisor).await,
        _ => Err(
            CliError::new(Exit::Conflict, "the running daemon has another version")
                .hint("unmount and mount again"),
        ),
    };
    let mut answer = serde_json::to_vec(&Answer::from(result)).unwrap_or_default();
    answer.push(b'\n');
    write.write_all(&answer).await
}

async fn execute(
    command: Command,
    service: &Arc<Service>,
    supervisor: &Arc<Upward>,
) -> CliResult<Value> {
    let changes_plan = matches!(
        command,
        Command::AddOrgs { .. }
            | Command::SetKey { .. }
            | Command::OpenRepo { .. }
            | Command::CloseRepo { .. }
    );
    let result = match command {
        Command::Ping => Ok(json!({
            "mount_point": service.mount_point(),
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "supervised": supervisor.is_supervised(),
        })),
        Command::Supervise { socket } => {
            let (service, supervisor) = (Arc::clone(service), Arc::clone(supervisor));
            let joined = tokio::task::spawn_blocking(move || supervisor.join(&socket, &service));
            let lost = |e| CliError::failure("the supervisor was not joined").caused_by(&e);
            joined.await.map_err(lost)?.map(|()| Value::Null)
        }
        Command::Status => Ok(service.status()),
        Command::Stats => Ok(service.stats()),
        Command::Sync { timeout_ms } => service
            .sync(Duration::from_millis(timeout_ms))
            .await
            .and_then(|kept| synced(&kept)),
        Command::Check { timeout_ms } => service
            .check(Duration::from_millis(timeout_ms))
            .await
            .map(|()| json!({"usable": true})),
        Command::AddOrgs { orgs } => service.add_orgs(orgs).map(|n| json!({"added": n})),
        Command::SetKey { org, repo, token } => service
            .set_key(org.as_deref(), repo.as_deref(), &token)
            .map(|()| Value::Null),
        Command::Repos { org } => Ok(json!(service.repos(&org))),
        Command::OpenRepo { org, repo } => {
            service.open_repo(&org, &repo).await.map(|()| Value::Null)
        }
        Command::CloseRepo { org, repo } => {
            service.close_repo(&org, &repo).await.map(|()| Value::Null)
        }
        Command::Working {
            org,
            repo,
            seen,
            timeout_ms,
        } => {
            let limit = Duration::from_millis(timeout_ms);
            service.working(&org, &repo, seen, limit).await
        }
        Command::Switch {
            org,
            repo,
            to,
            timeout_ms,
        } => {
            let limit = Duration::from_millis(timeout_ms);
            service.switch(&org, &repo, to, limit).await
        }
        Command::Unmount { force, timeout_ms } => service
            .stop(force, Duration::from_millis(timeout_ms))
            .await
            .map(|()| json!({"unmounted": true})),
    };
    if changes_plan && result.is_ok() {
        // A worker that replaces this one starts with the same orgs and credentials.
        match serde_json::to_vec(&service.plan()) {
            Ok(plan) => supervisor.send(Kind::Plan, &plan),
            Err(error) => tracing::error!(%error, "the plan was not saved"),
        }
    }
    result
}

/// The answer to `mesa sync`. What could not be sent earlier is not on the server, however much
/// else is.
fn synced(kept: &[PathBuf]) -> CliResult<Value> {
    if kept.is_empty() {
        return Ok(json!({"synced": true, "kept": []}));
    }
    let message = "everything is on the server, except what could not be sent earlier";
    let mut error = CliError::new(Exit::NotSynced, message)
        .hint("a README beside it says why; save what you need of it, then remove the directory");
    let places = kept
        .iter()
        .map(|path| format!("kept in {}", path.display()));
    error.causes = places.collect();
    error.details = Some(Box::new(json!({ "kept": kept })));
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_never_called_synced() {
        assert_eq!(synced(&[]).unwrap()["synced"], true);
        let error = synced(&["/s/lost-1".into(), "/s/lost-2".into()]).unwrap_err();
        assert_eq!(error.exit, Exit::NotSynced);
        assert_eq!(error.causes, ["kept in /s/lost-1", "kept in /s/lost-2"]);
        let details = error.details.unwrap();
        assert_eq!(details["kept"], json!(["/s/lost-1", "/s/lost-2"]));
    }
}
