//! Webhook targets and their deliveries.

use std::fmt;

use mesa_types::EventName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, present, schema::WebhookEventName};

/// Body of `POST /{org}/webhook-targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookTargetCreate {
    /// Where deliveries go: `http` or `https`, without a user name or password.
    pub url: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At least one; `push` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<WebhookEventName>>", length(min = 1))]
    pub events: Option<Vec<EventName>>,
    /// At least one; everything the creator sees when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_ids: Option<Vec<String>>,
}

/// Body of `PATCH /{org}/webhook-targets/{id}`: absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    clippy::option_option,
    reason = "absent, null and a value are three things here"
)]
pub struct WebhookTargetUpdate {
    /// The new name; null removes it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub name: Option<Option<String>>,
    /// The new place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The new events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<WebhookEventName>>", length(min = 1))]
    pub events: Option<Vec<EventName>>,
    /// The new repos; null = every repo of the org.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub repo_ids: Option<Option<Vec<String>>>,
}

/// A webhook target, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookTarget {
    /// Public id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Where deliveries go.
    pub url: String,
    /// What it is told of.
    #[schemars(with = "Vec<WebhookEventName>")]
    pub events: Vec<EventName>,
    /// The repos it is told of; null = every repo of the org.
    pub repo_ids: Option<Vec<String>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A new webhook target with its secret, shown only this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookTargetCreated {
    /// The target.
    #[serde(flatten)]
    pub target: WebhookTarget,
    /// Signs every delivery.
    pub secret: String,
}

impl fmt::Debug for WebhookTargetCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTargetCreated")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// `GET /{org}/webhook-targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookTargetList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Targets in the order they were made.
    pub webhook_targets: Vec<WebhookTarget>,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its first or next attempt.
    Pending,
    /// The target answered 2xx.
    Delivered,
    /// Given up after 24 hours.
    Failed,
}

/// One request to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryAttempt {
    /// When.
    pub at: Timestamp,
    /// The answer's HTTP status; null = there was no answer.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// One event on its way to one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// Public id, sent as `x-mesa-delivery`.
    pub id: String,
    /// The event's id, the same in every delivery of it.
    pub event_id: String,
    /// The event's name.
    #[schemars(with = "WebhookEventName")]
    pub event: EventName,
    /// The repo's id.
    pub repo_id: String,
    /// How far it is.
    pub state: DeliveryState,
    /// Attempts so far, the newest last.
    pub attempts: Vec<DeliveryAttempt>,
    /// When the next attempt is due; null unless it is pending.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
    /// The delivery that this one repeats.
    pub redelivery_of: Option<String>,
}

/// `GET /{org}/webhook-targets/{id}/deliveries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Deliveries, newest first.
    pub deliveries: Vec<Delivery>,
}
