//! A server on a free port, and requests to it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use mesa_server::{RunningServer, Server, ServerOptions};
use mesa_types::{Nanos, time::Clock};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

/// A clock that tests move.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn forward_secs(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }

    pub fn secs(&self) -> i64 {
        self.now().parts().0
    }
}

impl Clock for TestClock {
    fn now(&self) -> Nanos {
        // Every reading is later than the one before, as on a real machine.
        Nanos(self.0.fetch_add(1_000, Ordering::SeqCst))
    }
}

pub struct TestServer {
    pub running: RunningServer,
    pub clock: Arc<TestClock>,
    pub admin: String,
    pub http: reqwest::Client,
    pub dir: tempfile::TempDir,
}

/// An answer read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The JSON of a success.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        let shown = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{shown}");
        self.json()
    }

    /// Checks a refusal: status, code, and an envelope as documented.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let shown = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{shown}");
        let body = self.json();
        assert_eq!(body["error"]["code"], code, "{shown}");
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(body["trace_id"], id);
        if status >= 500 {
            assert_eq!(body["error"]["trace_id"], id);
        }
        if status == 401 {
            assert_eq!(self.headers["www-authenticate"], "Bearer");
        }
        body
    }
}

pub fn options(dir: &Path) -> ServerOptions {
    let mut options = ServerOptions::new(dir.join("data"), "acme".parse().unwrap());
    options.listen = "127.0.0.1:0".parse().unwrap();
    options
}

/// Makes the process's TLS provider known to the client library.
pub fn provider() {
    let _already = rustls::crypto::ring::default_provider().install_default();
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut ServerOptions)) -> Self {
        provider();
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path());
        adjust(&mut options);
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000_000_000)));
        let running = Server::start_with_clock(options, clock.clone())
            .await
            .unwrap();
        let admin = running.new_admin_key().unwrap().expose().to_owned();
        Self {
            running,
            clock,
            admin,
            http: reqwest::Client::new(),
            dir,
        }
    }

    /// The same server after a stop and a start with other options.
    pub async fn restarted(self, adjust: impl FnOnce(&mut ServerOptions)) -> Self {
        self.running.shutdown().await;
        let mut options = options(self.dir.path());
        adjust(&mut options);
        let running = Server::start_with_clock(options, self.clock.clone());
        Self {
            running: running.await.unwrap(),
            ..self
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr())
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    /// A request under `/v1`.
    pub async fn call(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self
            .http
            .request(method, self.url(&format!("/v1{path}")))
            .bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.call(key, Method::GET, path, None).await
    }

    pub async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.call(key, Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, key: &str, path: &str, body: Value) -> Answer {
        self.call(key, Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, key: &str, path: &str) -> Answer {
        self.call(key, Method::DELETE, path, None).await
    }

    /// A new repo's id.
    pub async fn repo(&self, name: &str) -> String {
        let made = self
            .post(&self.admin, "/acme/repos", json!({"name": name}))
            .await
            .ok(201);
        made["id"].as_str().unwrap().to_owned()
    }

    /// A new key's id and secret.
    pub async fn key(&self, wanted: Value) -> (String, String) {
        let made = self
            .post(&self.admin, "/acme/api-keys", wanted)
            .await
            .ok(201);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }
}
