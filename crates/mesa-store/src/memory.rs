//! Objects in memory, for tests and throw-away servers.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{ObjectInfo, ObjectName, ObjectStore, StoreError, StoreErrorKind};

/// An object store that forgets everything when dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<ObjectName, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the bytes of an object, as a bad disk would.
    pub fn damage(&self, name: &ObjectName, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(bytes) = self.objects.lock().get_mut(name) {
            let mut owned = bytes.to_vec();
            change(&mut owned);
            *bytes = owned.into();
        }
    }
}

#[async_trait::async_trait]
impl ObjectStore for MemoryStore {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let mut objects = self.objects.lock();
        if objects.contains_key(name) {
            return Err(StoreError::new(
                StoreErrorKind::Exists,
                format!("put {name:?}"),
                None,
            ));
        }
        objects.insert(name.clone(), bytes);
        Ok(())
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let failed = |kind| StoreError::new(kind, format!("get {name:?}"), None);
        if range.is_empty() {
            return Err(failed(StoreErrorKind::Usage));
        }
        let objects = self.objects.lock();
        let bytes = objects
            .get(name)
            .ok_or_else(|| failed(StoreErrorKind::NotFound))?;
        if range.end > bytes.len() as u64 {
            return Err(failed(StoreErrorKind::Corrupt));
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    async fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        match self.objects.lock().get(name) {
            Some(bytes) => Ok(bytes.len() as u64),
            None => Err(StoreError::new(
                StoreErrorKind::NotFound,
                format!("size {name:?}"),
                None,
            )),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        let objects = self.objects.lock();
        Ok(objects
            .iter()
            .filter(|(name, _)| name.as_str().starts_with(prefix))
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .take(limit)
            .map(|(name, bytes)| ObjectInfo {
                name: name.clone(),
                bytes: bytes.len() as u64,
            })
            .collect())
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.objects.lock().remove(name);
        Ok(())
    }
}
