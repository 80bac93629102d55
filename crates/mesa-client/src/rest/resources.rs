//! One method per operation.

use reqwest::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Page, RestClient, RestError,
    model::{ApiKey, Bookmark, CreatedKey, Org, Repo, SigningKey, Whoami},
};

/// No body.
pub(super) const NONE: Option<&Value> = None;
/// Items asked for at once; the server's maximum.
const PAGE: u32 = 100;

/// A key to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeyRequest {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `read`, `write`, `admin`; the server's default is read and write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Restriction to repos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_ids: Option<Vec<String>>,
    /// Life in seconds; absent = for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

#[derive(Serialize)]
struct SigningKeyRequest<'a> {
    public_key: &'a str,
    #[serde(flatten)]
    request: &'a KeyRequest,
}

#[derive(Deserialize)]
struct Listing {
    next_cursor: Option<String>,
    #[serde(flatten)]
    fields: serde_json::Map<String, Value>,
}

impl RestClient {
    /// Who the credential is.
    pub async fn whoami(&self) -> Result<Whoami, RestError> {
        self.call(Method::GET, &["whoami"], &[], NONE).await
    }

    /// Makes an org (operator's key).
    pub async fn create_org(&self, slug: &str, name: Option<&str>) -> Result<Value, RestError> {
        let mut body = json!({ "slug": slug });
        if let Some(name) = name {
            body["name"] = json!(name);
        }
        self.call(Method::POST, &["admin", "orgs"], &[], Some(&body))
            .await
    }

    /// All orgs of the server (operator's key).
    pub async fn list_orgs(&self, cursor: Option<String>) -> Result<Page<Org>, RestError> {
        self.page(&["admin", "orgs"], "orgs", cursor, Vec::new())
            .await
    }

    /// Makes a repo.
    pub async fn create_repo(
        &self,
        org: &str,
        name: &str,
        default_bookmark: Option<&str>,
    ) -> Result<Repo, RestError> {
        let mut body = json!({ "name": name });
        if let Some(bookmark) = default_bookmark {
            body["default_bookmark"] = json!(bookmark);
        }
        self.call(Method::POST, &[org, "repos"], &[], Some(&body))
            .await
    }

    /// One repo.
    pub async fn get_repo(&self, org: &str, repo: &str) -> Result<Repo, RestError> {
        self.call(Method::GET, &[org, repo], &[], NONE).await
    }

    /// The org's repos this credential sees.
    pub async fn list_repos(
        &self,
        org: &str,
        cursor: Option<String>,
    ) -> Result<Page<Repo>, RestError> {
        self.page(&[org, "repos"], "repos", cursor, Vec::new())
            .await
    }

    /// Every repo, page by page.
    pub async fn all_repos(&self, org: &str) -> Result<Vec<Repo>, RestError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.list_repos(org, cursor).await?;
            all.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Deletes a repo.
    pub async fn delete_repo(&self, org: &str, repo: &str) -> Result<Value, RestError> {
        self.call(Method::DELETE, &[org, repo], &[], NONE).await
    }

    /// Makes a key.
    pub async fn create_key(
        &self,
        org: &str,
        request: &KeyRequest,
    ) -> Result<CreatedKey, RestError> {
        self.call(Method::POST, &[org, "api-keys"], &[], Some(request))
            .await
    }

    /// The org's keys; `status` is `active`, `revoked`, `expired` or `all`.
    pub async fn list_keys(
        &self,
        org: &str,
        status: &str,
        cursor: Option<String>,
    ) -> Result<Page<ApiKey>, RestError> {
        let query = vec![("status", status.to_owned())];
        self.page(&[org, "api-keys"], "api_keys", cursor, query)
            .await
    }

    /// Registers the public half of a signing key.
    pub async fn create_signing_key(
        &self,
        org: &str,
        public_key: &str,
        request: &KeyRequest,
    ) -> Result<SigningKey, RestError> {
        let body = SigningKeyRequest {
            public_key,
            request,
        };
        self.call(Method::POST, &[org, "signing-keys"], &[], Some(&body))
            .await
    }

    /// The org's signing keys; `status` as in [`RestClient::list_keys`].
    pub async fn list_signing_keys(
        &self,
        org: &str,
        status: &str,
        cursor: Option<String>,
    ) -> Result<Page<SigningKey>, RestError> {
        let query = vec![("status", status.to_owned())];
        self.page(&[org, "signing-keys"], "signing_keys", cursor, query)
            .await
    }

    /// Ends a signing key.
    pub async fn revoke_signing_key(&self, org: &str, id: &str) -> Result<Value, RestError> {
        self.call(Method::DELETE, &[org, "signing-keys", id], &[], NONE)
            .await
    }

    /// Ends a key.
    pub async fn revoke_key(&self, org: &str, id: &str) -> Result<Value, RestError> {
        self.call(Method::DELETE, &[org, "api-keys", id], &[], NONE)
            .await
    }

