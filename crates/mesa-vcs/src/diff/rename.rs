//! Finding files that were renamed.
//!
//! As git does (`diffcore-rename.c`): first deleted and added files of equal content, then those
//! that have most in common. What two files have in common is counted as in `diffcore-delta.c`:
//! cut into lines, long ones into pieces of 64 bytes, the bytes of the pieces both have, against
//! the size of the larger file.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use mesa_types::{ContentRef, NodeKind};

use super::{DiffEntry, Status};
use crate::{
    text::BINARY_PROBE_BYTES,
    tree::{TreeSource, VcsError, source::CONTENT_BATCH_BYTES},
};

/// Larger files are renamed only if their content is the same.
pub const RENAME_BYTES_MAX: u64 = 1 << 20;

/// Most pairs of files compared by what they have in common; if there are more, only renames
/// without changes are found.
pub const RENAME_PAIRS_MAX: usize = 1 << 18;

/// Most files compared by what they have in common.
pub const RENAME_FILES_MAX: usize = 2000;

/// Most deleted files of one content looked at for the likeliest.
const CANDIDATES_MAX: usize = 100;

/// Turns pairs of deleted and added entries into renamed ones.
pub(super) async fn find<S: TreeSource>(
    source: &S,
    entries: &mut Vec<DiffEntry>,
    least: u8,
) -> Result<(), VcsError<S::Error>> {
    let mut pairs = Pairs::of(entries);
    pairs.same_content(entries);
    let (deleted, added) = (small(&pairs.deleted, entries), small(&pairs.added, entries));
    let few = deleted.len() * added.len() <= RENAME_PAIRS_MAX
        && deleted.len() + added.len() <= RENAME_FILES_MAX;
    if few && !deleted.is_empty() && !added.is_empty() {
        let prints = prints(source, entries, deleted.iter().chain(&added)).await?;
        pairs.similar(entries, &deleted, &added, &prints, least);
    }
    pairs.join(entries);
    Ok(())
}

/// Entries by number.
struct Pairs {
    deleted: Vec<usize>,
    added: Vec<usize>,
    /// Deleted, added, similarity.
    found: Vec<(usize, usize, u8)>,
}

impl Pairs {
    fn of(entries: &[DiffEntry]) -> Self {
        let numbers = |status: &Status| {
            let all = entries.iter().enumerate();
            all.filter(|(_, entry)| entry.status == *status && value_kind(entry).is_some())
                .map(|(at, _)| at)
                .collect()
        };
        Self {
            deleted: numbers(&Status::Deleted),
            added: numbers(&Status::Added),
            found: Vec::new(),
        }
    }

    /// Pairs files of equal type and content; of several, by id, then by name, then in order.
    fn same_content(&mut self, entries: &[DiffEntry]) {
        let mut by_content: HashMap<(NodeKind, ContentRef), Vec<usize>> = HashMap::new();
        for at in &self.deleted {
            if let Some(key) = content(&entries[*at]) {
                by_content.entry(key).or_default().push(*at);
            }
        }
        for at in &self.added {
            let candidates = content(&entries[*at]).and_then(|key| by_content.get_mut(&key));
            let Some(candidates) = candidates else {
                continue;
            };
            let best = candidates
                .iter()
                .take(CANDIDATES_MAX)
                .enumerate()
                .max_by_key(|(n, from)| (likeness(&entries[**from], &entries[*at]), usize::MAX - n))
                .map(|(n, _)| n);
            if let Some(best) = best {
                self.found.push((candidates.remove(best), *at, 100));
            }
        }
        self.drop_found();
    }

    fn drop_found(&mut self) {
        let found = self.found.iter().flat_map(|(from, to, _)| [*from, *to]);
        let found: HashSet<usize> = found.collect();
        self.deleted.retain(|at| !found.contains(at));
        self.added.retain(|at| !found.contains(at));
    }

    fn similar(
        &mut self,
        entries: &[DiffEntry],
        deleted: &[usize],
        added: &[usize],
        prints: &BTreeMap<usize, Print>,
        least: u8,
    ) {
        let mut scores = Vec::new();
        for from in deleted {
            for to in added {
                let (Some(a), Some(b)) = (prints.get(from), prints.get(to)) else {
                    continue;
                };
                let score = a.similarity(b, least);
                if score >= least {
                    let like = likeness(&entries[*from], &entries[*to]);
                    scores.push((score, like, *from, *to));
                }
            }
        }
        scores.sort_by(|a, b| {
            (b.0, b.1)
                .cmp(&(a.0, a.1))
                .then((a.2, a.3).cmp(&(b.2, b.3)))
        });
        let mut taken = HashSet::new();
        for (score, _, from, to) in scores {
            if !taken.contains(&from) && !taken.contains(&to) {
                taken.extend([from, to]);
                // Only equal contents are the same altogether.
                self.found.push((from, to, score.min(99)));
            }
        }
    }

