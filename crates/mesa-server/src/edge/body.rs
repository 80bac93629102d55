//! Reading bodies of requests: each up to a limit, all together up to another.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;

use mesa_api::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{error::ApiError, options::Limits};

/// What the budget counts in.
const UNIT: usize = 64 * 1024;
/// A refused body is read up to this many bytes.
const DRAIN_BYTES_MAX: u64 = 64 << 20;

/// How many bytes of bodies are in memory at the same time. Small bodies do not count: connections
/// bound them.
#[derive(Debug, Clone)]
pub struct BodyBudget(Arc<Semaphore>);

/// A body and its part of the budget.
struct Held {
    bytes: Vec<u8>,
    part: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyBudget {
    /// For so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// Reads a body. Its part of the budget is free again when the last clone of the bytes goes.
    pub async fn read(&self, body: Body, max: usize, limits: &Limits) -> Result<Bytes, ApiError> {
        // Whoever announces far too much is told before it is sent. Less is read first: a
        // connection that is closed with unread bytes is reset, and many clients lose the answer
        // with it.
        let announced = body.size_hint().lower();
        if announced > max as u64 {
            if announced <= DRAIN_BYTES_MAX {
                let drained = drain(body);
                let _in_time = tokio::time::timeout(limits.body_timeout, drained).await;
            }
            return Err(too_large(max));
        }
        let reading = self.collect(body, max);
        match tokio::time::timeout(limits.body_timeout, reading).await {
            Ok(read) => read,
            Err(_elapsed) => Err(ApiError::new(
                ErrorCode::RequestTimeout,
                "the body did not arrive in time",
            )),
        }
    }

    async fn collect(&self, mut body: Body, max: usize) -> Result<Bytes, ApiError> {
        let mut held = Held {
            bytes: Vec::new(),
            part: None,
        };
        while let Some(frame) = body.frame().await {
            let broken = |e| ApiError::bad_request("the body broke off").caused_by(e);
            let Ok(mut data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            let len = held.bytes.len() + data.remaining();
            if len > max {
                return Err(too_large(max));
            }
            if len > held.bytes.capacity() {
                let wanted = len.max(held.bytes.capacity() * 2).min(max);
                if let Err(error) = self.grow(&mut held.part, wanted) {
                    drop(held);
                    drain(body).await;
                    return Err(error);
                }
                held.bytes.reserve_exact(wanted - held.bytes.len());
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                held.bytes.extend_from_slice(chunk);
                let len = chunk.len();
                data.advance(len);
            }
        }
        Ok(Bytes::from_owner(held))
    }

    /// Makes a part cover so many bytes.
    fn grow(&self, part: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), ApiError> {
        let units = bytes / UNIT;
        let have = part.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = units.checked_sub(have).filter(|more| *more > 0) else {
            return Ok(());
        };
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.0).try_acquire_many_owned(more) else {
            return Err(ApiError::new(
                ErrorCode::Unavailable,
                "too many large requests at the same time",
            )
            .retry_after(1));
        };
        match part {
            Some(part) => part.merge(more),
            None => *part = Some(more),
        }
        Ok(())
    }
}

async fn drain(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn too_large(max: usize) -> ApiError {
    let message = format!("the body is larger than {max} bytes");
    ApiError::new(ErrorCode::PayloadTooLarge, message).detail("max_bytes", max)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(budget: &BodyBudget, len: usize) -> Result<Bytes, ApiError> {
        let body = Body::from(vec![7; len]);
        budget.read(body, 1 << 20, &Limits::default()).await
    }

    #[tokio::test]
    async fn bodies_share_a_budget() {
        let budget = BodyBudget::new(3 * UNIT);
        let first = read(&budget, 2 * UNIT).await.unwrap();
        assert_eq!(first.len(), 2 * UNIT);
        let clone = first.slice(5..);
        drop(first);
        let refused = read(&budget, 2 * UNIT).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        // Small ones always pass.
        assert_eq!(read(&budget, UNIT - 1).await.unwrap().len(), UNIT - 1);
        drop(clone);
        assert_eq!(read(&budget, 3 * UNIT).await.unwrap().len(), 3 * UNIT);
        assert_eq!(budget.0.available_permits(), 3);
    }
}
