//! `mesa mcp`

use std::{
    collections::HashMap,
    io::{BufRead, Read as _, Write as _},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args as ClapArgs;
use mesa_client::{RestClient, RestError};
use mesa_types::{OrgSlug, RepoName};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};

use crate::{
    context::Context,
    credentials::ControlPlane,
    error::{CliError, CliResult},
};

/// Largest message that is read: more than the server takes, so that it is refused under its id.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Requests on their way at the same time; further ones wait.
const REQUESTS_MAX: usize = 16;
/// Requests that wait or are on their way; nothing is read beyond.
const WAITING_MAX: usize = 256;
/// How long answers are waited for when the input has ended.
const DRAIN: Duration = Duration::from_secs(5);

const INVALID_REQUEST: i64 = -32600;
const PARSE_ERROR: i64 = -32700;
const INTERNAL_ERROR: i64 = -32603;

/// Offer the server's tools to an agent over standard input and output (MCP)
///
/// Passes messages of the Model Context Protocol, one a line, to the server's /mcp with the
/// credential that is configured here. Agents start it themselves.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example of a client's configuration:\n  {\"mcpServers\": {\"mesa\": {\"command\": \
                  \"mesa\", \"args\": [\"mcp\", \"--org\", \"my-org\"]}}}"
)]
pub struct Args {
    /// The organization whose key is used
    #[arg(long, value_name = "ORG")]
    org: Option<OrgSlug>,
    /// The repo whose key is used, if it has its own
    #[arg(long, value_name = "NAME")]
    repo: Option<RepoName>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let (settings, org) = (&loaded.settings, args.org.as_ref());
    let keys = match &args.repo {
        Some(repo) => ControlPlane::for_repo(context, settings, org, repo)?,
        None => ControlPlane::open(context, settings, org, None)?,
    };
    context.block_on(async {
        let bridge = Bridge {
            client: keys.client().await?,
            version: Arc::default(),
            turns: Arc::new(Semaphore::new(REQUESTS_MAX)),
        };
        bridge.run(lines()?).await
    })
}

/// Lines of the standard input; one that is too long is nothing.
fn lines() -> CliResult<mpsc::Receiver<Option<Vec<u8>>>> {
    let (sender, receiver) = mpsc::channel(1);
    let read = move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let mut read = input.by_ref().take(LINE_BYTES_MAX + 1);
            match read.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let whole = line.len() as u64 <= LINE_BYTES_MAX;
            if !whole && !line.ends_with(b"\n") && input.skip_until(b'\n').is_err() {
                return;
            }
            if sender.blocking_send(whole.then_some(line)).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("stdin".to_owned());
    thread
        .spawn(read)
        .map_err(|e| CliError::io("cannot start", &e))?;
    Ok(receiver)
}

#[derive(Clone)]
struct Bridge {
    client: RestClient,
    /// What `initialize` agreed on.
    version: Arc<Mutex<Option<String>>>,
    turns: Arc<Semaphore>,
}

/// What a line is.
#[derive(Debug, PartialEq)]
enum Line {
    /// To be passed on.
    Request(Request),
    /// A request is not wanted any more.
    Cancelled(Value),
    /// Nothing to do: the server keeps no state that a notification could change.
    Quiet,
    /// No message.
    Wrong(i64, &'static str),
}

#[derive(Debug, PartialEq)]
struct Request {
    /// Absent in a batch.
    id: Option<Value>,
    method: String,
    /// Of the newer versions, in which each request says it.
    version: Option<String>,
    name: Option<String>,
    text: String,
}

impl Line {
    fn read(line: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(line) else {
            return Self::Wrong(PARSE_ERROR, "the message is not UTF-8");
        };
        let text = text.trim();
        if text.is_empty() {
            return Self::Quiet;
        }
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return Self::Wrong(PARSE_ERROR, "the message is not JSON");
        };
        let string = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let id = message.get("id").cloned();
        let method = string(&message["method"]);
        let params = &message["params"];
        match (method, &id) {
            _ if message.is_array() => {}
            (Some(method), None) if method == "notifications/cancelled" => {
                return Self::Cancelled(params["requestId"].clone());
            }
            (_, None) | (None, Some(_)) => return Self::Quiet,
            (Some(_), Some(_)) => {}
        }
        Self::Request(Request {
            method: string(&message["method"]).unwrap_or_default(),
            version: string(&params["_meta"]["io.modelcontextprotocol/protocolVersion"]),
            name: string(&params["name"]),
            id,
            text: text.to_owned(),
        })
    }
}

impl Request {
    /// The headers that must agree with the body.
    fn headers(&self, agreed: Option<String>) -> Vec<(&'static str, String)> {
        let Some(version) = &self.version else {
            let agreed = agreed.filter(|_| self.id.is_some() && self.method != "initialize");
            return agreed
                .map(|version| ("mcp-protocol-version", version))
                .into_iter()
                .collect();
        };
        let mut headers = vec![
            ("mcp-protocol-version", in_header(version)),
            ("mcp-method", in_header(&self.method)),
        ];
        headers.extend(self.name.as_ref().map(|name| ("mcp-name", in_header(name))));
        headers
    }

