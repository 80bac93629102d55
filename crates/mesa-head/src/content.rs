//! Contents: bytes not sealed yet, reading, and laying one writer's ranges over another's content.

mod layer;
mod read;
mod unsealed;

pub use self::{
    layer::{layer, replaces},
    read::{Stored, manifest_size, read, stored},
    unsealed::Unsealed,
};
