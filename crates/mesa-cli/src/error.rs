//! How commands fail: exit code, sentence, causes, hint; and the tables from the libraries'
//! errors to these.

use std::error::Error as StdError;

use mesa_client::{
    CERTIFICATE_REFUSED, RestError, RestErrorKind, SyncError, SyncErrorKind, TransportError,
};
use mesa_config::{EditError, LoadError, SecretError};
use mesa_fuse::{MountError, UnmountError};
use mesa_server::StartError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The exit codes of `mesa`. Scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Failure,
    Usage,
    NotFound,
    NotAuthenticated,
    NotPermitted,
    Conflict,
    Unreachable,
    NoFuse,
    NotSynced,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotAuthenticated => 4,
            Self::NotPermitted => 5,
            Self::Conflict => 6,
            Self::Unreachable => 7,
            Self::NoFuse => 8,
            Self::NotSynced => 10,
        }
    }
}

/// A failed command. Also travels from the daemon to the command that asked it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CliError {
    /// Exit code.
    pub exit: Exit,
    /// One sentence without a full stop.
    pub message: String,
    /// Outermost first; never repeats the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The server's stable code, or one of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// The server's trace id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Box<str>>,
    /// What programs may want to know besides, e.g. the paths in conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Value>>,
}

/// The result of a command.
pub type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// Without causes and hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            code: None,
            trace_id: None,
            details: None,
        }
    }

    /// An ordinary failure.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// Wrong use of the command line, environment or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a code of our own.
    #[must_use]
    pub fn coded(mut self, code: &str) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Whether it has this code.
    pub fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Adds a cause and the causes below it.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn StdError) -> Self {
        self.causes.push(error.to_string());
        self.with_sources(error)
    }

    /// Puts a sentence before the present one, which becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    fn with_sources(mut self, error: &dyn StdError) -> Self {
        let mut next = error.source();
        while let Some(source) = next {
            let text = source.to_string();
            if self.causes.last() != Some(&text) && self.message != text {
                self.causes.push(text);
            }
            next = source.source();
        }
        self
    }

    fn of(exit: Exit, error: &dyn StdError) -> Self {
        Self::new(exit, error.to_string()).with_sources(error)
    }

    /// A file operation failed.
    pub fn io(what: impl Into<String>, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failure,
        };
        Self::new(exit, what).caused_by(error)
    }
}

/// What to do about a refused credential, by the server's code.
fn credential_hint(code: &str) -> &'static str {
    match code {
        "CREDENTIAL_EXPIRED" => {
            "make a new key with `mesa key create` and store it with `mesa auth set-key`"
        }
        "CREDENTIAL_REVOKED" => "this key was revoked; store another one with `mesa auth set-key`",
        _ => "check the key: `mesa auth set-key --org ORG`, or MESA_ORGS=ORG:KEY",
    }
}

fn server_hint(code: &str) -> &'static str {
    if code == CERTIFICATE_REFUSED {
        "name the certificate authority of the server in ca-file or MESA_CA_FILE"
    } else {
        "is `mesa serve` running there? set the address with MESA_API_URL or api-url"
    }
}

impl From<RestError> for CliError {
    fn from(error: RestError) -> Self {
        let (exit, hint) = match error.kind {
            RestErrorKind::Unreachable => (Exit::Unreachable, Some(server_hint(&error.code))),
            RestErrorKind::Unauthenticated => {
                (Exit::NotAuthenticated, Some(credential_hint(&error.code)))
            }
            RestErrorKind::Forbidden => (
                Exit::NotPermitted,
                Some("use a key with more scope: admin for keys and orgs, write for repos"),
            ),
            RestErrorKind::NotFound => (Exit::NotFound, None),
            RestErrorKind::Conflict => (Exit::Conflict, None),
            RestErrorKind::Limited => (Exit::Failure, Some("try again later")),
            RestErrorKind::Invalid => (Exit::Usage, None),
            _ => (Exit::Failure, None),
        };
        let mut this = Self::of(exit, &error);
        this.hint = hint.map(ToOwned::to_owned);
        this.code = Some(error.code.into_boxed_str()).filter(|c| !c.is_empty());
        this.trace_id = error.trace_id.map(String::into_boxed_str);
        this.details = error.details;
        this
    }
}

impl From<SyncError> for CliError {
    fn from(error: SyncError) -> Self {
        let (exit, hint) = match error.kind {
            SyncErrorKind::Unreachable | SyncErrorKind::TimedOut => {
                (Exit::Unreachable, Some(server_hint(&error.code)))
            }
            SyncErrorKind::Unauthenticated => {
                (Exit::NotAuthenticated, Some(credential_hint(&error.code)))
            }
            SyncErrorKind::Forbidden => (Exit::NotPermitted, None),
            SyncErrorKind::NotFound => (Exit::NotFound, None),
            SyncErrorKind::Conflict => (Exit::Conflict, None),
            _ => (Exit::Failure, None),
        };
        let mut this = Self::of(exit, &error);
        this.hint = hint.map(ToOwned::to_owned);
        this.code = Some(error.code.into_boxed_str()).filter(|c| !c.is_empty());
        this
    }
}

impl From<TransportError> for CliError {
    fn from(error: TransportError) -> Self {
        Self::of(Exit::Usage, &error)
    }
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(problems) => {
                let mut this = Self::usage("the configuration is invalid");
                this.causes = problems.iter().map(ToString::to_string).collect();
                this
            }
            other => Self::of(Exit::NotFound, &other),
        }
    }
}

