//! Taking a session's operations.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use mesa_proto::{
    append_digest,
    convert::content_to_wire,
    op_digest,
    v1::{self, server_message::Kind},
};
use mesa_types::{ChunkId, ContentRef, HeadId, KeyId, SessionId, limits};
use prost::Message;

use super::{command::Access, content::Outcome, materialize::Birth, session::Parked, turn::Turn};
use crate::{
    content::{self, Stored},
    error::{HeadError, HeadErrorKind, Result},
    load,
    op::{Op, OpKind},
    rows,
    tree::Refusal,
};

impl Turn<'_> {
    /// Takes an append. Errors are the head's; what is wrong with the append is told on the
    /// session's stream.
    pub async fn append(
        &mut self,
        id: &SessionId,
        append: v1::Append,
        access: &Access,
    ) -> Result<()> {
        let count = append.ops.len() as u64;
        let ops = match self.check_append(id, &append, access) {
            Ok(ops) => ops,
            Err(error) => {
                self.end_stream(id, error);
                return Ok(());
            }
        };
        let first = append.first_client_seq;
        let Some(session) = self.state.sessions.get_mut(id) else {
            return Ok(());
        };
        let acked = session.row.acked_client_seq;
        if session.resend_from.is_some_and(|from| first > from) {
            return Ok(());
        }
        session.resend_from = None;
        let known = (acked + 1).saturating_sub(first).min(count);
        if known > 0 {
            if !self
                .resent_ops_match(id, first, &append.ops[..known as usize])
                .await?
            {
                self.fence(
                    id,
                    "digest",
                    "an operation was sent again with another content",
                );
                return Ok(());
            }
            if known == count {
                self.acknowledge(id, acked, Vec::new());
                return Ok(());
            }
        }
        // Whoever waits to hold the head still must not wait for ever.
        let still = !self.state.freezers.is_empty() && self.state.lease.exclusive.is_none();
        if self.state.frozen.is_some() || still {
            self.park(id, append, access);
            return Ok(());
        }
        if append.lease == 0 && !self.state.lease.holds(id) {
            self.lease_wanted(id);
            if !self.state.lease.holds(id) {
                self.park(id, append, access);
                return Ok(());
            }
        }
        if append.lease != 0 && !self.state.lease.is_exclusive(id, append.lease) {
            self.fence(id, "lease", "operations of a lease that ended");
            return Ok(());
        }
        let key = match access {
            Access::Good { key, .. } | Access::Expired { key, .. } => key.clone(),
        };
        let fresh = Fresh {
            exclusive: append.lease != 0,
            first: first + known,
            ops: append.ops.into_iter().skip(known as usize).collect(),
            actors: append.actors,
            key,
        };
        self.take(id, fresh, &ops[known as usize..]).await
    }

    /// What needs neither the tree nor the log.
    fn check_append(
        &self,
        id: &SessionId,
        append: &v1::Append,
        access: &Access,
    ) -> Result<Vec<Op>> {
        let limits = &self.head.config.limits;
        let session = self
            .state
            .sessions
            .get(id)
            .ok_or_else(HeadError::no_session)?;
        if session.row.read_only {
            return Err(read_only());
        }
        match access {
            Access::Good { write: true, .. } => {}
            Access::Good { .. } => return Err(read_only()),
            Access::Expired { at, .. } => {
                if append.ops.iter().any(|op| op.time_ns > at.0) {
                    return Err(HeadError::new(
                        HeadErrorKind::Unauthenticated,
                        "CREDENTIAL_EXPIRED",
                        "the credential has expired",
                    ));
                }
            }
        }
        if append.ops.len() > limits.append_ops_max as usize
            || append.encoded_len() > limits.append_bytes_max as usize
        {
            return Err(HeadError::new(
                HeadErrorKind::Invalid,
                "APPEND_TOO_LARGE",
                "more operations in one append than the server takes",
            ));
        }
        if append.ops.is_empty() || append.first_client_seq == 0 {
            return Err(HeadError::invalid("an append without operations or number"));
        }
        if append
            .first_client_seq
            .checked_add(append.ops.len() as u64)
            .is_none()
        {
            return Err(HeadError::invalid("operation numbers run out"));
        }
        if append.digest[..] != append_digest(&append.ops) {
            return Err(HeadError::invalid("the digest does not fit the operations"));
        }
        if append.actors.len() > append.ops.len()
            || append.actors.iter().any(|a| a.exe.len() > limits::PATH_MAX)
        {
            return Err(HeadError::invalid("too many or too long actors"));
        }
        let ops: Vec<_> = append
            .ops
            .iter()
            .map(Op::from_wire)
            .collect::<Result<_, _>>()?;
        for (content, inline) in ops.iter().filter_map(Op::content) {
            if !inline.is_empty()
                && chunk_of(&content) != Some(self.head.packs.key().chunk_id(inline))
            {
                return Err(HeadError::invalid(
                    "inline bytes do not hash to the content",
                ));
            }
        }
        Ok(ops)
    }

    /// Whether operations sent again are those taken before.
    async fn resent_ops_match(&self, id: &SessionId, first: u64, ops: &[v1::Op]) -> Result<bool> {
        let mut older = None;
        for (seq, op) in (first..).zip(ops) {
            let mut digest = self.state.recent.digest(id.as_str(), seq);
            if digest.is_none() {
                if older.is_none() {
                    older = Some(self.older_digests(id, first).await?);
                }
                digest = older.as_ref().and_then(|all| all.get(&seq).copied());
            }
            if digest != Some(op_digest(op)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Digests of a session's operations from `first` on, from the stored log: this head's, and that
    /// of the one it went away from with its sessions.
    async fn older_digests(&self, id: &SessionId, first: u64) -> Result<HashMap<u64, [u8; 32]>> {
        let row = &self.state.row;
        let mut found = self.digests_in(&self.head.id, id, first).await?;
        if let Some(before) = row.before_split(row.split_seq)
            && !found.contains_key(&first)
        {
            found.extend(self.digests_in(&before, id, first).await?);
        }
        Ok(found)
    }

    async fn digests_in(
        &self,
        head: &HeadId,
        id: &SessionId,
        first: u64,
    ) -> Result<HashMap<u64, [u8; 32]>> {
        const STEP: usize = 256;
        let mut found = HashMap::new();
        let mut range = mesa_meta::Range::prefix(rows::log_prefix(self.head.org(), head));
        let mut looked = 0;
        loop {
            let meta = self.head.catalog.meta();
            let page = meta
                .scan(mesa_meta::Table::OpLog, &range, STEP, true)
                .await?;
            let end = page.len() < STEP;
            for stored in &page {
                let entry = rows::log_entry(&stored.row.value)?;
                looked += entry.ops.len();
                if entry.session == id.as_str() {
                    for (seq, op) in (entry.first_client_seq..).zip(&entry.ops) {
                        found.insert(seq, op_digest(op));
                    }
                    if entry.first_client_seq <= first {
                        return Ok(found);
                    }
                }
            }
            // Nobody resends more than the unacknowledged window.
            let window = self.head.config.limits.unacked_ops_max as usize * 4;
            match page.last() {
                Some(last) if !end && looked < window => range.end = Some(last.key.clone()),
                _ => return Ok(found),
            }
        }
    }

    fn park(&mut self, id: &SessionId, append: v1::Append, access: &Access) {
        let limits = &self.head.config.limits;
        let Some(session) = self.state.sessions.get_mut(id) else {
            return;
        };
        let parked = Parked {
            bytes: append.encoded_len() as u64,
            append,
            access: access.clone(),
        };
        let all = || session.parked.iter().chain([&parked]);
        if all().map(|p| p.append.ops.len()).sum::<usize>() > limits.unacked_ops_max as usize
            || all().map(|p| p.bytes).sum::<u64>() > limits.unacked_bytes_max
        {
            self.end_stream(
                id,
                HeadError::new(
                    HeadErrorKind::Limited,
                    "TOO_MANY_UNACKED",
                    "more operations wait than the server allows",
                ),
            );
            return;
        }
        session.parked.push_back(parked);
    }

    async fn take(&mut self, id: &SessionId, fresh: Fresh, ops: &[Op]) -> Result<()> {
        match self.missing_content(&fresh, ops).await? {
            Content::Here => {}
            Content::Missing(reject) => {
                if let Some(session) = self.state.sessions.get_mut(id) {
                    session.resend_from = Some(fresh.first);
                }
                self.send(id, Kind::Reject(reject));
                return Ok(());
            }
            Content::Wrong => {
                self.end_stream(
                    id,
                    HeadError::invalid("stored content has another size than the operation says"),
                );
                return Ok(());
            }
        }
        let mut entry = Entry::new(&fresh, id, self.now.0);
        if let Some(session) = self.state.sessions.get(id) {
            entry.entry.host.clone_from(&session.row.host);
        }
        let mut merged = Vec::new();
        for (client_seq, (op, wire)) in (fresh.first..).zip(ops.iter().zip(&fresh.ops)) {
            let seq = self.state.row.seq + 1;
            match self.apply(Some(id), op, seq).await? {
                Ok(outcome) => {
                    self.state.row.seq = seq;
                    entry.push(wire, seq, client_seq, &outcome);
                    if let Some(content) = outcome.merged {
                        merged.push(v1::Merged {
                            index: u32::try_from(client_seq).unwrap_or(u32::MAX),
                            content: Some(content_to_wire(&content)),
                            inline: outcome.merged_inline,
                        });
                    }
                }
                Err(refusal) => {
                    let done = entry.take(client_seq + 1);
                    let some = !done.ops.is_empty();
                    self.log(Some(id), done).await?;
                    if some {
                        self.acknowledge(id, client_seq - 1, std::mem::take(&mut merged));
                    }
                    if fresh.exclusive {
                        let message = format!("operation {client_seq} was refused: {refusal}");
                        self.fence(id, "refused", &message);
                        return Ok(());
                    }
                    let head_seq = self.state.row.seq;
                    self.send(
                        id,
                        Kind::Reject(v1::Reject {
                            client_seq,
                            code: refusal.code().to_owned(),
                            message: refusal.to_string(),
                            missing: Vec::new(),
                            head_seq,
                        }),
                    );
                }
            }
        }
        let some = !entry.entry.ops.is_empty();
        let last = fresh.first + ops.len() as u64 - 1;
        self.log(Some(id), entry.entry).await?;
        if some {
            self.acknowledge(id, last, merged);
            self.extend_recall(id);
        }
        Ok(())
    }

    /// Applies one operation to the tree. File ids of new nodes are a session's own; without a
    /// session they come from the server.
    pub(super) async fn apply(
        &mut self,
        id: Option<&SessionId>,
        op: &Op,
        seq: u64,
    ) -> Result<Result<Outcome, Refusal>> {
        while let Some(need) = self.state.tree.needs(op) {
            load::satisfy(&self.head.packs, &mut self.state.tree, need).await?;
        }
        if let (OpKind::Create(create), Some(id)) = (&op.kind, id) {
            let session = self.state.sessions.get_mut(id);
            // The id is spent even if the creation is refused for another reason.
            if !session.is_some_and(|s| s.take_id(create.place.id)) {
                return Ok(Err(Refusal::IdTaken));
            }
        }
        let outcome = self.resolve_content(op).await?;
        if let Err(refusal) = self.state.tree.apply(op, outcome.content, seq) {
            return Ok(Err(refusal));
        }
        if let (ContentRef::Chunk { id, .. }, false) = (&outcome.content, outcome.bytes.is_empty())
        {
            self.state.unsealed.insert(*id, outcome.bytes.clone(), seq);
        }
        self.state.last_op = self.now;
        self.state.unsealed_since.get_or_insert(self.now);
        Ok(Ok(outcome))
    }

    /// Stores an entry and tells the others.
    pub(super) async fn log(
        &mut self,
        id: Option<&SessionId>,
        mut entry: v1::LogEntry,
    ) -> Result<()> {
        if entry.ops.is_empty() {
            return Ok(());
        }
        if self.state.row.pending.is_some() {
            self.materialize(Birth::of_entry(&entry)).await?;
        }
        entry.change = self.state.row.change.clone();
        entry.digest = Bytes::copy_from_slice(&append_digest(&entry.ops));
        self.put_entry(&entry);
        self.touch_head();
        if let Some(id) = id {
            self.touch_session(id);
            if let Some(name) = self.followed_by(id) {
                let seq = self.state.row.seq;
                self.state.named.insert(name, seq);
            }
        }
        let entry = Arc::new(entry);
        self.state.recent.push(Arc::clone(&entry));
        let event = Kind::Event(v1::Event {
            entry: Some((*entry).clone()),
        });
        self.broadcast(id, &event);
        Ok(())
    }

    fn acknowledge(&mut self, id: &SessionId, client_seq: u64, merged: Vec<v1::Merged>) {
        let head_seq = self.state.row.seq;
        if let Some(session) = self.state.sessions.get_mut(id)
            && session.row.acked_client_seq < client_seq
        {
            session.row.acked_client_seq = client_seq;
            self.touch_session(id);
        }
        self.send(
            id,
            Kind::Ack(v1::Ack {
                client_seq,
                head_seq,
                merged,
            }),
        );
    }

    /// Looks for the content that does not travel along: it has to be in packs, as long as the
    /// operation says. What other operations bring does not count: one of them may be refused, and
    /// a seal leaves superseded contents out.
    async fn missing_content(&self, fresh: &Fresh, ops: &[Op]) -> Result<Content> {
        let wanted: Vec<(usize, ContentRef)> = ops
            .iter()
            .enumerate()
            .filter_map(|(index, op)| Some((index, op.content()?)))
            .filter(|(_, (_, inline))| inline.is_empty())
            .map(|(index, (content, _))| (index, content))
            .collect();
        let contents: Vec<_> = wanted.iter().map(|(_, content)| *content).collect();
        let mut first = None;
        let mut missing = Vec::new();
        for ((index, content), stored) in wanted
            .iter()
            .zip(content::stored(&self.head.packs, &contents).await?)
        {
            match stored {
                Stored::Fits => {}
                Stored::Missing => {
                    first.get_or_insert(*index);
                    missing.extend(content.id().map(|id| Bytes::copy_from_slice(&id.0)));
                }
                Stored::Differs => return Ok(Content::Wrong),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        Ok(match first {
            None => Content::Here,
            Some(index) => Content::Missing(v1::Reject {
                client_seq: fresh.first + index as u64,
                code: "MISSING_CHUNKS".to_owned(),
                message: "content has to be uploaded first".to_owned(),
                missing,
                head_seq: self.state.row.seq,
            }),
        })
    }
}

/// Whether an append's content is all here.
enum Content {
    Here,
    Missing(v1::Reject),
    Wrong,
}

fn chunk_of(content: &ContentRef) -> Option<ChunkId> {
    match content {
        ContentRef::Chunk { id, .. } => Some(*id),
        _ => None,
    }
}

/// Operations not seen before.
struct Fresh {
    exclusive: bool,
    first: u64,
    ops: Vec<v1::Op>,
    actors: Vec<v1::Actor>,
    key: KeyId,
}

/// A log entry in the making; refused operations split it.
pub(super) struct Entry {
    pub entry: v1::LogEntry,
}

impl Entry {
    fn new(fresh: &Fresh, id: &SessionId, received_ns: i64) -> Self {
        Self {
            entry: v1::LogEntry {
                session: id.as_str().to_owned(),
                first_client_seq: fresh.first,
                actors: fresh.actors.clone(),
                key: fresh.key.as_str().to_owned(),
                received_ns,
                origin: "mount".to_owned(),
                ..v1::LogEntry::default()
            },
        }
    }

    pub fn push(&mut self, op: &v1::Op, seq: u64, client_seq: u64, outcome: &Outcome) {
        let index = self.entry.ops.len() as u32;
        if index == 0 {
            self.entry.first_seq = seq;
            self.entry.first_client_seq = client_seq;
        }
        self.entry.ops.push(op.clone());
        if let Some(content) = &outcome.merged {
            self.entry.merged.push(v1::Merged {
                index,
                content: Some(content_to_wire(content)),
                inline: outcome.merged_inline.clone(),
            });
        }
        if let Some((loser, inline)) = &outcome.overwrote {
            self.entry.overwrites.push(v1::Overwrite {
                index,
                loser: Some(content_to_wire(loser)),
                loser_inline: inline.clone(),
            });
        }
    }

    /// The entry so far; what follows begins at `client_seq`.
    fn take(&mut self, client_seq: u64) -> v1::LogEntry {
        let next = v1::LogEntry {
            ops: Vec::new(),
            merged: Vec::new(),
            overwrites: Vec::new(),
            first_seq: 0,
            first_client_seq: client_seq,
            ..self.entry.clone()
        };
        std::mem::replace(&mut self.entry, next)
    }
}

fn read_only() -> HeadError {
    HeadError::new(
        HeadErrorKind::Forbidden,
        "READ_ONLY",
        "the session or its credential allows no writing",
    )
}
