//! Bookmarks and merging them.

use axum::{Json, extract::State};
use bytes::Bytes;
use mesa_api::{
    BookmarkCreate, BookmarkList, BookmarkMerge, BookmarkMove, BookmarkMoved, MergeResult,
};
use mesa_head::MergeSeen;
use mesa_repo::Scope;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Name, RepoArg, Rev,
    changes::{Resolve, resolutions},
    page,
};
use crate::{
    edge::extract::{JsonBody, Paging, UrlPath, UrlQuery},
    error::ApiError,
    mcp::{
        call::{About, Answer, Context, Effect, Tool},
        seen,
    },
    routes::{bookmarks, merge},
};

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            About {
                name: "bookmark_list",
                title: "List bookmarks",
                description: "Lists the bookmarks of a repo by name with the changes they name.",
                effect: Effect::Reads,
            },
            list,
        ),
        Tool::new(
            About {
                name: "bookmark_get",
                title: "Show a bookmark",
                description: "Shows the change that a bookmark names and the commit that is at \
                              now: change_id is what bookmark_move and bookmark_delete want as \
                              expected_change, commit_oid what bookmark_merge wants.",
                effect: Effect::Reads,
            },
            get,
        ),
        Tool::new(
            About {
                name: "bookmark_create",
                title: "Create a bookmark",
                description: "Makes a bookmark that names a change. Two bookmarks of one open \
                              change share it: for work of your own make a change first \
                              (change_create).",
                effect: Effect::Adds,
            },
            create,
        ),
        Tool::new(
            About {
                name: "bookmark_move",
                title: "Move a bookmark",
                description: "Lets a bookmark name another change, a descendant unless \
                              allow_backwards is set. Those who follow it go on there. Pass the \
                              change it named when you looked as expected_change.",
                effect: Effect::Replaces,
            },
            shift,
        ),
        Tool::new(
            About {
                name: "bookmark_delete",
                title: "Delete a bookmark",
                description: "Deletes a bookmark that is not the default one; the change it named \
                              stays. Pass that change as expected_change.",
                effect: Effect::Replaces,
            },
            delete,
        ),
        Tool::new(
            About {
                name: "bookmark_merge",
                title: "Merge bookmarks",
                description: "Merges what one bookmark names into another; work that others have \
                              in progress there is kept. Pass the commits of both that you looked \
                              at (bookmark_get, diff). Conflicts are refused with their hunks \
                              unless resolutions says what each path is to be, or allow_conflicted \
                              keeps them in the merge.",
                effect: Effect::Replaces,
            },
            merge_bookmarks,
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    repo: RepoArg,
    /// Only names that fit this glob, such as `agent-*`.
    glob: Option<String>,
    /// Bookmarks in the answer, 1 to 100; 50 when absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

async fn list(context: Context, wanted: List) -> Result<Answer<BookmarkList>, ApiError> {
    let (org, repo) = context.place(&wanted.repo.0);
    let path = UrlPath((org.to_owned(), repo.to_owned()));
    let page = Paging(page(wanted.limit, wanted.cursor)?);
    let query = UrlQuery(bookmarks::Query { glob: wanted.glob });
    let Context { app, caller } = context;
    let Json(found) = bookmarks::list(State(app), caller, path, query, page).await?;
    Ok(found.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Get {
    repo: RepoArg,
    name: Name,
}

#[derive(Serialize, JsonSchema)]
struct Shown {
    name: String,
    change_id: String,
    /// The commit of that change; zeros in a fresh repo.
    commit_oid: String,
    is_default: bool,
}

async fn get(context: Context, wanted: Get) -> Result<Answer<Shown>, ApiError> {
    let repo = context.repo(&wanted.repo.0, Scope::Read).await?;
    shown(
        &context,
        &wanted.repo,
        repo.default_bookmark.as_ref(),
        &wanted.name.0,
    )
    .await
    .map(Answer::from)
}

async fn shown(
    context: &Context,
    repo: &RepoArg,
    default: &str,
    name: &str,
) -> Result<Shown, ApiError> {
    let (org, slug) = context.place(&repo.0);
    let path = UrlPath((org.to_owned(), slug.to_owned(), name.to_owned()));
    let (app, caller) = (State(context.app.clone()), context.caller.clone());
    let Json(found) = bookmarks::get(app, caller, path).await?;
    let opened = context
        .open(&repo.0, Some(&found.change_id), Scope::Read)
        .await?;
    Ok(Shown {
        is_default: found.name == default,
        name: found.name,
        change_id: found.change_id,
        commit_oid: opened.commit_oid(),
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    repo: RepoArg,
    name: Name,
    /// The change it is to name; what the default bookmark names when absent.
    rev: Option<Rev>,
}

async fn create(context: Context, wanted: Create) -> Result<Answer<Shown>, ApiError> {
    let repo = context.repo(&wanted.repo.0, Scope::Read).await?;
    let default = repo.default_bookmark.to_string();
    let body = JsonBody {
        value: BookmarkCreate {
            name: wanted.name.0.clone(),
            change_id: wanted.rev.map_or_else(|| default.clone(), |rev| rev.0),
        },
        raw: Bytes::new(),
    };
    let (org, slug) = context.place(&wanted.repo.0);
    let path = UrlPath((org.to_owned(), slug.to_owned()));
    let (app, caller) = (State(context.app.clone()), context.caller.clone());
    let _made = bookmarks::create(app, caller, path, body).await?;
    let made = shown(&context, &wanted.repo, &default, &wanted.name.0).await?;
    Ok(made.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Move {
    repo: RepoArg,
    name: Name,
    /// The change (or bookmark) it is to name.
    to: Rev,
    /// The change_id it named when you looked.
    expected_change: String,
    /// Also to a change that does not descend from it.
    #[serde(default)]
    allow_backwards: bool,
}

async fn shift(context: Context, wanted: Move) -> Result<Answer<BookmarkMoved>, ApiError> {
    let body = BookmarkMove {
        change_id: wanted.to.0,
        allow_backwards: wanted.allow_backwards,
    };
    let place = context.place(&wanted.repo.0);
    let seen = Some(seen::change(&wanted.expected_change)?);
    let (app, caller) = (&context.app, &context.caller);
    let moved = bookmarks::moved(app, caller, place, &wanted.name.0, &body, seen).await?;
    Ok(moved.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Delete {
    repo: RepoArg,
    name: Name,
    /// The change_id it named when you looked.
    expected_change: String,
}

#[derive(Serialize, JsonSchema)]
struct Deleted {
    /// The bookmark that is gone.
    name: String,
    /// The change it named, which stays.
    change_id: String,
}

async fn delete(context: Context, wanted: Delete) -> Result<Answer<Deleted>, ApiError> {
    let place = context.place(&wanted.repo.0);
    let seen = seen::change(&wanted.expected_change)?;
    let (app, caller) = (&context.app, &context.caller);
    bookmarks::deleted(app, caller, place, &wanted.name.0, Some(seen)).await?;
    Ok(Deleted {
        name: wanted.name.0,
        change_id: wanted.expected_change,
    }
    .into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Merge {
    repo: RepoArg,
    /// The bookmark whose change is merged.
    source: String,
    /// The bookmark merged into.
    target: String,
    /// The commit_oid of the source you looked at.
    expected_source_commit: String,
    /// The commit_oid of the target you looked at.
    expected_target_commit: String,
    /// A description of the merge.
    message: Option<String>,
    /// Delete the source bookmark afterwards.
    #[serde(default)]
    delete_source: bool,
    /// Keep conflicts that are not resolved, with markers in the files.
    #[serde(default)]
    allow_conflicted: bool,
    /// How paths in conflict are resolved.
    resolutions: Option<Vec<Resolve>>,
}

async fn merge_bookmarks(context: Context, wanted: Merge) -> Result<Answer<MergeResult>, ApiError> {
    let seen = MergeSeen {
        target: Some(seen::commit(&wanted.expected_target_commit)?),
        source: Some(seen::commit(&wanted.expected_source_commit)?),
    };
    let body = BookmarkMerge {
        target: wanted.target,
        source: wanted.source,
        delete_source: wanted.delete_source,
        allow_conflicted: wanted.allow_conflicted,
        message: wanted.message,
        resolutions: wanted.resolutions.map(resolutions),
    };
    let place = context.place(&wanted.repo.0);
    let merged = merge::merged(&context.app, &context.caller, place, body, seen).await?;
    Ok(merged.into())
}
