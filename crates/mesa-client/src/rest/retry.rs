//! Sending a request again.
//!
//! Reads may be repeated as they are. A write carries one `Idempotency-Key` for all its attempts,
//! by which the server answers a repetition with what the first one did. Refusals are never
//! repeated, except those that say so: somebody wrote at the same time, or too many requests.

use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;

use super::{RestError, RestErrorKind};
use crate::transport::roots::CERTIFICATE_REFUSED;

/// Pauses between attempts.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// Longest pause that the server may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// No attempt begins later than this after the first.
const BEGIN_MAX: Duration = Duration::from_secs(10);

/// A key for the attempts of one write; `None` for reads.
pub(super) fn idempotency_key(method: &Method) -> Option<String> {
    if *method == Method::GET {
        return None;
    }
    let mut bytes = [0; 16];
    // Without randomness the write is sent without a key, and so not twice.
    getrandom::fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}

/// The attempts of one request.
pub(super) struct Attempts {
    began: Instant,
    failed: usize,
}

impl Attempts {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            failed: 0,
        }
    }

    /// Whether to send the request again after this failure; waits before it says yes.
    pub async fn again(&mut self, error: &RestError) -> bool {
        let Some(pause) = self.pause(error, self.began.elapsed()) else {
            return false;
        };
        self.failed += 1;
        tokio::time::sleep(jittered(pause)).await;
        true
    }

    /// How long to wait; `None` = do not send again.
    fn pause(&self, error: &RestError, elapsed: Duration) -> Option<Duration> {
        let passing = match error.kind {
            RestErrorKind::Unreachable => error.code != CERTIFICATE_REFUSED,
            RestErrorKind::Conflict => error.code == "LOCK_CONFLICT",
            RestErrorKind::Limited => error.retry_after_s.is_some(),
            _ => false,
        };
        let pause = *PAUSES.get(self.failed)?;
        let wanted = error.retry_after_s.map_or(pause, Duration::from_secs);
        let in_time = elapsed + wanted <= BEGIN_MAX && wanted <= PAUSE_MAX;
        (passing && in_time).then_some(wanted.max(pause))
    }
}

/// The pause and up to half of it more, so that many who failed together do not come back
/// together.
fn jittered(pause: Duration) -> Duration {
    let part = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
    pause.mul_f64(1.0 + part / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: RestErrorKind, code: &str, retry_after_s: Option<u64>) -> RestError {
        RestError {
            kind,
            code: code.to_owned(),
            message: String::new(),
            trace_id: None,
            retry_after_s,
            details: None,
            source: None,
        }
    }

    #[test]
    fn what_is_sent_again() {
        use RestErrorKind as K;
        let table = [
            (K::Unreachable, "", None, true),
            (K::Unreachable, CERTIFICATE_REFUSED, None, false),
            (K::Unreachable, "UNAVAILABLE", Some(2), true),
            (K::Unreachable, "UNAVAILABLE", Some(60), false),
            (K::Conflict, "LOCK_CONFLICT", None, true),
            (K::Conflict, "MERGE_CONFLICT", None, false),
            (K::Limited, "RATE_LIMITED", Some(1), true),
            (K::Limited, "PAYLOAD_TOO_LARGE", None, false),
            (K::NotFound, "NOT_FOUND", None, false),
            (K::Server, "INTERNAL_ERROR", None, false),
        ];
        for (kind, code, after, expected) in table {
            let pause = Attempts::new().pause(&error(kind, code, after), Duration::ZERO);
            assert_eq!(pause.is_some(), expected, "{kind:?} {code} {after:?}");
        }
    }

    #[test]
    fn attempts_end() {
        let unreachable = error(RestErrorKind::Unreachable, "", None);
        let mut attempts = Attempts::new();
        attempts.failed = PAUSES.len() - 1;
        assert!(attempts.pause(&unreachable, Duration::ZERO).is_some());
        // An answer that took a minute not to come is not asked for again.
        assert!(
            attempts
                .pause(&unreachable, Duration::from_mins(1))
                .is_none()
        );
        attempts.failed = PAUSES.len();
        assert!(attempts.pause(&unreachable, Duration::ZERO).is_none());
    }

    #[test]
    fn writes_have_a_key_of_their_own() {
        assert_eq!(idempotency_key(&Method::GET), None);
        let (one, two) = (
            idempotency_key(&Method::POST),
            idempotency_key(&Method::POST),
        );
        assert_eq!(one.as_ref().map(String::len), Some(32));
        assert_ne!(one, two);
    }
}
