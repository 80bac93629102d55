//! Orgs.

use mesa_meta::{Batch, Range};
use mesa_types::{OrgId, OrgSlug};
use serde_json::json;

use super::{Actor, Catalog, NewKeySecret};
use crate::{
    error::{Error, ErrorKind},
    page::{Page, PageRequest},
    record::{Record, RecordBatch, Versioned},
    records::{
        ApiKey, GLOBAL_SHARD, Org, Repo,
        org::{ChunkKey, OrgSlugRow},
    },
};

/// What a new org needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrg {
    /// Its slug.
    pub slug: OrgSlug,
    /// Name for people; `None` = the slug.
    pub name: Option<String>,
}

const NAME_LEN_MAX: usize = 200;

fn taken(org: &Org) -> Error {
    Error::new(
        ErrorKind::Exists,
        "ORG_EXISTS",
        format!("the org '{}' exists already", org.slug),
    )
}

impl Catalog {
    /// Creates an org that nobody can enter yet.
    pub async fn create_org(&self, new: NewOrg, actor: &Actor) -> Result<Org, Error> {
        let org = self.new_org(new)?;
        let mut batch = Batch::new();
        self.add_org(&mut batch, &org, actor);
        if self.commit(batch).await? {
            Ok(org)
        } else {
            Err(taken(&org))
        }
    }

    /// Creates an org with its first key, an admin one: both or, if this is cut off, neither.
    pub async fn create_org_with_key(
        &self,
        new: NewOrg,
        actor: &Actor,
    ) -> Result<(Org, NewKeySecret), Error> {
        let org = self.new_org(new)?;
        if self.org_by_slug(&org.slug).await?.is_some() {
            return Err(taken(&org));
        }
        // The key's row is in the org's own shard: first, so that nothing leads to it until the
        // org is there. Left over it is a row of no org.
        let made = self.new_admin_key(&org.id, "admin", false, None)?;
        let mut own = Batch::new();
        self.add_key(&mut own, &made.key, actor);
        if !self.commit(own).await? {
            return Err(Error::contended());
        }
        let mut batch = Batch::new();
        self.add_org(&mut batch, &org, actor);
        Self::add_key_index(&mut batch, &made.key);
        if self.commit(batch).await? {
            return Ok((org, made));
        }
        let mut undo = Batch::new();
        undo.delete(ApiKey::TABLE, made.key.key());
        self.commit(undo).await?;
        Err(taken(&org))
    }

    fn new_org(&self, new: NewOrg) -> Result<Org, Error> {
        let name = new.name.unwrap_or_else(|| new.slug.to_string());
        if name.trim().is_empty() || name.len() > NAME_LEN_MAX {
            return Err(Error::invalid(
                "INVALID_ORG_NAME",
                format!("an org's name must have 1 to {NAME_LEN_MAX} bytes"),
            ));
        }
        let mut chunk_key = [0; 32];
        self.random().fill(&mut chunk_key);
        Ok(Org {
            id: OrgId::from_unique(&self.unique()),
            slug: new.slug,
            name,
            chunk_key: ChunkKey(chunk_key),
            created: self.now(),
        })
    }

    fn add_org(&self, batch: &mut Batch, org: &Org, actor: &Actor) {
        batch
            .insert_record(&OrgSlugRow {
                slug: org.slug.clone(),
                org: org.id.clone(),
            })
            .insert_record(org);
        let detail = json!({"slug": org.slug});
        self.audit_server(batch, actor, "org.create", org.id.as_str(), detail);
    }

    /// The org with this id.
    pub async fn org(&self, id: &OrgId) -> Result<Option<Org>, Error> {
        Ok(self.read(&Org::key_of(id)).await?.map(|r| r.record))
    }

    /// The org with this slug.
    pub async fn org_by_slug(&self, slug: &OrgSlug) -> Result<Option<Org>, Error> {
        match self.read::<OrgSlugRow>(&OrgSlugRow::key_of(slug)).await? {
            Some(row) => self.org(&row.record.org).await,
            None => Ok(None),
        }
    }

    /// The orgs of this server, in the order they were created.
    pub async fn list_orgs(&self, page: &PageRequest) -> Result<Page<Org>, Error> {
        let prefix = mesa_meta::KeyBuf::new(GLOBAL_SHARD).text("o").into();
        let page = self.page::<Org>(&prefix, page, |_| true).await?;
        Ok(page.map(|r: Versioned<Org>| r.record))
    }

    /// How many living repos an org has. Reads their rows, so it looks at the first 10,000 only:
    /// an org with more of them is said to have at most that many.
    pub async fn count_repos(&self, org: &OrgId) -> Result<u64, Error> {
        const STEP: usize = 1000;
        const STEPS_MAX: usize = 10;
        let mut range = Range::prefix(Repo::prefix(org));
        let mut count = 0;
        for _ in 0..STEPS_MAX {
            let rows = self
                .meta()
                .scan(mesa_meta::Table::Repos, &range, STEP, false)
                .await?;
            for entry in &rows {
                let repo = crate::record::read::<Repo>(&entry.row)?;
                count += u64::from(repo.record.deleted.is_none());
            }
            match rows.last() {
                Some(last) if rows.len() == STEP => {
                    let mut start = last.key.0.to_vec();
                    start.push(0);
                    range.start = mesa_meta::Key(start.into());
                }
                _ => break,
            }
        }
        Ok(count)
    }
}
