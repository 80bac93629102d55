//! The REST control plane: orgs, repos, keys, bookmarks, changes, content.

mod error;
mod mcp;
pub mod model;
mod operations;
mod resources;
mod retry;
mod versions;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Response};
use serde::{Serialize, de::DeserializeOwned};

pub use error::{RestError, RestErrorKind};
pub use operations::{ActionFilter, PastState, RestoreRequest, UndoRequest};
pub use resources::KeyRequest;
pub use versions::{ChangeRequest, ChangeUpdate, MergeRequest, Resolution, Take};

use self::retry::Attempts;
use crate::{
    credential::Secret,
    origin::Origin,
    transport::{TransportError, TransportOptions, roots},
};

/// Everything but the characters RFC 3986 leaves alone.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Longest JSON answer in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest time for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// A client of one server with one credential.
#[derive(Debug, Clone)]
pub struct RestClient {
    origin: Origin,
    http: reqwest::Client,
    secret: Option<Secret>,
}

/// A page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// In the server's order.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    pub next_cursor: Option<String>,
}

impl RestClient {
    /// Does not connect yet.
    pub fn new(
        origin: Origin,
        secret: Option<Secret>,
        options: &TransportOptions,
    ) -> Result<Self, TransportError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(roots::client_config(options)?)
            .user_agent(options.user_agent.clone())
            .connect_timeout(options.connect_timeout)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if origin.is_loopback() {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|e| TransportError::Setup {
            origin: origin.to_string(),
            source: e.into(),
        })?;
        Ok(Self {
            origin,
            http,
            secret,
        })
    }

    /// The server.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends a request below `/v1` and reads a JSON answer. `path` segments are escaped here.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, RestError> {
        let response = self
            .send(method, path, query, body, "application/json")
            .await?;
        let bytes = self.body(response).await?;
        serde_json::from_slice(&bytes).map_err(|source| RestError::malformed(&self.origin, source))
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&(impl Serialize + Sync)>,
        accept: &str,
    ) -> Result<Response, RestError> {
        let mut url = format!("{}/v1", self.origin);
        for segment in path {
            url.push('/');
            url.extend(utf8_percent_encode(segment, SEGMENT));
        }
        for (i, (key, value)) in query.iter().enumerate() {
            url.push(if i == 0 { '?' } else { '&' });
            url.push_str(key);
            url.push('=');
            url.extend(utf8_percent_encode(value, SEGMENT));
        }
        let key = retry::idempotency_key(&method);
        let mut attempts = Attempts::new();
        loop {
            let (method, key) = (method.clone(), key.as_deref());
            match self.send_once(method, &url, body, accept, key).await {
                Err(error) if attempts.again(&error).await => {}
                outcome => return outcome,
            }
        }
    }

    async fn send_once(
        &self,
        method: Method,
        url: &str,
        body: Option<&(impl Serialize + Sync)>,
        accept: &str,
        idempotency_key: Option<&str>,
    ) -> Result<Response, RestError> {
        let mut request = self.http.request(method, url).header("accept", accept);
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(secret) = &self.secret {
            request = request.bearer_auth(secret.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|source| RestError::transport(&self.origin, &source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let trace = header("x-request-id");
        let retry_after = header("retry-after").and_then(|v| v.parse().ok());
        let bytes = self.body(response).await.unwrap_or_default();
        Err(RestError::answered(
            &self.origin,
            status,
            trace,
            retry_after,
            &bytes,
        ))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, RestError> {
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > ANSWER_BYTES_MAX => {
                    return Err(RestError::too_long(&self.origin));
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes),
                Err(source) => return Err(RestError::transport(&self.origin, &source)),
            }
        }
    }
}
