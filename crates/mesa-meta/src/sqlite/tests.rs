use std::{future::Future, pin::Pin};

use super::*;
use crate::{KeyBuf, conformance};

fn open(directory: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(directory, &SqliteOptions::default())
}

fn key(name: &str) -> Key {
    KeyBuf::new("org_1").text(name).into()
}

fn put(name: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::OpLog, key(name), value.to_owned());
    batch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conforms() {
    let root = tempfile::tempdir().unwrap();
    let made = std::sync::atomic::AtomicU32::new(0);
    conformance::run(|| {
        let n = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory = root.path().join(n.to_string());
        let store = async move {
            std::fs::create_dir(&directory).unwrap();
            Arc::new(open(&directory).unwrap()) as Arc<dyn MetaStore>
        };
        Box::pin(store) as Pin<Box<dyn Future<Output = _> + Send>>
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_after_closing_and_opening() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let mut versions = Vec::new();
    for n in 0..10 {
        versions.push(store.commit(put("a", &n.to_string())).await.unwrap());
    }
    store.close().await.unwrap();
    let wal = directory.path().join("meta.db-wal");
    assert!(
        std::fs::metadata(wal).map_or(0, |m| m.len()) == 0,
        "closed without checkpoint"
    );

    let store = open(directory.path()).unwrap();
    let row = store.get(Table::OpLog, &key("a")).await.unwrap().unwrap();
    assert_eq!(row.value, "9");
    assert_eq!(Committed::Yes(row.version), versions[9]);
    let Committed::Yes(next) = store.commit(put("a", "10")).await.unwrap() else {
        panic!("no conditions, no conflict");
    };
    assert!(
        versions
            .iter()
            .all(|v| matches!(v, Committed::Yes(v) if *v < next))
    );
    assert_eq!(store.check_integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_server_is_kept_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::InUse(_))));
    store.close().await.unwrap();
    assert!(open(directory.path()).is_ok());
}

#[tokio::test]
async fn other_formats_and_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).unwrap().close().await.unwrap();
    let database = directory.path().join("meta.db");
    let edit = |sql: &str| {
        Connection::open(&database)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    };
    edit("PRAGMA user_version = 2");
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Format {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    edit("PRAGMA user_version = 1; PRAGMA application_id = 5");
    assert!(matches!(open(directory.path()), Err(OpenError::Foreign(_))));
    for leftover in ["meta.db-wal", "meta.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(leftover));
    }
    std::fs::write(
        &database,
        "this is a text, and long enough to be taken for a header ".repeat(9),
    )
    .unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(&error, OpenError::Damaged { path, .. } if *path == database),
        "{error:?}"
    );
}

#[tokio::test]
async fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    store.commit(put("a", "1")).await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        files += 1;
    }
    assert_eq!(files, 4);
}

/// Batches that wait while the writer is busy share one transaction, and each stands alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_batches_are_folded() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()).unwrap());
    // An open write transaction of another connection keeps the writer waiting at its first batch.
    let blocker = Connection::open(directory.path().join("meta.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..100 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let mut batch = put(&format!("k{n}"), "1");
            batch
                .absent(Table::OpLog, key("one"))
                .put(Table::OpLog, key("one"), n.to_string());
            store.commit(batch).await.unwrap()
        });
    }
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    // The writer may have taken several of them before it had to wait.
    while store.counters().calls().commits < 100 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    blocker.execute_batch("ROLLBACK").unwrap();
    let outcomes = callers.join_all().await;
    let winners = outcomes
        .iter()
        .filter(|o| matches!(o, Committed::Yes(_)))
        .count();
    assert_eq!(
        winners, 1,
        "each batch sees those before it in the same transaction"
    );
    let calls = store.counters().calls();
    assert_eq!(calls.commits, 100);
    assert!(calls.transactions <= 3, "{calls:?}");
    let all = Range::prefix(KeyBuf::new("org_1"));
    assert_eq!(
        store
            .scan(Table::OpLog, &all, 200, false)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_full_disk_is_full_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).unwrap().close().await.unwrap();
    let store = open(directory.path()).unwrap();
    // SQLite's own page limit answers as a full disk does.
    store
        .send(|answer| Job::LimitPages { pages: 60, answer })
        .await
        .unwrap();
    let big = "x".repeat(400_000);
    let error = store.commit(put("big", &big)).await.unwrap_err();
    assert_eq!(error.kind, MetaErrorKind::Full);
    assert!(error.source.is_some());
    assert_eq!(store.get(Table::OpLog, &key("big")).await.unwrap(), None);
    store.commit(put("small", "1")).await.unwrap();
    store
        .send(|answer| Job::LimitPages {
            pages: 1_000_000,
            answer,
        })
        .await
        .unwrap();
    store.commit(put("big", &big)).await.unwrap();
}

#[tokio::test]
async fn damage_is_reported_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    for n in 0..200 {
        store
            .commit(put(&format!("k{n}"), &"v".repeat(1000)))
            .await
            .unwrap();
    }
    store.close().await.unwrap();
    let database = directory.path().join("meta.db");
    let mut bytes = std::fs::read(&database).unwrap();
    // Everything after the pages of the schema.
    bytes[4096 * 40..].fill(0xa5);
    std::fs::write(&database, bytes).unwrap();
    let store = open(directory.path()).unwrap();
    let all = Range::prefix(KeyBuf::new("org_1"));
    let error = store
        .scan(Table::OpLog, &all, 1000, false)
        .await
        .unwrap_err();
    assert_eq!(error.kind, MetaErrorKind::Corrupt);
}
