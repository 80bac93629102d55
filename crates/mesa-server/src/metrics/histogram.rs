//! A latency histogram with fixed buckets.

use std::{
    fmt::{self, Write},
    time::Duration,
};

/// Upper bounds of the buckets in seconds.
const BOUNDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Counts of durations by bucket.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        if let Some(at) = BOUNDS.iter().position(|&bound| seconds <= bound) {
            self.buckets[at] += 1;
        }
    }

    /// Writes the cumulative buckets, sum and count in Prometheus text form.
    pub fn write(&self, out: &mut String, name: &str, labels: &str) -> fmt::Result {
        let mut below = 0;
        for (bound, n) in BOUNDS.iter().zip(self.buckets) {
            below += n;
            writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}")?;
        }
        writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", self.count)?;
        writeln!(out, "{name}_sum{{{labels}}} {}", self.sum)?;
        writeln!(out, "{name}_count{{{labels}}} {}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        for millis in [1, 40, 60_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut out = String::new();
        histogram.write(&mut out, "h", "a=\"b\"").unwrap();
        assert!(out.contains("h_bucket{a=\"b\",le=\"0.001\"} 1\n"));
        assert!(out.contains("h_bucket{a=\"b\",le=\"0.05\"} 2\n"));
        assert!(out.contains("h_bucket{a=\"b\",le=\"30\"} 2\n"));
        assert!(out.contains("h_bucket{a=\"b\",le=\"+Inf\"} 3\n"));
    }
}
