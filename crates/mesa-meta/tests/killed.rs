//! A process killed while it commits: everything it was told is durable is there.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use mesa_meta::{
    Batch, Committed, Key, KeyBuf, MetaStore, Range, SqliteOptions, SqliteStore, Table,
};

const CHILD: &str = "MESA_META_TEST_CHILD";
const CALLERS: u64 = 4;
const ROUNDS: usize = 6;

fn key(caller: u64, n: u64) -> Key {
    KeyBuf::new("org_1").u64(caller).u64(n).into()
}

fn head(caller: u64) -> Key {
    KeyBuf::new("org_1").u64(caller).into()
}

/// The killed process: each caller appends rows and says so once each is acknowledged.
#[test]
fn child() {
    let Ok(directory) = std::env::var(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(Path::new(&directory), &SqliteOptions::default()).unwrap();
        let store = Arc::new(store);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..CALLERS {
            let store = Arc::clone(&store);
            callers.spawn(async move {
                let last = store.get(Table::Heads, &head(caller)).await.unwrap();
                let mut n = last.map_or(0, |row| {
                    u64::from_le_bytes(row.value[..].try_into().unwrap())
                });
                loop {
                    n += 1;
                    let mut batch = Batch::new();
                    batch
                        .put(Table::Heads, head(caller), n.to_le_bytes().to_vec())
                        .absent(Table::OpLog, key(caller, n))
                        .put(Table::OpLog, key(caller, n), vec![n as u8; 3000]);
                    let outcome = store.commit(batch).await.unwrap();
                    assert!(matches!(outcome, Committed::Yes(_)));
                    writeln!(std::io::stdout().lock(), "acked {caller} {n}").unwrap();
                }
            });
        }
        callers.join_all().await;
    });
}

#[test]
fn nothing_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut acked = [0; CALLERS as usize];
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: &str| {
            // libtest writes its own texts to the same stream, at worst on the same line.
            let Some((_, ack)) = line.split_once("acked ") else {
                return false;
            };
            let (caller, n) = ack.split_once(' ').unwrap();
            let caller: usize = caller.parse().unwrap();
            acked[caller] = n.parse::<u64>().unwrap().max(acked[caller]);
            true
        };
        let mut seen = 0;
        while seen < 150 + 97 * round {
            seen += usize::from(note(
                &lines.next().expect("the child ended by itself").unwrap(),
            ));
        }
        child.kill().unwrap();
        // What it said before it died counts too; the last line may be cut.
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        for line in rest.iter().take(rest.len().saturating_sub(1)) {
            note(line);
        }
        child.wait().unwrap();
        check(directory.path(), acked);
    }
}

fn check(directory: &Path, acked: [u64; CALLERS as usize]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(directory, &SqliteOptions::default()).unwrap();
        assert_eq!(store.check_integrity().await.unwrap(), Vec::<String>::new());
        for caller in 0..CALLERS {
            let rows = Range::prefix(head(caller));
            let rows = store
                .scan(Table::OpLog, &rows, usize::MAX, false)
                .await
                .unwrap();
            let last = rows.len() as u64;
            assert!(
                last >= acked[caller as usize],
                "{last} of {}",
                acked[caller as usize]
            );
            for (n, row) in (1..).zip(&rows) {
                assert_eq!(row.key, key(caller, n), "a gap");
                assert!(row.row.value.len() == 3000 && row.row.value.iter().all(|&b| b == n as u8));
            }
            // Both rows of a batch or none.
            let head = store
                .get(Table::Heads, &head(caller))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(u64::from_le_bytes(head.value[..].try_into().unwrap()), last);
        }
        store.close().await.unwrap();
    });
}
