//! Changes and bookmarks of mounted repos: the control plane, and moving the mount.

use std::{path::PathBuf, sync::Arc, time::Duration};

use mesa_client::{
    Origin, RestClient, RestError, RestErrorKind, Secret, TransportOptions,
    rest::{ChangeRequest, ChangeUpdate, model::Change},
};
use mesa_proto::v1::SealResponse;
use mesa_types::{OrgSlug, RepoName};
use mesa_vfs::session::{Session, SwitchError};
use parking_lot::Mutex;

use crate::{
    core::{Core, target},
    credential::Keeper,
    error::{Code, Error, Result},
    filesystem::FileSystem,
    options::At,
};

/// Between looks at what a session works on.
const LOOK: Duration = Duration::from_millis(10);
/// How long a session may take to go where the server sent it.
const FOLLOWS: Duration = Duration::from_secs(30);

/// The control plane, with the client of the present credential.
pub struct Plane {
    origin: Origin,
    transport: TransportOptions,
    client: Mutex<Option<(Secret, RestClient)>>,
}

impl Plane {
    pub fn new(origin: Origin, transport: TransportOptions) -> Self {
        Self {
            origin,
            transport,
            client: Mutex::new(None),
        }
    }

    fn client(&self, secret: &Secret) -> Result<RestClient> {
        let mut present = self.client.lock();
        if let Some((of, client)) = &*present
            && of == secret
        {
            return Ok(client.clone());
        }
        let made = RestClient::new(self.origin.clone(), Some(secret.clone()), &self.transport);
        let client =
            made.map_err(|error| Error::new(Code::Invalid, "connect").saying(error.to_string()))?;
        *present = Some((secret.clone(), client.clone()));
        Ok(client)
    }
}

/// A version of a repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeAt {
    /// The change's id.
    pub change_id: String,
    /// Its commit now; of a change that nothing was written to yet, that of the one it is on.
    pub commit_oid: String,
    /// The bookmark that is followed, if the answer is what the mount works on.
    pub bookmark: Option<String>,
    /// Its description.
    pub message: String,
}

impl From<Change> for ChangeAt {
    fn from(change: Change) -> Self {
        Self {
            change_id: change.id,
            commit_oid: change.current_commit_oid,
            bookmark: None,
            message: change.message,
        }
    }
}

/// A mounted repo's changes and bookmarks.
#[derive(Clone)]
pub struct Repo {
    fs: FileSystem,
    org: OrgSlug,
    name: RepoName,
}

/// What the mount works on.
enum Working {
    Written(Change),
    /// Nothing was written yet: the id it will have, and what it is on.
    Unwritten(SealResponse),
}

impl FileSystem {
    /// A repo of the mount. `org` may be empty if the mount has one.
    pub fn repo(&self, org: &str, name: &str) -> Result<Repo> {
        let wrong = |what: &str| Error::new(Code::Invalid, "repo").saying(what.to_owned());
        let org = match (org, &*self.core.keepers) {
            ("", [only]) => only.org(),
            ("", _) => return Err(wrong("the mount has several orgs: name one")),
            (org, _) => org,
        };
        Ok(Repo {
            fs: self.clone(),
            org: org.parse().map_err(|_| wrong("no org has this name"))?,
            name: name.parse().map_err(|_| wrong("no repo has this name"))?,
        })
    }
}

/// A call of the control plane.
struct Calling<'r> {
    repo: &'r Repo,
    syscall: &'static str,
    keeper: Arc<Keeper>,
    /// Which credential is used.
    number: u64,
    /// Another one may be tried.
    again: bool,
}

impl Calling<'_> {
    async fn client(&mut self) -> Result<RestClient> {
        let secret = self.repo.fs.inside(self.keeper.secret()).await;
        let failed = |error| Error::of_sync(&error, self.syscall).at(&self.repo.path());
        let (secret, number) = secret.map_err(failed)?;
        self.number = number;
        self.repo.core().plane.client(&secret)
    }

    /// Returns when the call is to be made again.
    async fn failed(&mut self, error: &RestError) -> Result<()> {
        let refused = error.kind == RestErrorKind::Unauthenticated;
        if refused && std::mem::take(&mut self.again) {
            let another = self.keeper.refused(self.number);
            if self.repo.fs.inside(another).await {
                return Ok(());
            }
        }
        Err(Error::of_rest(error, self.syscall).at(&self.repo.path()))
    }
}

/// Calls the control plane, once more if the credential is refused and there is another.
macro_rules! plane {
    ($self:ident, $syscall:expr, |$client:ident, $org:ident, $repo:ident| $call:expr) => {{
        let mut calling = $self.calling($syscall)?;
        loop {
            let $client = calling.client().await?;
            let ($org, $repo) = ($self.org.as_str(), $self.name.as_str());
            match $self.fs.inside($call).await {
                Ok(answer) => break answer,
                Err(error) => calling.failed(&error).await?,
            }
        }
    }};
}

