//! Trees and contents for the merge engine.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use mesa_object::{
    Object,
    content::of_slice,
    git::blob_oid,
    tree::{Entry, NodeRecord, Root},
};
use mesa_store::OrgPacks;
use mesa_types::{ContentRef, FileId, GitOid, Nanos, ObjectId};
use mesa_vcs::tree::{Stored, TreeSource, TreeStore};
use tokio::sync::Mutex;

use crate::{
    content,
    error::{HeadError, Result},
    load,
    tree::Tree,
};

/// Link tables kept; a merge has one for each of its terms.
const TABLES_MAX: usize = 8;

type LinkTable = Arc<HashMap<FileId, NodeRecord>>;

/// The packs of an org as a source of trees.
pub(crate) struct Versions {
    pub packs: OrgPacks,
    /// File id of the empty tree's root.
    pub root: FileId,
    /// Link tables read lately: they are asked for name by name.
    tables: Mutex<Vec<(ObjectId, LinkTable)>>,
}

impl Versions {
    pub fn new(packs: OrgPacks, root: FileId) -> Self {
        Self {
            packs,
            root,
            tables: Mutex::default(),
        }
    }

    async fn table(&self, id: ObjectId) -> Result<LinkTable> {
        let mut tables = self.tables.lock().await;
        if let Some((_, table)) = tables.iter().find(|(known, _)| *known == id) {
            return Ok(Arc::clone(table));
        }
        let records = load::links(&self.packs, id).await?.into_iter();
        let table: LinkTable = Arc::new(records.map(|r| (r.attr.id, r)).collect());
        if tables.len() >= TABLES_MAX {
            tables.remove(0);
        }
        tables.push((id, Arc::clone(&table)));
        Ok(table)
    }

    /// The root of a snapshot; `None` is the empty tree.
    pub async fn root(&self, object: Option<ObjectId>) -> Result<Root> {
        if let Some(object) = object {
            return Ok(Root::decode(&self.packs.get(object).await?)?);
        }
        let tree = Tree::empty(self.root, Nanos(0));
        let node = tree
            .node(self.root)
            .ok_or_else(|| HeadError::corrupt("a tree without a root"))?;
        Ok(Root {
            dir: node.to_record(),
            links: None,
            conflicts: None,
        })
    }
}

impl TreeSource for Versions {
    type Error = HeadError;

    async fn list(&self, listings: &[ObjectId]) -> Result<Vec<Vec<Entry>>> {
        let wanted: Vec<_> = listings.iter().map(|object| (FileId(0), *object)).collect();
        let found = load::listings(&self.packs, &wanted).await?;
        Ok(found.into_iter().map(|(_, entries)| entries).collect())
    }

    async fn linked(&self, table: ObjectId, nodes: &[FileId]) -> Result<Vec<NodeRecord>> {
        let all = self.table(table).await?;
        nodes
            .iter()
            .map(|id| {
                all.get(id)
                    .cloned()
                    .ok_or_else(|| HeadError::corrupt("a link leads nowhere"))
            })
            .collect()
    }

    async fn read(&self, contents: &[ContentRef]) -> Result<Vec<Bytes>> {
        let mut found = Vec::with_capacity(contents.len());
        for content in contents {
            found.push(content::read(&self.packs, |_| None, content, 0..content.size()).await?);
        }
        Ok(found)
    }
}

impl TreeStore for Versions {
    async fn write(&self, contents: Vec<Bytes>) -> Result<Vec<Stored>> {
        let key = self.packs.key();
        let mut objects = Vec::new();
        let mut stored = Vec::with_capacity(contents.len());
        for bytes in contents {
            let built = of_slice(key, &bytes);
            let mut at = 0;
            for chunk in &built.chunks {
                let end = at + chunk.len as usize;
                objects.push(Object::chunk(key, bytes.slice(at..end)));
                at = end;
            }
            objects.extend(built.manifests);
            stored.push(Stored {
                content: built.content,
                git: blob_oid(&bytes).unwrap_or(GitOid::EMPTY_BLOB),
            });
        }
        if !objects.is_empty() {
            self.packs.put(objects).await?;
        }
        Ok(stored)
    }
}
