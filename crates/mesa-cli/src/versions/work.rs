//! An opened repo: its changes by revision, and what `@` is.
//!
//! A revision is `@` (the working change), a bookmark, a change id or the beginning of one, and any
//! of these with a `-` for each step to the first parent.

use std::path::{Component, Path, PathBuf};

use mesa_client::{
    RestClient, RestError, RestErrorKind,
    rest::{
        ChangeRequest,
        model::{Bookmark, Change, ChangeDetails},
    },
};
use mesa_types::{OrgSlug, RepoName};

use super::{
    change::{ROOT, short},
    place,
};
use crate::{
    context::Context,
    credentials::ControlPlane,
    daemon::{
        client,
        control::{Command as Control, Goal, Seen},
        runtime_dir::RuntimeDir,
    },
    error::{CliError, CliResult, Exit},
};

/// How long a mount may take to go to another change.
const SWITCH: std::time::Duration = std::time::Duration::from_mins(1);

/// A repo and how to reach it.
pub struct Work<'c> {
    pub context: &'c Context,
    pub plane: ControlPlane,
    pub org: OrgSlug,
    pub repo: RepoName,
    /// What `@` is outside a mount; the default bookmark when not given.
    pub named: Option<Named>,
    /// The mount, when run inside one.
    pub mounted: Option<Mounted>,
}

/// What `@` was said to be.
#[derive(Debug, Clone)]
pub enum Named {
    Bookmark(String),
    Change(String),
}

/// The mounted repo the command is run in.
#[derive(Debug, Clone)]
pub struct Mounted {
    pub runtime: RuntimeDir,
    /// The repo's directory.
    pub root: PathBuf,
    /// The present directory below it.
    pub dir: PathBuf,
    /// What it works on; exists from its first write on.
    pub change: String,
    /// Of a change that does not exist yet: what it is on top of.
    pub parent: Option<String>,
    /// The bookmark it was mounted at.
    pub bookmark: Option<String>,
    /// The same when the bookmark goes along with the work.
    pub follows: Option<String>,
    /// It may not be written to.
    pub read_only: bool,
}

/// What a revision names.
#[derive(Debug, Clone)]
pub enum At {
    /// A change.
    Written(Box<ChangeDetails>),
    /// The working change of the mount, which nothing was written to yet.
    Unwritten { id: String, parent: String },
}

impl At {
    /// The change whose files it has.
    pub fn readable(&self) -> &str {
        match self {
            Self::Written(details) => &details.change.id,
            Self::Unwritten { parent, .. } => parent,
        }
    }

    /// Its own id.
    pub fn id(&self) -> &str {
        match self {
            Self::Written(details) => &details.change.id,
            Self::Unwritten { id, .. } => id,
        }
    }
}

