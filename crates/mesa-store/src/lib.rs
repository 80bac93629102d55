//! Object storage: the [`ObjectStore`] trait with its implementations, and [`PackStore`], which
//! keeps small objects in packs with an index in the metadata store.

pub mod object_store;
pub mod packs;

pub use self::object_store::{ObjectName, ObjectStore, StoreError, StoreErrorKind};
pub use self::packs::{IndexRows, OrgPacks, PackStore, PackStoreConfig, Stored};
