//! The operation log and the audit log.

use mesa_meta::Batch;
use mesa_types::{OrgId, RepoId};
use serde_json::Value;

use super::{Actor, Catalog};
use crate::{
    error::Error,
    page::{Page, PageRequest},
    record::RecordBatch,
    records::{Audit, Operation, OperationKind},
};

impl Catalog {
    /// Adds an audit record about something of `org` to the batch that does it.
    ///
    /// `action` is `<noun>.<verb>`, `target` the id of what it is done to; `detail` must hold no
    /// secrets and no content.
    pub fn audit(
        &self,
        batch: &mut Batch,
        org: &OrgId,
        actor: &Actor,
        action: &str,
        target: &str,
        detail: Value,
    ) {
        self.add_audit(batch, Some(org), actor, action, target, detail);
    }

    pub(super) fn audit_server(
        &self,
        batch: &mut Batch,
        actor: &Actor,
        action: &str,
        target: &str,
        detail: Value,
    ) {
        self.add_audit(batch, None, actor, action, target, detail);
    }

    fn add_audit(
        &self,
        batch: &mut Batch,
        org: Option<&OrgId>,
        actor: &Actor,
        action: &str,
        target: &str,
        detail: Value,
    ) {
        batch.put_record(&Audit {
            org: org.cloned(),
            id: self.unique(),
            at: self.now(),
            key: actor.key.clone(),
            source: actor.source.clone(),
            request: actor.request.clone(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail,
        });
    }

    /// Adds an entry of the repo's operation log to the batch that does it.
    pub fn log_operation(
        &self,
        batch: &mut Batch,
        org: &OrgId,
        repo: &RepoId,
        actor: &Actor,
        what: OperationKind,
    ) {
        batch.put_record(&Operation {
            org: org.clone(),
            repo: repo.clone(),
            id: self.unique(),
            at: self.now(),
            key: actor.key.clone(),
            source: actor.source.clone(),
            what,
        });
    }

    /// The audit log of an org (`None`: of the server), oldest first.
    pub async fn list_audit(
        &self,
        org: Option<&OrgId>,
        page: &PageRequest,
    ) -> Result<Page<Audit>, Error> {
        let page = self
            .page::<Audit>(&Audit::prefix(org), page, |_| true)
            .await?;
        Ok(page.map(|r| r.record))
    }

    /// The operation log of a repo, oldest first.
    pub async fn list_operations(
        &self,
        org: &OrgId,
        repo: &RepoId,
        page: &PageRequest,
    ) -> Result<Page<Operation>, Error> {
        let page = self
            .page::<Operation>(&Operation::prefix(org, repo), page, |_| true)
            .await?;
        Ok(page.map(|r| r.record))
    }
}
