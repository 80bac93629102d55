//! `Idempotency-Key`: a write sent again with the same key gets the first one's answer.
//!
//! A row per (org, key id, idempotency key) is written before the request runs and completed after
//! it. Its answer is encrypted under a key derived from the request's own credential, since the
//! answer may hold a secret (a new API key) that a copy of the database must not give away.
//! Refusals are not kept: the request had no effect, so sending it again runs it again.

mod row;

use std::{pin::pin, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use mesa_api::ErrorCode;
use mesa_meta::{Batch, Committed, Key, KeyBuf, Table, Version};
use mesa_repo::Catalog;
use mesa_types::Nanos;

use self::row::{Answer, Row, State as Progress};
use super::{Caller, GRPC_PREFIX, caller::bearer};
use crate::{error::ApiError, state::App};

const HEADER: &str = "idempotency-key";
/// Tells that an answer is an earlier request's.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_LEN_MAX: usize = 255;
/// How long an answer is kept.
const KEPT: Nanos = Nanos(24 * 3600 * 1_000_000_000);
/// A request whose row is older than this died with its server.
const RUNNING: Nanos = Nanos(60 * 1_000_000_000);
/// A running request makes its row new this often.
const RENEWED: Duration = Duration::from_secs(20);
/// Larger answers are not kept.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The layer: requests without the header pass, and so does what no route writes by.
pub async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let writes = [Method::POST, Method::PATCH, Method::DELETE].contains(request.method());
    let grpc = request.uri().path().starts_with(GRPC_PREFIX);
    if !writes || grpc || !request.headers().contains_key(HEADER) {
        return next.run(request).await;
    }
    run_once(app, request, next)
        .await
        .unwrap_or_else(ApiError::into_response)
}

async fn run_once(app: App, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &app).await?;
    let name = parts.headers.get(HEADER).and_then(|v| v.to_str().ok());
    let name = name
        .filter(|name| (1..=KEY_LEN_MAX).contains(&name.len()))
        .ok_or_else(|| {
            ApiError::bad_request("Idempotency-Key must be 1 to 255 printable characters")
        })?;
    let secret = row::sealing_key(bearer(&parts));
    let place = Place {
        catalog: app.catalog().clone(),
        renewed: RENEWED,
        key: KeyBuf::new(caller.principal.org.as_str())
            .text(caller.principal.key.as_str())
            .text(name)
            .into(),
    };
    let max = app.limits().files_body_bytes_max;
    let body = app.read_body(body, max).await?;
    let target = parts.uri.path_and_query().map_or("", |t| t.as_str());
    let digest = row::digest(parts.method.as_str(), target, &body);
    let version = match place.begin(&digest).await? {
        Begun::New(version) => version,
        Begun::Done(answer) => return replay(&answer.open(&secret, &place.key.0)?),
    };
    // Runs to its end even if the client goes away, so that the answer is there when it asks
    // again.
    let request = Request::from_parts(parts, Body::from(body));
    let running = tokio::spawn(async move {
        let (response, version) = place.alive(next.run(request), version, &digest).await;
        place.end(response, version, digest, &secret).await
    });
    running.await.unwrap_or_else(|e| Err(ApiError::internal(e)))
}

fn replay(answer: &Answer) -> Result<Response, ApiError> {
    let status = StatusCode::from_u16(answer.status).map_err(ApiError::internal)?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (REPLAYED, HeaderValue::from_static("true")),
    ];
    Ok((status, headers, answer.body.clone()).into_response())
}

/// The row of one idempotency key.
struct Place {
    catalog: Catalog,
    key: Key,
    /// How often it is made new while its request runs.
    renewed: Duration,
}

enum Begun {
    /// This request is the first; the version is that of its row.
    New(Version),
    /// An earlier one was answered.
    Done(row::Sealed),
}

impl Place {
    async fn begin(&self, digest: &str) -> Result<Begun, ApiError> {
        let now = self.catalog.now();
        let meta = self.catalog.meta();
        let stored = meta
            .get(Table::Idempotency, &self.key)
            .await
            .map_err(meta_error)?;
        let mut batch = Batch::new();
        match &stored {
            None => batch.absent(Table::Idempotency, self.key.clone()),
            Some(stored) => {
                let row = Row::decode(&stored.value)?;
                let age = now.0.saturating_sub(row.at);
                if age < KEPT.0 && row.digest != digest {
                    return Err(ApiError::new(
                        ErrorCode::IdempotencyMismatch,
                        "this Idempotency-Key was used with another request",
                    ));
                }
                match row.state {
                    Progress::Done(sealed) if age < KEPT.0 => return Ok(Begun::Done(sealed)),
                    Progress::Running if age < RUNNING.0 => {
                        return Err(ApiError::new(
                            ErrorCode::LockConflict,
                            "the request with this Idempotency-Key is still running",
                        )
                        .retry_after(1));
                    }
                    _ => batch.is(Table::Idempotency, self.key.clone(), stored.version),
                }
            }
        };
        let row = Row {
            at: now.0,
            digest: digest.to_owned(),
            state: Progress::Running,
        };
        batch.put(Table::Idempotency, self.key.clone(), row.encode()?);
        match meta.commit(batch).await.map_err(meta_error)? {
            Committed::Yes(version) => Ok(Begun::New(version)),
            Committed::Conflict(_) => Err(ApiError::new(
                ErrorCode::LockConflict,
                "another request with this Idempotency-Key has just begun",
            )
            .retry_after(1)),
        }
    }

