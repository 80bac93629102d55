//! Taking a difference between two states of the past back in a head's tree.

use bytes::Bytes;
use mesa_proto::v1;
use mesa_types::{ContentRef, EntryName, Nanos, NodeKind, ObjectId};
use mesa_vcs::{
    Labels, Merge,
    tree::{
        Change, Conflict, ConflictKind, MergeOptions, TreeStore, TreeValue, conflict_text,
        merge_trees, side_files,
    },
};

use super::{
    listing::Lister,
    segments::Place,
    transform::{Target, Within, transform},
};
use crate::{
    content::Unsealed,
    edit::{FilePath, Prepared, plan::Plan},
    error::{HeadError, HeadErrorKind, Result},
    head::{load::Parts, seal::snapshot},
    load,
    op::{Op, OpKind},
    rows::IdSpan,
    versions::{
        merge::{PathConflict, failed, shown},
        store::Versions,
    },
};

/// File ids of nodes in trees that only serve a computation: no session is given these.
const SCRATCH_IDS: IdSpan = IdSpan {
    first: 1 << 61,
    count: 1 << 32,
};

/// A piece of an action.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The state after it.
    pub after: Option<ObjectId>,
    /// The state before it.
    pub before: Option<ObjectId>,
    /// Where it is undone.
    pub within: Within,
    /// Renames it made, as its session saw them: from, to, node.
    pub renames: Vec<Renamed>,
}

/// A node that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renamed {
    pub from: Vec<u8>,
    pub to: Vec<u8>,
    pub id: u64,
}

/// What undoing comes to.
#[derive(Debug, Default)]
pub(crate) struct Undoing {
    /// The operations.
    pub files: Vec<Prepared>,
    /// Paths that later operations changed as well; with markers in `files` if that was wanted.
    pub conflicts: Vec<PathConflict>,
}

/// A computation over the snapshots of an org.
pub(crate) struct Undoer<'a> {
    pub parts: &'a Parts,
    pub store: &'a Versions,
    pub now: Nanos,
    /// Write conflicts as markers.
    pub conflicted: bool,
}

