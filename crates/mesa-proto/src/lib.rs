//! The mount protocol `mesa.sync.v1`: generated messages and services, and their conversions to
//! and from the types of `mesa-types`.

pub mod convert;
pub mod digest;
pub mod status;

pub use convert::Malformed;
pub use digest::{append_digest, op_digest};

/// Generated from `proto/mesa/sync/v1/sync.proto`.
pub mod v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications)]
    tonic::include_proto!("mesa.sync.v1");
}
