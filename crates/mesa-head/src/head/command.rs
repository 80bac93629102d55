//! What a head is asked to do.

use bytes::Bytes;
use mesa_proto::v1;
use mesa_repo::ChangeState;
use mesa_types::{BookmarkName, ChangeId, CommitOid, KeyId, Nanos, ObjectId, SessionId};
use tokio::sync::oneshot;

use super::{
    fanout::Attached,
    freeze::{Frozen, Thaw},
};
use crate::{
    edit::{Edit, Edited},
    error::Result,
    rows::{IdSpan, SessionRow},
    seal::Built,
};

/// Where the answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// A request to a head's task.
pub(crate) enum Command {
    /// A new session.
    Join(Box<Join>, Reply<Joined>),
    /// `OpenHead` with a resume token.
    Resume {
        session: SessionId,
        token: Bytes,
        last_client_seq: u64,
        /// The client cannot go on in this head.
        give_up: bool,
        reply: Reply<Resumed>,
    },
    /// The first message of a stream.
    Attach {
        session: SessionId,
        hello: v1::Hello,
        reply: Reply<Attached>,
    },
    /// Any other message of a stream.
    Message {
        session: SessionId,
        stream: u64,
        access: Access,
        message: v1::ClientMessage,
    },
    /// The stream is gone.
    Detach { session: SessionId, stream: u64 },
    /// A session ends in good order.
    Close {
        session: SessionId,
        token: Bytes,
        reply: Reply<()>,
    },
    /// A recovery change was made for a session.
    Recovered {
        session: SessionId,
        number: u32,
        reply: Reply<()>,
    },
    /// Ends a session that was not used for as long as sessions live.
    Expire {
        session: SessionId,
        reply: Reply<bool>,
    },
    /// Goes for good if it is pending and no session belongs to it. Answers whether it went.
    Discard(Reply<bool>),
    /// A write of the server's.
    Edit(Box<Edit>, Reply<Edited>),
    /// The change is to take no more writes; the head goes on in a new one.
    CloseChange {
        change: ChangeId,
        state: ChangeState,
        reply: Reply<ChangeId>,
    },
    /// Hold still.
    Freeze(Reply<Frozen>),
    /// Go on.
    Thaw {
        token: u64,
        thaw: Thaw,
        reply: Reply<()>,
    },
    /// Go on with a write.
    ThawWith {
        token: u64,
        edit: Box<Edit>,
        reply: Reply<Edited>,
    },
    /// Seal everything up to now. With a change: `CHANGE_LEFT` once the head has another one.
    Seal {
        change: Option<ChangeId>,
        reply: Reply<SealedAt>,
    },
    /// A seal that ran beside the head has its objects.
    Built(Box<Result<Built>>),
    /// Seal and leave memory.
    Stop(Reply<()>),
}

/// What the credential of a message permits.
#[derive(Debug, Clone)]
pub enum Access {
    /// It is good.
    Good {
        /// The key.
        key: KeyId,
        /// It permits writing.
        write: bool,
    },
    /// It expired a short while ago: only what was journalled before is taken.
    Expired {
        /// The key.
        key: KeyId,
        /// When.
        at: Nanos,
    },
}

/// A session to be made.
pub(crate) struct Join {
    pub session: SessionId,
    pub row: SessionRow,
    /// The bookmark that goes along with what the session writes.
    pub follows: Option<BookmarkName>,
}

/// A session made.
pub(crate) struct Joined {
    pub at: HeadFacts,
}

/// A session that goes on.
pub(crate) enum Resumed {
    /// In place.
    InPlace {
        at: Box<HeadFacts>,
        acked_client_seq: u64,
        row: Box<SessionRow>,
    },
    /// Not: the row and the reason.
    Lost {
        reason: &'static str,
        row: Box<SessionRow>,
    },
}

/// What `OpenHead` says about a head.
pub(crate) struct HeadFacts {
    pub change: ChangeId,
    pub epoch: u64,
    pub head_seq: u64,
    pub root: v1::Node,
}

/// Where a head was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedAt {
    /// The change.
    pub change: ChangeId,
    /// Its newest commit; `None` while it has none (nothing was ever written).
    pub commit: Option<CommitOid>,
    /// Everything up to here is sealed.
    pub head_seq: u64,
    /// The root object.
    pub root: Option<ObjectId>,
}

impl SealedAt {
    /// Before every change.
    pub(crate) fn root() -> Self {
        Self {
            change: ChangeId::ROOT,
            commit: None,
            head_seq: 0,
            root: None,
        }
    }
}

/// A file-id range as it is sent.
pub(crate) fn wire_range(span: &IdSpan) -> v1::IdRange {
    v1::IdRange {
        first: span.first,
        count: u32::try_from(span.count).unwrap_or(u32::MAX),
    }
}
