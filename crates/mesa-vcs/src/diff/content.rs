//! The differences inside changed files, within bounds.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use mesa_types::{ContentRef, NodeKind};

use super::{
    DiffEntry, Hunk, diff_lines,
    lines::{CONTEXT_LINES, LineKind},
};
use crate::{
    text::is_binary,
    tree::{TreeSource, TreeValue, VcsError, source::CONTENT_BATCH_BYTES},
};

/// What a line that is shown counts for beside its bytes: it is a value of its own, and one of an
/// answer's.
pub(crate) const LINE_BYTES: u64 = 128;

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContentOptions {
    /// Files of which a side is larger are not shown.
    pub blob_bytes_max: u64,
    /// Files after this many are not shown.
    pub files_max: usize,
    /// Once this many bytes of content were compared, further files are not shown. A line shown
    /// counts for 128 more.
    pub total_bytes_max: u64,
    /// Lines of context.
    pub context: usize,
}

impl Default for ContentOptions {
    /// Blobs up to 1 MB, 3,000 files, 64 MiB altogether, three lines of context.
    fn default() -> Self {
        Self {
            blob_bytes_max: 1_000_000,
            files_max: 3000,
            total_bytes_max: 64 << 20,
            context: CONTEXT_LINES,
        }
    }
}

/// Why a file's differences are not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Omitted {
    /// A side is no text.
    Binary,
    /// A side is too large, or the differences altogether are.
    TooLarge,
    /// Too many files differ.
    FileLimit,
}

/// The differences inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDiff {
    /// The hunks; none if the contents are the same or not shown.
    pub hunks: Vec<Hunk>,
    /// Why there are none though the contents differ.
    pub omitted: Option<Omitted>,
    /// The contents, if they were read.
    pub before: Option<Bytes>,
    /// The new content, the same.
    pub after: Option<Bytes>,
}

impl ContentDiff {
    fn omitted(reason: Omitted) -> Self {
        Self {
            hunks: Vec::new(),
            omitted: Some(reason),
            before: None,
            after: None,
        }
    }

    /// Lines of a kind in all hunks.
    pub fn count(&self, kind: LineKind) -> usize {
        self.hunks.iter().map(|hunk| hunk.count(kind)).sum()
    }
}

/// Compares the contents of changed files, in the order of `entries`. Contents count as empty
/// where there is no file; a symlink's content is its target, a gitlink's a line with its oid.
pub async fn diff_contents<S: TreeSource>(
    source: &S,
    entries: &[DiffEntry],
    options: &ContentOptions,
) -> Result<Vec<ContentDiff>, VcsError<S::Error>> {
    let mut diffs = Vec::with_capacity(entries.len());
    let mut total = 0;
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let batch = rest.iter().take_while(|entry| {
            bytes += wanted(entry, options)
                .map(|content| content.size())
                .sum::<u64>();
            bytes <= CONTENT_BATCH_BYTES
        });
        let (batch, later) = rest.split_at(batch.count().max(1));
        rest = later;
        let refs: HashSet<ContentRef> = batch
            .iter()
            .take(options.files_max.saturating_sub(diffs.len()))
            .take(if total > options.total_bytes_max {
                0
            } else {
                usize::MAX
            })
            .flat_map(|entry| wanted(entry, options))
            .collect();
        let loaded = read(source, refs.into_iter().collect()).await?;
        for entry in batch {
            let size = wanted(entry, options)
                .map(|content| content.size())
                .sum::<u64>();
            diffs.push(if diffs.len() >= options.files_max {
                ContentDiff::omitted(Omitted::FileLimit)
            } else {
                total += size;
                let mut diff = None;
                if total <= options.total_bytes_max {
                    let compared = compare(entry, &loaded, options);
                    let lines = compared.hunks.iter().map(|hunk| hunk.lines.len());
                    total += lines.sum::<usize>() as u64 * LINE_BYTES;
                    diff = Some(compared).filter(|_| total <= options.total_bytes_max);
                }
                diff.unwrap_or_else(|| {
                    // Whatever comes later is not shown either, so that one sees where it ends.
                    total = u64::MAX / 2;
                    ContentDiff::omitted(Omitted::TooLarge)
                })
            });
        }
    }
    Ok(diffs)
}

/// The contents to be read for an entry; none if one is too large.
fn wanted(entry: &DiffEntry, options: &ContentOptions) -> impl Iterator<Item = ContentRef> + use<> {
    let contents = [&entry.before, &entry.after].map(|value| {
        let value = value
            .as_ref()
            .filter(|value| value.kind() == NodeKind::File);
        value.map(|value| value.node.attr.content)
    });
    let max = options.blob_bytes_max;
    let none = entry.has_same_content()
        || contents
            .iter()
            .flatten()
            .any(|content| content.size() > max);
    let read = contents.into_iter().flatten();
    read.filter(move |content| !none && *content != ContentRef::Empty)
}

async fn read<S: TreeSource>(
    source: &S,
    refs: Vec<ContentRef>,
) -> Result<HashMap<ContentRef, Bytes>, VcsError<S::Error>> {
    if refs.is_empty() {
        return Ok(HashMap::new());
    }
    let answer = source.read(&refs).await.map_err(VcsError::Source)?;
    if answer.len() != refs.len() {
        return Err(VcsError::Answer("not as many contents as asked for"));
    }
    Ok(refs.into_iter().zip(answer).collect())
}

fn compare(
    entry: &DiffEntry,
    loaded: &HashMap<ContentRef, Bytes>,
    options: &ContentOptions,
) -> ContentDiff {
    if entry.has_same_content() {
        return ContentDiff {
            hunks: Vec::new(),
            omitted: None,
            before: None,
            after: None,
        };
    }
    let text = |value: &Option<TreeValue>| -> Option<Bytes> {
        let Some(value) = value else {
            return Some(Bytes::new());
        };
        Some(match (value.kind(), value.node.git) {
            (NodeKind::Symlink, _) => value.node.target.clone(),
            (NodeKind::Gitlink, Some(oid)) => format!("Subproject commit {oid}\n").into(),
            (NodeKind::File, _) => match value.node.attr.content {
                ContentRef::Empty => Bytes::new(),
                content => loaded.get(&content)?.clone(),
            },
            _ => Bytes::new(),
        })
    };
    let (Some(before), Some(after)) = (text(&entry.before), text(&entry.after)) else {
        return ContentDiff::omitted(Omitted::TooLarge);
    };
    let binary = is_binary(&before) || is_binary(&after);
    ContentDiff {
        hunks: if binary {
            Vec::new()
        } else {
            diff_lines(&before, &after, options.context)
        },
        omitted: binary.then_some(Omitted::Binary),
        before: Some(before),
        after: Some(after),
    }
}
