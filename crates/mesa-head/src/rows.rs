//! Rows of the live layer.
//!
//! | table | key | value |
//! |---|---|---|
//! | `heads` | `org, "h", head` | [`HeadRow`] |
//! | `heads` | `org, "p", repo, bookmark` | id of the pending head of the bookmark |
//! | `heads` | `org, "s", head, session` | empty: the session belongs to the head |
//! | `heads` | `org, "b", head, seq (u64)` | [`BaseRow`]: a base the head had |
//! | `heads` | `org, "c", change (16)` | [`SpanRow`]: where the operations of a change that its head left are |
//! | `heads` | `org, "u", head, first_seq (u64)` | [`UndoneRow`]: what undid an action |
//! | `sessions` | `org, session` | [`SessionRow`] |
//! | `oplog` | `org, head, first_seq (u64)` | [`v1::LogEntry`] |
//! | `git_map` | `org, content id (32)` | blob oid (20 bytes) |
//!
//! Values are a version byte (1) and an encoded protobuf message; fields are only ever added.

use bytes::{BufMut, Bytes, BytesMut};
use mesa_meta::{Key, KeyBuf};
use mesa_proto::v1;
use mesa_types::{BookmarkName, ChangeId, HeadId, ObjectId, OrgId, RepoId, SessionId};
use prost::Message;

use crate::error::{HeadError, Result};

const VERSION: u8 = 1;

/// State of a head; its version fences servers that lost it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeadRow {
    /// The repo's id.
    #[prost(string, tag = "1")]
    pub repo: String,
    /// The change, 16 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub change: Bytes,
    /// Counts takeovers and fences.
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    /// Sequence of the last operation.
    #[prost(uint64, tag = "4")]
    pub seq: u64,
    /// Everything up to here is in `base`.
    #[prost(uint64, tag = "5")]
    pub sealed_seq: u64,
    /// Snapshot root object; empty = the empty tree.
    #[prost(bytes = "bytes", tag = "6")]
    pub base: Bytes,
    /// Oids of the parents of the change's commits.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub parent_commits: Vec<Bytes>,
    /// Generation of the change's commits.
    #[prost(uint64, tag = "8")]
    pub generation: u64,
    /// Hidden: the change is created by the first operation.
    #[prost(message, optional, tag = "9")]
    pub pending: Option<Pending>,
    /// Session with the exclusive lease; empty = none.
    #[prost(string, tag = "10")]
    pub lease_session: String,
    /// Number of the newest lease given.
    #[prost(uint64, tag = "11")]
    pub lease: u64,
    /// `Root::snap` of the newest commit; empty = no commit yet.
    #[prost(bytes = "bytes", tag = "12")]
    pub commit_snap: Bytes,
    /// The newest commit of the change; empty = none.
    #[prost(bytes = "bytes", tag = "13")]
    pub commit: Bytes,
    /// When it was created.
    #[prost(sint64, tag = "14")]
    pub created_ns: i64,
    /// A recovery head: file ids of this session are valid here.
    #[prost(string, tag = "15")]
    pub adopts: String,
    /// Bookmarks that sessions of the head follow: they go along to its next change.
    #[prost(string, repeated, tag = "16")]
    pub follows: Vec<String>,
    /// The change's description is newer than its commit.
    #[prost(bool, tag = "17")]
    pub recommit: bool,
    /// The changes it had before, oldest first; the newest 64 of them. Of one that never existed,
    /// the change it was to be on top of.
    #[prost(message, repeated, tag = "18")]
    pub past: Vec<PastChange>,
    /// Conflicts that a write of the server's left, until the next seal: their object. Empty: those
    /// of `base`.
    #[prost(bytes = "bytes", tag = "19")]
    pub conflicts: Bytes,
    /// A write of the server's left no conflicts; until the next seal.
    #[prost(bool, tag = "20")]
    pub no_conflicts: bool,
    /// Sequence of the step with which the head last got another base than its own seals'; 0 = it
    /// never did.
    #[prost(uint64, tag = "21")]
    pub moved_seq: u64,
    /// The head that it went away from; empty = none.
    #[prost(string, tag = "22")]
    pub split_from: String,
    /// What is numbered up to here is in that head's log.
    #[prost(uint64, tag = "23")]
    pub split_seq: u64,
    /// Since when `base` is the base; 0 = since it was created.
    #[prost(sint64, tag = "30")]
    pub base_ns: i64,
}

/// A base that a head had, for states of its past.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BaseRow {
    /// Everything up to here is in it.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// Snapshot root object; empty = the empty tree.
    #[prost(bytes = "bytes", tag = "2")]
    pub base: Bytes,
    /// Since when it was the base.
    #[prost(sint64, tag = "3")]
    pub at_ns: i64,
}

