//! Which content makes way for others.
//!
//! Content of a closed file has a place in the order, and what comes after it waits until its bytes
//! are on the server. Where somebody waits for an operation behind it (an fsync of another file, a
//! create that the server decides, a recalled lease), content that is still to be read or uploaded
//! gets a new place at the end, and nothing is sent in its old one. It stays where it is when:
//!
//! - somebody waits for it itself, or for everything (`sync`, unmount);
//! - a later operation concerns the file: a rename, link, removal, exchange or attribute change of
//!   it, or a rename of a directory above it, which would publish the file without its content.
//!
//! So the order stays one order for every file, and names never come before the content they
//! publish; what moves is only content against operations on other files.

use std::collections::{HashMap, HashSet};

use mesa_proto::v1::{self, op::Kind};
use mesa_types::{FileId, limits};

use super::{
    ClientSeq,
    queue::{Body, ContentJob, Pending},
};

/// Who content makes way for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Somebody here, who waits for an operation.
    Operation,
    /// Another session that wants the lease: only content decided under it is in the way.
    Recall,
}

impl For {
    /// Bytes of other files' content that are waited for.
    fn spared(self) -> u64 {
        match self {
            Self::Operation => 8 << 20,
            Self::Recall => 1 << 20,
        }
    }

    /// The largest file that is waited for: a recall waits for no upload, but does for what travels
    /// inside the operations, so that whoever recalls finds small files as they were closed.
    fn file_max(self) -> u64 {
        match self {
            Self::Operation => u64::MAX,
            Self::Recall => limits::INLINE_MAX as u64,
        }
    }

    /// Whether nothing of `sizes` is too much to wait for.
    pub fn spares(self, sizes: impl Iterator<Item = u64>) -> bool {
        let (sum, max) = sizes.fold((0u64, 0), |(sum, max), size| {
            (sum.saturating_add(size), size.max(max))
        });
        sum <= self.spared() && max <= self.file_max()
    }
}

/// The places of content that makes way for an operation at `up_to`, in order: the largest first
/// until what is left in front may be waited for.
pub(super) fn bulk<'a>(
    items: impl DoubleEndedIterator<Item = &'a Pending>,
    up_to: ClientSeq,
    whom: For,
) -> Vec<ClientSeq> {
    let mut concerned = Concerned::default();
    let mut may_move: HashMap<FileId, (u64, Vec<ClientSeq>)> = HashMap::new();
    let mut in_front = 0;
    for item in items.rev() {
        match &item.body {
            Body::Ready(op) | Body::Moving(op) => concerned.note(op),
            Body::Content(job) => {
                let file = job.work.file();
                let counts = item.seq <= up_to && (whom == For::Operation || item.lease != 0);
                if counts {
                    in_front += job.size;
                }
                if counts && !job.held && !job.work.has_other_names() && !concerned.by(job) {
                    let of_file = may_move.entry(file).or_default();
                    of_file.0 += job.size;
                    of_file.1.push(item.seq);
                } else {
                    // Contents of one file keep their order.
                    concerned.ids.insert(file.0);
                }
            }
        }
    }
    let mut files: Vec<_> = may_move.into_values().collect();
    files.sort_unstable();
    let mut places = Vec::new();
    while let Some((size, of_file)) = files.pop() {
        if in_front <= whom.spared() && size <= whom.file_max() {
            break;
        }
        in_front -= size;
        places.extend(of_file);
    }
    places.sort_unstable();
    places
}

/// What the operations behind a place concern.
#[derive(Default)]
struct Concerned<'a> {
    ids: HashSet<u64>,
    /// Paths that were renamed.
    renamed: HashSet<&'a [u8]>,
}

impl<'a> Concerned<'a> {
    fn note(&mut self, op: &'a v1::Op) {
        match &op.kind {
            Some(Kind::Rename(rename)) => {
                self.ids.extend([rename.id, rename.replaced]);
                self.renamed.insert(&op.path);
                if rename.exchange {
                    self.renamed.insert(&rename.new_path);
                }
            }
            Some(Kind::Link(op)) => _ = self.ids.insert(op.id),
            Some(Kind::Unlink(op)) => _ = self.ids.insert(op.id),
            Some(Kind::SetAttr(op)) => _ = self.ids.insert(op.id),
            Some(Kind::SetContent(op)) => _ = self.ids.insert(op.id),
            Some(Kind::SetXattr(op)) => _ = self.ids.insert(op.id),
            Some(Kind::RemoveXattr(op)) => _ = self.ids.insert(op.id),
            // Neither names a file that has content on its way.
            Some(Kind::Create(_) | Kind::Rmdir(_)) | None => {}
        }
    }

    fn by(&self, job: &ContentJob) -> bool {
        if self.ids.contains(&job.work.file().0) {
            return true;
        }
        let path = &job.op.path;
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        !self.renamed.is_empty()
            && above
                .map(|(end, _)| &path[..end])
                .chain([&path[..]])
                .any(|path| self.renamed.contains(path))
    }
}

/// What is sent in the old place of content that moved: an attribute operation that sets nothing.
pub(super) fn nothing(job: &ContentJob) -> v1::Op {
    v1::Op {
        time_ns: job.times.ctime.0,
        path: job.op.path.clone(),
        actor: 0,
        kind: Some(Kind::SetAttr(v1::SetAttr {
            id: job.work.file().0,
            ..v1::SetAttr::default()
        })),
    }
}
