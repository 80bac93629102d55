//! Directories.

use std::fmt::Write as _;

use mesa_api::{ContentDir, ContentEntry, FileMode};
use mesa_repo::Scope;
use mesa_types::NodeKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RepoArg, Rev, bounded, read::kind_name, rev};
use crate::{
    error::ApiError,
    mcp::{
        call::{About, Answer, Context, Effect, Tool},
        seen::{Opened, text},
    },
    routes::content::{DEPTH_MAX, listing, path::RepoPath},
};

const LIST_DEFAULT: usize = 500;
const LIST_MAX: usize = 5_000;
const DEPTH_DEFAULT: usize = 3;

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            About {
                name: "dir_list",
                title: "List a directory",
                description: "Lists a directory by name: type, size and version of each entry. \
                              `version` of the directory itself is what file_delete and file_move \
                              want for it. Pages: pass next_after as after.",
                effect: Effect::Reads,
            },
            list,
        ),
        Tool::new(
            About {
                name: "dir_tree",
                title: "Show a directory tree",
                description: "Shows a directory and what is below it, parents before children, \
                              down to depth (3 when absent). Long trees are cut: truncated is \
                              true; ask for a directory below or less depth.",
                effect: Effect::Reads,
            },
            tree,
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The directory; the repo's root when absent.
    path: Option<String>,
    /// Only names after this one.
    after: Option<String>,
    /// Entries in the answer, 1 to 5,000; 500 when absent.
    limit: Option<u64>,
}

/// An entry of a directory.
#[derive(Serialize, JsonSchema)]
struct Entry {
    /// Its name in dir_list, its path in dir_tree.
    name: String,
    /// `file`, `directory` or `symlink`.
    #[serde(rename = "type")]
    kind: &'static str,
    size: Option<u64>,
    executable: bool,
    /// To be passed as expected_version.
    version: String,
}

impl Entry {
    fn of(entry: ContentEntry, with_path: bool) -> Self {
        let (kind, file) = match entry {
            ContentEntry::Dir(dir) => {
                return Self {
                    name: if with_path { dir.path } else { dir.name },
                    kind: "directory",
                    size: None,
                    executable: false,
                    version: dir.sha,
                };
            }
            ContentEntry::File(file) => ("file", file),
            ContentEntry::Symlink(file) => ("symlink", file),
        };
        Self {
            name: if with_path { file.path } else { file.name },
            kind,
            size: Some(file.size),
            executable: file.mode == FileMode::Executable,
            version: file.sha,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Listing {
    path: String,
    change_id: String,
    commit_oid: String,
    /// Of the directory, to be passed as expected_version.
    version: String,
    /// Entries of the directory.
    total: u64,
    entries: Vec<Entry>,
    /// Whether there are more entries.
    truncated: bool,
    /// Of dir_list: pass it as after to go on.
    next_after: Option<String>,
}

async fn directory(opened: &Opened, path: &RepoPath, depth: usize) -> Result<ContentDir, ApiError> {
    let node = opened.existing(path).await?;
    if node.kind != NodeKind::Dir {
        return Err(ApiError::bad_request(format!(
            "'{}' is a {}, not a directory",
            text(path).escape_debug(),
            kind_name(node.kind)
        ))
        .narrowed("NOT_A_DIRECTORY"));
    }
    listing::read(&opened.snapshot, node.record.as_deref(), path, depth).await
}

fn answer(opened: &Opened, dir: ContentDir, entries: Vec<Entry>, truncated: bool) -> Listing {
    Listing {
        path: dir.path,
        change_id: opened.change.to_string(),
        commit_oid: opened.commit_oid(),
        version: dir.sha,
        total: dir.child_count,
        entries,
        truncated,
        next_after: None,
    }
}

async fn list(context: Context, wanted: List) -> Result<Answer<Listing>, ApiError> {
    let path = RepoPath::parse(wanted.path.as_deref().unwrap_or("").as_bytes())?;
    let limit = bounded("limit", wanted.limit, LIST_DEFAULT, LIST_MAX)?;
    let opened = context
        .open(&wanted.repo.0, rev(wanted.rev.as_ref()), Scope::Read)
        .await?;
    let mut dir = directory(&opened, &path, 1).await?;
    let all = std::mem::take(&mut dir.entries).into_iter();
    let mut entries: Vec<Entry> = all.map(|entry| Entry::of(entry, false)).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(after) = &wanted.after {
        entries.retain(|entry| entry.name > *after);
    }
    let truncated = entries.len() > limit;
    entries.truncate(limit);
    let mut listing = answer(&opened, dir, entries, truncated);
    if truncated {
        listing.next_after = listing.entries.last().map(|entry| entry.name.clone());
    }
    Ok(listing.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tree {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The directory; the repo's root when absent.
    path: Option<String>,
    /// Levels below it, 1 to 10; 3 when absent.
    depth: Option<u64>,
    /// Entries in the answer, 1 to 5,000; 500 when absent.
    limit: Option<u64>,
}

async fn tree(context: Context, wanted: Tree) -> Result<Answer<Listing>, ApiError> {
    let path = RepoPath::parse(wanted.path.as_deref().unwrap_or("").as_bytes())?;
    let limit = bounded("limit", wanted.limit, LIST_DEFAULT, LIST_MAX)?;
    let depth = bounded("depth", wanted.depth, DEPTH_DEFAULT, DEPTH_MAX)?;
    let opened = context
        .open(&wanted.repo.0, rev(wanted.rev.as_ref()), Scope::Read)
        .await?;
    let mut dir = directory(&opened, &path, depth).await?;
    let all = std::mem::take(&mut dir.entries);
    let truncated = all.len() > limit;
    let entries: Vec<Entry> = all
        .into_iter()
        .take(limit)
        .map(|entry| Entry::of(entry, true))
        .collect();
    let listing = answer(&opened, dir, entries, truncated);
    let mut text = format!(
        "[{} version={}]\n",
        listing.path.escape_debug(),
        listing.version
    );
    for entry in &listing.entries {
        let end = if entry.kind == "directory" { "/" } else { "" };
        let _ = writeln!(text, "{}{end}", entry.name.escape_debug());
    }
    if truncated {
        text.push_str("[there is more]\n");
    }
    Ok(Answer::with_text(listing, text))
}
