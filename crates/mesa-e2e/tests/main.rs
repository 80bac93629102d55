//! End-to-end tests. See the crate's documentation for what they need.

mod access;
mod clients;
mod conformance;
mod contract;
mod durability;
mod layers;
mod limits;
mod sharing;
mod webhooks;
mod workloads;
