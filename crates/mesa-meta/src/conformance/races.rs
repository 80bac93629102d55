//! Many callers at once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{TABLE, get, key, put};
use crate::store::{Batch, Committed, MetaStore, Range, Row};

const CALLERS: u64 = 8;
const ROUNDS: u64 = 25;

fn number(row: &Row) -> u64 {
    std::str::from_utf8(&row.value).unwrap().parse().unwrap()
}

pub(super) async fn increments_lose_nothing(store: Arc<dyn MetaStore>) {
    put(&*store, "counter", "0").await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut versions = Vec::new();
                while versions.len() < ROUNDS as usize {
                    let row = get(&*store, "counter").await.unwrap();
                    let mut batch = Batch::new();
                    batch.is(TABLE, key("counter"), row.version).put(
                        TABLE,
                        key("counter"),
                        (number(&row) + 1).to_string(),
                    );
                    if let Committed::Yes(version) = store.commit(batch).await.unwrap() {
                        versions.push(version);
                    }
                }
                versions
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for caller in callers {
        versions.extend(caller.await.unwrap());
    }
    assert_eq!(versions.len() as u64, CALLERS * ROUNDS);
    let row = get(&*store, "counter").await.unwrap();
    assert_eq!(number(&row), CALLERS * ROUNDS);
    assert_eq!(Some(&row.version), versions.last());
}

pub(super) async fn one_creator_wins(store: Arc<dyn MetaStore>) {
    for round in 0..ROUNDS {
        let name = format!("slot{round}");
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (store, name) = (Arc::clone(&store), name.clone());
                tokio::spawn(async move {
                    let mut batch = Batch::new();
                    batch
                        .absent(TABLE, key(&name))
                        .put(TABLE, key(&name), caller.to_string());
                    match store.commit(batch).await.unwrap() {
                        Committed::Yes(_) => Some(caller),
                        Committed::Conflict(0) => None,
                        Committed::Conflict(other) => panic!("condition {other}"),
                    }
                })
            })
            .collect();
        let mut winners = Vec::new();
        for caller in callers {
            winners.extend(caller.await.unwrap());
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(number(&get(&*store, &name).await.unwrap()), winners[0]);
    }
}

/// A writer keeps two rows equal; no scan and no `get_many` may see them differ.
pub(super) async fn scans_are_snapshots(store: Arc<dyn MetaStore>) {
    let set = |n: u64| {
        let mut batch = Batch::new();
        batch
            .put(TABLE, key("left"), n.to_string())
            .put(TABLE, key("right"), n.to_string());
        batch
    };
    store.commit(set(0)).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            tokio::spawn(async move {
                let both = Range {
                    start: key("left"),
                    end: Some(key("rightx")),
                };
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) || reads == 0 {
                    let rows = store.scan(TABLE, &both, 10, false).await.unwrap();
                    assert_eq!(rows.len(), 2);
                    assert_eq!(rows[0].row, rows[1].row);
                    let rows = store
                        .get_many(TABLE, &[key("left"), key("right")])
                        .await
                        .unwrap();
                    assert_eq!(rows[0], rows[1]);
                    reads += 1;
                }
            })
        })
        .collect();
    for n in 1..=CALLERS * ROUNDS {
        store.commit(set(n)).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

pub(super) async fn acknowledged_writes_are_seen(store: Arc<dyn MetaStore>) {
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let name = format!("own{caller}");
                for n in 0..ROUNDS {
                    let version = put(&*store, &name, &n.to_string()).await;
                    let row = get(&*store, &name).await.unwrap();
                    assert_eq!((number(&row), row.version), (n, version));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}
