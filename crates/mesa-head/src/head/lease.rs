//! Who may decide: one session alone, or the server for all.

use std::collections::BTreeSet;

use mesa_proto::v1::{self, server_message::Kind};
use mesa_types::{Nanos, SessionId};

use super::turn::Turn;
use crate::error::{HeadError, HeadErrorKind, Result};

/// State of the right to write.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// The holder of the exclusive lease.
    pub exclusive: Option<Exclusive>,
    /// Sessions in shared mode.
    pub shared: BTreeSet<SessionId>,
    /// Sessions that asked while somebody else holds the exclusive lease.
    pub waiting: BTreeSet<SessionId>,
}

/// An exclusive lease.
#[derive(Debug)]
pub(crate) struct Exclusive {
    pub session: SessionId,
    pub lease: u64,
    /// Wanted back by then.
    pub recalled: Option<Nanos>,
}

impl Lease {
    /// Whether `session` holds the exclusive lease with this number.
    pub fn is_exclusive(&self, session: &SessionId, lease: u64) -> bool {
        self.exclusive
            .as_ref()
            .is_some_and(|e| e.session == *session && e.lease == lease)
    }

    /// Whether `session` may write at all now.
    pub fn holds(&self, session: &SessionId) -> bool {
        self.shared.contains(session)
            || self
                .exclusive
                .as_ref()
                .is_some_and(|e| e.session == *session)
    }
}