impl Undoer<'_> {
    /// Undoes the pieces of an action, the last one first, in the tree `head`.
    pub async fn undo(&self, head: Option<ObjectId>, pieces: &[Piece]) -> Result<Undoing> {
        let mut all = Undoing::default();
        let mut at = head;
        for (n, piece) in pieces.iter().enumerate().rev() {
            let some = self.piece(at, piece).await?;
            if n > 0 {
                at = self.applied(at, &some.files).await?;
            }
            all.files.extend(some.files);
            all.conflicts.extend(some.conflicts);
        }
        Ok(all)
    }

    async fn piece(&self, head: Option<ObjectId>, piece: &Piece) -> Result<Undoing> {
        let shifts = self.shifts(head, piece).await?;
        let mut undoing = Undoing::default();
        let (mut head, mut after) = (head, piece.after);
        if !shifts.is_empty() {
            // What was moved goes back before contents are compared, later ones with it.
            match self.shifted([head, after], &shifts).await {
                Ok(moved) => {
                    [head, after] = moved;
                    undoing.files = shifts;
                }
                // They do not go together: names are compared like contents.
                Err(error) if error.kind == HeadErrorKind::Invalid => {}
                Err(error) => return Err(error),
            }
        }
        let head = self.store.root(head).await?;
        let before = self.store.root(piece.before).await?;
        let (first, origin) = (TreeValue::of_root(&head), TreeValue::of_root(&before));
        let roots = Merge::three_way(head, self.store.root(after).await?, before);
        let merged = merge_trees(self.store, &roots, &MergeOptions::new(self.now))
            .await
            .map_err(failed)?;
        let mut targets = Vec::with_capacity(merged.edits.len());
        for edit in merged.edits {
            let (to, shallow) = match edit.change {
                Change::Remove => (None, false),
                Change::Put(value) => (Some(*value), false),
                Change::Dir(record) => {
                    let value = TreeValue {
                        node: *record,
                        links: None,
                    };
                    (Some(value), true)
                }
            };
            targets.push(Target {
                path: edit.path.as_bytes().to_vec(),
                to,
                shallow,
            });
        }
        let trees = [&first, &origin];
        undoing
            .files
            .extend(transform(self.store, trees, targets, &piece.within, self.now).await?);
        for (path, conflict) in &merged.conflicts {
            if piece.within.place(path.as_bytes()) == Place::Outside {
                continue;
            }
            undoing
                .conflicts
                .push(shown(self.store, path, conflict, &labels()).await?);
            if self.conflicted {
                let files = self.marked(&first, path.as_bytes(), conflict).await?;
                undoing.files.extend(files);
            }
        }
        Ok(undoing)
    }

    /// Renames that can be taken back as such: what was moved still stands where it was moved to,
    /// and nothing else has come to stand where it was.
    async fn shifts(&self, head: Option<ObjectId>, piece: &Piece) -> Result<Vec<Prepared>> {
        if piece.renames.is_empty() {
            return Ok(Vec::new());
        }
        let mut lister = Lister::new(self.store);
        let mut trees = Vec::new();
        for root in [piece.before, piece.after, head] {
            trees.push(TreeValue::of_root(&self.store.root(root).await?));
        }
        let mut shifts = Vec::new();
        for renamed in piece.renames.iter().rev() {
            if piece.within.place(&renamed.from) != Place::Inside
                || piece.within.place(&renamed.to) != Place::Inside
            {
                continue;
            }
            let mut fits = true;
            for (n, tree) in trees.iter().enumerate() {
                let from = lister.find(tree, &renamed.from).await?;
                let to = lister.find(tree, &renamed.to).await?;
                let (here, there) = if n == 0 { (from, to) } else { (to, from) };
                let is_here = here.is_some_and(|value| value.node.attr.id.0 == renamed.id);
                fits &= is_here && there.is_none();
            }
            let above = parent(&renamed.from);
            for tree in &trees[1..] {
                let dir = lister.find(tree, above).await?;
                fits &= dir.is_some_and(|value| value.kind() == NodeKind::Dir);
            }
            if fits {
                shifts.push(Prepared::Shift {
                    from: file_path(&renamed.to)?,
                    to: file_path(&renamed.from)?,
                });
            }
        }
        Ok(shifts)
    }

    async fn shifted(
        &self,
        [head, after]: [Option<ObjectId>; 2],
        shifts: &[Prepared],
    ) -> Result<[Option<ObjectId>; 2]> {
        let head = self.applied(head, shifts).await?;
        Ok([head, self.applied(after, shifts).await?])
    }

    /// The tree `root` with operations made to it, as a stored snapshot that nothing names.
    async fn applied(
        &self,
        root: Option<ObjectId>,
        files: &[Prepared],
    ) -> Result<Option<ObjectId>> {
        let packs = &self.parts.packs;
        let mut tree = load::tree(packs, root, self.store.root, self.now).await?;
        let plan = Plan::new(packs, &mut tree, self.now, SCRATCH_IDS);
        let wire: Vec<v1::Op> = plan.run(files).await?;
        let mut seq = 0;
        for op in &wire {
            let op = Op::from_wire(op)?;
            while let Some(need) = tree.needs(&op) {
                load::satisfy(packs, &mut tree, need).await?;
            }
            let content = match &op.kind {
                OpKind::Create(create) if !create.target.is_empty() => ContentRef::Chunk {
                    id: packs.key().chunk_id(&create.target),
                    size: create.target.len() as u64,
                },
                _ => op
                    .content()
                    .map_or(ContentRef::Empty, |(content, _)| content),
            };
            seq += 1;
            tree.apply(&op, content, seq).map_err(|refusal| {
                HeadError::corrupt(format!("an operation does not fit a past state: {refusal}"))
            })?;
        }
        let built = snapshot(self.parts, &tree, &Unsealed::default(), None, seq).await?;
        let built = built.ok_or_else(|| HeadError::corrupt("a tree without a root"))?;
        super::state::settle(self.parts, built).await.map(Some)
    }

    /// The files that show a conflict.
    async fn marked(
        &self,
        head: &TreeValue,
        path: &[u8],
        conflict: &Conflict,
    ) -> Result<Vec<Prepared>> {
        if conflict.kind == ConflictKind::Text {
            let text = conflict_text(self.store, conflict, &labels()).await;
            if let Some(text) = text.map_err(failed)? {
                let mut record = (*conflict.shown).clone();
                record.attr.kind = NodeKind::File;
                record.attr.mtime = self.now;
                record.target = Bytes::new();
                let stored = self.store.write(vec![text.shown().into()]).await?;
                let content = stored.first().map(|stored| stored.content);
                record.attr.content = content.unwrap_or(ContentRef::Empty);
                return Ok(vec![Prepared::Node {
                    path: file_path(path)?,
                    record: Box::new(record),
                    inline: Bytes::new(),
                }]);
            }
        }
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        let Ok(name) = EntryName::new(name) else {
            return Ok(Vec::new());
        };
        let mut lister = Lister::new(self.store);
        let dir = lister.find(head, parent(path)).await?;
        let beside = lister
            .list(&[dir.as_ref()])
            .await?
            .pop()
            .unwrap_or_default();
        let mut files = Vec::new();
        for (name, value) in side_files(conflict, &name, |name| beside.contains_key(name)) {
            let full = super::listing::join(parent(path), &name);
            let mut record = value.node;
            if record.attr.kind == NodeKind::Dir {
                // What is below a directory on one side alone is told, not copied.
                continue;
            }
            record.dir = None;
            files.push(Prepared::Node {
                path: file_path(&full)?,
                record: Box::new(record),
                inline: Bytes::new(),
            });
        }
        Ok(files)
    }
}

/// What the sides of a conflict are called.
fn labels() -> Labels {
    let names = [
        "the change now",
        "after what is undone",
        "before what is undone",
    ];
    let names = Merge::from_terms(names.map(str::to_owned).to_vec());
    names.map_or_else(Labels::none, Labels::new)
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|&b| b == b'/')
        .map_or(&path[..0], |end| &path[..end])
}

fn file_path(path: &[u8]) -> Result<FilePath> {
    FilePath::parse(path).map_err(|_| HeadError::corrupt("a stored path is too long"))
}
