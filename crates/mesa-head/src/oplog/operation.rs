//! One operation, as shown.

use bytes::Bytes;
use mesa_proto::v1::{self, op::Kind};
use mesa_types::{FileId, Nanos};

/// What an operation does, as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OpSort {
    /// A new file, directory, symlink or other node.
    Create,
    /// Content.
    Write,
    /// A name removed.
    Delete,
    /// A name moved, or two exchanged.
    Rename,
    /// Another name for a node.
    Link,
    /// Mode, owner or times.
    Attributes,
    /// An extended attribute.
    Xattr,
}

impl OpSort {
    /// Every sort.
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::Write,
        Self::Delete,
        Self::Rename,
        Self::Link,
        Self::Attributes,
        Self::Xattr,
    ];

    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Create(_) => Self::Create,
            Kind::Link(_) => Self::Link,
            Kind::Unlink(_) | Kind::Rmdir(_) => Self::Delete,
            Kind::Rename(_) => Self::Rename,
            Kind::SetAttr(_) => Self::Attributes,
            Kind::SetContent(_) => Self::Write,
            Kind::SetXattr(_) | Kind::RemoveXattr(_) => Self::Xattr,
        }
    }
}

/// How many operations of each sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpCounts([u64; OpSort::ALL.len()]);

impl OpCounts {
    /// How many of a sort.
    pub fn of(&self, sort: OpSort) -> u64 {
        self.0[sort as usize]
    }

    pub(super) fn add(&mut self, sort: OpSort) {
        self.0[sort as usize] += 1;
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its number.
    pub seq: u64,
    /// When the server took it.
    pub at: Nanos,
    /// What it did.
    pub sort: OpSort,
    /// The path it concerns, as its maker saw it.
    pub path: Vec<u8>,
    /// Where a rename came from, or the name a link is another one of.
    pub from: Option<Vec<u8>>,
    /// Size of the content it left.
    pub size: Option<u64>,
    /// What it overwrote of another session.
    pub overwrote: Option<Lost>,
}

/// Content of another session that an operation overwrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its size.
    pub size: u64,
    /// Its bytes, if it is small.
    pub bytes: Option<Bytes>,
}

/// A path an operation has to do with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touch {
    Path(Vec<u8>),
    /// The client named none: it may be any.
    Anywhere,
}

/// `entry.ops[index]` as shown; `None` for what a later version wrote.
pub(crate) fn operation(entry: &v1::LogEntry, index: usize) -> Option<Operation> {
    let op = entry.ops.get(index)?;
    let kind = op.kind.as_ref()?;
    let (path, from) = paths(op, kind);
    let number = u32::try_from(index).ok()?;
    let merged = entry.merged.iter().find(|merged| merged.index == number);
    let content = match (merged, kind) {
        (Some(merged), _) => merged.content.as_ref(),
        (None, Kind::Create(create)) => create.content.as_ref(),
        (None, Kind::SetContent(set)) => set.content.as_ref(),
        _ => None,
    };
    let has_content = match kind {
        Kind::Create(create) => create.kind == mesa_types::NodeKind::File as u32,
        kind => matches!(kind, Kind::SetContent(_)),
    };
    let lost = entry.overwrites.iter().find(|lost| lost.index == number);
    let overwrote = lost.map(|lost| {
        let size = lost.loser.as_ref().map_or(0, |content| content.size);
        let here = lost.loser_inline.len() as u64 == size;
        Lost {
            size,
            bytes: here.then(|| lost.loser_inline.clone()),
        }
    });
    Some(Operation {
        seq: entry.first_seq + index as u64,
        at: Nanos(entry.received_ns),
        sort: OpSort::of(kind),
        path,
        from,
        size: has_content.then(|| content.map_or(0, |content| content.size)),
        overwrote,
    })
}

