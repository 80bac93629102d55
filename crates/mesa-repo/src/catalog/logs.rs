//! The operation log and the audit log.

use mesa_meta::{Batch, Range, Table};
use mesa_types::{Nanos, OrgId, RepoId};
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
        self.raise_operation(batch, org, repo, &what);
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

    /// The audit log of an org (`None`: of the server), newest first.
    pub async fn newest_audit(
        &self,
        org: Option<&OrgId>,
        page: &PageRequest,
    ) -> Result<Page<Audit>, Error> {
        let page = self.newest_page::<Audit>(&Audit::prefix(org), page).await?;
        Ok(page.map(|r| r.record))
    }

    /// Deletes audit records of an org (`None`: of the server) older than `before`, oldest first,
    /// `max` at most; answers how many.
    pub async fn purge_audit(
        &self,
        org: Option<&OrgId>,
        before: Nanos,
        max: usize,
    ) -> Result<usize, Error> {
        let range = Range::prefix(Audit::prefix(org));
        let rows = self.meta().scan(Table::Audit, &range, max, false).await?;
        let mut batch = Batch::new();
        for entry in &rows {
            if crate::record::read::<Audit>(&entry.row)?.at >= before {
                break;
            }
            batch.delete(Table::Audit, entry.key.clone());
        }
        let deleted = batch.writes.len();
        if deleted > 0 {
            self.commit(batch).await?;
        }
        Ok(deleted)
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
