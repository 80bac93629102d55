//! Going on at another change or bookmark: a fresh session takes the place of the present one, as
//! after a loss (`lost`), but with everything on the server first.
//!
//! The state directory stays that of the configured target and remembers the other one, so that a
//! daemon that dies resumes where it was; a session that ends in good order forgets it.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use mesa_proto::v1;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{
    HeadSeq, OpenError, Reload, Session, SessionConfig, SessionTarget,
    handle::head_info,
    identity::Identity,
    kept,
    open::{self, bounds, remove_dir},
};
use crate::{fs::FsError, journal::Journal};

/// How long the end of the former session may take.
const CLOSE: Duration = Duration::from_secs(5);

/// Why a session stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// What is written to these files would belong nowhere.
    #[error("files are open for writing")]
    InUse {
        /// Their paths from the repo's root.
        paths: Vec<PathBuf>,
    },
    /// Something is not on the server yet.
    #[error("not everything is on the server")]
    NotSynced(#[source] FsError),
    /// The other place cannot be joined.
    #[error("the server does not open it")]
    Open(#[source] OpenError),
}

/// A session's request to itself, carried out by the task that keeps the stream.
pub(super) struct Wanted {
    target: SessionTarget,
    reply: oneshot::Sender<Result<(), SwitchError>>,
}

/// Where a session was sent, as its state directory remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Elsewhere {
    Bookmark(String),
    Change(String),
}

impl Elsewhere {
    fn of(target: &SessionTarget) -> Self {
        match target {
            SessionTarget::Bookmark(name) => Self::Bookmark(name.clone()),
            SessionTarget::Change(id) => Self::Change(id.to_string()),
        }
    }

    /// The configuration of a session there. A change that was named is never left for an own one.
    pub fn apply(&self, config: &mut SessionConfig) -> io::Result<()> {
        match self {
            Self::Bookmark(name) => config.target = SessionTarget::Bookmark(name.clone()),
            Self::Change(id) => {
                let id = id
                    .parse()
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                config.target = SessionTarget::Change(id);
                config.isolate = false;
            }
        }
        Ok(())
    }
}

impl Session {
    /// Goes on at `target`. The caller lets nothing new be decided meanwhile and has everything on
    /// the server. With an error the session stays what it was.
    pub async fn go_to(&self, target: SessionTarget) -> Result<(), SwitchError> {
        let (reply, answer) = oneshot::channel();
        *self.wanted.lock() = Some(Wanted { target, reply });
        self.wake_switch.notify_one();
        match answer.await {
            Ok(outcome) => outcome,
            // The session ended, or somebody wants to go elsewhere.
            Err(_) => Err(SwitchError::NotSynced(FsError::Io)),
        }
    }

    /// Whether what is written here goes to a change of this session's own.
    pub fn is_isolated(&self) -> bool {
        self.present_config().isolate
    }

    /// The configuration with the present target.
    pub(super) fn present_config(&self) -> SessionConfig {
        let mut config = self.config.clone();
        let elsewhere = self.core.lock().identity.elsewhere.clone();
        if let Some(elsewhere) = elsewhere
            && elsewhere.apply(&mut config).is_err()
        {
            tracing::error!("the state directory names a change that is none");
        }
        config
    }
}

/// Does what [`Session::go_to`] wants, if anybody does.
pub(super) async fn run(session: &Arc<Session>) {
    let wanted = session.wanted.lock().take();
    if let Some(Wanted { target, reply }) = wanted {
        // Whoever asked may have gone.
        let _ = reply.send(renew(session, &target).await);
    }
}

async fn renew(session: &Arc<Session>, target: &SessionTarget) -> Result<(), SwitchError> {
    let busy = || SwitchError::NotSynced(FsError::Busy);
    let old = {
        let core = session.core.lock();
        if !core.queue.is_empty() {
            return Err(busy());
        }
        core.identity.clone()
    };
    let elsewhere = Elsewhere::of(target);
    let mut config = session.config.clone();
    let bad = |_| SwitchError::Open(OpenError::Answer("no change id"));
    elsewhere.apply(&mut config).map_err(bad)?;
    let answer = open::open_head(&config, None).await;
    let answer = answer.map_err(SwitchError::Open)?;
    let info = head_info(&answer).map_err(SwitchError::Open)?;
    let number = old.journal + 1;
    let (token, head_seq) = (answer.resume_token.clone(), answer.head_seq);
    let mut identity = Identity::new(answer.session.clone(), &token, number, head_seq);
    identity.repo = Some(info.repo.id.clone());
    identity.elsewhere = Some(elsewhere);
    let journal = match store(session, identity.clone()).await {
        Ok(journal) => journal,
        Err(error) => {
            end(session, &identity).await;
            return Err(SwitchError::NotSynced(crate::content::store::local(&error)));
        }
    };
    let unused = {
        let mut core = session.core.lock();
        let idle = core.queue.is_empty();
        let bounds = bounds(&session.config, &answer.limits.unwrap_or_default());
        idle.then(|| core.replace(journal, identity.clone(), &answer, bounds))
    };
    let Some(unused) = unused else {
        // A store through a mapping was picked up just now: it belongs to the former session.
        if let Err(error) = store_identity(session, old).await {
            session.note_error(format!("cannot store the session: {error}"));
        }
        end(session, &identity).await;
        return Err(busy());
    };
    session
        .content
        .fetcher()
        .set_session(answer.session.clone());
    let reload = Reload::Switched {
        change_id: info.change_id.clone(),
    };
    *session.info.write() = Arc::new(info);
    if let Some(sink) = session.sink() {
        sink.on_reload(&reload, HeadSeq(answer.head_seq));
    }
    session.bump();
    close(session, &old, unused).await;
    if let Err(error) = remove_dir(&session.dir.journal_dir(old.journal)) {
        tracing::warn!(%error, "a journal that nobody needs stays");
    }
    Ok(())
}

/// Makes the new session's journal and then names it in the state directory.
async fn store(session: &Arc<Session>, identity: Identity) -> io::Result<Journal> {
    let me = Arc::clone(session);
    let stored = tokio::task::spawn_blocking(move || {
        let dir = me.dir.journal_dir(identity.journal);
        kept::keep_damaged(&dir, &kept::directory(&me.dir, me.now()))?;
        remove_dir(&dir)?;
        let journal = Journal::open(&dir)?.0;
        me.dir.store(&identity)?;
        io::Result::Ok(journal)
    });
    stored.await.map_err(io::Error::other)?
}

async fn store_identity(session: &Arc<Session>, identity: Identity) -> io::Result<()> {
    let me = Arc::clone(session);
    let stored = tokio::task::spawn_blocking(move || me.dir.store(&identity));
    stored.await.map_err(io::Error::other)?
}

/// Ends a session that was never used.
async fn end(session: &Session, identity: &Identity) {
    close(session, identity, None).await;
}

async fn close(session: &Session, identity: &Identity, unused: Option<v1::IdRange>) {
    let request = v1::CloseSessionRequest {
        session: identity.session.clone(),
        resume_token: identity.token().into(),
        unused_ids: unused,
    };
    let org = session.config.org.as_str();
    let call = session.config.api.close_session(org, request);
    if !matches!(tokio::time::timeout(CLOSE, call).await, Ok(Ok(()))) {
        // The server ends it after a while.
        tracing::debug!("the former session was not closed on the server");
    }
}
