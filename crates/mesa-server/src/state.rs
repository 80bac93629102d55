//! What every handler shares.

use std::sync::Arc;

use mesa_repo::{Authenticator, Catalog};
use tokio_util::sync::CancellationToken;

use crate::{edge::rate::RateLimiter, metrics::Metrics, options::Limits};

/// Unknown credentials one address may present in a burst, and per second in the long run.
const REFUSALS_BURST: u32 = 100;
const REFUSALS_PER_SECOND: u32 = 10;

/// The server's parts, cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
    catalog: Catalog,
    auth: Authenticator,
    requests: RateLimiter,
    refusals: RateLimiter,
}

impl App {
    pub(crate) fn new(limits: Limits, catalog: Catalog, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            limits,
            metrics: Metrics::default(),
            stop,
            auth: Authenticator::new(catalog.clone()),
            catalog,
            requests: RateLimiter::new(limits.rate_burst, limits.rate_per_second),
            refusals: RateLimiter::new(REFUSALS_BURST, REFUSALS_PER_SECOND),
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

    /// The records.
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// Checks credentials.
    pub fn auth(&self) -> &Authenticator {
        &self.0.auth
    }

    /// Bounds the requests of a credential.
    pub(crate) fn requests(&self) -> &RateLimiter {
        &self.0.requests
    }

    /// Bounds the unknown credentials of an address.
    pub(crate) fn refusals(&self) -> &RateLimiter {
        &self.0.refusals
    }
}
