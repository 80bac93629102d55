//! What must be, and what may be, in the mount after a kill.

use std::{collections::BTreeMap, path::Path};

use crate::rig::Error;

/// A file closed for longer than this is on the server (the documented lag of class `fsync` on a
/// healthy link is 100 ms; a loaded test machine gets more).
pub const LAG_MILLIS: u64 = 3_000;

/// The bytes of version `version` of `name`: no two versions share a prefix.
pub fn content(name: &str, version: u64, size: u64) -> Vec<u8> {
    let line = format!("{name} version {version} ");
    line.bytes().cycle().take(size as usize).collect()
}

/// One state of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub version: u64,
    /// `None` = removed.
    pub size: Option<u64>,
    /// When it was complete (milliseconds since the epoch); `None` = begun only.
    pub done: Option<u64>,
    /// fsynced before it was complete.
    pub synced: bool,
}

/// What is known of one file.
#[derive(Debug, Clone, Default)]
pub struct FileModel {
    pub kind: String,
    /// In order; the first is the newest state that surely survives.
    pub states: Vec<State>,
}

/// All files.
#[derive(Debug, Default)]
pub struct Model {
    pub files: BTreeMap<String, FileModel>,
    /// When the last kill happened.
    pub killed: u64,
}

impl Model {
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Takes in a worker's log. `killed` is the time of the kill (milliseconds since the epoch).
    pub fn absorb(&mut self, log: &Path, killed: u64) -> Result<(), Error> {
        self.killed = killed;
        let text = std::fs::read_to_string(log)?;
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let wrong = || Error::Log(line.to_owned());
            match words.as_slice() {
                ["begin", kind, name, version, size] => {
                    let version = version.parse().map_err(|_| wrong())?;
                    let size = size.parse().map_err(|_| wrong())?;
                    let removed = *kind == "gone";
                    let file = self.files.entry((*name).to_owned()).or_default();
                    if !removed {
                        (*kind).clone_into(&mut file.kind);
                    }
                    let size = (!removed).then_some(size);
                    file.states.push(State {
                        version,
                        size,
                        done: None,
                        synced: false,
                    });
                }
                ["done", _, name, version, _, millis, level] => {
                    let version: u64 = version.parse().map_err(|_| wrong())?;
                    let file = self.files.get_mut(*name).ok_or_else(wrong)?;
                    let state = file.states.last_mut().filter(|s| s.version == version);
                    let state = state.ok_or_else(wrong)?;
                    state.done = Some(millis.parse().map_err(|_| wrong())?);
                    state.synced = *level == "synced";
                }
                _ => return Err(wrong()),
            }
        }
        Ok(())
    }

    /// Index of the newest state of `file` that must have survived, and of everything after it
    /// any may be there.
    pub fn certain(&self, file: &FileModel, client_lost: bool) -> Option<usize> {
        file.states.iter().rposition(|state| match state.done {
            None => false,
            Some(_) if !client_lost || state.synced => true,
            Some(done) => done + LAG_MILLIS < self.killed,
        })
    }
}
