//! Object storage: the [`ObjectStore`] trait with its implementations, and [`PackStore`], which
//! keeps small objects in packs with an index in the metadata store.

pub mod conformance;
pub mod counted;
pub mod faulty;
pub mod local;
pub mod memory;
pub mod object_store;
pub mod packs;

pub use self::counted::{Counted, Counts};
pub use self::faulty::{Fault, Faulty};
pub use self::local::LocalStore;
pub use self::memory::MemoryStore;
pub use self::object_store::{ObjectInfo, ObjectName, ObjectStore, StoreError, StoreErrorKind};
pub use self::packs::{IndexRows, OrgPacks, PackCounts, PackStore, PackStoreConfig, Stored};
