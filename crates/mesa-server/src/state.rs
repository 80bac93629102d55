//! What every handler shares.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{metrics::Metrics, options::Limits};

/// The server's parts, cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
}

impl App {
    pub(crate) fn new(limits: Limits, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            limits,
            metrics: Metrics::default(),
            stop,
        }))
    }

    /// Bounds on what clients may ask.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The server's counters.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Resolves when the server begins to shut down; long-lived streams end then.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}
