//! What every handler shares.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use mesa_head::Heads;
use mesa_repo::{Authenticator, Catalog};
use tokio_util::sync::CancellationToken;

use crate::{
    downloads::Downloads,
    edge::{body::BodyBudget, rate::RateLimiter},
    error::ApiError,
    metrics::{Metrics, Sample},
    options::Limits,
};

/// Unknown credentials one address may present in a burst, and per second in the long run.
const REFUSALS_BURST: u32 = 100;
const REFUSALS_PER_SECOND: u32 = 10;

/// The server's parts, cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    limits: Limits,
    bodies: BodyBudget,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    catalog: Catalog,
    heads: Heads,
    auth: Authenticator,
    samples: Samples,
    outward: Outward,
    downloads: Downloads,
    requests: RateLimiter,
    refusals: RateLimiter,
}

/// What the server tells others of itself, and where it may.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outward {
    /// The address clients use, without a trailing slash.
    pub public_url: String,
    /// The same, if the operator named one.
    pub named_url: Option<String>,
    /// Webhooks may go to addresses that are not public.
    pub webhooks_allow_private: bool,
}

/// Measurements of the stores, taken when the metrics page is read.
pub(crate) type Samples = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;

impl App {
    pub(crate) fn new(
        limits: Limits,
        heads: Heads,
        samples: Samples,
        stop: CancellationToken,
        outward: Outward,
        downloads: Downloads,
    ) -> Self {
        let catalog = heads.catalog().clone();
        Self(Arc::new(Inner {
            limits,
            bodies: BodyBudget::new(limits.bodies_bytes_max),
            metrics: Arc::default(),
            stop,
            auth: Authenticator::new(catalog.clone()),
            catalog,
            heads,
            samples,
            outward,
            downloads,
            requests: RateLimiter::new(limits.rate_burst, limits.rate_per_second),
            refusals: RateLimiter::new(REFUSALS_BURST, REFUSALS_PER_SECOND),
        }))
    }

    /// Bounds on what clients may ask.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// A request's whole body, within the limits of size and time.
    pub async fn read_body(&self, body: Body, max: usize) -> Result<Bytes, ApiError> {
        self.0.bodies.read(body, max, &self.0.limits).await
    }

    /// The server's counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
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

    /// The address clients use, without a trailing slash.
    pub fn public_url(&self) -> &str {
        &self.0.outward.public_url
    }

    /// The address clients use, if the operator named one.
    pub fn named_url(&self) -> Option<&str> {
        self.0.outward.named_url.as_deref()
    }

    /// What machines install mesa from.
    pub fn downloads(&self) -> &Downloads {
        &self.0.downloads
    }

    /// Whether webhooks may go to addresses that are not public.
    pub fn webhooks_allow_private(&self) -> bool {
        self.0.outward.webhooks_allow_private
    }

    /// The live heads.
    pub fn heads(&self) -> &Heads {
        &self.0.heads
    }

    /// What the other parts of the server count.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let mut samples = (self.0.samples)();
        samples.push(Sample {
            name: "heads_live",
            help: "Live heads in memory.",
            kind: "gauge",
            value: self.0.heads.live_count() as f64,
        });
        samples
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
