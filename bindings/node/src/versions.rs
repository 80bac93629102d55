//! Changes and bookmarks.

use mesa_fs::{ChangeAt, Repo};
use napi::{Env, Error, Result, bindgen_prelude::Object};
use napi_derive::napi;

use crate::{
    config::at,
    filesystem::MesaFileSystem,
    promise::{plain, promise, rejection},
};

/// A change.
#[napi(object)]
pub struct ChangeInfo {
    /// Its id.
    pub change_id: String,
    /// The same, as the published SDK calls it where a change is made or chosen.
    pub change_oid: String,
    /// Its commit.
    pub commit_oid: String,
    /// The bookmark followed.
    pub bookmark: Option<String>,
    /// Its description.
    pub message: String,
}

impl From<ChangeAt> for ChangeInfo {
    fn from(change: ChangeAt) -> Self {
        Self {
            change_oid: change.change_id.clone(),
            change_id: change.change_id,
            commit_oid: change.commit_oid,
            bookmark: change.bookmark,
            message: change.message,
        }
    }
}

/// Changes listed when no limit is given.
const LIMIT: u32 = 50;

impl MesaFileSystem {
    fn repo(&self, env: &Env, name: &str) -> Result<Repo> {
        let name = name.strip_prefix(&format!("{}/", self.org)).unwrap_or(name);
        self.fs
            .repo(&self.org, name)
            .map_err(|error| rejection(env, &error))
    }
}

#[napi]
impl MesaFileSystem {
    /// A new change on a bookmark, a change, or what is worked on; the mount goes there.
    #[napi(ts_return_type = "Promise<ChangeInfo>")]
    pub fn new_change<'env>(
        &self,
        env: &'env Env,
        repo: String,
        bookmark: Option<String>,
        change_id: Option<String>,
        message: Option<String>,
    ) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        let on = at(bookmark, change_id).map_err(Error::from_reason)?;
        let made = async move { repo.new_change(on, message.as_deref()).await };
        promise(env, &self.fs, made, ChangeInfo::from)
    }

    /// Goes on at a bookmark or change.
    #[napi(ts_return_type = "Promise<ChangeInfo>")]
    pub fn edit_change<'env>(
        &self,
        env: &'env Env,
        repo: String,
        bookmark: Option<String>,
        change_id: Option<String>,
    ) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        let goal = at(bookmark, change_id).map_err(Error::from_reason)?;
        let goal = goal.ok_or_else(|| Error::from_reason("give a bookmark or a changeId"))?;
        let edited = async move { repo.edit(goal).await };
        promise(env, &self.fs, edited, ChangeInfo::from)
    }

    /// Changes, newest first; 0 = all.
    #[napi(ts_return_type = "Promise<ChangeInfo[]>")]
    pub fn list_changes<'env>(
        &self,
        env: &'env Env,
        repo: String,
        limit: Option<u32>,
    ) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        let limit = limit.unwrap_or(LIMIT) as usize;
        let list = async move { repo.changes(limit).await };
        promise(env, &self.fs, list, |changes| {
            changes
                .into_iter()
                .map(ChangeInfo::from)
                .collect::<Vec<_>>()
        })
    }

    /// The change that is worked on.
    #[napi(ts_return_type = "Promise<ChangeInfo>")]
    pub fn current_change<'env>(&self, env: &'env Env, repo: String) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        let current = async move { repo.current().await };
        promise(env, &self.fs, current, ChangeInfo::from)
    }

    /// Describes the change that is worked on.
    #[napi(ts_return_type = "Promise<ChangeInfo>")]
    pub fn describe_change<'env>(
        &self,
        env: &'env Env,
        repo: String,
        message: String,
    ) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        let described = async move { repo.describe(&message).await };
        promise(env, &self.fs, described, ChangeInfo::from)
    }

    /// Keeps what is worked on as it is and goes on in a new change; null if nothing was written.
    #[napi(ts_return_type = "Promise<ChangeInfo | null>")]
    pub fn checkpoint<'env>(
        &self,
        env: &'env Env,
        repo: String,
        message: Option<String>,
    ) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        let kept = async move { repo.checkpoint(message.as_deref()).await };
        promise(env, &self.fs, kept, |kept| kept.map(ChangeInfo::from))
    }

    /// Makes a bookmark where the mount is.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn create_bookmark<'env>(
        &self,
        env: &'env Env,
        repo: String,
        name: String,
    ) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        plain(
            env,
            &self.fs,
            async move { repo.create_bookmark(&name).await },
        )
    }

    /// Points a bookmark at a change.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn move_bookmark<'env>(
        &self,
        env: &'env Env,
        repo: String,
        name: String,
        change_id: String,
    ) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        plain(env, &self.fs, async move {
            repo.move_bookmark(&name, &change_id).await
        })
    }

    /// Names of the bookmarks.
    #[napi(ts_return_type = "Promise<string[]>")]
    pub fn list_bookmarks<'env>(&self, env: &'env Env, repo: String) -> Result<Object<'env>> {
        let repo = self.repo(env, &repo)?;
        plain(env, &self.fs, async move { repo.bookmarks().await })
    }
}