    fn join(self, entries: &mut Vec<DiffEntry>) {
        let mut gone = HashSet::new();
        for (from, to, similarity) in self.found {
            let (path, before) = (entries[from].path.clone(), entries[from].before.take());
            entries[to].before = before;
            entries[to].status = Status::Renamed {
                from: path,
                similarity,
            };
            gone.insert(from);
        }
        let mut at = 0;
        entries.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }
}

/// Regular files worth reading.
fn small(numbers: &[usize], entries: &[DiffEntry]) -> Vec<usize> {
    let size = |at: usize| value(&entries[at]).map_or(0, |v| v.node.attr.content.size());
    numbers
        .iter()
        .copied()
        .filter(|at| value_kind(&entries[*at]) == Some(NodeKind::File))
        .filter(|at| (1..=RENAME_BYTES_MAX).contains(&size(*at)))
        .collect()
}

fn value(entry: &DiffEntry) -> Option<&crate::tree::TreeValue> {
    entry.before.as_ref().or(entry.after.as_ref())
}

/// The type of an entry that can be renamed.
fn value_kind(entry: &DiffEntry) -> Option<NodeKind> {
    let kind = value(entry)?.kind();
    matches!(kind, NodeKind::File | NodeKind::Symlink).then_some(kind)
}

fn content(entry: &DiffEntry) -> Option<(NodeKind, ContentRef)> {
    Some((value_kind(entry)?, value(entry)?.node.attr.content))
}

/// How likely two files are one apart from their content: the same node, the same name.
fn likeness(from: &DiffEntry, to: &DiffEntry) -> u8 {
    let id = |entry: &DiffEntry| value(entry).map(|v| v.node.attr.id);
    2 * u8::from(id(from) == id(to)) + u8::from(from.path.name() == to.path.name())
}

/// What a file is made of.
struct Print {
    pieces: HashMap<u64, u64>,
    bytes: u64,
}

impl Print {
    fn of(text: &[u8]) -> Self {
        const PIECE_MAX: usize = 64;
        let binary = text[..text.len().min(BINARY_PROBE_BYTES)].contains(&0);
        let mut pieces: HashMap<u64, u64> = HashMap::new();
        for line in text.split_inclusive(|&b| b == b'\n') {
            for piece in line.chunks(PIECE_MAX) {
                // Line ends differ in texts that are the same to their readers.
                let hashed = match piece.strip_suffix(b"\r\n") {
                    Some(rest) if !binary => [rest, b"\n"].concat(),
                    _ => piece.to_vec(),
                };
                let hash = blake3::hash(&hashed);
                let mut key = [0; 8];
                key.copy_from_slice(&hash.as_bytes()[..8]);
                *pieces.entry(u64::from_le_bytes(key)).or_default() += piece.len() as u64;
            }
        }
        Self {
            pieces,
            bytes: text.len() as u64,
        }
    }

    /// In per cent; 0 if the sizes alone say that it is below `least`.
    fn similarity(&self, other: &Self, least: u8) -> u8 {
        let (small, large) = (self.bytes.min(other.bytes), self.bytes.max(other.bytes));
        if large == 0 || small * 100 < large * u64::from(least) {
            return 0;
        }
        let common: u64 = self
            .pieces
            .iter()
            .map(|(piece, bytes)| other.pieces.get(piece).map_or(0, |more| *bytes.min(more)))
            .sum();
        (common * 100 / large).min(100) as u8
    }
}

async fn prints<S: TreeSource>(
    source: &S,
    entries: &[DiffEntry],
    numbers: impl Iterator<Item = &usize> + Send,
) -> Result<BTreeMap<usize, Print>, VcsError<S::Error>> {
    let mut wanted: Vec<(usize, ContentRef)> = Vec::new();
    for at in numbers {
        wanted.extend(value(&entries[*at]).map(|value| (*at, value.node.attr.content)));
    }
    let mut prints = BTreeMap::new();
    let mut rest = &wanted[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let batch = rest.iter().take_while(|(_, content)| {
            bytes += content.size();
            bytes <= CONTENT_BATCH_BYTES
        });
        let (batch, later) = rest.split_at(batch.count().max(1));
        rest = later;
        let refs: Vec<ContentRef> = batch.iter().map(|(_, content)| *content).collect();
        let texts: Vec<Bytes> = source.read(&refs).await.map_err(VcsError::Source)?;
        if texts.len() != refs.len() {
            return Err(VcsError::Answer("not as many contents as asked for"));
        }
        for ((at, _), text) in batch.iter().zip(texts) {
            prints.insert(*at, Print::of(&text));
        }
    }
    Ok(prints)
}
