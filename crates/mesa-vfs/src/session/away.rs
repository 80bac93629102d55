//! What another process needs to go on with a session while the server is away.
//!
//! In memory are the names and attributes of the tree, which nobody but the server has otherwise.
//! They are written when the connection is lost, and removed before anything is acknowledged on the
//! next one: so while the file is there, the journal has everything that happened since, and no
//! other session's operations are known.
//!
//! `away.bin`: `MSA1`, crc32c of all that follows (u32 LE), length (u32 LE) and JSON of [`Facts`],
//! length (u32 LE) and protobuf `OpenHeadResponse` without session and token, protobuf `NodeBatch`
//! with the directories that are in memory, parents first, and small contents that are.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use mesa_proto::{convert::content_from_wire, v1};
use prost::Message;
use serde::{Deserialize, Serialize};

use super::{ClientSeq, LeaseState, Session, identity::Identity};

const FILE: &str = "away.bin";
const MAGIC: &[u8; 4] = b"MSA1";
/// Ids left out after the last one known to be used: unnamed files may have got some before the end
/// of the connection was known, when the journal does not tell of them.
const IDS_SPARED: u64 = 256;
/// Bytes of files written along.
const CONTENTS_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    session: String,
    /// The exclusive lease, if it is held.
    lease: Option<u64>,
    /// Own operations that the tree has already.
    included: u64,
    head_seq: u64,
    /// File ids in reserve: first and count.
    ids: Vec<(u64, u32)>,
}

/// A tree as of some own operation.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeSnapshot {
    /// The root's own attributes.
    pub root: v1::Node,
    /// Directories in memory, parents first.
    pub dirs: Vec<v1::DirListing>,
    /// The last own operation in it.
    pub included: ClientSeq,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Away {
    facts: Facts,
    answer: v1::OpenHeadResponse,
    nodes: v1::NodeBatch,
}

impl Away {
    /// The server's last answer to OpenHead, as if it had given it when the tree was written.
    pub(super) fn answer(&self, identity: &Identity, acked: ClientSeq) -> v1::OpenHeadResponse {
        v1::OpenHeadResponse {
            session: identity.session.clone(),
            resume_token: identity.token().into(),
            acked_client_seq: acked.0,
            head_seq: self.facts.head_seq,
            ids: None,
            resumed: true,
            ..self.answer.clone()
        }
    }

    /// The exclusive lease, if it was held.
    pub fn lease(&self) -> Option<u64> {
        self.facts.lease
    }

    /// The last own operation that [`Away::nodes`] includes.
    pub fn included(&self) -> ClientSeq {
        ClientSeq(self.facts.included)
    }

    /// The directories.
    pub fn nodes(&self) -> &v1::NodeBatch {
        &self.nodes
    }

