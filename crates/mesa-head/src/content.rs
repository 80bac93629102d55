//! Contents: bytes not sealed yet, reading, and laying one writer's ranges over another's content.

mod layer;
mod read;
mod unsealed;

pub use self::{
    layer::{layer, replaces},
    read::{missing, read, size_fits},
    unsealed::Unsealed,
};
