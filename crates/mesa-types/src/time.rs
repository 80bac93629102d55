//! Time as stored: nanoseconds since the Unix epoch.

/// Nanoseconds since 1970-01-01T00:00:00Z, negative before it. Range about ±292 years.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub i64);

impl Nanos {
    const PER_SECOND: i64 = 1_000_000_000;

    /// From seconds and nanoseconds, saturating at the range's ends.
    pub fn from_parts(seconds: i64, nanos: u32) -> Self {
        Self(
            seconds
                .saturating_mul(Self::PER_SECOND)
                .saturating_add(i64::from(nanos)),
        )
    }

    /// Seconds (rounded down) and the nanoseconds within the second.
    pub fn parts(self) -> (i64, u32) {
        (
            self.0.div_euclid(Self::PER_SECOND),
            self.0.rem_euclid(Self::PER_SECOND) as u32,
        )
    }

    /// Whole milliseconds, rounded down.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// From whole milliseconds.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }
}

/// Where the time comes from. Library code takes this instead of reading the system clock, so
/// that a simulation can drive it.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Nanos;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Nanos {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => Nanos(-i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_negative_times_round_down() {
        assert_eq!(Nanos(-1).parts(), (-1, 999_999_999));
        assert_eq!(Nanos::from_parts(-1, 999_999_999), Nanos(-1));
        assert_eq!(Nanos(1_500_000_000).parts(), (1, 500_000_000));
    }
}
