//! Heads in memory, each loaded once however many ask for it.

use std::sync::Arc;

use mesa_types::HeadId;
use tokio::sync::OnceCell;

use super::Inner;
use crate::{
    error::Result,
    head::{Head, actor, load},
};

/// A head that is loaded or being loaded.
pub(super) type Cell = OnceCell<Arc<Head>>;
/// The same, shared.
pub(super) type Slot = Arc<Cell>;

/// The head, from memory or loaded.
pub(super) async fn get(inner: &Arc<Inner>, parts: load::Parts, id: &HeadId) -> Result<Arc<Head>> {
    let place = (parts.packs.org_id().clone(), id.clone());
    loop {
        let slot = Arc::clone(inner.live.lock().entry(place.clone()).or_default());
        let loaded = slot
            .get_or_try_init(|| async {
                let (head, inbox) = load::head(parts.clone(), id.clone()).await?;
                let registry = Arc::downgrade(inner);
                let (place, cell) = (place.clone(), Arc::downgrade(&slot));
                let gone = move || Inner::forget(&registry, &place, &cell);
                tokio::spawn(actor::run(Arc::clone(&head), inbox, gone));
                Ok(head)
            })
            .await;
        let head = match loaded {
            Ok(head) => Arc::clone(head),
            Err(error) => {
                Inner::forget(&Arc::downgrade(inner), &place, &Arc::downgrade(&slot));
                return Err(error);
            }
        };
        if !head.commands.is_closed() {
            return Ok(head);
        }
        Inner::forget(&Arc::downgrade(inner), &place, &Arc::downgrade(&slot));
    }
}