impl From<SecretError> for CliError {
    fn from(error: SecretError) -> Self {
        let (exit, hint) = match &error {
            SecretError::PassphraseMissing(_) => (
                Exit::NotAuthenticated,
                Some("set MESA_VAULT_PASSPHRASE, or use a terminal"),
            ),
            SecretError::PassphraseWrong(_) => {
                (Exit::NotAuthenticated, Some("check MESA_VAULT_PASSPHRASE"))
            }
            SecretError::Damaged { .. } => (
                Exit::Failure,
                Some("move the file away and store the keys again"),
            ),
            _ => (Exit::Failure, None),
        };
        let mut this = Self::of(exit, &error);
        this.hint = hint.map(ToOwned::to_owned);
        this
    }
}

impl From<EditError> for CliError {
    fn from(error: EditError) -> Self {
        Self::of(Exit::Failure, &error)
    }
}

impl From<MountError> for CliError {
    fn from(error: MountError) -> Self {
        let exit = match &error {
            MountError::MountPointMissing(_)
            | MountError::MountPointNotDir(_)
            | MountError::MountPointNotEmpty(_)
            | MountError::MountPoint(..)
            | MountError::StateInside { .. } => Exit::Failure,
            MountError::AlreadyMounted(_) => Exit::Conflict,
            _ => Exit::NoFuse,
        };
        let mut this = Self::of(exit, &error);
        this.hint = error.hint().map(ToOwned::to_owned);
        this
    }
}

impl From<UnmountError> for CliError {
    fn from(error: UnmountError) -> Self {
        let (exit, hint) = match &error {
            UnmountError::NotMounted(_) => (Exit::NotFound, None),
            UnmountError::Busy(_) => (
                Exit::Conflict,
                Some("close the programs working there, or use `mesa unmount --force`"),
            ),
            UnmountError::NotPermitted(_) => (Exit::NotPermitted, None),
            _ => (Exit::Failure, None),
        };
        let mut this = Self::of(exit, &error);
        this.hint = hint.map(ToOwned::to_owned);
        this
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        let (exit, hint) = match &error {
            error if error.is_in_use() => (
                Exit::Conflict,
                Some("stop the server that uses it, or choose another --data-dir"),
            ),
            error if error.is_damaged() => (
                Exit::Failure,
                Some(
                    "restore the whole directory from one backup (meta.db with its -wal file, \
                     server.key and objects/); nothing in it was changed",
                ),
            ),
            error if error.is_unusable() => (
                Exit::Failure,
                Some("make it a directory this user can write, or choose another with --data-dir"),
            ),
            StartError::Downloads(_) => (Exit::Usage, Some("look at the directory of --dist-dir")),
            StartError::Listen { .. } => {
                (Exit::Failure, Some("choose another address with --listen"))
            }
            _ => (Exit::Failure, None),
        };
        let mut this = Self::of(exit, &error);
        this.hint = hint.map(ToOwned::to_owned);
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_of_exit_codes() {
        let all = [
            (Exit::Failure, 1),
            (Exit::Usage, 2),
            (Exit::NotFound, 3),
            (Exit::NotAuthenticated, 4),
            (Exit::NotPermitted, 5),
            (Exit::Conflict, 6),
            (Exit::Unreachable, 7),
            (Exit::NoFuse, 8),
            (Exit::NotSynced, 10),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code);
        }
    }

    #[test]
    fn every_rest_kind_has_its_exit() {
        let table = [
            (RestErrorKind::Unreachable, 7),
            (RestErrorKind::Unauthenticated, 4),
            (RestErrorKind::Forbidden, 5),
            (RestErrorKind::NotFound, 3),
            (RestErrorKind::Conflict, 6),
            (RestErrorKind::Limited, 1),
            (RestErrorKind::Invalid, 2),
            (RestErrorKind::Server, 1),
        ];
        for (kind, code) in table {
            let error = RestError {
                kind,
                code: "X".into(),
                message: "m".into(),
                trace_id: None,
                retry_after_s: None,
                details: None,
                source: None,
            };
            assert_eq!(CliError::from(error).exit.code(), code, "{kind:?}");
        }
    }

    #[test]
    fn every_sync_kind_has_its_exit() {
        use SyncErrorKind as K;
        let table = [
            (K::Unreachable, 7),
            (K::TimedOut, 7),
            (K::Unauthenticated, 4),
            (K::Forbidden, 5),
            (K::NotFound, 3),
            (K::Conflict, 6),
            (K::Limited, 1),
            (K::Invalid, 1),
            (K::Server, 1),
        ];
        for (kind, code) in table {
            let error = SyncError {
                kind,
                code: String::new(),
                message: "m".into(),
                retry_after_ms: None,
            };
            assert_eq!(CliError::from(error).exit.code(), code, "{kind:?}");
        }
    }

    #[test]
    fn fuse_problems_are_eight() {
        for error in [
            MountError::DeviceMissing,
            MountError::DeviceDenied,
            MountError::NotPermitted,
            MountError::FusermountMissing,
            MountError::AllowOtherForbidden,
        ] {
            let error = CliError::from(error);
            assert_eq!(error.exit, Exit::NoFuse);
            assert!(error.hint.is_some(), "{error:?}");
        }
    }
}
