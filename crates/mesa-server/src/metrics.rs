//! Counters of the server and their Prometheus text form.

pub mod histogram;
pub mod process;

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;

pub use histogram::Histogram;

/// Every measurement of one server. Label sets are closed: routes are templates, so their number
/// is that of the router's rows.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Mount sessions attached now.
    pub sessions_open: Gauge,
    /// `Append` messages received.
    pub appends: Counter,
    /// Operations acknowledged as durable.
    pub ops_acked: Counter,
    /// Operations refused.
    pub ops_rejected: Counter,
    /// Connections open now.
    pub connections_open: Gauge,
    /// Handlers that panicked.
    pub panics: Counter,
    /// Webhook deliveries answered 2xx.
    pub webhooks_delivered: Counter,
    /// Attempts of webhook deliveries that were not.
    pub webhooks_refused: Counter,
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    latency: Mutex<BTreeMap<String, Histogram>>,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds one until the guard is dropped.
    pub fn hold(&self) -> GaugeGuard<'_> {
        self.0.fetch_add(1, Relaxed);
        GaugeGuard(self)
    }

    /// Adds or takes away.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Takes one off its gauge when dropped.
#[derive(Debug)]
pub struct GaugeGuard<'a>(&'a Gauge);

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// One measurement taken from another part of the server when the page is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Metric name without the `mesa_` prefix.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// The value.
    pub value: f64,
}

impl Metrics {
    /// Counts one answered request of a route template.
    pub fn request(&self, route: &str, status: u16, took: Duration) {
        *self
            .requests
            .lock()
            .entry((route.to_owned(), status))
            .or_default() += 1;
        self.latency
            .lock()
            .entry(route.to_owned())
            .or_default()
            .observe(took);
    }

    /// The Prometheus text exposition (version 0.0.4).
    pub fn render(&self, samples: &[Sample]) -> String {
        let mut out = String::with_capacity(4096);
        // Writing to a String cannot fail; the results are dropped for that reason.
        let _ = self.write(&mut out, samples);
        out
    }

    fn write(&self, out: &mut String, samples: &[Sample]) -> std::fmt::Result {
        head(
            out,
            "http_requests_total",
            "counter",
            "Answered HTTP requests.",
        )?;
        for ((route, status), n) in &*self.requests.lock() {
            writeln!(
                out,
                "mesa_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {n}"
            )?;
        }
        head(
            out,
            "http_request_seconds",
            "histogram",
            "Time from the request's head to the answer's head.",
        )?;
        for (route, histogram) in &*self.latency.lock() {
            histogram.write(
                out,
                "mesa_http_request_seconds",
                &format!("route=\"{route}\""),
            )?;
        }
        let own = [
            (
                "sessions_open",
                "gauge",
                "Mount sessions attached now.",
                self.sessions_open.get() as f64,
            ),
            (
                "appends_total",
                "counter",
                "Append messages received.",
                self.appends.get() as f64,
            ),
            (
                "ops_acked_total",
                "counter",
                "Operations acknowledged as durable.",
                self.ops_acked.get() as f64,
            ),
            (
                "ops_rejected_total",
                "counter",
                "Operations refused.",
                self.ops_rejected.get() as f64,
            ),
            (
                "connections_open",
                "gauge",
                "Connections open now.",
                self.connections_open.get() as f64,
            ),
            (
                "panics_total",
                "counter",
                "Handlers that panicked.",
                self.panics.get() as f64,
            ),
            (
                "webhooks_delivered_total",
                "counter",
                "Webhook deliveries answered 2xx.",
                self.webhooks_delivered.get() as f64,
            ),
            (
                "webhooks_refused_total",
                "counter",
                "Attempts of webhook deliveries that were not answered 2xx.",
                self.webhooks_refused.get() as f64,
            ),
        ];
        let own = own.map(|(name, kind, help, value)| Sample {
            name,
            help,
            kind,
            value,
        });
        for sample in own.iter().chain(&process::samples()).chain(samples) {
            head(out, sample.name, sample.kind, sample.help)?;
            writeln!(out, "mesa_{} {}", sample.name, sample.value)?;
        }
        Ok(())
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP mesa_{name} {help}\n# TYPE mesa_{name} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_every_kind_of_line() {
        let metrics = Metrics::default();
        metrics.request("/v1/{org}", 200, Duration::from_millis(3));
        metrics.request("/v1/{org}", 200, Duration::from_millis(30));
        metrics.ops_acked.add(5);
        let guard = metrics.sessions_open.hold();
        let extra = Sample {
            name: "seals_total",
            help: "Seals.",
            kind: "counter",
            value: 2.0,
        };
        let page = metrics.render(&[extra]);
        for line in [
            "mesa_http_requests_total{route=\"/v1/{org}\",status=\"200\"} 2",
            "mesa_http_request_seconds_count{route=\"/v1/{org}\"} 2",
            "# TYPE mesa_ops_acked_total counter",
            "mesa_ops_acked_total 5",
            "mesa_sessions_open 1",
            "mesa_seals_total 2",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} not in\n{page}");
        }
        drop(guard);
        assert_eq!(metrics.sessions_open.get(), 0);
    }
}
