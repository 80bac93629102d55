//! What every [`MetaStore`] must do, as a suite to be called from its tests.
//!
//! A failure panics, like any failed test.

#![allow(
    clippy::unwrap_used,
    reason = "a suite of tests: failing means panicking"
)]

mod races;
mod rows;
mod scans;

use std::{future::Future, sync::Arc};

use crate::{
    key::{Key, KeyBuf},
    store::{Batch, Committed, MetaStore, Row, Table, Version},
};

/// Runs the whole suite, each case on a fresh, empty store made by `factory`. Needs a Tokio
/// runtime; the races are sharper on one with several threads.
pub async fn run<F, Made>(factory: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Arc<dyn MetaStore>>,
{
    rows::absent_rows_are_none(&*factory().await).await;
    rows::what_is_put_is_read(&*factory().await).await;
    rows::conditions(&*factory().await).await;
    rows::conditions_see_the_state_before_the_batch(&*factory().await).await;
    rows::a_refused_batch_has_no_effect(&*factory().await).await;
    rows::the_last_write_to_a_key_wins(&*factory().await).await;
    rows::versions_are_never_reused(&*factory().await).await;
    rows::tables_are_separate(&*factory().await).await;
    rows::big_and_odd_values(&*factory().await).await;
    rows::wrong_calls_are_refused(&*factory().await).await;
    rows::closed_stores_refuse(&*factory().await).await;
    scans::order_is_byte_order(&*factory().await).await;
    scans::ranges_and_limits(&*factory().await).await;
    scans::matches_a_model(&*factory().await).await;
    races::increments_lose_nothing(factory().await).await;
    races::one_creator_wins(factory().await).await;
    races::scans_are_snapshots(factory().await).await;
    races::acknowledged_writes_are_seen(factory().await).await;
}

const TABLE: Table = Table::Bookmarks;

fn key(name: &str) -> Key {
    KeyBuf::new("org_1").text(name).into()
}

async fn put(store: &dyn MetaStore, name: &str, value: &str) -> Version {
    let mut batch = Batch::new();
    batch.put(TABLE, key(name), value.to_owned());
    yes(store, batch).await
}

async fn yes(store: &dyn MetaStore, batch: Batch) -> Version {
    match store.commit(batch).await.unwrap() {
        Committed::Yes(version) => version,
        Committed::Conflict(index) => panic!("condition {index} did not hold"),
    }
}

async fn get(store: &dyn MetaStore, name: &str) -> Option<Row> {
    store.get(TABLE, &key(name)).await.unwrap()
}
