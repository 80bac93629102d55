//! Upstreams of repos, and syncs with them.

use mesa_meta::Batch;
use mesa_types::{OrgId, RepoId, SyncId};
use serde_json::json;

use super::{Actor, CAS_ATTEMPTS, Catalog};
use crate::{
    error::Error,
    page::{Page, PageRequest},
    record::{RecordBatch, Versioned},
    records::{
        Sync, Upstream,
        sync::{SyncDirection, SyncStatus, UpstreamAuth, UpstreamAuthKind},
        webhook::HookEventKind,
    },
};

const PURPOSE: &str = "upstream";
const URL_BYTES_MAX: usize = 2048;
const SECRET_BYTES_MAX: usize = 8192;
const GLOB_BYTES_MAX: usize = 1024;

/// The upstream a repo is to follow.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUpstream {
    /// Where it is; checked by the caller.
    pub url: String,
    /// How to sign in: absent keeps what is stored, `Some(None)` = not at all.
    pub auth: Option<Option<NewUpstreamAuth>>,
}

/// A credential for an upstream. Not `Debug`: it must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUpstreamAuth {
    /// Its kind.
    pub kind: UpstreamAuthKind,
    /// User name.
    pub username: Option<String>,
    /// Token or password.
    pub secret: String,
}

/// What a sync is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSync {
    /// Which way.
    pub direction: SyncDirection,
    /// Which branches; empty = none.
    pub branches: String,
    /// Which tags; empty = none.
    pub tags: String,
}

impl Catalog {
    /// The upstream of a repo.
    pub async fn upstream(
        &self,
        org: &OrgId,
        repo: &RepoId,
    ) -> Result<Option<Versioned<Upstream>>, Error> {
        self.read(&Upstream::key_of(org, repo)).await
    }

    /// The upstreams of some repos, in their order.
    pub async fn upstreams(
        &self,
        org: &OrgId,
        repos: &[&RepoId],
    ) -> Result<Vec<Option<Upstream>>, Error> {
        let keys: Vec<_> = repos.iter().map(|id| Upstream::key_of(org, id)).collect();
        let rows = self.read_many::<Upstream>(&keys).await?;
        Ok(rows.into_iter().map(|r| r.map(|r| r.record)).collect())
    }

    /// Sets (`Some`) or removes the upstream of a repo.
    pub async fn set_upstream(
        &self,
        org: &OrgId,
        repo: &RepoId,
        new: Option<NewUpstream>,
        actor: &Actor,
    ) -> Result<(), Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, repo).await;
            let read = self.upstream(org, repo).await?;
            let mut batch = Batch::new();
            let action = match (&read, &new) {
                (None, None) => return Ok(()),
                (Some(read), None) => {
                    batch.remove_record(read);
                    "repo.upstream_remove"
                }
                (read, Some(new)) => {
                    let next = self.next_upstream(org, repo, read.as_deref(), new)?;
                    match read {
                        Some(read) => batch.replace_record(&next, read.version),
                        None => batch.insert_record(&next),
                    };
                    "repo.upstream_set"
                }
            };
            self.audit(&mut batch, org, actor, action, repo.as_str(), json!({}));
            if self.commit(batch).await? {
                return Ok(());
            }
        }
        Err(Error::contended())
    }

    fn next_upstream(
        &self,
        org: &OrgId,
        repo: &RepoId,
        read: Option<&Upstream>,
        new: &NewUpstream,
    ) -> Result<Upstream, Error> {
        let auth = match &new.auth {
            None => read.and_then(|read| read.auth.clone()),
            Some(None) => None,
            Some(Some(auth)) => Some(self.sealed_auth(repo, auth)?),
        };
        if new.url.len() > URL_BYTES_MAX {
            return Err(Error::invalid(
                "INVALID_UPSTREAM_URL",
                format!("an upstream's URL must have at most {URL_BYTES_MAX} bytes"),
            ));
        }
        Ok(Upstream {
            org: org.clone(),
            repo: repo.clone(),
            url: new.url.clone(),
            auth,
            updated: self.now(),
        })
    }

    fn sealed_auth(&self, repo: &RepoId, auth: &NewUpstreamAuth) -> Result<UpstreamAuth, Error> {
        let name_len = auth.username.as_ref().map_or(0, String::len);
        if auth.secret.is_empty() || auth.secret.len() + name_len > SECRET_BYTES_MAX {
            return Err(Error::invalid(
                "INVALID_UPSTREAM_AUTH",
                format!("an upstream's credential must have 1 to {SECRET_BYTES_MAX} bytes"),
            ));
        }
        Ok(UpstreamAuth {
            kind: auth.kind,
            username: auth.username.clone(),
            secret: self.sealed_text(PURPOSE, repo.as_str(), &auth.secret),
        })
    }

    /// Records a sync that is to be done.
    pub async fn create_sync(
        &self,
        org: &OrgId,
        repo: &RepoId,
        new: NewSync,
        actor: &Actor,
    ) -> Result<Sync, Error> {
        if new.branches.len() > GLOB_BYTES_MAX || new.tags.len() > GLOB_BYTES_MAX {
            return Err(Error::invalid(
                "INVALID_REF_GLOBS",
                format!("a ref glob must have at most {GLOB_BYTES_MAX} bytes"),
            ));
        }
        let sync = Sync {
            org: org.clone(),
            repo: repo.clone(),
            id: SyncId::from_unique(&self.unique()),
            direction: new.direction,
            status: SyncStatus::Queued,
            attempt: 1,
            branches: new.branches,
            tags: new.tags,
            refs: None,
            error: None,
            created: self.now(),
            started: None,
            finished: None,
        };
        let mut batch = Batch::new();
        batch.insert_record(&sync);
        self.raise_sync(&mut batch, &sync);
        let detail = json!({"repo": repo, "direction": sync.direction});
        self.audit(
            &mut batch,
            org,
            actor,
            "sync.create",
            sync.id.as_str(),
            detail,
        );
        if self.commit(batch).await? {
            Ok(sync)
        } else {
            Err(Error::contended())
        }
    }

    /// Writes how far a sync is; `false` if somebody else did meanwhile.
    pub async fn update_sync(&self, read: &Versioned<Sync>, next: &Sync) -> Result<bool, Error> {
        let mut batch = Batch::new();
        batch.replace_record(next, read.version);
        self.raise_sync(&mut batch, next);
        self.commit(batch).await
    }

    fn raise_sync(&self, batch: &mut Batch, sync: &Sync) {
        let event = HookEventKind::SyncChanged {
            sync: Box::new(sync.clone()),
        };
        self.raise(batch, &sync.org, &sync.repo, event);
    }

    /// A sync.
    pub async fn sync(
        &self,
        org: &OrgId,
        repo: &RepoId,
        id: &SyncId,
    ) -> Result<Versioned<Sync>, Error> {
        let key = Sync::key_of(org, repo, id);
        self.read(&key)
            .await?
            .ok_or_else(|| Error::not_found("SYNC_NOT_FOUND", "there is no such sync"))
    }

    /// The syncs of a repo, newest first.
    pub async fn list_syncs(
        &self,
        org: &OrgId,
        repo: &RepoId,
        page: &PageRequest,
    ) -> Result<Page<Sync>, Error> {
        let prefix = Sync::prefix(org, repo);
        let page = self.newest_page::<Sync>(&prefix, page).await?;
        Ok(page.map(|r| r.record))
    }
}