/// The path an operation concerns, and where it came from.
fn paths(op: &v1::Op, kind: &Kind) -> (Vec<u8>, Option<Vec<u8>>) {
    let here = |name: &[u8]| join(&op.path, name);
    match kind {
        Kind::Create(create) => (here(&create.name), None),
        Kind::Link(link) => {
            let source = Some(link.source_path.to_vec()).filter(|path| !path.is_empty());
            (here(&link.name), source)
        }
        Kind::Unlink(unlink) => (here(&unlink.name), None),
        Kind::Rmdir(rmdir) => (here(&rmdir.name), None),
        Kind::Rename(rename) => (
            join(&rename.new_path, &rename.new_name),
            Some(here(&rename.name)),
        ),
        Kind::SetAttr(_) | Kind::SetContent(_) | Kind::SetXattr(_) | Kind::RemoveXattr(_) => {
            (op.path.to_vec(), None)
        }
    }
}

/// Every path that is not the same after an operation. `root` is the repo's root directory.
pub(crate) fn touches(op: &v1::Op, root: FileId) -> Vec<Touch> {
    let Some(kind) = op.kind.as_ref() else {
        return vec![Touch::Anywhere];
    };
    // An empty hint stands for the root, or for a path that was too long to be sent.
    let in_dir = |dir: u64, path: &[u8], name: &[u8]| {
        if path.is_empty() && dir != root.0 {
            Touch::Anywhere
        } else {
            Touch::Path(join(path, name))
        }
    };
    let node = |id: u64| {
        if op.path.is_empty() && id != root.0 {
            Touch::Anywhere
        } else {
            Touch::Path(op.path.to_vec())
        }
    };
    match kind {
        Kind::Create(create) => vec![in_dir(create.parent, &op.path, &create.name)],
        Kind::Link(link) => vec![in_dir(link.parent, &op.path, &link.name)],
        Kind::Unlink(unlink) => vec![in_dir(unlink.parent, &op.path, &unlink.name)],
        Kind::Rmdir(rmdir) => vec![in_dir(rmdir.parent, &op.path, &rmdir.name)],
        Kind::Rename(rename) => vec![
            in_dir(rename.parent, &op.path, &rename.name),
            in_dir(rename.new_parent, &rename.new_path, &rename.new_name),
        ],
        Kind::SetAttr(set) => vec![node(set.id)],
        Kind::SetContent(set) => vec![node(set.id)],
        Kind::SetXattr(set) => vec![node(set.id)],
        Kind::RemoveXattr(remove) => vec![node(remove.id)],
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() {
        name.to_vec()
    } else {
        [dir, name].join(&b'/')
    }
}

/// Whether `path` is `above` or stands below it; the empty path is the root.
pub(crate) fn is_within(path: &[u8], above: &[u8]) -> bool {
    above.is_empty()
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.first().is_none_or(|&b| b == b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_touch_both_names_and_missing_hints_anything() {
        let root = FileId(1);
        let rename = v1::Op {
            path: Bytes::from_static(b"a"),
            kind: Some(Kind::Rename(v1::Rename {
                parent: 5,
                name: Bytes::from_static(b"x"),
                new_parent: 1,
                new_name: Bytes::from_static(b"y"),
                ..v1::Rename::default()
            })),
            ..v1::Op::default()
        };
        let path = |text: &str| Touch::Path(text.as_bytes().to_vec());
        assert_eq!(touches(&rename, root), [path("a/x"), path("y")]);
        let unlink = v1::Op {
            kind: Some(Kind::Unlink(v1::Unlink {
                parent: 5,
                ..v1::Unlink::default()
            })),
            ..v1::Op::default()
        };
        assert_eq!(touches(&unlink, root), [Touch::Anywhere]);
    }

    #[test]
    fn what_is_below_is_within() {
        assert!(is_within(b"a/b", b"a") && is_within(b"a", b"a") && is_within(b"a", b""));
        assert!(!is_within(b"ab", b"a") && !is_within(b"a", b"a/b"));
    }
}
