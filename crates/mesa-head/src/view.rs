//! Reading a change as it is now: through its live head if it is open, else its snapshot.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use mesa_object::tree::Xattrs;
use mesa_store::OrgPacks;
use mesa_types::{
    Attr, BookmarkName, ChangeId, ChunkId, CommitOid, ContentRef, EntryName, FileId, NodeKind,
    ObjectId, OrgId, RepoId,
};
use tokio::sync::RwLock;

use crate::{
    Heads, content,
    error::{HeadError, HeadErrorKind, Result},
    head::Head,
    load::{self, Fetched},
    tree::{Need, Node, Tree, Walk},
};

/// Which state to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewTarget {
    /// What a bookmark names.
    Bookmark(BookmarkName),
    /// A change.
    Change(ChangeId),
}

/// A readable state of a repo.
#[derive(Clone)]
pub struct View {
    /// The change looked at; [`ChangeId::ROOT`] for the empty tree before the first change.
    pub change: ChangeId,
    /// Its newest commit when the view was made; newer writes may be visible beyond it.
    pub commit: Option<CommitOid>,
    packs: OrgPacks,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Live(Arc<Head>),
    Still(Arc<RwLock<Tree>>),
}

/// A node of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewNode {
    /// Attributes.
    pub attr: Attr,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Target of a symlink.
    pub target: Bytes,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewEntry {
    /// The name.
    pub name: EntryName,
    /// The node.
    pub node: ViewNode,
}

/// Longest range read at once.
const READ_MAX: u64 = 64 << 20;

impl Heads {
    /// A view of a repo.
    pub async fn view(&self, org: &OrgId, repo: &RepoId, target: &ViewTarget) -> Result<View> {
        let catalog = self.catalog();
        let record = catalog.living_repo(org, repo).await?;
        let packs = self.packs(org).await?;
        let change = match target {
            ViewTarget::Change(change) => *change,
            ViewTarget::Bookmark(name) => {
                let found = catalog.bookmark(org, repo, name).await?;
                found
                    .ok_or_else(|| {
                        HeadError::not_found("BOOKMARK_NOT_FOUND", "there is no such bookmark")
                    })?
                    .change
            }
        };
        if change.is_root() {
            let root = FileId::root_of(record.tag);
            return Ok(View {
                change,
                commit: None,
                packs,
                source: Source::Still(Arc::new(RwLock::new(Tree::empty(root, record.created)))),
            });
        }
        let found = self
            .settled(org, repo, &change)
            .await?
            .ok_or_else(|| HeadError::not_found("CHANGE_NOT_FOUND", "there is no such change"))?;
        let source = match &found.head {
            Some(head) if found.state == mesa_repo::ChangeState::Open => {
                Source::Live(self.head(org, head).await?)
            }
            _ => Source::Still(Arc::new(RwLock::new(
                load::tree(
                    &packs,
                    found.root,
                    FileId::root_of(record.tag),
                    found.created,
                )
                .await?,
            ))),
        };
        Ok(View {
            change,
            commit: found.commit,
            packs,
            source,
        })
    }

    /// A view of a snapshot by its root object.
    pub async fn snapshot_view(
        &self,
        org: &OrgId,
        change: ChangeId,
        commit: Option<CommitOid>,
        root: ObjectId,
    ) -> Result<View> {
        let packs = self.packs(org).await?;
        let tree = load::tree(&packs, Some(root), FileId(0), mesa_types::Nanos(0)).await?;
        Ok(View {
            change,
            commit,
            packs,
            source: Source::Still(Arc::new(RwLock::new(tree))),
        })
    }
}

impl View {
    /// The node at a path (raw bytes, no leading slash, empty = the root); `None` if there is none.
    pub async fn stat(&self, path: &[u8]) -> Result<Option<ViewNode>> {
        self.look(path, false, |tree, id| tree.node(id).map(view_node))
            .await
    }

    /// The entries of a directory by name; `None` if there is no such path. A
    /// [`HeadErrorKind::Invalid`] error with code `NOT_A_DIRECTORY` for anything else.
    pub async fn list(&self, path: &[u8]) -> Result<Option<Vec<ViewEntry>>> {
        let listed = self
            .look(path, true, |tree, id| {
                let node = tree.node(id)?;
                if node.attr.kind == NodeKind::Gitlink {
                    return Some(Ok(Vec::new()));
                }
                let Some(children) = tree.listing(id) else {
                    return Some(Err(HeadError::new(
                        HeadErrorKind::Invalid,
                        "NOT_A_DIRECTORY",
                        "the path is not a directory",
                    )));
                };
                let entry = |(name, child): (&EntryName, &FileId)| {
                    let node = view_node(tree.node(*child)?);
                    let name = name.clone();
                    Some(ViewEntry { name, node })
                };
                Some(Ok(children.iter().filter_map(entry).collect()))
            })
            .await?;
        listed.transpose()
    }

    /// Bytes of a content within a range, cut to the content's length and to 64 MiB.
    pub async fn read(&self, content: &ContentRef, range: Range<u64>) -> Result<Bytes> {
        let range = range.start..range.end.min(range.start.saturating_add(READ_MAX));
        let unsealed = match (&self.source, content) {
            (Source::Live(head), ContentRef::Chunk { id, .. }) => {
                head.state.read().await.unsealed.get(id).cloned()
            }
            _ => None,
        };
        content::read(&self.packs, |_: &ChunkId| unsealed.clone(), content, range).await
    }

    /// Sequence of the newest operation seen by this view; 0 for a snapshot.
    pub async fn head_seq(&self) -> u64 {
        match &self.source {
            Source::Live(head) => head.state.read().await.row.seq,
            Source::Still(_) => 0,
        }
    }

    async fn look<T>(
        &self,
        path: &[u8],
        listing: bool,
        found: impl Fn(&Tree, FileId) -> Option<T>,
    ) -> Result<Option<T>> {
        loop {
            let need = match &self.source {
                Source::Live(head) => {
                    let state = head.state.read().await;
                    step(&state.tree, path, listing, &found)
                }
                Source::Still(tree) => step(&*tree.read().await, path, listing, &found),
            };
            let need = match need {
                Step::Done(answer) => return Ok(answer),
                Step::Load(need) => need,
            };
            let fetched = load::fetch(&self.packs, &need).await?;
            self.attach(fetched).await?;
        }
    }

    async fn attach(&self, fetched: Fetched) -> Result<()> {
        match &self.source {
            Source::Live(head) => fetched.attach(&mut head.state.write().await.tree),
            Source::Still(tree) => fetched.attach(&mut *tree.write().await),
        }
    }
}

enum Step<T> {
    Done(Option<T>),
    Load(Need),
}

fn step<T>(
    tree: &Tree,
    path: &[u8],
    listing: bool,
    found: impl Fn(&Tree, FileId) -> Option<T>,
) -> Step<T> {
    if let Some(need) = tree.needs_path(path, listing) {
        return Step::Load(need);
    }
    Step::Done(match tree.walk(path) {
        Walk::Found(id) => found(tree, id),
        _ => None,
    })
}

fn view_node(node: &Node) -> ViewNode {
    ViewNode {
        attr: node.attr.clone(),
        xattrs: node.xattrs.clone(),
        target: node.target.clone(),
    }
}
