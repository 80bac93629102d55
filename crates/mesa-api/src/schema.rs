//! JSON schemas of values whose types are not this crate's.

use std::borrow::Cow;

use mesa_types::EventName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The names of events.
pub struct WebhookEventName;

impl JsonSchema for WebhookEventName {
    fn schema_name() -> Cow<'static, str> {
        "WebhookEventName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = EventName::ALL.iter().map(|e| e.as_str()).collect();
        json_schema!({"type": "string", "enum": names, "description": "The name of an event."})
    }
}