impl Repo {
    fn core(&self) -> &Arc<Core> {
        &self.fs.core
    }

    fn path(&self) -> PathBuf {
        self.core().places.shown(&self.org, &self.name, b"")
    }

    fn keeper(&self) -> Result<Arc<Keeper>> {
        let keepers = self.core().keepers.iter();
        let found = keepers.into_iter().find(|k| k.org() == self.org.as_str());
        let none = || Error::new(Code::NotFound, "repo").at(&self.path());
        found.cloned().ok_or_else(none)
    }

    fn calling(&self, syscall: &'static str) -> Result<Calling<'_>> {
        if self.core().is_closed() {
            return Err(Error::new(Code::BadHandle, syscall).at(&self.path()));
        }
        Ok(Calling {
            repo: self,
            syscall,
            keeper: self.keeper()?,
            number: 0,
            again: true,
        })
    }

    async fn session(&self, syscall: &'static str) -> Result<Arc<Session>> {
        let mount = &self.core().mount;
        let open = async { Ok(mount.session(&self.org, &self.name).await?) };
        self.core().call(syscall, &self.path(), open).await
    }

    /// Everything written is in the commit that is answered.
    async fn seal(&self, syscall: &'static str) -> Result<(Arc<Session>, SealResponse)> {
        let session = self.session(syscall).await?;
        let sync = async { Ok(session.sync().await?) };
        self.core().call(syscall, &self.path(), sync).await?;
        let sealed = self.fs.inside(session.seal()).await;
        let at = sealed.map_err(|error| Error::of_sync(&error, syscall).at(&self.path()))?;
        session.note_place(&at);
        Ok((session, at))
    }

    async fn working(&self, syscall: &'static str) -> Result<(Arc<Session>, Working)> {
        let (session, at) = self.seal(syscall).await?;
        let id = &at.change_id;
        let found = plane!(self, syscall, |client, org, repo| async {
            match client.get_change(org, repo, id).await {
                Ok(details) => Ok(Some(details.change)),
                Err(error) if error.kind == RestErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        Ok(match found {
            Some(change) => (session, Working::Written(change)),
            None => (session, Working::Unwritten(at)),
        })
    }

    fn followed(session: &Session) -> Option<String> {
        let bookmark = session.info().bookmark.clone();
        (!bookmark.is_empty() && !session.is_isolated()).then_some(bookmark)
    }

    /// The change that is worked on, with everything written so far in its commit.
    pub async fn current(&self) -> Result<ChangeAt> {
        let (session, working) = self.working("change").await?;
        let bookmark = Self::followed(&session);
        Ok(match working {
            Working::Written(change) => ChangeAt {
                bookmark,
                ..change.into()
            },
            Working::Unwritten(at) => ChangeAt {
                change_id: at.change_id,
                commit_oid: at.commit_oid,
                bookmark,
                message: String::new(),
            },
        })
    }

    /// Makes a change on top of a version (or of what is worked on), and goes on there. No bookmark
    /// moves.
    pub async fn new_change(&self, on: Option<At>, message: Option<&str>) -> Result<ChangeAt> {
        let base = match on {
            None => match self.working("new").await?.1 {
                Working::Written(change) => change.id,
                Working::Unwritten(at) => at.parent_change_id,
            },
            Some(At::Change(id)) => id,
            Some(At::Bookmark(name)) => self.bookmark("new", &name).await?,
            Some(At::DefaultBookmark) => {
                let name = self.default_bookmark("new").await?;
                self.bookmark("new", &name).await?
            }
        };
        let request = ChangeRequest {
            base_change_id: base,
            message: message.map(ToOwned::to_owned),
        };
        let made = plane!(self, "new", |client, org, repo| client
            .create_change(org, repo, &request));
        self.go_to("new", At::Change(made.id.clone())).await?;
        Ok(made.into())
    }

    /// Goes on at another version: an open change, or a new one on top of one that is not. `EBUSY`
    /// while files are open for writing.
    pub async fn edit(&self, at: At) -> Result<ChangeAt> {
        let at = match at {
            At::DefaultBookmark => At::Bookmark(self.default_bookmark("edit").await?),
            at => at,
        };
        self.go_to("edit", at).await?;
        self.current().await
    }

    async fn go_to(&self, syscall: &'static str, at: At) -> Result<()> {
        let path = self.path();
        let failed = |code| Error::new(code, syscall).at(&path);
        if self.core().is_closed() {
            return Err(failed(Code::BadHandle));
        }
        let goal = target(&at).map_err(|why| failed(Code::Invalid).saying(why))?;
        let switch = self.core().mount.switch(&self.org, &self.name, goal);
        match self.fs.inside(switch).await {
            Ok(()) => Ok(()),
            Err(SwitchError::InUse { paths }) => {
                let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
                let what = format!("files are open for writing: {}", paths.join(", "));
                Err(failed(Code::Busy).saying(what))
            }
            Err(SwitchError::NotSynced(error)) => {
                Err(failed(error.into()).saying("not everything is on the server"))
            }
            Err(SwitchError::Open(error)) => {
                use mesa_vfs::session::OpenError;
                Err(match &error {
                    OpenError::Server { source, .. } => {
                        Error::of_sync(source, syscall).at(&self.path())
                    }
                    other => failed(Code::Io).saying(other.to_string()),
                })
            }
        }
    }

    /// Changes from what is worked on down, newest first; 0 = all.
    pub async fn changes(&self, limit: usize) -> Result<Vec<ChangeAt>> {
        let from = match self.working("log").await?.1 {
            Working::Written(change) => change.id,
            Working::Unwritten(at) => at.parent_change_id,
        };
        let mut all: Vec<ChangeAt> = Vec::new();
        let mut cursor = None;
        loop {
            let from = Some(from.as_str()).filter(|from| !from.is_empty());
            let page = plane!(self, "log", |client, org, repo| client.list_changes(
                org,
                repo,
                from,
                cursor.clone()
            ));
            all.extend(page.items.into_iter().map(ChangeAt::from));
            cursor = page.next_cursor;
            if limit != 0 && all.len() >= limit {
                all.truncate(limit);
                return Ok(all);
            }
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Describes the change that is worked on.
    pub async fn describe(&self, message: &str) -> Result<ChangeAt> {
        let (session, working) = self.working("describe").await?;
        let bookmark = Self::followed(&session);
        let name = match (&bookmark, &working) {
            // A closed change's successor is found by it.
            (Some(bookmark), _) => bookmark.clone(),
            (None, Working::Written(change)) => change.id.clone(),
            (None, Working::Unwritten(at)) => {
                let base = At::Change(at.parent_change_id.clone());
                return self.new_change(Some(base), Some(message)).await;
            }
        };
        let update = ChangeUpdate {
            message: Some(message.to_owned()),
            ..ChangeUpdate::default()
        };
        let change = plane!(self, "describe", |client, org, repo| client
            .update_change(org, repo, &name, &update));
        Ok(ChangeAt {
            bookmark,
            ..change.into()
        })
    }

    /// Keeps what is worked on as it is now, perhaps with another description, and goes on in a new
    /// change on top. `None`: nothing was written since the last one.
    pub async fn checkpoint(&self, message: Option<&str>) -> Result<Option<ChangeAt>> {
        let (session, working) = self.working("checkpoint").await?;
        let Working::Written(change) = working else {
            return Ok(None);
        };
        let closed = plane!(self, "checkpoint", |client, org, repo| client
            .close_change(org, repo, &change.id, message));
        if closed.next_change_id.is_some() {
            self.leaves(&session, &change.id).await?;
        }
        Ok(Some(closed.closed.into()))
    }

    /// Returns when the mount works on something else than `change`.
    async fn leaves(&self, session: &Session, change: &str) -> Result<()> {
        let core = self.core();
        let left = async {
            let moved = async {
                while session.info().change_id == change {
                    tokio::time::sleep(LOOK).await;
                }
                core.mount.settled(&self.org, &self.name).await
            };
            match tokio::time::timeout(FOLLOWS, moved).await {
                Ok(settled) => Ok(settled?),
                Err(_) => Err(Code::TimedOut),
            }
        };
        core.call("checkpoint", &self.path(), left).await
    }

    async fn default_bookmark(&self, syscall: &'static str) -> Result<String> {
        let repo = plane!(self, syscall, |client, org, repo| client
            .get_repo(org, repo));
        Ok(repo.default_bookmark)
    }

    async fn bookmark(&self, syscall: &'static str, name: &str) -> Result<String> {
        let found = plane!(self, syscall, |client, org, repo| client
            .get_bookmark(org, repo, name));
        Ok(found.change_id)
    }

    /// Names of the repo's bookmarks.
    pub async fn bookmarks(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut cursor = None;
        loop {
            let page = plane!(self, "bookmarks", |client, org, repo| client
                .list_bookmarks(org, repo, cursor.clone()));
            names.extend(page.items.into_iter().map(|bookmark| bookmark.name));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(names);
            }
        }
    }

    /// Makes a bookmark where the mount is: at what is worked on, or at what that is on if nothing
    /// was written yet.
    pub async fn create_bookmark(&self, name: &str) -> Result<()> {
        let at = match self.working("bookmark").await?.1 {
            Working::Written(change) => change.id,
            Working::Unwritten(at) => at.parent_change_id,
        };
        plane!(self, "bookmark", |client, org, repo| client
            .create_bookmark(org, repo, name, &at));
        Ok(())
    }

    /// Points a bookmark at a descendant of where it is.
    pub async fn move_bookmark(&self, name: &str, change_id: &str) -> Result<()> {
        plane!(self, "bookmark", |client, org, repo| client
            .move_bookmark(org, repo, name, change_id, false));
        Ok(())
    }
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repo({}/{})", self.org, self.name)
    }
}
