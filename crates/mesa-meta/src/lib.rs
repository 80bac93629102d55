//! The metadata store: a small, ordered, transactional key-value interface that both SQLite (one
//! file, embedded) and PostgreSQL (several server nodes) implement, and the only place where
//! compare-and-swap happens.
//!
//! Keys are byte strings built by [`key::KeyBuf`]; the first component of every key is its shard
//! (an org id, or `g` for the few global rows), so that rows of one org can live in one database.
//! A [`Batch`] touches one shard only.

pub mod conformance;
pub mod counters;
pub mod key;
pub mod memory;
pub mod sqlite;
pub mod store;

pub use counters::{Calls, Counters};
pub use key::{Key, KeyBuf};
pub use memory::MemoryStore;
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{
    Batch, Committed, Condition, Entry, MetaError, MetaErrorKind, MetaStore, Range, Row, Table,
    Version, Write,
};
