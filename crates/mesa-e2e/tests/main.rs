//! End-to-end tests. See the crate's documentation for what they need.

mod access;
mod agents;
mod clients;
mod cloned;
mod conflicts;
mod conformance;
mod contract;
mod counts;
mod durability;
mod guides;
mod hostile;
mod in_process;
mod install;
mod layers;
mod limits;
mod mcp;
mod moved;
mod sharing;
mod surroundings;
mod tls;
mod undo;
mod user;
mod versions;
mod webhooks;
mod workloads;
