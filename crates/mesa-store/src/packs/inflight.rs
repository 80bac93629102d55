//! One read per object at a time: later askers wait for the first.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::cache::CacheKey;

/// `None` until the read is over; the inner `None` is an object the org does not have. A sender
/// that goes away first means the read failed or was given up.
type Answer = Option<Option<Bytes>>;

#[derive(Debug, Default)]
pub(super) struct Inflight {
    reads: Arc<Mutex<HashMap<CacheKey, watch::Receiver<Answer>>>>,
}

/// The duty to read an object. Dropping it tells the waiters to try themselves.
#[derive(Debug)]
pub(super) struct Turn {
    key: CacheKey,
    answer: watch::Sender<Answer>,
    reads: Arc<Mutex<HashMap<CacheKey, watch::Receiver<Answer>>>>,
}

/// Somebody else is reading the object.
#[derive(Debug)]
pub(super) struct Wait(watch::Receiver<Answer>);

impl Inflight {
    pub(super) fn join(&self, key: CacheKey) -> Result<Turn, Wait> {
        let mut reads = self.reads.lock();
        if let Some(receiver) = reads.get(&key) {
            return Err(Wait(receiver.clone()));
        }
        let (answer, receiver) = watch::channel(None);
        reads.insert(key, receiver);
        Ok(Turn {
            key,
            answer,
            reads: Arc::clone(&self.reads),
        })
    }
}

impl Turn {
    pub(super) fn key(&self) -> CacheKey {
        self.key
    }

    pub(super) fn finish(self, object: Option<Bytes>) {
        self.answer.send_replace(Some(object));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.reads.lock().remove(&self.key);
    }
}

impl Wait {
    /// The object as read by the other, or `None` if the other gave up.
    pub(super) async fn answer(mut self) -> Answer {
        match self.0.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            Err(_) => None,
        }
    }
}
