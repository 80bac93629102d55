//! Merging regular files by lines.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use mesa_object::{
    git::{self, Verdict},
    tree::NodeRecord,
};
use mesa_types::{ContentRef, NodeKind};

use super::{MergeOptions, level::FileTask, outcome::Outcome};
use crate::{
    Merge,
    text::{self, TextMerge},
    tree::{ConflictKind, TreeStore, TreeValue, VcsError, source::CONTENT_BATCH_BYTES},
};

/// Merges files in batches of bounded size.
pub(super) async fn merge<S: TreeStore>(
    store: &S,
    tasks: Vec<FileTask>,
    options: &MergeOptions,
    outcome: &mut Outcome,
) -> Result<(), VcsError<S::Error>> {
    let mut batch: Vec<(FileTask, Contents)> = Vec::new();
    let mut bytes = 0;
    for task in tasks {
        let contents = Contents::of(&task.terms);
        if let (Some(_), Some((Some(content), _))) =
            (contents.executable, contents.terms.resolve_trivial())
        {
            take(task, *content, contents.executable, options, outcome);
            continue;
        }
        if contents
            .terms
            .iter()
            .any(|(_, size)| *size > options.content_bytes_max)
        {
            let FileTask { path, terms, dir } = task;
            outcome.conflict(path, terms, ConflictKind::TooLarge, dir, options.now);
            continue;
        }
        let wanted: u64 = contents.terms.iter().map(|(_, size)| size).sum();
        if bytes > 0 && bytes + wanted > CONTENT_BATCH_BYTES {
            run(store, std::mem::take(&mut batch), options, outcome).await?;
            bytes = 0;
        }
        bytes += wanted;
        batch.push((task, contents));
    }
    run(store, batch, options, outcome).await
}

/// Resolves a file whose content one side changed and whose executable bit another one did.
fn take(
    task: FileTask,
    content: ContentRef,
    executable: Option<bool>,
    options: &MergeOptions,
    outcome: &mut Outcome,
) {
    let mut values = task.terms.iter().flatten();
    let from = values.find(|value| value.node.attr.content == content);
    let from = from.map(|value| value.node.clone());
    let change = |node: &mut NodeRecord| {
        if let Some(from) = from {
            node.attr.content = content;
            node.git = from.git;
            node.git_refused = from.git_refused;
        }
    };
    resolve(task, executable, change, options, outcome);
}

/// The contents of a file's terms.
struct Contents {
    /// Content, if the term is there, and size.
    terms: Merge<(Option<ContentRef>, u64)>,
    /// The executable bit, if every term is there, so that the file can resolve.
    executable: Option<bool>,
}

impl Contents {
    fn of(terms: &Merge<Option<TreeValue>>) -> Self {
        let simple = terms.simplify_by(|a, b| {
            a.as_ref().map(TreeValue::substance) == b.as_ref().map(TreeValue::substance)
        });
        let executable =
            simple.try_map(|term| term.as_ref().map(TreeValue::is_executable).ok_or(()));
        let executable = executable
            .ok()
            .and_then(|bits| bits.resolve_trivial().copied());
        let terms = simple
            .map(|term| {
                let content = term.as_ref().map(|value| value.node.attr.content);
                (content, content.map_or(0, |content| content.size()))
            })
            .simplify();
        Self { terms, executable }
    }
}

async fn run<S: TreeStore>(
    store: &S,
    batch: Vec<(FileTask, Contents)>,
    options: &MergeOptions,
    outcome: &mut Outcome,
) -> Result<(), VcsError<S::Error>> {
    let wanted: HashSet<ContentRef> = batch
        .iter()
        .flat_map(|(_, parts)| parts.terms.iter().filter_map(|(content, _)| *content))
        .filter(|content| *content != ContentRef::Empty)
        .collect();
    let refs: Vec<ContentRef> = wanted.into_iter().collect();
    let answer = if refs.is_empty() {
        Vec::new()
    } else {
        store.read(&refs).await.map_err(VcsError::Source)?
    };
    if answer.len() != refs.len() {
        return Err(VcsError::Answer("not as many contents as asked for"));
    }
    let loaded: HashMap<ContentRef, Bytes> = refs.into_iter().zip(answer).collect();
    let bytes_of = |content: Option<ContentRef>| -> Bytes {
        content
            .and_then(|c| loaded.get(&c).cloned())
            .unwrap_or_default()
    };

    let mut merged = Vec::new();
    let mut contents = Vec::new();
    for (task, parts) in batch {
        let texts = parts.terms.map(|(content, _)| bytes_of(*content));
        let kind = if texts.iter().any(|text| text::is_binary(text)) {
            Some(ConflictKind::Binary)
        } else if parts.executable.is_none() && parts.terms.is_resolved() {
            // A mode against a deletion: there is nothing to be shown in the content.
            Some(ConflictKind::Types)
        } else if parts.executable.is_none() {
            Some(ConflictKind::Text)
        } else {
            match text::merge(&texts) {
                TextMerge::Resolved(bytes) => {
                    contents.push(Bytes::from(bytes));
                    None
                }
                TextMerge::Conflicted(_) => Some(ConflictKind::Text),
            }
        };
        match kind {
            Some(kind) => outcome.conflict(task.path, task.terms, kind, task.dir, options.now),
            None => merged.push((task, parts.executable)),
        }
    }
    if merged.is_empty() {
        return Ok(());
    }
    let stored = store
        .write(contents.clone())
        .await
        .map_err(VcsError::Source)?;
    if stored.len() != merged.len() {
        return Err(VcsError::Answer("not as many contents stored as given"));
    }
    for (((task, executable), stored), bytes) in merged.into_iter().zip(stored).zip(contents) {
        let refused = git::verdict(task.path.name(), NodeKind::File) == Verdict::CheckContent
            && git::content_refused(task.path.name(), &bytes);
        let change = |node: &mut NodeRecord| {
            node.attr.content = stored.content;
            node.attr.mtime = options.now;
            node.git = Some(stored.git);
            node.git_refused = refused;
        };
        resolve(task, executable, change, options, outcome);
    }
    Ok(())
}

/// Keeps a file that resolved: its attributes merged, and what `change` sets.
fn resolve(
    task: FileTask,
    executable: Option<bool>,
    change: impl FnOnce(&mut NodeRecord),
    options: &MergeOptions,
    outcome: &mut Outcome,
) {
    let FileTask { path, terms, dir } = task;
    let Some(winner) = terms.adds().flatten().next() else {
        return;
    };
    let links = winner.links;
    let mut winner = winner.node.clone();
    if let Some(executable) = executable {
        winner.attr.mode = winner.attr.mode & !0o100 | u16::from(executable) << 6;
    }
    let mut node = outcome.merge_attrs(&path, &terms, &winner, options.now);
    change(&mut node);
    let value = TreeValue { node, links };
    outcome.resolve(path, terms.first().as_ref(), Some(value), dir);
}
