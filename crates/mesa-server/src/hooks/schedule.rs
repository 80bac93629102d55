//! When a delivery that failed is tried again.

use mesa_types::Nanos;

const SECOND: i64 = 1_000_000_000;
/// The pause after the first attempt; it doubles with each.
const FIRST_PAUSE: i64 = SECOND;
const LONGEST_PAUSE: i64 = 3600 * SECOND;
/// No attempt begins later than this after the first one.
const GIVEN_UP_AFTER: i64 = 24 * 3600 * SECOND;

/// When to try again after `done` attempts, the first of which was at `first`; `None` = give up.
/// `jitter` spreads targets that failed together over a quarter of the pause.
pub fn next(done: usize, first: Nanos, now: Nanos, jitter: u8) -> Option<Nanos> {
    let doublings = u32::try_from(done.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(20);
    let pause = (FIRST_PAUSE << doublings).min(LONGEST_PAUSE);
    let next = now.0 + pause + pause / 1024 * i64::from(jitter);
    (next - first.0 <= GIVEN_UP_AFTER).then_some(Nanos(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses of a delivery that always fails at once.
    fn pauses(jitter: u8) -> Vec<i64> {
        let (mut now, mut out) = (Nanos(0), Vec::new());
        while let Some(next) = next(out.len() + 1, Nanos(0), now, jitter) {
            out.push((next.0 - now.0) / SECOND);
            now = next;
        }
        out
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_end_within_a_day() {
        let all = pauses(0);
        assert_eq!(
            all[..12],
            [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]
        );
        assert!(all[12..].iter().all(|&pause| pause == 3600));
        let sum: i64 = all.iter().sum();
        assert!((23 * 3600..=24 * 3600).contains(&sum), "{sum}");
        assert!(pauses(255).iter().sum::<i64>() <= 24 * 3600);
        assert_eq!(
            next(usize::MAX, Nanos(0), Nanos(0), 0),
            Some(Nanos(LONGEST_PAUSE))
        );
    }
}
