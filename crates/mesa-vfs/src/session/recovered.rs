//! Bookmarks that hold the work of lost sessions: told by this process and those after it, for as
//! long as somebody may not have seen it yet.
//!
//! `recovered.json` of the state directory: `{"version":1,"bookmarks":[{"name":...,"at_ms":...}]}`,
//! oldest first.

use std::io;

use mesa_types::Nanos;
use serde::{Deserialize, Serialize};

use super::identity::StateDir;

const FILE: &str = "recovered.json";
const VERSION: u32 = 1;
/// Told for so long.
const TOLD_MS: i64 = 30 * 24 * 3600 * 1000;
/// No more are told.
const TOLD_MAX: usize = 100;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    bookmarks: Vec<Recovered>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Recovered {
    name: String,
    at_ms: i64,
}

/// What is still told, oldest first. A file that cannot be read tells nothing: the server has all
/// of it.
pub(super) fn load(dir: &StateDir, now: Nanos) -> Vec<String> {
    let stored = read(dir, now);
    stored.into_iter().map(|bookmark| bookmark.name).collect()
}

/// The work of a lost session is in this bookmark.
pub(super) fn add(dir: &StateDir, name: &str, now: Nanos) -> io::Result<()> {
    let mut bookmarks = read(dir, now);
    bookmarks.retain(|known| known.name != name);
    bookmarks.push(Recovered {
        name: name.to_owned(),
        at_ms: now.millis(),
    });
    let surplus = bookmarks.len().saturating_sub(TOLD_MAX);
    bookmarks.drain(..surplus);
    let stored = Stored {
        version: VERSION,
        bookmarks,
    };
    let next = dir.path().join("recovered.json.new");
    std::fs::write(&next, serde_json::to_vec(&stored)?)?;
    std::fs::rename(next, dir.path().join(FILE))
}

fn read(dir: &StateDir, now: Nanos) -> Vec<Recovered> {
    let stored = std::fs::read(dir.path().join(FILE)).ok();
    let stored = stored.and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok());
    let mut bookmarks = stored
        .filter(|stored| stored.version == VERSION)
        .unwrap_or_default()
        .bookmarks;
    bookmarks.retain(|bookmark| now.millis().saturating_sub(bookmark.at_ms) < TOLD_MS);
    bookmarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_for_a_while_and_not_without_bound() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = StateDir::open(tmp.path()).unwrap();
        let at = Nanos::from_millis;
        assert!(load(&dir, at(0)).is_empty());
        add(&dir, "recovered/a", at(5)).unwrap();
        add(&dir, "recovered/b", at(7)).unwrap();
        assert_eq!(load(&dir, at(8)), ["recovered/a", "recovered/b"]);
        let stored = std::fs::read_to_string(tmp.path().join(FILE)).unwrap();
        assert_eq!(
            stored,
            r#"{"version":1,"bookmarks":[{"name":"recovered/a","at_ms":5},{"name":"recovered/b","at_ms":7}]}"#
        );
        assert_eq!(load(&dir, at(5 + TOLD_MS)), ["recovered/b"]);
        for n in 0..TOLD_MAX {
            add(&dir, &format!("recovered/{n}"), at(9)).unwrap();
        }
        assert_eq!(load(&dir, at(10)).len(), TOLD_MAX);
        std::fs::write(tmp.path().join(FILE), b"{").unwrap();
        assert!(load(&dir, at(10)).is_empty());
    }
}