    /// The answer when the server gave none.
    fn unanswered(&self, error: &RestError) -> Value {
        let mut why = error.to_string();
        if let Some(source) = &error.source {
            why = format!("{why} ({source})");
        }
        if !error.code.is_empty() {
            why = format!("{}: {why}", error.code);
        }
        let id = self.id.clone().unwrap_or(Value::Null);
        if self.method != "tools/call" {
            return failure(&id, INTERNAL_ERROR, &why);
        }
        // Agents see what a tool says, and not what the protocol says.
        let mut result = json!({"content": [{"type": "text", "text": why}], "isError": true});
        if self.version.is_some() {
            result["resultType"] = "complete".into();
        }
        json!({"jsonrpc": "2.0", "id": id, "result": result})
    }
}

/// A header's value; what cannot be one is encoded as the protocol says.
fn in_header(text: &str) -> String {
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b))
        && text.trim() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    if plain {
        return text.to_owned();
    }
    format!("=?base64?{}?=", STANDARD.encode(text))
}

fn failure(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

impl Bridge {
    async fn run(self, mut lines: mpsc::Receiver<Option<Vec<u8>>>) -> CliResult {
        let mut tasks = JoinSet::new();
        let mut running: HashMap<String, AbortHandle> = HashMap::new();
        loop {
            let line = tokio::select! {
                line = lines.recv(), if tasks.len() < WAITING_MAX => line,
                Some(done) = tasks.join_next() => {
                    written(done)?;
                    running.retain(|_, task| !task.is_finished());
                    continue;
                }
            };
            let Some(line) = line else { break };
            let read = line.map_or(
                Line::Wrong(INVALID_REQUEST, "the message is larger than 64 MiB"),
                |line| Line::read(&line),
            );
            match read {
                Line::Quiet => {}
                Line::Wrong(code, why) => emit(&failure(&Value::Null, code, why).to_string())?,
                Line::Cancelled(id) => {
                    if let Some(task) = running.remove(&id.to_string()) {
                        task.abort();
                    }
                }
                Line::Request(request) => {
                    let id = request.id.as_ref().map(Value::to_string);
                    let task = tasks.spawn(self.clone().pass(request));
                    running.extend(id.map(|id| (id, task)));
                }
            }
        }
        let rest = async {
            while let Some(done) = tasks.join_next().await {
                written(done)?;
            }
            Ok(())
        };
        tokio::time::timeout(DRAIN, rest).await.unwrap_or(Ok(()))
    }

    /// Passes a request on and writes its answer.
    async fn pass(self, request: Request) -> CliResult {
        let _turn = self.turns.acquire().await;
        let headers = request.headers(self.version.lock().clone());
        let sent = self.client.mcp(&headers, request.text.clone()).await;
        match sent {
            Ok(None) => Ok(()),
            Ok(Some(answer)) => {
                let answer = String::from_utf8_lossy(&answer);
                if request.method == "initialize" {
                    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
                    let agreed = answer["result"]["protocolVersion"].as_str();
                    *self.version.lock() = agreed.map(ToOwned::to_owned);
                }
                // One line: JSON has no line feeds that mean anything.
                emit(&answer.replace(['\n', '\r'], " "))
            }
            Err(error) => emit(&request.unanswered(&error).to_string()),
        }
    }
}

/// The outcome of a task: output that nobody reads ends the program, a cancelled request does not.
fn written(done: Result<CliResult, tokio::task::JoinError>) -> CliResult {
    match done {
        Ok(outcome) => outcome,
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(CliError::failure(format!("a request broke off: {error}"))),
    }
}

fn emit(message: &str) -> CliResult {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(message.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    written.map_err(|e| CliError::io("cannot write to the client", &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(message: &Value) -> Request {
        match Line::read(message.to_string().as_bytes()) {
            Line::Request(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_told_apart() {
        let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}});
        assert_eq!(
            Line::read(cancelled.to_string().as_bytes()),
            Line::Cancelled(json!(3))
        );
        let quiet = r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#;
        for line in [
            quiet,
            "",
            " \r\n",
            r#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#,
        ] {
            assert_eq!(Line::read(line.as_bytes()), Line::Quiet);
        }
        assert!(matches!(Line::read(b"{"), Line::Wrong(PARSE_ERROR, _)));
        assert!(matches!(Line::read(b"\xff"), Line::Wrong(PARSE_ERROR, _)));
        assert_eq!(request(&json!([{"jsonrpc": "2.0"}])).id, None);
    }

    #[test]
    fn headers_repeat_what_the_body_says() {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        let call = request(
            &json!({"id": 1, "method": "tools/call", "params": {"name": "ä", "_meta": meta}}),
        );
        let headers = call.headers(Some("2025-06-18".to_owned()));
        let expected = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "=?base64?w6Q=?="),
        ];
        assert_eq!(
            headers,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
        let old = request(&json!({"id": 1, "method": "tools/list"}));
        assert_eq!(old.headers(None), []);
        let agreed = old.headers(Some("2025-06-18".to_owned()));
        assert_eq!(agreed, [("mcp-protocol-version", "2025-06-18".to_owned())]);
    }
}
