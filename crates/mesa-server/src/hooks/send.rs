//! One request to one target.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use mesa_repo::{
    WebhookTarget,
    records::webhook::{Attempt, Delivery},
};
use mesa_types::Nanos;
use reqwest::{Client, Url, redirect::Policy};

use super::{
    address::{self, NotPublic, Resolver},
    signature,
};

/// A target that takes longer is tried again.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends deliveries.
#[derive(Debug, Clone)]
pub struct Sender {
    http: Client,
    allow_private: bool,
}

impl Sender {
    /// A sender that reaches only public addresses unless all are allowed. Redirects are not
    /// followed and the environment's proxies not used: either would lead around that.
    pub fn new(allow_private: bool) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Resolver { allow_private })
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("mesa/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self {
            http,
            allow_private,
        })
    }

    /// Whether targets at addresses that are not public are allowed.
    pub fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// Sends a delivery and says what came of it. The answer's body is not read.
    pub async fn send(
        &self,
        target: &WebhookTarget,
        secret: &str,
        delivery: &Delivery,
        now: Nanos,
    ) -> Attempt {
        let began = std::time::Instant::now();
        let outcome = self.request(target, secret, delivery, now).await;
        let (status, error) = match outcome {
            Ok(status) => (Some(status), None),
            Err(reason) => (None, Some(reason.to_owned())),
        };
        Attempt {
            at: now,
            status,
            error,
            millis: began.elapsed().as_millis() as u64,
        }
    }

    async fn request(
        &self,
        target: &WebhookTarget,
        secret: &str,
        delivery: &Delivery,
        now: Nanos,
    ) -> Result<u16, &'static str> {
        const NOT_PUBLIC: &str = "the address is not a public one";
        let url: Url = target.url.parse().map_err(|_| "the URL is wrong")?;
        address::check_literal(&url, self.allow_private).map_err(|_| NOT_PUBLIC)?;
        let (seconds, _) = now.parts();
        let response = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("x-mesa-event", delivery.event.as_str())
            .header("x-mesa-delivery", delivery.id.as_str())
            .header(
                "x-mesa-signature",
                signature::header(secret, seconds, &delivery.body),
            )
            .body(delivery.body.clone())
            .send()
            .await;
        match response {
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) if is_not_public(&error) => Err(NOT_PUBLIC),
            Err(error) if error.is_timeout() => Err("no answer in time"),
            Err(error) if error.is_connect() => Err("cannot connect"),
            Err(_) => Err("the connection broke off"),
        }
    }
}

fn is_not_public(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<NotPublic>() {
            return true;
        }
        next = error.source();
    }
    false
}