impl Turn<'_> {
    /// A session asks to write.
    pub fn lease_wanted(&mut self, id: &SessionId) {
        let holder = self
            .state
            .lease
            .exclusive
            .as_ref()
            .map(|e| (e.session.clone(), e.lease));
        match holder {
            Some((session, lease)) if session == *id => self.send_grant(id, lease, true),
            Some((session, _)) => {
                self.state.lease.waiting.insert(id.clone());
                self.recall(&session);
            }
            None if self.server_waits() || self.state.frozen.is_some() => {
                self.state.lease.waiting.insert(id.clone());
            }
            None if self.state.lease.shared.is_empty() => self.grant_exclusive(id),
            None => {
                self.state.lease.shared.insert(id.clone());
                self.send_grant(id, 0, false);
            }
        }
    }

    /// A session gives its right back.
    pub fn lease_returned(&mut self, id: &SessionId, returned: &v1::LeaseReturn) {
        if self.state.lease.is_exclusive(id, returned.lease) {
            self.state.lease.exclusive = None;
            if !returned.idle && (!self.state.lease.waiting.is_empty() || self.server_waits()) {
                self.state.lease.waiting.insert(id.clone());
            }
            self.drop_exclusive_row();
            self.grant_waiting();
        } else if returned.idle && self.state.lease.shared.remove(id) {
            self.upgrade_last();
        }
    }

    /// A session is gone, fenced or closed: whatever it held is free.
    pub fn lease_freed(&mut self, id: &SessionId) {
        self.state.lease.waiting.remove(id);
        if self
            .state
            .lease
            .exclusive
            .as_ref()
            .is_some_and(|e| e.session == *id)
        {
            self.state.lease.exclusive = None;
            self.drop_exclusive_row();
            self.grant_waiting();
        } else if self.state.lease.shared.remove(id) {
            self.upgrade_last();
        }
    }

    /// A session lost its stream: it decides nothing in shared mode; an exclusive lease stays,
    /// and if it was recalled there is a moment to come back.
    pub fn lease_detached(&mut self, id: &SessionId) {
        let deadline = Nanos(self.now.0 + self.head.config.gone_grace.0);
        if let Some(held) = self.state.lease.exclusive.as_mut()
            && held.session == *id
            && let Some(recalled) = held.recalled.as_mut()
        {
            *recalled = deadline;
        }
        self.state.lease.waiting.remove(id);
        if self.state.lease.shared.remove(id) {
            self.upgrade_last();
        }
    }

    /// The holder made progress or came back: it gets more time.
    pub fn extend_recall(&mut self, id: &SessionId) {
        let deadline = Nanos(self.now.0 + self.head.config.recall.0);
        if let Some(held) = self.state.lease.exclusive.as_mut()
            && held.session == *id
            && held.recalled.is_some()
        {
            held.recalled = Some(deadline);
        }
    }

    /// Tells a holder that comes back that its lease is wanted.
    pub fn repeat_recall(&mut self, id: &SessionId) {
        let Some(held) = self.state.lease.exclusive.as_ref() else {
            return;
        };
        if held.session == *id && held.recalled.is_some() {
            let lease = held.lease;
            self.extend_recall(id);
            self.send_recall(id, lease);
        }
    }

    /// Takes the lease from a holder that did not give it back in time. One that is attached is
    /// fenced. One that is gone only loses the lease: it goes on in place when it comes back,
    /// unless it decided something that the server does not have; then that is fenced when it
    /// arrives (see [`Turn::append`]).
    pub fn check_recall(&mut self) {
        let Some(held) = self.state.lease.exclusive.as_ref() else {
            return;
        };
        if held.recalled.is_none_or(|deadline| deadline > self.now) {
            return;
        }
        let id = held.session.clone();
        let session = self.state.sessions.get(&id);
        if session.is_some_and(|s| s.subscriber.is_some()) {
            self.fence(&id, "unresponsive", "the lease was not given back in time");
        } else {
            tracing::info!(session = %id, head = %self.head.id, "the lease of a session that is gone ended");
            self.lease_freed(&id);
        }
    }

    /// Ends a session's right to go on in this head. Its unacknowledged work goes to a recovery
    /// change when it resumes.
    pub fn fence(&mut self, id: &SessionId, reason: &'static str, message: &str) {
        self.state.row.epoch += 1;
        self.touch_head();
        if let Some(session) = self.state.sessions.get_mut(id) {
            reason.clone_into(&mut session.row.fenced);
            session.parked.clear();
        }
        self.touch_session(id);
        tracing::warn!(session = %id, head = %self.head.id, reason, "session fenced");
        let fenced = v1::Fenced {
            reason: reason.to_owned(),
            message: message.to_owned(),
            lost: None,
        };
        self.send(id, Kind::Fenced(fenced));
        self.end_stream(
            id,
            HeadError::new(HeadErrorKind::Conflict, "FENCED", message.to_owned()),
        );
        self.lease_freed(id);
    }

    /// Applies parked appends of sessions that may write now.
    pub async fn run_parked(&mut self) -> Result<()> {
        self.run_edits().await?;
        if self.state.frozen.is_some() || !self.state.freezers.is_empty() {
            return Ok(());
        }
        if self.state.lease.exclusive.is_none() {
            if !self.state.lease.waiting.is_empty() {
                self.grant_waiting();
            }
            self.upgrade_last();
        }
        loop {
            let ready = self.state.sessions.iter().find_map(|(id, session)| {
                let ready = !session.parked.is_empty() && self.state.lease.holds(id);
                ready.then(|| id.clone())
            });
            let Some(id) = ready else { return Ok(()) };
            let next = self
                .state
                .sessions
                .get_mut(&id)
                .and_then(|s| s.parked.pop_front());
            if let Some(parked) = next {
                self.append(&id, parked.append, &parked.access).await?;
            }
        }
    }

    /// The server itself wants to write, or to hold the head still: nobody may decide alone.
    pub fn recall_for_server(&mut self) {
        if let Some(held) = &self.state.lease.exclusive {
            let holder = held.session.clone();
            self.recall(&holder);
        }
    }

    fn server_waits(&self) -> bool {
        !self.state.edits.is_empty()
            || self.state.leftovers.is_some()
            || !self.state.freezers.is_empty()
    }

    fn recall(&mut self, holder: &SessionId) {
        let config = &self.head.config;
        let session = self.state.sessions.get(holder);
        let attached = session.is_some_and(|s| s.subscriber.is_some());
        let deadline = match session {
            Some(_) if attached => self.now.0 + config.recall.0,
            Some(session) if session.was_attached => session.detached.0 + config.gone_grace.0,
            Some(session) => session.detached.0 + config.lease_ttl.0,
            None => self.now.0 + config.lease_ttl.0,
        };
        let Some(held) = self.state.lease.exclusive.as_mut() else {
            return;
        };
        if held.recalled.is_none() {
            held.recalled = Some(Nanos(deadline));
            let lease = held.lease;
            if attached {
                self.send_recall(holder, lease);
            }
        }
    }

    fn send_recall(&mut self, id: &SessionId, lease: u64) {
        let deadline_ms = u32::try_from(self.head.config.recall.millis()).unwrap_or(u32::MAX);
        self.send(
            id,
            Kind::LeaseRecall(v1::LeaseRecall { lease, deadline_ms }),
        );
    }

    fn send_grant(&mut self, id: &SessionId, lease: u64, exclusive: bool) {
        let head_seq = self.state.row.seq;
        self.send(
            id,
            Kind::LeaseGrant(v1::LeaseGrant {
                lease,
                exclusive,
                head_seq,
            }),
        );
    }

    fn grant_exclusive(&mut self, id: &SessionId) {
        self.state.row.lease += 1;
        id.as_str().clone_into(&mut self.state.row.lease_session);
        self.touch_head();
        let lease = self.state.row.lease;
        self.state.lease.exclusive = Some(Exclusive {
            session: id.clone(),
            lease,
            recalled: None,
        });
        self.send_grant(id, lease, true);
    }

    fn drop_exclusive_row(&mut self) {
        self.state.row.lease_session.clear();
        self.touch_head();
    }

    /// Nobody holds the exclusive lease: those who wait get theirs.
    pub fn grant_waiting(&mut self) {
        if self.server_waits() || self.state.frozen.is_some() {
            return;
        }
        let waiting = std::mem::take(&mut self.state.lease.waiting);
        let attached = |id: &SessionId| {
            let session = self.state.sessions.get(id);
            session.is_some_and(|s| s.subscriber.is_some() && s.row.fenced.is_empty())
        };
        let waiting: Vec<_> = waiting.into_iter().filter(attached).collect();
        match waiting.as_slice() {
            [] => {}
            [only] if self.state.lease.shared.is_empty() => self.grant_exclusive(only),
            several => {
                for id in several {
                    self.state.lease.shared.insert(id.clone());
                    self.send_grant(id, 0, false);
                }
            }
        }
    }

    /// One session is left in shared mode: it decides alone again.
    fn upgrade_last(&mut self) {
        if self.server_waits() || self.state.frozen.is_some() {
            return;
        }
        if self.state.lease.shared.len() == 1
            && let Some(last) = self.state.lease.shared.pop_first()
        {
            self.grant_exclusive(&last);
        }
    }
}
