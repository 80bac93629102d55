//! The REST contract over a real socket: every route, every refusal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "bodies are written at the call"
)]

mod api_keys;
mod audit;
mod auth;
mod bookmarks;
mod changes;
mod conflicts;
mod content;
mod diff;
mod downloads;
mod edge;
mod harness;
mod idempotency;
mod listener;
mod mcp;
mod mount;
mod operations;
mod orgs;
mod protocol;
mod repos;
mod signing_keys;
mod start;
mod upstreams;
mod webhooks;
mod writes;
mod writes_refused;
