//! The tools. Each calls what the REST routes call, as the same caller.

mod bookmarks;
mod changes;
mod compare;
mod directories;
mod edits;
mod past;
mod read;
mod repos;
mod search;
mod walk;
mod write;

use std::sync::LazyLock;

use mesa_repo::PageRequest;
use schemars::JsonSchema;
use serde::Deserialize;

use super::call::Tool;
use crate::error::ApiError;

/// All of them, in the order they are listed.
pub static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let mut tools = repos::tools();
    tools.extend(read::tools());
    tools.extend(directories::tools());
    tools.extend(search::tools());
    tools.extend(write::tools());
    tools.extend(changes::tools());
    tools.extend(bookmarks::tools());
    tools.extend(compare::tools());
    tools.extend(past::tools());
    tools
});

/// The repo: its name, or `org/name`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct RepoArg(String);

/// A bookmark's name or a change id; the repo's default bookmark when absent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Rev(String);

/// A path relative to the repo's root, such as `src/main.rs`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct PathArg(String);

/// The name of a bookmark.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Name(String);

fn rev(rev: Option<&Rev>) -> Option<&str> {
    rev.map(|rev| rev.0.as_str())
}

/// A page of a list.
fn page(limit: Option<u64>, cursor: Option<String>) -> Result<PageRequest, ApiError> {
    Ok(PageRequest {
        limit: Some(bounded("limit", limit, 50, 100)?),
        cursor: cursor.filter(|cursor| !cursor.is_empty()),
    })
}

/// A number from 1 to `max`.
fn bounded(name: &str, value: Option<u64>, default: usize, max: usize) -> Result<usize, ApiError> {
    let Some(value) = value else {
        return Ok(default);
    };
    usize::try_from(value)
        .ok()
        .filter(|value| (1..=max).contains(value))
        .ok_or_else(|| ApiError::bad_request(format!("{name} must be a number from 1 to {max}")))
}
