//! End-to-end tests. See the crate's documentation for what they need.

mod access;
mod clients;
mod cloned;
mod conformance;
mod contract;
mod counts;
mod durability;
mod hostile;
mod layers;
mod limits;
mod sharing;
mod tls;
mod user;
mod webhooks;
mod workloads;
