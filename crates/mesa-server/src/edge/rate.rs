//! How many requests one credential, or one address with bad credentials, may make.

use std::collections::HashMap;

use mesa_types::Nanos;
use parking_lot::Mutex;

/// Buckets kept; when there are more, the full ones (idle callers) are dropped.
const BUCKETS_MAX: usize = 10_000;

/// Token buckets by caller.
#[derive(Debug)]
pub struct RateLimiter {
    burst: f64,
    per_second: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Nanos,
}

impl RateLimiter {
    /// `burst` requests at once, `per_second` in the long run; 0 per second = no limit.
    pub fn new(burst: u32, per_second: u32) -> Self {
        Self {
            burst: f64::from(burst.max(1)),
            per_second: f64::from(per_second),
            buckets: Mutex::default(),
        }
    }

    /// Takes one request of a caller; `Err` says after how many seconds to come back.
    pub fn take(&self, caller: &str, now: Nanos) -> Result<(), u64> {
        if self.per_second <= 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(caller) {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            if buckets.len() >= BUCKETS_MAX {
                buckets.clear();
            }
        }
        let full = Bucket {
            tokens: self.burst,
            at: now,
        };
        let bucket = buckets.entry(caller.to_owned()).or_insert(full);
        let tokens = self.filled(bucket, now);
        bucket.at = now;
        if tokens < 1.0 {
            bucket.tokens = tokens;
            return Err((((1.0 - tokens) / self.per_second).ceil() as u64).max(1));
        }
        bucket.tokens = tokens - 1.0;
        Ok(())
    }

    fn filled(&self, bucket: &Bucket, now: Nanos) -> f64 {
        let passed = now.0.saturating_sub(bucket.at.0).max(0) as f64 / 1e9;
        (bucket.tokens + passed * self.per_second).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_then_a_steady_rate_for_each_caller() {
        let limiter = RateLimiter::new(3, 2);
        let at = Nanos::from_millis;
        for _ in 0..3 {
            assert_eq!(limiter.take("a", at(0)), Ok(()));
        }
        assert_eq!(limiter.take("a", at(0)), Err(1));
        assert_eq!(limiter.take("b", at(0)), Ok(()));
        assert_eq!(limiter.take("a", at(500)), Ok(()));
        assert!(limiter.take("a", at(500)).is_err());
        // A clock that goes back gives nothing and takes nothing.
        assert!(limiter.take("a", at(0)).is_err());
    }

    #[test]
    fn buckets_are_bounded() {
        let limiter = RateLimiter::new(1, 1);
        for n in 0..BUCKETS_MAX + 10 {
            let _ = limiter.take(&n.to_string(), Nanos(0));
        }
        assert!(limiter.buckets.lock().len() <= BUCKETS_MAX);
    }

    #[test]
    fn no_limit() {
        let limiter = RateLimiter::new(1, 0);
        assert!((0..100).all(|_| limiter.take("a", Nanos(0)).is_ok()));
    }
}
