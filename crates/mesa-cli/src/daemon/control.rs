//! What commands say to a running daemon: one JSON object a line, answered by one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::OrgPlan;
use crate::error::CliError;

/// Changes when an old command would misunderstand a new daemon or the other way round.
pub const VERSION: u32 = 1;
/// Longest line in bytes.
pub const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// A request.
#[derive(Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`] of the sender.
    pub v: u32,
    /// What to do.
    #[serde(flatten)]
    pub command: Command,
}

/// What a daemon can be told. Not `Debug`: some carry credentials.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Command {
    /// Mount point and processes.
    Ping,
    /// Go over to the supervisor that listens at this socket.
    Supervise { socket: PathBuf },
    /// For `mesa status`.
    Status,
    /// For `mesa stats`.
    Stats,
    /// Everything done so far on the server.
    Sync { timeout_ms: u64 },
    /// Whether every org is reachable with its credential; reconnects what waits.
    Check { timeout_ms: u64 },
    /// More orgs, or new credentials for known ones.
    AddOrgs { orgs: Vec<OrgPlan> },
    /// A credential: everywhere, for an org or for a repo.
    SetKey {
        org: Option<String>,
        repo: Option<String>,
        token: String,
    },
    /// Names of the repos shown for an org.
    Repos { org: String },
    /// Show a repo (explicit mode).
    OpenRepo { org: String, repo: String },
    /// Stop showing a repo (explicit mode).
    CloseRepo { org: String, repo: String },
    /// What a repo's mount works on, when everything done in it is on the server and, if wanted,
    /// when it shows what the server did.
    Working {
        org: String,
        repo: String,
        #[serde(default)]
        seen: Option<Seen>,
        timeout_ms: u64,
    },
    /// Let a repo's mount work on something else.
    Switch {
        org: String,
        repo: String,
        to: Goal,
        timeout_ms: u64,
    },
    /// Send everything, unmount, end.
    Unmount { force: bool, timeout_ms: u64 },
}

/// What a mount is to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The effect of this operation of its head.
    Operation(u64),
    /// Another change than this one.
    Left(String),
}

impl Seen {
    /// See [`Seen::Operation`].
    pub fn operation(seq: u64) -> Self {
        Self::Operation(seq)
    }

    /// See [`Seen::Left`].
    pub fn left(change: &str) -> Self {
        Self::Left(change.to_owned())
    }
}

/// What a mount is to work on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// A bookmark's change, and the bookmark goes along.
    Bookmark(String),
    /// A change, or a new one on top of it.
    Change(String),
}

/// An answer.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`] of the daemon.
    pub v: u32,
    /// On success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// On failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CliError>,
}

impl Answer {
    /// As a result; success without data is null.
    pub fn into_result(self) -> Result<Value, CliError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.data.unwrap_or(Value::Null)),
        }
    }
}

impl From<Result<Value, CliError>> for Answer {
    fn from(result: Result<Value, CliError>) -> Self {
        let (data, error) = match result {
            Ok(data) => (Some(data), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            v: VERSION,
            data,
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_form() {
        let request = Request {
            v: 1,
            command: Command::Sync { timeout_ms: 5 },
        };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"v":1,"cmd":"sync","timeout_ms":5}"#);
        let back: Request = serde_json::from_str(r#"{"v":1,"cmd":"ping"}"#).unwrap();
        assert!(matches!(back.command, Command::Ping));
        let request = Request {
            v: 1,
            command: Command::Switch {
                org: "o".into(),
                repo: "r".into(),
                to: Goal::Bookmark("main".into()),
                timeout_ms: 5,
            },
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"v":1,"cmd":"switch","org":"o","repo":"r","to":{"bookmark":"main"},"timeout_ms":5}"#
        );
    }
}