    /// The repo's bookmarks.
    pub async fn list_bookmarks(
        &self,
        org: &str,
        repo: &str,
        cursor: Option<String>,
    ) -> Result<Page<Bookmark>, RestError> {
        self.page(&[org, repo, "bookmarks"], "bookmarks", cursor, Vec::new())
            .await
    }

    /// One bookmark.
    pub async fn get_bookmark(
        &self,
        org: &str,
        repo: &str,
        bookmark: &str,
    ) -> Result<Bookmark, RestError> {
        self.call(Method::GET, &[org, repo, "bookmarks", bookmark], &[], NONE)
            .await
    }

    /// A file, symlink or directory as the contract's JSON union.
    pub async fn content(
        &self,
        org: &str,
        repo: &str,
        path: &str,
        change: Option<&str>,
    ) -> Result<Value, RestError> {
        let query = content_query(path, change);
        self.call(Method::GET, &[org, repo, "content"], &query, NONE)
            .await
    }

    /// A file's bytes.
    pub async fn content_bytes(
        &self,
        org: &str,
        repo: &str,
        path: &str,
        change: Option<&str>,
    ) -> Result<Vec<u8>, RestError> {
        let query = content_query(path, change);
        let response = self
            .send(
                Method::GET,
                &[org, repo, "content"],
                &query,
                NONE,
                "application/octet-stream",
            )
            .await?;
        self.body(response).await
    }

    /// The server's own idea of the time, Unix seconds, from its `Date` header; `None` if it sent
    /// none. Also shows that the server answers at all (no credential needed).
    pub async fn probe(&self) -> Result<Option<String>, RestError> {
        let url = format!("{}/healthz", self.origin);
        let response = self
            .http
            .get(url)
            .send()
            .await
            .map_err(|e| RestError::transport(&self.origin, &e))?;
        let status = response.status();
        if !status.is_success() {
            let status = status.as_u16();
            return Err(RestError::answered(&self.origin, status, None, None, b""));
        }
        let date = response.headers().get("date");
        Ok(date.and_then(|v| v.to_str().ok()).map(ToOwned::to_owned))
    }

    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        field: &str,
        cursor: Option<String>,
        mut query: Vec<(&str, String)>,
    ) -> Result<Page<T>, RestError> {
        query.push(("limit", PAGE.to_string()));
        if let Some(cursor) = cursor {
            query.push(("cursor", cursor));
        }
        let mut listing: Listing = self.call(Method::GET, path, &query, NONE).await?;
        let items = listing.fields.remove(field).unwrap_or(Value::Null);
        let items = serde_json::from_value(items)
            .map_err(|source| RestError::malformed(&self.origin, source))?;
        Ok(Page {
            items,
            next_cursor: listing.next_cursor,
        })
    }
}

fn content_query(path: &str, change: Option<&str>) -> Vec<(&'static str, String)> {
    let mut query = vec![("path", path.to_owned())];
    if let Some(change) = change {
        query.push(("change_id", change.to_owned()));
    }
    query
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{Origin, RestErrorKind, Secret, TransportOptions};

    /// A server that gives one answer and returns the request head it saw.
    async fn stub(answer: &'static str) -> (RestClient, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin: Origin = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
                seen.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        let client = RestClient::new(
            origin,
            Some(Secret::new("mesa_k")),
            &TransportOptions::default(),
        );
        (client.unwrap(), served)
    }

    #[tokio::test]
    async fn names_are_escaped_and_the_credential_sent() {
        let (client, served) = stub(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
             {\"name\":\"feature/x\",\"change_id\":\"z\",\"is_default\":false,\"extra\":1}",
        )
        .await;
        let bookmark = client
            .get_bookmark("my-org", "r", "feature/x y")
            .await
            .unwrap();
        assert_eq!(bookmark.more["extra"], 1);
        let head = served.await.unwrap();
        assert!(
            head.starts_with("GET /v1/my-org/r/bookmarks/feature%2Fx%20y HTTP/1.1"),
            "{head}"
        );
        assert!(
            head.to_lowercase().contains("authorization: bearer mesa_k"),
            "{head}"
        );
    }

    #[tokio::test]
    async fn errors_carry_code_message_and_trace() {
        let (client, _served) = stub(
            "HTTP/1.1 403 Forbidden\r\nx-request-id: t9\r\nconnection: close\r\n\r\n\
             {\"error\":{\"code\":\"FORBIDDEN\",\"message\":\"no\"}}",
        )
        .await;
        let error = client.whoami().await.unwrap_err();
        assert_eq!(error.kind, RestErrorKind::Forbidden);
        assert_eq!(error.code, "FORBIDDEN");
        assert_eq!(error.trace_id.as_deref(), Some("t9"));
    }

    #[tokio::test]
    async fn no_server_is_unreachable() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let origin: Origin = format!("http://127.0.0.1:{port}").parse().unwrap();
        let client = RestClient::new(origin, None, &TransportOptions::default()).unwrap();
        let error = client.whoami().await.unwrap_err();
        assert_eq!(error.kind, RestErrorKind::Unreachable);
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("refused")
        );
    }
}
