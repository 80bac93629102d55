//! Power cuts below the process: what SQLite wrote and did not sync is lost, wholly or in parts,
//! and everything the store acknowledged is there.

#![allow(missing_docs, clippy::unwrap_used)]

mod disk;
mod vfs;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use mesa_meta::{Batch, Committed, Key, KeyBuf, MetaStore, SqliteOptions, SqliteStore, Table};
use mesa_types::random::{Random, SeededRandom};
use parking_lot::Mutex;

const CALLERS: u64 = 4;
/// Rows each caller writes in turn, so that the file stays small while the WAL wraps around.
const SLOTS: u64 = 8;

fn head(caller: u64) -> Key {
    KeyBuf::new("org_1").text("head").u64(caller).into()
}

fn slot(caller: u64, n: u64) -> Key {
    KeyBuf::new("org_1")
        .text("slot")
        .u64(caller)
        .u64(n % SLOTS)
        .into()
}

fn content(caller: u64, n: u64) -> Vec<u8> {
    let mut out = n.to_le_bytes().to_vec();
    out.resize(20_000 + (n as usize % 7) * 3000, (caller * 31 + n) as u8);
    out
}

/// Commits until `until` batches are acknowledged by all callers together.
async fn work(store: &Arc<SqliteStore>, acked: &Arc<Mutex<[u64; CALLERS as usize]>>, until: u64) {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (store, acked) = (Arc::clone(store), Arc::clone(acked));
        callers.spawn(async move {
            loop {
                let n = {
                    let acked = acked.lock();
                    if acked.iter().sum::<u64>() >= until {
                        return;
                    }
                    acked[caller as usize] + 1
                };
                let mut batch = Batch::new();
                batch
                    .put(Table::Heads, head(caller), n.to_le_bytes().to_vec())
                    .put(Table::OpLog, slot(caller, n), content(caller, n))
                    .delete(Table::Sessions, slot(caller, n + 1))
                    .put(Table::Sessions, slot(caller, n), n.to_string());
                let outcome = store.commit(batch).await.unwrap();
                assert!(matches!(outcome, Committed::Yes(_)));
                acked.lock()[caller as usize] = n;
            }
        });
    }
    callers.join_all().await;
}

/// The last batch of each caller on a disk.
async fn heads(directory: &Path) -> [u64; CALLERS as usize] {
    let store = SqliteStore::open(directory, &SqliteOptions::default()).unwrap();
    let mut out = [0; CALLERS as usize];
    for caller in 0..CALLERS {
        let row = store.get(Table::Heads, &head(caller)).await.unwrap();
        let last = row.map(|row| u64::from_le_bytes(row.value[..].try_into().unwrap()));
        out[caller as usize] = last.unwrap_or(0);
    }
    store.close().await.unwrap();
    out
}

/// What is wrong with a disk after a power cut; empty = nothing.
async fn faults(directory: &Path, acked: [u64; CALLERS as usize]) -> Vec<String> {
    let mut out = Vec::new();
    let store = match SqliteStore::open(directory, &SqliteOptions::default()) {
        Ok(store) => store,
        Err(error) => return vec![format!("{error:?}")],
    };
    match store.check_integrity().await {
        Ok(problems) => out.extend(problems),
        Err(error) => out.push(format!("{error:?}")),
    }
    for caller in 0..CALLERS {
        let row = match store.get(Table::Heads, &head(caller)).await {
            Ok(row) => row,
            Err(error) => return vec![format!("{error:?}")],
        };
        let last = row.map_or(0, |row| {
            u64::from_le_bytes(row.value[..].try_into().unwrap())
        });
        if last < acked[caller as usize] {
            out.push(format!(
                "caller {caller}: {last} of {}",
                acked[caller as usize]
            ));
        }
        for n in last.saturating_sub(SLOTS - 1).max(1)..=last {
            let row = store.get(Table::OpLog, &slot(caller, n)).await;
            if !matches!(row, Ok(Some(row)) if row.value == content(caller, n)) {
                out.push(format!("caller {caller}: {n} of {last} has other content"));
            }
        }
    }
    let _ = store.close().await;
    out
}

/// A cut: the disk it left, and what was acknowledged before it.
type Cut = (PathBuf, [u64; CALLERS as usize]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_batches_survive_power_cuts() {
    const COMMITS: u64 = 600;
    const CUTS: usize = 8;
    let root = tempfile::tempdir().unwrap();
    let random = Arc::new(SeededRandom::new(11));
    let mut live = root.path().join("0");
    std::fs::create_dir(&live).unwrap();
    let acked = Arc::new(Mutex::new([0; CALLERS as usize]));
    let lost = Arc::new(AtomicUsize::new(0));
    for round in 1..=4 {
        let options = SqliteOptions {
            vfs: Some(vfs::register(vfs::Sync::Honest)),
            ..SqliteOptions::default()
        };
        let store = Arc::new(SqliteStore::open(&live, &options).unwrap());
        // Cuts at pseudo-random writes of the run, each leaving a disk of its own.
        let cuts = Arc::new(Mutex::new(Vec::<Cut>::new()));
        let hook = {
            let (acked, cuts, lost) = (Arc::clone(&acked), Arc::clone(&cuts), Arc::clone(&lost));
            let (random, live, root) = (Arc::clone(&random), live.clone(), root.path().to_owned());
            let mut left = 500;
            move || {
                let mut cuts = cuts.lock();
                if cuts.len() == CUTS {
                    return;
                }
                left -= 1;
                if left > 0 {
                    return;
                }
                let mut gap = [0; 2];
                random.fill(&mut gap);
                left = 1 + u32::from(u16::from_le_bytes(gap)) % 1500;
                let before = *acked.lock();
                let after = root.join(format!("{round}-{}", cuts.len()));
                lost.fetch_add(disk::power_cut(&live, &after, &*random), Ordering::Relaxed);
                cuts.push((after, before));
            }
        };
        disk::on_change(&live, hook);
        let until = acked.lock().iter().sum::<u64>() + COMMITS;
        work(&store, &acked, until).await;
        let cuts = cuts.lock().clone();
        assert_eq!(cuts.len(), CUTS);
        for (after, before) in &cuts {
            assert_eq!(
                faults(after, *before).await,
                Vec::<String>::new(),
                "{after:?}"
            );
        }
        // The next round goes on from a disk that saw a cut.
        live.clone_from(&cuts[CUTS - 1].0);
        let heads = heads(&live).await;
        *acked.lock() = heads;
    }
    assert!(
        lost.load(Ordering::Relaxed) > 0,
        "no cut hit anything, so nothing was tested"
    );
}

/// The same on a disk that says it synced and did not: the test above can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(12);
    let live = root.path().join("live");
    std::fs::create_dir(&live).unwrap();
    // Sound up to the start, so that there is a store to be opened.
    SqliteStore::open(&live, &SqliteOptions::default())
        .unwrap()
        .close()
        .await
        .unwrap();
    let options = SqliteOptions {
        vfs: Some(vfs::register(vfs::Sync::Ignored)),
        ..SqliteOptions::default()
    };
    let store = Arc::new(SqliteStore::open(&live, &options).unwrap());
    let acked = Arc::new(Mutex::new([0; CALLERS as usize]));
    work(&store, &acked, 100).await;
    let after = root.path().join("after");
    disk::power_cut(&live, &after, &random);
    let acked = *acked.lock();
    let faults = faults(&after, acked).await;
    assert!(!faults.is_empty());
}
