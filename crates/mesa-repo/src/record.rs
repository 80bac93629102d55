//! How records become rows.
//!
//! A row's value is a version byte and a JSON object: `01 7b ... 7d`. A field added later carries
//! a serde default and keeps the version; anything else takes the next version byte, and the
//! reader keeps decoding the older ones. A value with an unknown version byte is refused, never
//! guessed at. Key layouts are in [`crate::records`].

pub(crate) mod hex_text;

use bytes::Bytes;
use mesa_meta::{Batch, Key, Row, Table, Version};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::Error;

/// The version byte written today.
const VERSION: u8 = 1;

/// A typed row. The key follows from the record's own fields.
pub trait Record: Serialize + DeserializeOwned + Send + Sync {
    /// The table it lives in.
    const TABLE: Table;
    /// What it is, for messages.
    const NAME: &'static str;

    /// Where it is stored.
    fn key(&self) -> Key;
}

/// A record with the version of its row, for compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    /// The record.
    pub record: R,
    /// The row's version.
    pub version: Version,
}

impl<R> std::ops::Deref for Versioned<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.record
    }
}

/// Encodes a value for storage.
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    let mut out = vec![VERSION];
    // Records hold texts, numbers, lists and text-keyed maps only: serde_json cannot refuse them.
    // Should one ever, the row would be unreadable, so the failure must not pass silently.
    if let Err(error) = serde_json::to_writer(&mut out, value) {
        unreachable!("a record that is not JSON: {error}");
    }
    out.into()
}

/// Decodes a stored value.
pub(crate) fn decode<T: DeserializeOwned>(name: &str, value: &[u8]) -> Result<T, Error> {
    match value.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json)
            .map_err(|e| Error::corrupt(format!("a stored {name} cannot be read")).with_source(e)),
        Some((version, _)) => Err(Error::corrupt(format!(
            "a stored {name} has format version {version}, this server knows {VERSION}"
        ))),
        None => Err(Error::corrupt(format!("a stored {name} is empty"))),
    }
}

/// Decodes a row.
pub(crate) fn read<R: Record>(row: &Row) -> Result<Versioned<R>, Error> {
    Ok(Versioned {
        record: decode(R::NAME, &row.value)?,
        version: row.version,
    })
}

/// Adds records to a batch.
pub trait RecordBatch {
    /// Inserts; the batch conflicts if the row exists.
    fn insert_record<R: Record>(&mut self, record: &R) -> &mut Self;
    /// Replaces; the batch conflicts unless the row still has `version`.
    fn replace_record<R: Record>(&mut self, record: &R, version: Version) -> &mut Self;
    /// Inserts or replaces without a condition.
    fn put_record<R: Record>(&mut self, record: &R) -> &mut Self;
    /// Removes; the batch conflicts unless the row still has the version read.
    fn remove_record<R: Record>(&mut self, read: &Versioned<R>) -> &mut Self;
}

impl RecordBatch for Batch {
    fn insert_record<R: Record>(&mut self, record: &R) -> &mut Self {
        let key = record.key();
        self.absent(R::TABLE, key.clone())
            .put(R::TABLE, key, encode(record))
    }

    fn replace_record<R: Record>(&mut self, record: &R, version: Version) -> &mut Self {
        let key = record.key();
        self.is(R::TABLE, key.clone(), version)
            .put(R::TABLE, key, encode(record))
    }

    fn put_record<R: Record>(&mut self, record: &R) -> &mut Self {
        self.put(R::TABLE, record.key(), encode(record))
    }

    fn remove_record<R: Record>(&mut self, read: &Versioned<R>) -> &mut Self {
        let key = read.record.key();
        self.is(R::TABLE, key.clone(), read.version)
            .delete(R::TABLE, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn unknown_versions_and_damage_are_refused() {
        let value = encode(&vec![1, 2]);
        assert_eq!(&value[..], b"\x01[1,2]");
        assert_eq!(decode::<Vec<u8>>("list", &value).unwrap(), [1, 2]);
        for bad in [&b""[..], b"\x02[1]", b"\x00[1]", b"\x01[1", b"\x01{}"] {
            let error = decode::<Vec<u8>>("list", bad).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Corrupt);
        }
    }
}