    /// File ids in reserve, without those that operations since then `used`.
    pub(super) fn ids(&self, used: &[u64]) -> Vec<v1::IdRange> {
        let left = |&(first, count): &(u64, u32)| {
            let end = first.checked_add(u64::from(count))?;
            let last = used.iter().filter(|id| (first..end).contains(id)).max();
            let from = last
                .map_or(first, |last| last + 1)
                .saturating_add(IDS_SPARED);
            (from < end).then(|| v1::IdRange {
                first: from,
                count: (end - from) as u32,
            })
        };
        self.facts.ids.iter().filter_map(left).collect()
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        out.extend([0; 4]);
        for part in [
            serde_json::to_vec(&self.facts)?,
            self.answer.encode_to_vec(),
        ] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            out.extend(length.to_le_bytes());
            out.extend(part);
        }
        self.nodes.encode(&mut out).map_err(io::Error::other)?;
        let crc = crc32c::crc32c(&out[8..]).to_le_bytes();
        out[4..8].copy_from_slice(&crc);
        Ok(out)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_at_checked(4)?;
        let (crc, mut rest) = rest.split_at_checked(4)?;
        if magic != MAGIC || crc != crc32c::crc32c(rest).to_le_bytes() {
            return None;
        }
        let mut part = || {
            let (length, tail) = rest.split_at_checked(4)?;
            let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
            let (part, tail) = tail.split_at_checked(length)?;
            rest = tail;
            Some(part)
        };
        let (facts, answer) = (part()?, part()?);
        Some(Self {
            facts: serde_json::from_slice(facts).ok()?,
            answer: v1::OpenHeadResponse::decode(answer).ok()?,
            nodes: v1::NodeBatch::decode(rest).ok()?,
        })
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// What there is for this session.
pub(super) fn load(dir: &Path, identity: &Identity) -> Option<Away> {
    let bytes = std::fs::read(path(dir)).ok()?;
    let away = Away::decode(&bytes);
    if away.is_none() {
        tracing::warn!("away.bin is damaged");
    }
    away.filter(|away| away.facts.session == identity.session)
}

/// The server is there again.
pub(super) fn remove(dir: &Path) {
    match std::fs::remove_file(path(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!(%error, "cannot remove away.bin");
        }
        _ => {}
    }
}

/// The connection was lost.
pub(super) async fn store(session: &Arc<Session>) {
    let me = Arc::clone(session);
    match tokio::task::spawn_blocking(move || write(&me)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot write away.bin"),
        Err(_) => tracing::error!("writing away.bin failed"),
    }
}

fn write(session: &Session) -> io::Result<()> {
    let Some(mut tree) = session.sink().and_then(|sink| sink.snapshot()) else {
        return Ok(());
    };
    add_contents(session, &mut tree);
    let away = {
        let core = session.core.lock();
        let held = core.lease.state == LeaseState::Exclusive && !core.lease.returning;
        Away {
            facts: Facts {
                session: core.identity.session.clone(),
                lease: held.then_some(core.lease.number),
                included: tree.included.0,
                head_seq: core.head_seq,
                ids: core.ids.ranges(),
            },
            answer: v1::OpenHeadResponse {
                session: String::new(),
                resume_token: bytes::Bytes::new(),
                root: Some(tree.root),
                ..core.answer.clone()
            },
            nodes: v1::NodeBatch {
                head_seq: core.head_seq,
                dirs: tree.dirs,
            },
        }
    };
    let next = path(session.dir.path()).with_extension("new");
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&next)?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    file.write_all(&away.encode()?)?;
    // A machine that lost its power has no mount to go on with: nothing is synced.
    std::fs::rename(&next, path(session.dir.path()))
}

/// Small contents that are only in memory come along.
fn add_contents(session: &Session, tree: &mut TreeSnapshot) {
    let mut left = CONTENTS_BYTES_MAX;
    let entries = tree.dirs.iter_mut().flat_map(|dir| &mut dir.entries);
    for node in entries.filter_map(|entry| entry.node.as_mut()) {
        let content = content_from_wire(node.content.as_ref());
        if let (true, Ok(content)) = (node.inline.is_empty(), content)
            && let Some(bytes) = session.content().in_memory(&content)
            && bytes.len() <= left
        {
            left -= bytes.len();
            node.inline = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Away {
        Away {
            facts: Facts {
                session: "ses_1".to_owned(),
                lease: Some(3),
                included: 7,
                head_seq: 9,
                ids: vec![(100, 1000), (5000, 10)],
            },
            answer: v1::OpenHeadResponse {
                change_id: "k".to_owned(),
                ..v1::OpenHeadResponse::default()
            },
            nodes: v1::NodeBatch {
                head_seq: 9,
                dirs: vec![v1::DirListing {
                    id: 1,
                    complete: true,
                    ..v1::DirListing::default()
                }],
            },
        }
    }

    #[test]
    fn the_bytes_are_as_described() {
        let bytes = example().encode().unwrap();
        assert_eq!(Away::decode(&bytes), Some(example()));
        let json = br#"{"session":"ses_1","lease":3,"included":7,"head_seq":9,"ids":[[100,1000],[5000,10]]}"#;
        assert_eq!(&bytes[..4], b"MSA1");
        assert_eq!(bytes[8..12], (json.len() as u32).to_le_bytes());
        assert_eq!(&bytes[12..12 + json.len()], json);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Away::decode(&damaged), None, "byte {at}");
            assert_eq!(Away::decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn ids_are_not_given_out_twice() {
        let left = example().ids(&[104, 102]);
        let range = v1::IdRange {
            first: 105 + IDS_SPARED,
            count: (1100 - 105 - IDS_SPARED) as u32,
        };
        assert_eq!(left, [range]);
    }
}
