//! The server's first start: an org, and an admin key whose holder operates the server.
//!
//! Two steps, so that a crash between them never leaves a server that nobody can enter:
//! [`first_start`] makes org and key, the caller puts the key in its private file, then
//! [`complete`] marks the start as done. Until then, another start revokes the earlier key and
//! makes a new one.

use mesa_meta::{Batch, Key, KeyBuf, Table};
use mesa_types::{KeyId, OrgId, OrgSlug};
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Secret, Verifier},
    catalog::{Actor, Catalog, NewKeySecret, NewOrg},
    error::{Error, ErrorKind},
    record::{Record, RecordBatch},
    records::{ApiKey, GLOBAL_SHARD, Org, api_key::SealedVerifier},
};

/// How far the first start got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    org: OrgId,
    key: KeyId,
    complete: bool,
}

impl Start {
    fn key_of() -> Key {
        KeyBuf::new(GLOBAL_SHARD).text("start").into()
    }
}

impl Record for Start {
    const TABLE: Table = Table::Server;
    const NAME: &'static str = "first start";

    fn key(&self) -> Key {
        Self::key_of()
    }
}

/// A known text sealed with the server key, to tell a wrong key file at once.
#[derive(Debug, Serialize, Deserialize)]
struct KeyCheck {
    sealed: SealedVerifier,
}

impl KeyCheck {
    fn key_of() -> Key {
        KeyBuf::new(GLOBAL_SHARD).text("server key check").into()
    }
}

impl Record for KeyCheck {
    const TABLE: Table = Table::Server;
    const NAME: &'static str = "server key check";

    fn key(&self) -> Key {
        Self::key_of()
    }
}

/// What the first start made.
#[derive(Debug, Clone)]
pub struct FirstStart {
    /// The org.
    pub org: Org,
    /// The admin key, with its text.
    pub admin: NewKeySecret,
}

/// Checks that the server key belongs to the database, and on a server without orgs makes the
/// first one with its admin key (`secret` if given). `None` = this was done before.
pub async fn first_start(
    catalog: &Catalog,
    slug: &OrgSlug,
    secret: Option<Secret>,
) -> Result<Option<FirstStart>, Error> {
    check_server_key(catalog).await?;
    let actor = Actor::server();
    let before = catalog.read::<Start>(&Start::key_of()).await?;
    if before.as_ref().is_some_and(|s| s.complete) {
        return Ok(None);
    }
    let org = match &before {
        Some(start) => catalog.org(&start.org).await?,
        None => catalog.org_by_slug(slug).await?,
    };
    let org = if let Some(org) = org {
        org
    } else {
        let new = NewOrg {
            slug: slug.clone(),
            name: None,
        };
        catalog.create_org(new, &actor).await?
    };
    if let Some(start) = &before {
        let key = ApiKey::key_of(&start.org, &start.key);
        if let Some(old) = catalog.read::<ApiKey>(&key).await?
            && !catalog.revoke_in(&old, &actor).await?
        {
            return Err(Error::contended());
        }
    }
    let admin = catalog
        .create_admin_key(&org.id, "admin", true, secret, &actor)
        .await?;
    let mut batch = Batch::new();
    let start = Start {
        org: org.id.clone(),
        key: admin.key.id.clone(),
        complete: false,
    };
    match &before {
        Some(read) => batch.replace_record(&start, read.version),
        None => batch.insert_record(&start),
    };
    if !catalog.commit(batch).await? {
        return Err(Error::contended());
    }
    Ok(Some(FirstStart { org, admin }))
}

/// Whether the first start was done; checks that the server key belongs to the database if it was.
pub async fn is_complete(catalog: &Catalog) -> Result<bool, Error> {
    let start = catalog.read::<Start>(&Start::key_of()).await?;
    let complete = start.is_some_and(|start| start.complete);
    if complete {
        check_server_key(catalog).await?;
    }
    Ok(complete)
}

/// Marks the first start as done; to be called when the admin key is safely stored.
pub async fn complete(catalog: &Catalog) -> Result<(), Error> {
    let read = catalog.read::<Start>(&Start::key_of()).await?;
    let Some(read) = read else {
        return Err(Error::not_found(
            "NOT_STARTED",
            "the server's first start was not begun",
        ));
    };
    let mut batch = Batch::new();
    batch.replace_record(
        &Start {
            complete: true,
            ..read.record.clone()
        },
        read.version,
    );
    if catalog.commit(batch).await? {
        Ok(())
    } else {
        Err(Error::contended())
    }
}

async fn check_server_key(catalog: &Catalog) -> Result<(), Error> {
    const TEXT: &str = "mesa server key check";
    let id = KeyId::from_unique("check");
    if let Some(check) = catalog.read::<KeyCheck>(&KeyCheck::key_of()).await? {
        let opened = catalog.server_key().open(&id, &check.record.sealed);
        let matches = opened.as_ref().is_ok_and(|v| v.accepts(TEXT));
        return if matches {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Corrupt,
                "SERVER_KEY_MISMATCH",
                "the server key file does not belong to this database; restore the file it was \
                 created with",
            ))
        };
    }
    let sealed = catalog
        .server_key()
        .seal(&id, &Verifier::of(TEXT), &**catalog.random());
    let mut batch = Batch::new();
    batch.insert_record(&KeyCheck { sealed });
    if catalog.commit(batch).await? {
        Ok(())
    } else {
        Err(Error::contended())
    }
}
