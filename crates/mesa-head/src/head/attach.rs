//! Sessions coming and going: new ones, resumed ones, their streams.

use std::collections::BTreeSet;

use mesa_meta::{Range, Table};
use mesa_proto::v1::{self, server_message::Kind};
use mesa_types::{BookmarkName, Nanos, SessionId};

use super::{
    command::{HeadFacts, Resumed},
    fanout::{Attached, Subscriber},
    recent::last_seq,
    session::{Session, Token, token_hash},
    turn::Turn,
};
use crate::{
    error::{HeadError, Result},
    rows::{self, IdSpan, SessionRow},
    wire,
};

/// A session without a stream leaves memory after this long; its row stays.
const DETACHED_KEPT: Nanos = Nanos(600 * 1_000_000_000);

impl Turn<'_> {
    /// In a recovery head, the ids of the lost session count.
    pub async fn adopt_ids(&mut self, row: &mut SessionRow) -> Result<()> {
        let Ok(lost) = self.state.row.adopts.parse::<SessionId>() else {
            return Ok(());
        };
        let key = rows::session_key(self.head.org(), &lost);
        let meta = self.head.catalog.meta();
        if let Some(stored) = meta.get(Table::Sessions, &key).await? {
            let lost: SessionRow = rows::decode(&stored.value)?;
            row.ranges.splice(0..0, lost.ranges);
        }
        Ok(())
    }

    pub async fn new_ids(&self, count: u32) -> Result<IdSpan> {
        let (org, catalog) = (self.head.org(), &self.head.catalog);
        let repo = catalog.living_repo(org, &self.head.repo).await?;
        let first = catalog.allocate_file_ids(org, &repo, count).await?;
        Ok(IdSpan {
            first: first.0,
            count: count.into(),
        })
    }

    pub async fn resume(
        &mut self,
        id: &SessionId,
        token: &[u8],
        last_client_seq: u64,
        give_up: bool,
    ) -> Result<Result<Resumed>> {
        if !self.load_session(id).await? {
            return Ok(Err(HeadError::no_session()));
        }
        let mut reason = self.judge(id, token, last_client_seq);
        if give_up && reason.is_none() {
            self.fence(id, "given up", "the client cannot go on in this head");
            reason = self.judge(id, token, last_client_seq);
        }
        let facts = self.facts();
        let span = match self.state.sessions.get(id) {
            Some(session) if reason.is_none() && !session.row.read_only => {
                // Which ids of the old range the client gave away is not known for sure.
                Some(self.new_ids(self.head.config.ids_default).await?)
            }
            _ => None,
        };
        let Some(session) = self.state.sessions.get_mut(id) else {
            return Ok(Err(HeadError::no_session()));
        };
        if let Some(reason) = reason {
            let row = Box::new(session.row.clone());
            return Ok(Ok(Resumed::Lost { reason, row }));
        }
        if session.token(token) == Token::Next {
            session.confirm_token();
        }
        if let Some(span) = span {
            session.add_range(span);
        }
        let row = Box::new(session.row.clone());
        let acked_client_seq = row.acked_client_seq;
        self.touch_session(id);
        Ok(Ok(Resumed::InPlace {
            at: Box::new(facts),
            acked_client_seq,
            row,
        }))
    }

    /// Why a session cannot go on with this token; `None` if it can.
    fn judge(&self, id: &SessionId, token: &[u8], last_client_seq: u64) -> Option<&'static str> {
        let session = self.state.sessions.get(id)?;
        let life = self.head.config.session_life.0;
        if !session.row.fenced.is_empty() {
            return Some(match session.row.fenced.as_str() {
                "digest" | "forked" => "forked",
                _ => "head_moved",
            });
        }
        if session.token(token) == Token::Stale {
            return Some("forked");
        }
        if last_client_seq < session.row.acked_client_seq {
            // The head has operations that this client never sent: another copy of it did.
            return Some("forked");
        }
        (self.now.0 - session.row.seen_ns > life).then_some("expired")
    }

    pub async fn attach(&mut self, id: &SessionId, hello: &v1::Hello) -> Result<Result<Attached>> {
        if self.state.stopping {
            return Ok(Err(HeadError::gone()));
        }
        if !self.load_session(id).await? {
            return Ok(Err(HeadError::no_session()));
        }
        if let Some(reason) = self.judge(id, &hello.resume_token, hello.last_client_seq) {
            let message = format!("the session cannot go on here: {reason}");
            return Ok(Err(HeadError::conflict("SESSION_LOST", message)));
        }
        self.end_stream_now(id);
        let mut fresh = [0; 32];
        self.head.catalog.random().fill(&mut fresh);
        self.state.streams += 1;
        let stream = self.state.streams;
        let config = &self.head.config;
        let (subscriber, attached) = Attached::pair(
            (id.clone(), self.head.repo.clone()),
            stream,
            self.head.commands.clone(),
            config.queue_messages,
            config.queue_bytes,
        );
        let head_seq = self.state.row.seq;
        let missed = (hello.head_seq <= head_seq)
            .then(|| self.state.recent.after(hello.head_seq))
            .flatten()
            .filter(|missed| missed.len() + 16 < config.queue_messages)
            .filter(|missed| missed.iter().map(|e| e.ops.len()).sum::<usize>() < 10_000);
        let now = self.now;
        let Some(session) = self.state.sessions.get_mut(id) else {
            return Ok(Err(HeadError::no_session()));
        };
        if session.token(&hello.resume_token) == Token::Next {
            session.confirm_token();
        }
        session.row.next_token = token_hash(&fresh);
        session.row.seen_ns = now.0;
        session.subscriber = Some(subscriber);
        session.was_attached = true;
        session.resend_from = None;
        let acked_client_seq = session.row.acked_client_seq;
        self.touch_session(id);
        self.send(
            id,
            Kind::HelloAck(v1::HelloAck {
                resume_token: bytes::Bytes::copy_from_slice(&fresh),
                acked_client_seq,
                head_seq,
                replay_events: missed.is_some(),
                moved_seq: self.state.row.moved_seq,
            }),
        );
        for entry in missed.unwrap_or_default() {
            if entry.session != id.as_str() && last_seq(&entry) > hello.head_seq {
                let entry = Some((*entry).clone());
                self.send(id, Kind::Event(v1::Event { entry }));
            }
        }
        self.repeat_recall(id);
        Ok(Ok(attached))
    }

    pub async fn close(&mut self, id: &SessionId, token: &[u8]) -> Result<Result<()>> {
        if !self.load_session(id).await? {
            return Ok(Err(HeadError::no_session()));
        }
        let good = self
            .state
            .sessions
            .get(id)
            .is_some_and(|session| session.token(token) != Token::Stale);
        if !good {
            return Ok(Err(HeadError::conflict(
                "SESSION_LOST",
                "the token is not the session's newest",
            )));
        }
        self.forget_session(id);
        self.shorten_follows().await?;
        self.discard_unused().await?;
        Ok(Ok(()))
    }

    /// Ends a session that nobody used for as long as sessions live. Answers whether it is gone.
    pub async fn expire(&mut self, id: &SessionId) -> Result<bool> {
        let before = self.now.0 - self.head.config.session_life.0;
        if self.load_session(id).await? {
            let in_use = |s: &Session| s.subscriber.is_some() || s.row.seen_ns >= before;
            if self.state.sessions.get(id).is_some_and(in_use) {
                return Ok(false);
            }
        }
        self.forget_session(id);
        self.shorten_follows().await?;
        self.discard_unused().await?;
        Ok(true)
    }

    fn forget_session(&mut self, id: &SessionId) {
        self.end_stream_now(id);
        self.lease_freed(id);
        self.state.sessions.remove(id);
        let org = self.head.org();
        self.batch
            .delete(Table::Sessions, rows::session_key(org, id));
        let member = rows::member_key(org, &self.head.id, id);
        self.batch.delete(Table::Heads, member);
        self.sessions_gone.insert(id.clone());
    }

    /// Only bookmarks that a session of the head still follows go along with it.
    pub async fn shorten_follows(&mut self) -> Result<()> {
        if self.state.row.follows.is_empty() {
            return Ok(());
        }
        let (followed, any) = self.followed().await?;
        let before = self.state.row.follows.len();
        let row = &mut self.state.row;
        row.follows.retain(|name| followed.contains(name));
        let mut dropped = Vec::new();
        // Who opens the bookmark next goes on here if nobody else can write here.
        if let Some(pending) = row.pending.as_mut().filter(|_| any) {
            let bookmarks = std::mem::take(&mut pending.bookmarks);
            (pending.bookmarks, dropped) = bookmarks
                .into_iter()
                .partition(|name| followed.contains(name));
        }
        if self.state.row.follows.len() < before || !dropped.is_empty() {
            self.touch_head();
        }
        for name in dropped {
            if let Ok(name) = name.parse::<BookmarkName>() {
                let key = rows::pending_key(self.head.org(), &self.head.repo, &name);
                self.drop_pending_key(key).await?;
            }
        }
        Ok(())
    }

    /// The bookmark a session follows.
    pub fn followed_by(&self, id: &SessionId) -> Option<String> {
        let row = &self.state.sessions.get(id)?.row;
        (!row.isolated && !row.bookmark.is_empty()).then(|| row.bookmark.clone())
    }

    /// The bookmarks that sessions of the head follow, and whether it has any session.
    async fn followed(&self) -> Result<(BTreeSet<String>, bool)> {
        let (mut followed, mut any) = (BTreeSet::new(), false);
        for (_, row) in self.members().await? {
            any |= row.fenced.is_empty();
            if row.fenced.is_empty() && !row.isolated && !row.bookmark.is_empty() {
                followed.insert(row.bookmark);
            }
        }
        Ok((followed, any))
    }

    /// The sessions of the head.
    pub async fn members(&self) -> Result<Vec<(SessionId, SessionRow)>> {
        const STEP: usize = 256;
        let (org, head) = (self.head.org(), &self.head.id);
        let meta = self.head.catalog.meta();
        // Those that came in this turn are not stored yet.
        let known = self.state.sessions.iter();
        let mut members: Vec<_> = known
            .map(|(id, session)| (id.clone(), session.row.clone()))
            .collect();
        let mut range = Range::prefix(rows::member_prefix(org, head));
        loop {
            let page = meta.scan(Table::Heads, &range, STEP, false).await?;
            let ids = page.iter();
            let ids = ids.filter_map(|entry| rows::member_of(org, head, &entry.key));
            let unknown = |id: &SessionId| {
                !self.sessions_gone.contains(id) && !self.state.sessions.contains_key(id)
            };
            let ids: Vec<_> = ids.filter(unknown).collect();
            let keys: Vec<_> = ids.iter().map(|id| rows::session_key(org, id)).collect();
            let stored = meta.get_many(Table::Sessions, &keys).await?;
            for (id, stored) in ids.into_iter().zip(stored) {
                if let Some(stored) = stored {
                    members.push((id, rows::decode(&stored.value)?));
                }
            }
            match page.last() {
                Some(last) if page.len() == STEP => {
                    let mut start = last.key.0.to_vec();
                    start.push(0);
                    range.start = mesa_meta::Key(start.into());
                }
                _ => return Ok(members),
            }
        }
    }

    /// A head whose change does not exist vanishes with its last session.
    pub async fn discard_unused(&mut self) -> Result<()> {
        let Some(pending) = self.state.row.pending.clone() else {
            return Ok(());
        };
        if !self.state.sessions.is_empty() || self.state.is_unsealed() {
            return Ok(());
        }
        let (org, head) = (self.head.org(), &self.head.id);
        if self.state.row.seq > 0 {
            // It had changes before: their operations are kept for their time.
            let log = Range::prefix(rows::log_prefix(org, head));
            let meta = self.head.catalog.meta();
            if !meta.scan(Table::OpLog, &log, 1, false).await?.is_empty() {
                return Ok(());
            }
        }
        let prefix = rows::member_prefix(org, head);
        let meta = self.head.catalog.meta();
        // Those that end in this turn are still stored.
        let look = self.sessions_gone.len() + 1;
        let stored = meta
            .scan(Table::Heads, &Range::prefix(prefix), look, false)
            .await?;
        let gone: BTreeSet<_> = self
            .sessions_gone
            .iter()
            .map(|id| rows::member_key(org, head, id))
            .collect();
        if stored.iter().any(|row| !gone.contains(&row.key)) {
            return Ok(());
        }
        for name in &pending.bookmarks {
            let Ok(name) = name.parse::<BookmarkName>() else {
                continue;
            };
            let key = rows::pending_key(org, &self.head.repo, &name);
            self.drop_pending_key(key).await?;
        }
        self.discarded = true;
        Ok(())
    }

    /// What `OpenHead` says about this head.
    pub fn facts(&self) -> HeadFacts {
        let root = self.state.tree.root();
        HeadFacts {
            change: self.state.change(),
            epoch: self.state.row.epoch,
            head_seq: self.state.row.seq,
            root: self
                .state
                .tree
                .node(root)
                .map(|node| wire::node(node, self.state.tree.is_changed(root)))
                .unwrap_or_default(),
        }
    }

    /// A stream is gone. Without a number: whatever stream the session has.
    pub fn detach(&mut self, id: &SessionId, stream: Option<u64>) {
        let now = self.now;
        let Some(session) = self.state.sessions.get_mut(id) else {
            return;
        };
        if stream.is_some_and(|stream| !session.is_stream(stream)) {
            return;
        }
        session.subscriber = None;
        session.detached = now;
        session.row.seen_ns = now.0;
        session.parked.clear();
        session.resend_from = None;
        self.touch_session(id);
        self.lease_detached(id);
    }

    /// Sessions long without a stream leave memory. Before anything else of a turn: no change to
    /// their rows is waiting then.
    pub fn drop_old_sessions(&mut self) {
        let before = self.now.0 - DETACHED_KEPT.0;
        let holder = self
            .state
            .lease
            .exclusive
            .as_ref()
            .map(|e| e.session.clone());
        self.state.sessions.retain(|id, session| {
            session.subscriber.is_some()
                || session.detached.0 > before
                || holder.as_ref() == Some(id)
        });
    }

    /// Ends a session's stream in favour of another.
    fn end_stream_now(&mut self, id: &SessionId) {
        let now = self.now;
        if let Some(session) = self.state.sessions.get_mut(id)
            && let Some(old) = session.subscriber.take()
        {
            session.detached = now;
            session.parked.clear();
            old.end(HeadError::conflict(
                "ATTACHED_ELSEWHERE",
                "the session was attached again",
            ));
        }
    }

    pub fn drop_closed_streams(&mut self) {
        let closed = |s: &Session| s.subscriber.as_ref().is_some_and(Subscriber::is_closed);
        let ids: Vec<_> = self
            .state
            .sessions
            .iter()
            .filter(|(_, session)| closed(session))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            self.detach(&id, None);
        }
        // A slow reader loses its stream while messages are delivered, outside of any turn.
        let shared: Vec<_> = self
            .state
            .lease
            .shared
            .iter()
            .chain(&self.state.lease.waiting)
            .filter(|id| {
                let session = self.state.sessions.get(*id);
                session.is_none_or(|s| s.subscriber.is_none())
            })
            .cloned()
            .collect();
        for id in shared {
            self.lease_detached(&id);
        }
    }
}
