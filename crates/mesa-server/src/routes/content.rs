//! `GET /v1/{org}/{repo}/content`.

pub(crate) mod file;
pub(crate) mod listing;
pub(crate) mod path;
pub(super) mod range;

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use mesa_api::ErrorCode;
use mesa_object::tree::NodeRecord;
use mesa_repo::{Repo, Scope};
use mesa_types::{ChangeId, EntryName, NodeKind, ObjectId};

use self::path::RepoPath;
use crate::{
    edge::{Caller, accept, extract::UrlPath},
    error::ApiError,
    snapshot::{Found, Snapshot},
    state::App,
};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
pub(crate) const DEPTH_MAX: usize = 10;

/// The query. Unknown pairs are a metadata filter: the published clients send `k=v` for
/// `metadata[k]=v`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    change: Option<String>,
    path: RepoPath,
    depth: Option<usize>,
    filtered: bool,
}

impl Query {
    fn parse(raw: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            match decoded(key).as_slice() {
                b"path" => query.path = RepoPath::parse(&value)?,
                b"change_id" if value.is_empty() => {}
                b"change_id" => query.change = Some(String::from_utf8_lossy(&value).into_owned()),
                b"depth" => {
                    let depth = std::str::from_utf8(&value)
                        .ok()
                        .and_then(|t| t.parse().ok());
                    let depth = depth.filter(|depth| *depth <= DEPTH_MAX).ok_or_else(|| {
                        ApiError::bad_request("depth must be a number from 0 to 10")
                    })?;
                    query.depth = Some(depth);
                }
                _ => query.filtered = true,
            }
        }
        Ok(query)
    }
}

fn decoded(text: &str) -> Vec<u8> {
    let spaces = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaces).collect()
}

/// A file, symlink or directory as JSON, or the bytes of a file.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let query = Query::parse(query.as_deref().unwrap_or_default())?;
    let snapshot = snapshot(&app, &repo, query.change.as_deref()).await?;
    let missing = || ApiError::not_found("path in this change").narrowed("PATH_NOT_FOUND");
    let found = snapshot
        .find(query.path.parts())
        .await?
        .ok_or_else(missing)?;
    let wanted = accept::negotiate(&headers, &[JSON, BYTES])?;
    let record = match found {
        Found::EmptyRoot => None,
        Found::Node(record) => Some(record),
    };
    let is_dir = record.as_ref().is_none_or(|r| r.attr.kind == NodeKind::Dir);
    match (is_dir, wanted) {
        (true, BYTES) => Err(ApiError::new(
            ErrorCode::NotAcceptable,
            "a directory has no bytes; ask for application/json",
        )),
        (true, _) => listing::answer(&snapshot, record.as_deref(), &query).await,
        (false, wanted) => {
            let record = record.ok_or_else(missing)?;
            if !matches!(record.attr.kind, NodeKind::File | NodeKind::Symlink) {
                return Err(missing());
            }
            if wanted == BYTES {
                file::bytes(&snapshot, &record, &headers).await
            } else {
                let json = file::json(&snapshot, &record, &query.path).await?;
                Ok(axum::Json(json).into_response())
            }
        }
    }
}

/// The snapshot a request reads: of a change or bookmark, or of the default bookmark. What the
/// change's live head holds is sealed first, so that every acknowledged write is seen.
async fn snapshot(app: &App, repo: &Repo, change: Option<&str>) -> Result<Snapshot, ApiError> {
    let named = change.unwrap_or(repo.default_bookmark.as_str());
    let change = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, named)
        .await?;
    let root = sealed_root(app, repo, &change).await?;
    let packs = app.heads().packs(&repo.org).await?;
    Ok(Snapshot::open(packs, root).await?)
}

/// The root object of a change, everything acknowledged included.
pub(super) async fn sealed_root(
    app: &App,
    repo: &Repo,
    change: &ChangeId,
) -> Result<Option<ObjectId>, ApiError> {
    if change.is_root() {
        return Ok(None);
    }
    Ok(app.heads().seal(&repo.org, &repo.id, change).await?.root)
}

/// The git oid of a file, symlink or directory.
pub(crate) fn sha(record: &NodeRecord) -> String {
    let oid = record.git.unwrap_or(mesa_types::GitOid::EMPTY_TREE);
    oid.to_string()
}

/// A name or path as text, and its bytes in base64 if the text does not say them.
pub(crate) fn shown(bytes: &[u8]) -> (String, Option<String>) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (
            String::from_utf8_lossy(bytes).into_owned(),
            Some(STANDARD.encode(bytes)),
        ),
    }
}

/// The last part of a path as text.
fn name_of(parts: &[EntryName]) -> String {
    let last = parts.last().map_or(&b""[..], EntryName::as_bytes);
    String::from_utf8_lossy(last).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_as_the_clients_send_them() {
        let query = Query::parse("path=src%2Fa+b.txt&change_id=main&depth=2").unwrap();
        assert_eq!(query.path.joined(), b"src/a b.txt");
        assert_eq!(query.change.as_deref(), Some("main"));
        assert_eq!((query.depth, query.filtered), (Some(2), false));
        assert_eq!(Query::parse("path=").unwrap(), Query::default());
        assert_eq!(Query::parse("path=%ff").unwrap().path.joined(), b"\xff");
        for filter in ["tag=arch", "metadata%5Btag%5D=arch"] {
            assert!(Query::parse(filter).unwrap().filtered);
        }
        for bad in ["depth=11", "depth=-1", "depth=", "path=..", "path=a%00"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }
    #[test]
    fn no_query_panics() {
        use mesa_types::random::{Random, SeededRandom};
        const ALPHABET: &[u8] = b"%%%=&&+/.a0f-_pathdepth?\x00\xff~[]";
        let random = SeededRandom::new(7);
        for _ in 0..20_000 {
            let mut bytes = [0; 24];
            random.fill(&mut bytes);
            let picked = bytes.map(|b| ALPHABET[usize::from(b) % ALPHABET.len()]);
            let text = String::from_utf8_lossy(&picked);
            for prefix in ["", "path=", "depth=", "change_id=", "metadata%5B"] {
                if let Ok(query) = Query::parse(&format!("{prefix}{text}")) {
                    assert!(query.depth.is_none_or(|depth| depth <= DEPTH_MAX));
                    let clean = |part: &EntryName| EntryName::check(part.as_bytes()).is_ok();
                    assert!(query.path.parts().iter().all(clean));
                }
            }
            let _ = crate::edge::cursor::decode(&text);
        }
    }
}