/// Where the operations of a change are that its head left.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SpanRow {
    /// The head.
    #[prost(string, tag = "1")]
    pub head: String,
    /// They come after this one ...
    #[prost(uint64, tag = "2")]
    pub after: u64,
    /// ... and end with this one.
    #[prost(uint64, tag = "3")]
    pub to: u64,
}

/// The action an undo undid.
pub use v1::Undone as UndoneAction;

/// What undid an action.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UndoneRow {
    /// First operation of the undo.
    #[prost(uint64, tag = "1")]
    pub by: u64,
    /// Head it was written to; empty: the same.
    #[prost(string, tag = "2")]
    pub head: String,
}

/// Changes a head remembers.
pub const PAST_MAX: usize = 64;

/// A change that a head left.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PastChange {
    /// The change, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub change: Bytes,
    /// Its last commit.
    #[prost(bytes = "bytes", tag = "2")]
    pub commit: Bytes,
    /// Generation of that commit.
    #[prost(uint64, tag = "3")]
    pub generation: u64,
    /// Its snapshot's root object; empty = the empty tree.
    #[prost(bytes = "bytes", tag = "4")]
    pub root: Bytes,
    /// Everything up to here is in it.
    #[prost(uint64, tag = "5")]
    pub seq: u64,
    /// The head's own change never existed: this is the one it was to be on top of.
    #[prost(bool, tag = "6")]
    pub parent: bool,
}

/// A change that does not exist yet.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pending {
    /// Its parent changes, 16 bytes each.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub parents: Vec<Bytes>,
    /// The bookmarks that will move to it.
    #[prost(string, repeated, tag = "2")]
    pub bookmarks: Vec<String>,
}

impl HeadRow {
    /// The head whose log has the operation `seq`, if that is not its own.
    pub fn before_split(&self, seq: u64) -> Option<HeadId> {
        let from = self.split_from.parse().ok();
        from.filter(|_| seq <= self.split_seq)
    }
}

impl Pending {
    /// The first parent: what its bookmarks name meanwhile.
    pub fn parent(&self) -> ChangeId {
        self.parents
            .first()
            .and_then(|id| id[..].try_into().ok())
            .map_or(ChangeId::ROOT, ChangeId)
    }
}

/// A session.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionRow {
    /// The head's id.
    #[prost(string, tag = "1")]
    pub head: String,
    /// The repo's id.
    #[prost(string, tag = "2")]
    pub repo: String,
    /// The key that opened it.
    #[prost(string, tag = "3")]
    pub key: String,
    /// Operations up to here are in the head.
    #[prost(uint64, tag = "4")]
    pub acked_client_seq: u64,
    /// BLAKE3 of the resume token known to be kept by the client.
    #[prost(bytes = "bytes", tag = "5")]
    pub token: Bytes,
    /// BLAKE3 of the token given last, until the client has proved that it kept it.
    #[prost(bytes = "bytes", tag = "6")]
    pub next_token: Bytes,
    /// File ids granted.
    #[prost(message, repeated, tag = "7")]
    pub ranges: Vec<IdSpan>,
    /// File ids of them that were used.
    #[prost(message, repeated, tag = "8")]
    pub used: Vec<IdSpan>,
    /// When it was opened.
    #[prost(sint64, tag = "9")]
    pub created_ns: i64,
    /// When it was last attached.
    #[prost(sint64, tag = "10")]
    pub seen_ns: i64,
    /// Why it was fenced; empty = it was not.
    #[prost(string, tag = "11")]
    pub fenced: String,
    /// Recovery changes made for it.
    #[prost(uint32, tag = "12")]
    pub recoveries: u32,
    /// Client program.
    #[prost(string, tag = "13")]
    pub client: String,
    /// Host name.
    #[prost(string, tag = "14")]
    pub host: String,
    /// Cannot write.
    #[prost(bool, tag = "15")]
    pub read_only: bool,
    /// The bookmark it follows; empty = none.
    #[prost(string, tag = "16")]
    pub bookmark: String,
    /// It only began at the bookmark, which does not go along.
    #[prost(bool, tag = "17")]
    pub isolated: bool,
}

/// Consecutive file ids.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct IdSpan {
    /// The first.
    #[prost(fixed64, tag = "1")]
    pub first: u64,
    /// How many.
    #[prost(uint64, tag = "2")]
    pub count: u64,
}

/// Encodes a row's value.
pub fn encode<M: Message>(message: &M) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + message.encoded_len());
    out.put_u8(VERSION);
    out.put(message.encode_to_vec().as_slice());
    out.freeze()
}

/// Decodes a row's value.
pub fn decode<M: Message + Default>(value: &Bytes) -> Result<M> {
    match value.first() {
        Some(&VERSION) => M::decode(value.slice(1..))
            .map_err(|e| HeadError::corrupt("a stored row of a head is damaged").with_source(e)),
        _ => Err(HeadError::corrupt(
            "a stored row of a head has an unknown version",
        )),
    }
}