    /// Runs a request however long it takes; its row says all the time that it runs. Answers the
    /// row's version with the outcome.
    async fn alive<T>(
        &self,
        work: impl Future<Output = T>,
        mut version: Version,
        digest: &str,
    ) -> (T, Version) {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(self.renewed, &mut work).await {
                Ok(outcome) => return (outcome, version),
                Err(_) => version = self.renew(version, digest).await,
            }
        }
    }

    async fn renew(&self, version: Version, digest: &str) -> Version {
        let row = Row {
            at: self.catalog.now().0,
            digest: digest.to_owned(),
            state: Progress::Running,
        };
        let Ok(value) = row.encode() else {
            return version;
        };
        let mut batch = Batch::new();
        batch.is(Table::Idempotency, self.key.clone(), version).put(
            Table::Idempotency,
            self.key.clone(),
            value,
        );
        match self.catalog.meta().commit(batch).await {
            Ok(Committed::Yes(version)) => version,
            // Taken over: the end says so.
            Ok(Committed::Conflict(_)) => version,
            Err(error) => {
                tracing::warn!("an idempotency row was not renewed: {error}");
                version
            }
        }
    }

    /// Keeps the answer of a request that had an effect, forgets one that had none.
    async fn end(
        &self,
        response: Response,
        version: Version,
        digest: String,
        secret: &row::SealingKey,
    ) -> Result<Response, ApiError> {
        let mut batch = Batch::new();
        batch.is(Table::Idempotency, self.key.clone(), version);
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            batch.delete(Table::Idempotency, self.key.clone());
            self.commit(batch).await;
            return Ok(Response::from_parts(parts, body));
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(ApiError::internal)?.to_bytes();
        let answer = Answer {
            status: parts.status.as_u16(),
            body: body.clone(),
        };
        let random = &**self.catalog.random();
        let row = Row {
            at: self.catalog.now().0,
            digest,
            state: Progress::Done(answer.seal(secret, &self.key.0, random)?),
        };
        batch.put(Table::Idempotency, self.key.clone(), row.encode()?);
        self.commit(batch).await;
        Ok(Response::from_parts(parts, body.into()))
    }

    /// The request is done either way; without its row a repeat within a minute is refused and a
    /// later one runs again.
    async fn commit(&self, batch: Batch) {
        match self.catalog.meta().commit(batch).await {
            Ok(Committed::Yes(_)) => {}
            Ok(Committed::Conflict(_)) => tracing::warn!("an idempotency row was taken over"),
            Err(error) => tracing::warn!("an idempotency row was not completed: {error}"),
        }
    }
}

fn meta_error(error: mesa_meta::MetaError) -> ApiError {
    mesa_repo::Error::from(error).into()
}

/// Deletes rows that are no longer used. Looks at `max` rows from `from` on; answers where to go on
/// next time, the beginning after the last row.
pub async fn purge(app: &App, from: Key, max: usize) -> Result<Key, ApiError> {
    let meta = app.catalog().meta();
    let rest = mesa_meta::Range {
        start: from,
        end: None,
    };
    let now = app.catalog().now();
    let rows = meta
        .scan(Table::Idempotency, &rest, max, false)
        .await
        .map_err(meta_error)?;
    let next = match rows.last() {
        Some(last) if rows.len() == max => last.key.clone(),
        _ => Key(bytes::Bytes::new()),
    };
    for entry in rows {
        let old = Row::decode(&entry.row.value).map_or(true, |row| now.0 - row.at >= KEPT.0);
        if old {
            let mut batch = Batch::new();
            batch
                .is(Table::Idempotency, entry.key.clone(), entry.row.version)
                .delete(Table::Idempotency, entry.key);
            // A row that was just used again stays.
            meta.commit(batch).await.map_err(meta_error)?;
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use mesa_meta::MemoryStore;
    use mesa_repo::ServerKey;
    use mesa_types::{random::SeededRandom, time::Clock};

    use super::*;

    #[derive(Debug)]
    struct Moved(AtomicI64);

    impl Clock for Moved {
        fn now(&self) -> Nanos {
            Nanos(self.0.load(Ordering::SeqCst))
        }
    }

    /// However long it takes: nobody else runs it meanwhile, and its answer is kept.
    #[tokio::test]
    async fn a_long_request_runs_once() {
        let clock = Arc::new(Moved(AtomicI64::new(1)));
        let random = Arc::new(SeededRandom::new(1));
        let key = ServerKey::from_bytes([3; 32]);
        let catalog = Catalog::new(Arc::new(MemoryStore::new()), clock.clone(), random, key);
        let place = || Place {
            catalog: catalog.clone(),
            key: KeyBuf::new("org_1").text("key_1").text("k").into(),
            renewed: Duration::from_millis(1),
        };
        let Begun::New(version) = place().begin("d").await.unwrap() else {
            panic!("the first request is the first");
        };
        let (done, work) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn({
            let place = place();
            async move {
                let (outcome, version) = place.alive(work, version, "d").await;
                outcome.unwrap();
                let response = (StatusCode::CREATED, "{}").into_response();
                let secret = row::sealing_key("mesa_a");
                place.end(response, version, "d".to_owned(), &secret).await
            }
        });
        for minute in 1..=3 {
            let at = clock.0.fetch_add(RUNNING.0 - 1, Ordering::SeqCst) + RUNNING.0 - 1;
            let renewed = async {
                loop {
                    let stored = catalog.meta().get(Table::Idempotency, &place().key).await;
                    let row = Row::decode(&stored.unwrap().unwrap().value).unwrap();
                    if row.at == at {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), renewed)
                .await
                .expect("the row is made new while the request runs");
            let error = place().begin("d").await.err().map(|error| error.code());
            assert_eq!(error, Some(ErrorCode::LockConflict), "minute {minute}");
        }
        done.send(()).unwrap();
        running.await.unwrap().unwrap();
        clock.0.fetch_add(RUNNING.0, Ordering::SeqCst);
        assert!(matches!(place().begin("d").await, Ok(Begun::Done(_))));
    }
}
