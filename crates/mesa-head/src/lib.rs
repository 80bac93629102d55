//! The live layer: heads with their operation log, sessions, leases, sealing and views.

pub mod op;
pub mod tree;
