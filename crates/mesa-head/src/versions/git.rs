//! How a snapshot with conflicts is committed to git: see [`mesa_vcs::stored`].

use mesa_object::{
    git::decode_tree,
    tree::{EntryTarget, git_tree},
};
use mesa_types::{GitOid, ObjectId};
use mesa_vcs::{
    Merge,
    stored::{conflict_tree, header_lines},
    tree::TreeSource,
};

use super::{store::Versions, table::Table};
use crate::error::{HeadError, Result};

/// The git side of a snapshot with conflicts.
pub(crate) struct ConflictGit {
    /// The commit's tree.
    pub tree: GitOid,
    /// Bytes of that tree; `None` if it is the tree of a term.
    pub bytes: Option<Vec<u8>>,
    /// Header lines of the commit.
    pub headers: Vec<u8>,
    /// The snapshots whose trees are in it.
    pub roots: Vec<ObjectId>,
}

/// Trees and headers of a table whose terms are stored.
pub(crate) async fn project(store: &Versions, table: &Table) -> Result<ConflictGit> {
    let mut trees = Vec::with_capacity(table.terms);
    for root in &table.roots {
        let root = store.root(Some(*root)).await?;
        trees.push(root.dir.git.unwrap_or(GitOid::EMPTY_TREE));
    }
    let all = Merge::from_terms(trees.clone())
        .ok_or_else(|| HeadError::corrupt("conflicts with an even number of terms"))?;
    let (labels, trees_left) = table.labels.simplify_with(&all, |a, b| a == b);
    let first = *trees_left.first();
    if trees_left.is_resolved() {
        // Git sees no conflict.
        let at = trees.iter().position(|tree| *tree == first).unwrap_or(0);
        return Ok(ConflictGit {
            tree: first,
            bytes: None,
            headers: Vec::new(),
            roots: table.roots.get(at).copied().into_iter().collect(),
        });
    }
    let at = trees.iter().position(|tree| *tree == first).unwrap_or(0);
    let root = store.root(table.roots.get(at).copied()).await?;
    let mut bytes = Vec::new();
    if let Some(dir) = &root.dir.dir {
        let entries = store.list(&[dir.object]).await?.pop().unwrap_or_default();
        let ids: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry.target {
                EntryTarget::Link { id, .. } => Some(id),
                EntryTarget::Node(_) => None,
            })
            .collect();
        let links = match root.links {
            Some(links) if !ids.is_empty() => store.linked(links, &ids).await?,
            _ => Vec::new(),
        };
        let link = |id| links.iter().find(|record| record.attr.id == id);
        bytes = git_tree(&entries, link)?.map_or_else(Vec::new, |(bytes, _)| bytes);
    }
    let lines = decode_tree(&bytes)
        .ok_or_else(|| HeadError::corrupt("a git tree made here cannot be read"))?;
    let (bytes, tree) = conflict_tree(&trees_left, &lines)
        .map_err(|error| HeadError::corrupt("a git tree collides").with_source(error))?;
    Ok(ConflictGit {
        tree,
        bytes: Some(bytes),
        headers: header_lines(&trees_left, &labels),
        roots: table.roots.clone(),
    })
}