/// Key of a head.
pub fn head_key(org: &OrgId, head: &HeadId) -> Key {
    KeyBuf::new(org.as_str())
        .text("h")
        .text(head.as_str())
        .into()
}

/// Key of the pending head of a bookmark.
pub fn pending_key(org: &OrgId, repo: &RepoId, bookmark: &BookmarkName) -> Key {
    KeyBuf::new(org.as_str())
        .text("p")
        .text(repo.as_str())
        .text(bookmark.as_str())
        .into()
}

/// Key that says that a session belongs to a head.
pub fn member_key(org: &OrgId, head: &HeadId, session: &SessionId) -> Key {
    KeyBuf::new(org.as_str())
        .text("s")
        .text(head.as_str())
        .text(session.as_str())
        .into()
}

/// What the keys of all sessions of a head begin with.
pub fn member_prefix(org: &OrgId, head: &HeadId) -> Key {
    KeyBuf::new(org.as_str())
        .text("s")
        .text(head.as_str())
        .into()
}

/// The session of such a key.
pub fn member_of(org: &OrgId, head: &HeadId, key: &Key) -> Option<SessionId> {
    let rest = key.0.strip_prefix(&member_prefix(org, head).0[..])?;
    // Texts are closed by these two bytes.
    let text = std::str::from_utf8(rest.strip_suffix(&[0, 1])?).ok()?;
    text.parse().ok()
}

/// What every head's key of an org begins with.
pub fn head_prefix(org: &OrgId) -> Key {
    KeyBuf::new(org.as_str()).text("h").into()
}

/// What every session's key of an org begins with.
pub fn session_prefix(org: &OrgId) -> Key {
    KeyBuf::new(org.as_str()).into()
}

/// Key of a session.
pub fn session_key(org: &OrgId, session: &SessionId) -> Key {
    KeyBuf::new(org.as_str()).text(session.as_str()).into()
}

/// Key of a base that a head had.
pub fn base_key(org: &OrgId, head: &HeadId, seq: u64) -> Key {
    KeyBuf::new(org.as_str())
        .text("b")
        .text(head.as_str())
        .u64(seq)
        .into()
}

/// What the keys of all bases of a head begin with.
pub fn base_prefix(org: &OrgId, head: &HeadId) -> Key {
    KeyBuf::new(org.as_str())
        .text("b")
        .text(head.as_str())
        .into()
}

/// Key of where the operations of a left change are.
pub fn span_key(org: &OrgId, change: &ChangeId) -> Key {
    KeyBuf::new(org.as_str()).text("c").fixed(&change.0).into()
}

/// Key of what undid the action that begins with operation `first`.
pub fn undone_key(org: &OrgId, head: &HeadId, first: u64) -> Key {
    KeyBuf::new(org.as_str())
        .text("u")
        .text(head.as_str())
        .u64(first)
        .into()
}

/// What the keys of all undone actions of a head begin with.
pub fn undone_prefix(org: &OrgId, head: &HeadId) -> Key {
    KeyBuf::new(org.as_str())
        .text("u")
        .text(head.as_str())
        .into()
}

/// Key of the log row whose first operation is `seq`.
pub fn log_key(org: &OrgId, head: &HeadId, seq: u64) -> Key {
    KeyBuf::new(org.as_str())
        .text(head.as_str())
        .u64(seq)
        .into()
}

/// What every log row of a head begins with.
pub fn log_prefix(org: &OrgId, head: &HeadId) -> Key {
    KeyBuf::new(org.as_str()).text(head.as_str()).into()
}

/// Key of the git oid of a content.
pub fn git_key(org: &OrgId, content: ObjectId) -> Key {
    KeyBuf::new(org.as_str()).fixed(&content.0).into()
}

/// Decodes a log row.
pub fn log_entry(value: &Bytes) -> Result<v1::LogEntry> {
    decode(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_read_back_from_its_key() {
        let (org, head) = (OrgId::from_unique("1"), HeadId::from_unique("2"));
        let session = SessionId::from_unique("3");
        let key = member_key(&org, &head, &session);
        assert_eq!(member_of(&org, &head, &key), Some(session));
        assert_eq!(member_of(&org, &HeadId::from_unique("4"), &key), None);
    }

    #[test]
    fn rows_carry_a_version() {
        let row = HeadRow {
            seq: 7,
            ..HeadRow::default()
        };
        let value = encode(&row);
        assert_eq!(value[0], 1);
        assert_eq!(decode::<HeadRow>(&value).unwrap(), row);
        for bad in [&b""[..], b"\x02", b"\x01\xff"] {
            assert!(decode::<HeadRow>(&Bytes::copy_from_slice(bad)).is_err());
        }
    }
}