impl Work<'_> {
    /// Calls the server with the first credential that is good for it.
    pub async fn call<T>(
        &self,
        action: impl AsyncFn(&RestClient, &str, &str) -> Result<T, RestError>,
    ) -> CliResult<T> {
        let (org, repo) = (self.org.as_str(), self.repo.as_str());
        self.plane
            .call(async |client| action(client, org, repo).await)
            .await
    }

    /// The change with this id or bookmark; `None` if there is none.
    async fn find(&self, name: &str) -> CliResult<Option<ChangeDetails>> {
        let found = self
            .plane
            .call(async |client| {
                let found = client.get_change(self.org.as_str(), self.repo.as_str(), name);
                match found.await {
                    Ok(details) => Ok(Some(details)),
                    Err(error) if is_no_change(&error) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await?;
        Ok(found)
    }

    /// What `@` is.
    pub async fn working(&self) -> CliResult<At> {
        let Some(mounted) = &self.mounted else {
            let name = self.name_outside().await?;
            return self.named(&name).await;
        };
        if let Some(details) = self.find(&mounted.change).await? {
            return Ok(At::Written(Box::new(details)));
        }
        let parent = match (&mounted.parent, &mounted.bookmark) {
            (Some(parent), _) => parent.clone(),
            (None, Some(name)) => self.bookmark(name).await?.change_id,
            (None, None) => ROOT.to_owned(),
        };
        Ok(At::Unwritten {
            id: mounted.change.clone(),
            parent,
        })
    }

    async fn name_outside(&self) -> CliResult<String> {
        match &self.named {
            Some(Named::Bookmark(name)) => Ok(name.clone()),
            // Its own `@` would be itself.
            Some(Named::Change(rev)) if !rev.starts_with('@') => {
                Ok(self.named(rev).await?.id().to_owned())
            }
            Some(Named::Change(_)) => Err(CliError::usage("--change cannot be @ itself")),
            None => {
                let repo = self.call(async |client, org, repo| client.get_repo(org, repo).await);
                Ok(repo.await?.default_bookmark)
            }
        }
    }

    /// What a revision names.
    pub async fn at(&self, rev: &str) -> CliResult<At> {
        let Some(steps) = rev.strip_prefix('@') else {
            return self.named(rev).await;
        };
        if steps.bytes().any(|b| b != b'-') {
            return Err(no_such(rev));
        }
        let working = self.working().await?;
        self.up(working, steps.len(), rev).await
    }

    /// A bookmark, an id, or one with steps: a name that ends in dashes is the name first.
    async fn named(&self, rev: &str) -> CliResult<At> {
        let mut name = rev;
        loop {
            if name.is_empty() {
                return Err(no_such(rev));
            }
            if let Some(found) = self.find(name).await? {
                let steps = rev.len() - name.len();
                return self.up(At::Written(Box::new(found)), steps, rev).await;
            }
            match name.strip_suffix('-') {
                Some(shorter) => name = shorter,
                None => return Err(no_such(rev)),
            }
        }
    }

    async fn up(&self, mut at: At, steps: usize, rev: &str) -> CliResult<At> {
        for _ in 0..steps {
            let parent = match &at {
                At::Unwritten { parent, .. } => parent.clone(),
                At::Written(details) => {
                    let parent = details.change.parents.first();
                    let beyond = || format!("'{rev}' goes beyond the root");
                    let parent = parent.ok_or_else(|| CliError::new(Exit::NotFound, beyond()))?;
                    parent.clone()
                }
            };
            let found = self.find(&parent).await?.ok_or_else(|| no_such(&parent))?;
            at = At::Written(Box::new(found));
        }
        Ok(at)
    }

    /// One bookmark.
    pub async fn bookmark(&self, name: &str) -> CliResult<Bookmark> {
        self.call(async |client, org, repo| client.get_bookmark(org, repo, name).await)
            .await
    }

    /// All bookmarks by name.
    pub async fn bookmarks(&self) -> CliResult<Vec<Bookmark>> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = self
                .call(async |client, org, repo| {
                    client.list_bookmarks(org, repo, cursor.clone()).await
                })
                .await?;
            all.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// The bookmark that `@` goes along with: the followed one, or outside a mount the named one.
    pub async fn bookmark_along(&self) -> CliResult<Option<String>> {
        match (&self.mounted, &self.named) {
            (Some(mounted), _) => Ok(mounted.follows.clone()),
            (None, Some(Named::Change(_))) => Ok(None),
            (None, _) => self.name_outside().await.map(Some),
        }
    }

    /// The name under which `@` takes writes: the bookmark that goes along with it, so that a
    /// closed change's successor is found, else the change. A working change that nothing was
    /// written to and no bookmark leads to is made first, and the mount goes there.
    pub async fn writable(&self, message: Option<&str>) -> CliResult<String> {
        self.may_write()?;
        if let Some(bookmark) = self.bookmark_along().await? {
            return Ok(bookmark);
        }
        match self.working().await? {
            At::Written(details) => Ok(details.change.id),
            At::Unwritten { parent, .. } => Ok(self.start_on(&parent, message).await?.id),
        }
    }

    /// Refuses what a read-only mount would not show.
    pub fn may_write(&self) -> CliResult {
        if self.mounted.as_ref().is_some_and(|m| m.read_only) {
            let message = "the mount is read-only, or its key may only read";
            return Err(CliError::new(Exit::NotPermitted, message)
                .hint("mount without --read-only and with a key of scope write"));
        }
        Ok(())
    }

    /// Makes a change on top of another; a mount goes there.
    pub async fn start_on(&self, base: &str, message: Option<&str>) -> CliResult<Change> {
        let request = ChangeRequest {
            base_change_id: base.to_owned(),
            message: message.map(ToOwned::to_owned),
        };
        let made = self
            .call(async |client, org, repo| client.create_change(org, repo, &request).await)
            .await?;
        if self.mounted.is_some() {
            let switched = self.switch(Goal::Change(made.id.clone()));
            switched.map_err(|e| {
                let made = short(&made.id);
                e.context(format!("made change {made}, but the mount stays"))
            })?;
        }
        Ok(made)
    }

    /// Lets the mount work on something else; the change it works on then.
    pub fn switch(&self, goal: Goal) -> CliResult<String> {
        let mounted = self.inside("the mount can be moved only from inside it")?;
        let command = Control::Switch {
            org: self.org.to_string(),
            repo: self.repo.to_string(),
            to: goal,
            timeout_ms: u64::try_from(SWITCH.as_millis()).unwrap_or(u64::MAX),
        };
        let limit = SWITCH + std::time::Duration::from_secs(5);
        let answer = client::ask_at(&mounted.runtime, &command, limit)?;
        Ok(answer["change_id"].as_str().unwrap_or_default().to_owned())
    }

    /// The mount, or why it is needed.
    pub fn inside(&self, why: &str) -> CliResult<&Mounted> {
        self.mounted
            .as_ref()
            .ok_or_else(|| CliError::usage(why).hint("run it in a mounted repo, without --repo"))
    }

    /// Waits until the mount, if there is one, shows what the server did. Answers the change it
    /// works on.
    pub fn show(&self, what: Seen) -> Option<String> {
        place::seen(self, self.mounted.as_ref()?, what)
    }

    /// Waits until the mount, if there is one, works neither on this change nor on top of it.
    pub fn show_left(&self, change: &str) {
        if let Some(mounted) = &self.mounted {
            place::left(self, mounted, change);
        }
    }

    /// A path from the repo's root, given as one from the present directory.
    pub fn path(&self, given: &Path) -> CliResult<String> {
        let (root, dir) = match &self.mounted {
            Some(mounted) => (Some(mounted.root.as_path()), mounted.dir.as_path()),
            None => (None, Path::new("")),
        };
        repo_path(root, dir, given)
    }
}

fn repo_path(root: Option<&Path>, dir: &Path, given: &Path) -> CliResult<String> {
    let outside = || {
        let given = given.display();
        CliError::usage(format!("'{given}' is outside the repo"))
    };
    let whole = if given.is_absolute() {
        let below = root.and_then(|root| given.strip_prefix(root).ok());
        below.ok_or_else(outside)?.to_owned()
    } else {
        dir.join(given)
    };
    let mut names: Vec<&str> = Vec::new();
    for part in whole.components() {
        match part {
            Component::Normal(name) => names.push(name.to_str().ok_or_else(|| {
                let given = given.display();
                CliError::usage(format!("'{given}' is not UTF-8"))
            })?),
            Component::ParentDir => {
                names.pop().ok_or_else(outside)?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    Ok(names.join("/"))
}

fn is_no_change(error: &RestError) -> bool {
    error.kind == RestErrorKind::NotFound && error.code == "CHANGE_NOT_FOUND"
}

fn no_such(rev: &str) -> CliError {
    let rev = rev.escape_debug();
    CliError::new(
        Exit::NotFound,
        format!("there is no change or bookmark '{rev}'"),
    )
    .hint("`mesa log` shows changes, `mesa bookmark list` bookmarks")
    .coded("CHANGE_NOT_FOUND")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_at_the_present_directory() {
        let root = Path::new("/m/org/repo");
        let path = |dir: &str, given: &str| {
            repo_path(Some(root), Path::new(dir), Path::new(given)).map_err(|e| e.message)
        };
        assert_eq!(path("src", "a.rs").unwrap(), "src/a.rs");
        assert_eq!(path("src", "../b").unwrap(), "b");
        assert_eq!(path("src", ".").unwrap(), "src");
        assert_eq!(path("", ".").unwrap(), "");
        assert_eq!(path("src", "/m/org/repo/x/y").unwrap(), "x/y");
        assert_eq!(
            path("src", "../..").unwrap_err(),
            "'../..' is outside the repo"
        );
        assert!(path("src", "/m/org/other/x").is_err());
        assert!(repo_path(None, Path::new(""), Path::new("/x")).is_err());
    }

    #[test]
    fn unwritten_changes_read_as_their_parent() {
        let at = At::Unwritten {
            id: "k".into(),
            parent: "l".into(),
        };
        assert_eq!((at.id(), at.readable()), ("k", "l"));
    }
}
