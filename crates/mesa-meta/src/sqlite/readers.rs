//! A few connections for reading, used on blocking threads.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::error::meta_error;
use crate::store::{MetaError, MetaErrorKind};

#[derive(Debug)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    total: u32,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let total = connections.len();
        Self {
            idle: Arc::new(Mutex::new(connections)),
            permits: Arc::new(Semaphore::new(total)),
            total: u32::try_from(total).unwrap_or(u32::MAX),
        }
    }

    /// Runs `work` with a connection of its own.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        step: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, MetaError> {
        let closed = || MetaError::new(MetaErrorKind::Unavailable, "the store is closed");
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        let task = tokio::task::spawn_blocking(move || {
            // There is one connection for each permit.
            let mut connection = idle.lock().pop().ok_or_else(closed)?;
            let result = work(&mut connection).map_err(|e| meta_error(step, e));
            idle.lock().push(connection);
            drop(permit);
            result
        });
        task.await
            .map_err(|e| MetaError::new(MetaErrorKind::Unavailable, step).with_source(e))?
    }

    /// Waits for running reads and drops the connections.
    pub(super) async fn close(&self) {
        let all = self.permits.acquire_many(self.total).await;
        self.idle.lock().clear();
        self.permits.close();
        drop(all);
    }
}
