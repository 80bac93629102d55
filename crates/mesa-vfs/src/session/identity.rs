//! Who this state directory is on the server: session id and newest resume token.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::switch::Elsewhere;
use crate::boot;

const VERSION: u32 = 1;

/// The stored identity.
const SESSION: &str = "session.json";

/// The start of the machine in which the directory was last in use.
const BOOT: &str = "boot";

/// Takes the place of `session.json` while the files of an ended session are deleted.
const CLOSED: &str = "closed.json";

/// Contents of `session.json`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    version: u32,
    /// Session id.
    pub session: String,
    /// Newest resume token, hex.
    token: String,
    /// Which `journal-<n>` directory belongs to it.
    pub journal: u64,
    /// Last head sequence known when the file was written.
    pub head_seq: u64,
    /// Set while nothing was sent since the file was written: the newest operation that may have
    /// been sent before. Later ones of the journal cannot be on the server.
    #[serde(default)]
    pub reach: Option<u64>,
    /// Id of the repo: its name may come to stand for another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Where it is, when not at the configured target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("session", &self.session)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Of a session that sent nothing yet.
    pub fn new(session: String, token: &[u8], journal: u64, head_seq: u64) -> Self {
        Self {
            version: VERSION,
            session,
            token: hex::encode(token),
            journal,
            head_seq,
            reach: Some(0),
            repo: None,
            elsewhere: None,
        }
    }

    pub fn token(&self) -> Vec<u8> {
        hex::decode(&self.token).unwrap_or_default()
    }

    /// Whether it is a session of another repo than this one.
    pub fn is_of_other(&self, repo: Option<&str>) -> bool {
        matches!((self.repo.as_deref(), repo), (Some(mine), Some(repo)) if mine != repo)
    }

    pub fn set_token(&mut self, token: &[u8]) {
        self.token = hex::encode(token);
    }
}

/// Whether it can be a session's id: it names directories here, and comes from the server.
pub(super) fn is_session_id(text: &str) -> bool {
    text.strip_prefix("ses_").is_some_and(|rest| {
        (1..=64).contains(&rest.len())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    })
}

/// A state directory, locked for this process.
pub(super) struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes and locks the directory. `WouldBlock`: another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Whether the machine was started since the directory was last in use: what was written to
    /// files and never synced may be gone. The note of the boot is not synced either: one that is
    /// cut off or missing beside a session tells the same.
    pub fn is_other_boot(&self) -> io::Result<bool> {
        let now = boot::id();
        match std::fs::read(self.path.join(BOOT)) {
            Ok(then) => Ok(then != now || now.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(self.path.join(SESSION).exists())
            }
            Err(error) => Err(error),
        }
    }

    /// Remembers the present start of the machine.
    pub fn note_boot(&self) -> io::Result<()> {
        let (path, now) = (self.path.join(BOOT), boot::id());
        if std::fs::read(&path).is_ok_and(|then| then == now) {
            return Ok(());
        }
        std::fs::write(path, now)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn journal_dir(&self, number: u64) -> PathBuf {
        self.path.join(format!("journal-{number}"))
    }

    pub fn work_dir(&self) -> PathBuf {
        self.path.join("work")
    }

    pub fn recovery_dir(&self) -> PathBuf {
        self.path.join("recovery")
    }

    /// The stored identity; `None` when there is none. A file that cannot be read is an error:
    /// going on without it would leave a journal behind.
    pub fn load(&self) -> io::Result<Option<Identity>> {
        let bytes = match std::fs::read(self.path.join(SESSION)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let identity: Identity = serde_json::from_slice(&bytes).map_err(|error| {
            let text = format!("session.json is damaged: {error}");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        if identity.version != VERSION {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "session.json was written by another version",
            ));
        }
        if !is_session_id(&identity.session) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "session.json names no session",
            ));
        }
        Ok(Some(identity))
    }

    /// Replaces the stored identity; on return it is on stable storage.
    pub fn store(&self, identity: &Identity) -> io::Result<()> {
        let next = self.path.join("session.json.new");
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&next)?;
        rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        file.write_all(&serde_json::to_vec(identity)?)?;
        file.sync_all()?;
        std::fs::rename(&next, self.path.join(SESSION))?;
        File::open(&self.path)?.sync_all()
    }

    /// Forgets the identity of a session that ended in good order: what else is here is of no use
    /// any more, until [`StateDir::emptied`].
    pub fn forget(&self) -> io::Result<()> {
        let stored = self.path.join(SESSION);
        match std::fs::rename(stored, self.path.join(CLOSED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the last session ended in good order and its files may still be here.
    pub fn is_closed(&self) -> bool {
        self.path.join(CLOSED).exists()
    }

    /// The files of the session that ended are gone.
    pub fn emptied(&self) -> io::Result<()> {
        match std::fs::remove_file(self.path.join(CLOSED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_of_the_machine_is_noticed_also_when_its_note_is_damaged() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = StateDir::open(tmp.path()).unwrap();
        assert!(!dir.is_other_boot().unwrap(), "nothing is here yet");
        dir.note_boot().unwrap();
        dir.store(&Identity::new("ses_1".into(), b"token", 3, 9))
            .unwrap();
        assert!(!dir.is_other_boot().unwrap());
        for note in [None, Some(""), Some("another start of the machine")] {
            match note {
                None => std::fs::remove_file(tmp.path().join(BOOT)).unwrap(),
                Some(text) => std::fs::write(tmp.path().join(BOOT), text).unwrap(),
            }
            assert!(dir.is_other_boot().unwrap(), "{note:?}");
        }
        dir.note_boot().unwrap();
        assert!(!dir.is_other_boot().unwrap());
    }

    #[test]
    fn identity_is_replaced_whole_and_locked() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = StateDir::open(tmp.path()).unwrap();
        assert_eq!(dir.load().unwrap(), None);
        let mut identity = Identity::new("ses_1".into(), b"token", 3, 9);
        dir.store(&identity).unwrap();
        identity.set_token(b"next");
        dir.store(&identity).unwrap();
        assert_eq!(dir.load().unwrap().unwrap().token(), b"next");
        assert!(!format!("{identity:?}").contains(&hex::encode("next")));
        assert_eq!(
            StateDir::open(tmp.path()).err().unwrap().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(dir);
        assert!(StateDir::open(tmp.path()).is_ok());
    }

    #[test]
    fn a_damaged_identity_is_an_error() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = StateDir::open(tmp.path()).unwrap();
        std::fs::write(tmp.path().join("session.json"), b"{").unwrap();
        assert!(dir.load().is_err());
    }

    #[test]
    fn ids_of_sessions_are_no_paths() {
        for good in ["ses_1", "ses_01J9ZQ4N8M5V7K3T6W2X0Y1A2B"] {
            assert!(is_session_id(good), "{good}");
        }
        let long = format!("ses_{}", "A".repeat(65));
        let bad = [
            "", "ses_", "ses_a", "ses_1/..", "../ses_1", "/ses_1", "ses_.", "ses_1\0", &long,
        ];
        for bad in bad {
            assert!(!is_session_id(bad), "{bad}");
        }
    }
}
