//! Who the caller is, and repos.

use axum::{Json, extract::State};
use bytes::Bytes;
use mesa_api::{Repo, RepoCreate, RepoList, Tags, Whoami};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{RepoArg, page};
use crate::{
    edge::extract::{JsonBody, Paging, UrlPath, UrlQuery},
    error::ApiError,
    mcp::call::{About, Answer, Context, Effect, Tool},
    routes::{repos, whoami},
};

type Result<T> = std::result::Result<Answer<T>, ApiError>;

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            About {
                name: "whoami",
                title: "Who am I",
                description: "Shows the organization and what the credential may do: scopes, the \
                              repos it is restricted to (null: all), when it expires.",
                effect: Effect::Reads,
            },
            who,
        ),
        Tool::new(
            About {
                name: "repo_list",
                title: "List repos",
                description: "Lists the repos that the credential sees, by name, with their \
                              default bookmarks. Begin here if you do not know the repo's name.",
                effect: Effect::Reads,
            },
            list,
        ),
        Tool::new(
            About {
                name: "repo_get",
                title: "Show a repo",
                description: "Shows one repo: its default bookmark, the change that names, labels.",
                effect: Effect::Reads,
            },
            get,
        ),
        Tool::new(
            About {
                name: "repo_create",
                title: "Create a repo",
                description: "Creates an empty repo. Its default bookmark exists at once; the \
                              first file_write makes its first change.",
                effect: Effect::Adds,
            },
            create,
        )
        .for_the_whole_org(),
    ]
}

/// No arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn who(context: Context, _: Nothing) -> Result<Whoami> {
    let Json(found) = whoami::whoami(State(context.app), context.caller).await?;
    Ok(found.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Only repos with these labels: `key` or `key=value`, several divided by commas.
    tags: Option<String>,
    /// Repos in the answer, 1 to 100; 50 when absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

async fn list(context: Context, wanted: List) -> Result<RepoList> {
    let org = context.caller.principal.org_slug.to_string();
    let page = Paging(page(wanted.limit, wanted.cursor)?);
    let query = UrlQuery(repos::Query { tags: wanted.tags });
    let Context { app, caller } = context;
    let Json(found) = repos::list(State(app), caller, UrlPath(org), query, page).await?;
    Ok(found.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Get {
    repo: RepoArg,
}

async fn get(context: Context, wanted: Get) -> Result<Repo> {
    let (org, repo) = context.place(&wanted.repo.0);
    let path = UrlPath((org.to_owned(), repo.to_owned()));
    let Json(found) = repos::get(State(context.app), context.caller, path).await?;
    Ok(found.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// Its name: lower-case letters, digits, `-`, `_` and `.`; made by the server when absent.
    name: Option<String>,
    /// Its default bookmark; `main` when absent.
    default_bookmark: Option<String>,
    /// Labels.
    tags: Option<Tags>,
}

async fn create(context: Context, wanted: Create) -> Result<Repo> {
    let org = context.caller.principal.org_slug.to_string();
    let body = JsonBody {
        value: RepoCreate {
            name: wanted.name,
            default_bookmark: wanted.default_bookmark,
            tags: wanted.tags,
            upstream: None,
        },
        raw: Bytes::new(),
    };
    let Context { app, caller } = context;
    let (_, Json(made)) = repos::create(State(app), caller, UrlPath(org), body).await?;
    Ok(made.into())
}
