//! A session in memory.

use std::collections::VecDeque;

use bytes::Bytes;
use mesa_proto::v1;
use mesa_types::{FileId, Nanos};

use super::{command::Access, fanout::Subscriber};
use crate::rows::{IdSpan, SessionRow};

/// Spans of used ids kept apart; beyond, gaps between them are given up.
const USED_SPANS_MAX: usize = 1024;

/// Ranges of file ids kept for one session.
const RANGES_MAX: usize = 64;

/// One client's attachment to the head.
pub(crate) struct Session {
    pub row: SessionRow,
    /// The live stream.
    pub subscriber: Option<Subscriber>,
    /// When it was last attached, while it is not.
    pub detached: Nanos,
    /// It had a stream since it is in memory.
    pub was_attached: bool,
    /// An append was refused for missing content: later ones are dropped until this number
    /// comes again.
    pub resend_from: Option<u64>,
    /// Appends that wait for shared mode.
    pub parked: VecDeque<Parked>,
}

/// An append that waits.
pub(crate) struct Parked {
    pub append: v1::Append,
    /// Its encoded length in bytes.
    pub bytes: u64,
    pub access: Access,
}

/// What a presented resume token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// The one known to be kept by the client.
    Current,
    /// The one given last.
    Next,
    /// An old one, or none of this session.
    Stale,
}

impl Session {
    pub fn new(row: SessionRow, now: Nanos) -> Self {
        Self {
            row,
            subscriber: None,
            detached: now,
            was_attached: false,
            resend_from: None,
            parked: VecDeque::new(),
        }
    }

    /// Judges a token.
    pub fn token(&self, token: &[u8]) -> Token {
        let hash = token_hash(token);
        if hash == self.row.token {
            Token::Current
        } else if !self.row.next_token.is_empty() && hash == self.row.next_token {
            Token::Next
        } else {
            Token::Stale
        }
    }

    /// The client proved that it kept the newest token. Answers whether the row changed.
    pub fn confirm_token(&mut self) -> bool {
        if self.row.next_token.is_empty() {
            return false;
        }
        self.row.token = std::mem::take(&mut self.row.next_token);
        true
    }

    /// Whether the stream with this number is the live one.
    pub fn is_stream(&self, stream: u64) -> bool {
        self.subscriber.as_ref().is_some_and(|s| s.stream == stream)
    }

    /// Adds a range of file ids; the oldest of many is forgotten.
    pub fn add_range(&mut self, span: IdSpan) {
        self.row.ranges.push(span);
        if self.row.ranges.len() > RANGES_MAX {
            self.row.ranges.remove(0);
        }
    }

    /// File ids given to the session and not taken yet.
    pub fn unused_ids(&self) -> u64 {
        let count = |spans: &[IdSpan]| spans.iter().map(|span| span.count).sum::<u64>();
        count(&self.row.ranges).saturating_sub(count(&self.row.used))
    }

    /// Takes a file id for a new node; `false` if it is not the session's or was used.
    pub fn take_id(&mut self, id: FileId) -> bool {
        let inside = |span: &IdSpan| id.0 >= span.first && id.0 - span.first < span.count;
        if !self.row.ranges.iter().any(inside) || self.row.used.iter().any(inside) {
            return false;
        }
        let used = &mut self.row.used;
        let at = used.partition_point(|span| span.first < id.0);
        used.insert(
            at,
            IdSpan {
                first: id.0,
                count: 1,
            },
        );
        merge(used, at);
        if used.len() > USED_SPANS_MAX {
            let gap = |i: usize| used[i + 1].first - used[i].first - used[i].count;
            if let Some(i) = (0..used.len() - 1).min_by_key(|&i| gap(i)) {
                used[i].count = used[i + 1].first + used[i + 1].count - used[i].first;
                used.remove(i + 1);
            }
        }
        true
    }
}

fn merge(spans: &mut Vec<IdSpan>, at: usize) {
    if at + 1 < spans.len() && spans[at].first + spans[at].count == spans[at + 1].first {
        spans[at].count += spans[at + 1].count;
        spans.remove(at + 1);
    }
    if at > 0 && spans[at - 1].first + spans[at - 1].count == spans[at].first {
        spans[at - 1].count += spans[at].count;
        spans.remove(at);
    }
}

/// What is stored of a resume token.
pub(crate) fn token_hash(token: &[u8]) -> Bytes {
    Bytes::copy_from_slice(blake3::hash(token).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(first: u64, count: u64) -> Session {
        let row = SessionRow {
            ranges: vec![IdSpan { first, count }],
            ..SessionRow::default()
        };
        Session::new(row, Nanos(0))
    }

    #[test]
    fn ids_are_taken_once_and_only_from_the_range() {
        let mut session = session(10, 5);
        for id in [12, 10, 11, 14, 13] {
            assert!(session.take_id(FileId(id)), "{id}");
            assert!(!session.take_id(FileId(id)), "{id} twice");
        }
        assert!(!session.take_id(FileId(9)) && !session.take_id(FileId(15)));
        assert_eq!(
            session.row.used,
            [IdSpan {
                first: 10,
                count: 5
            }]
        );
    }

    #[test]
    fn used_ids_are_bounded_and_never_free_again() {
        let mut session = session(0, 1 << 20);
        for id in (0..8000).step_by(2) {
            assert!(session.take_id(FileId(id)));
        }
        assert!(session.row.used.len() <= USED_SPANS_MAX);
        for id in (0..8000).step_by(2) {
            assert!(!session.take_id(FileId(id)));
        }
    }

    #[test]
    fn the_old_token_counts_until_the_new_one_is_confirmed() {
        let mut session = session(0, 1);
        session.row.token = token_hash(b"one");
        session.row.next_token = token_hash(b"two");
        assert_eq!(session.token(b"one"), Token::Current);
        assert_eq!(session.token(b"two"), Token::Next);
        assert!(session.confirm_token());
        assert!(!session.confirm_token());
        assert_eq!(session.token(b"one"), Token::Stale);
        assert_eq!(session.token(b"two"), Token::Current);
        assert_eq!(session.token(b""), Token::Stale);
    }
}
