//! Packs and their index through power cuts: what was acknowledged is there, and nothing is
//! indexed that is not.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test and its child process"
)]

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use mesa_meta::{KeyBuf, MetaStore, Range, SqliteOptions, SqliteStore, Table};
use mesa_object::{Object, OrgKey};
use mesa_store::{LocalStore, OrgPacks, PackStore, PackStoreConfig};
use mesa_testkit::{Disk, freeze};
use mesa_types::{
    ObjectId, OrgId,
    random::{Random, SeededRandom, SystemRandom},
};

const CHILD: &str = "MESA_POWER_CUT_CHILD";
const WRITERS: u64 = 3;
const ROUNDS: u64 = 6;

fn org() -> OrgId {
    OrgId::from_unique("a")
}

fn open(disk: &Path) -> (OrgPacks, Arc<SqliteStore>) {
    std::fs::create_dir_all(disk.join("meta")).unwrap();
    std::fs::File::open(disk).unwrap().sync_all().unwrap();
    let meta = SqliteStore::open(&disk.join("meta"), &SqliteOptions::default()).unwrap();
    let meta = Arc::new(meta);
    let objects = Arc::new(LocalStore::open(disk.join("objects")).unwrap());
    let store = PackStore::new(objects, meta.clone(), PackStoreConfig::default());
    (store.org(org(), OrgKey::new([7; 32])), meta)
}

/// The machine: writers put objects and say so once the put is acknowledged.
#[test]
fn child() {
    let Ok(disk) = std::env::var(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (packs, _meta) = open(Path::new(&disk));
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..WRITERS {
            let packs = packs.clone();
            writers.spawn(async move {
                loop {
                    let mut bytes = vec![0; 20_000];
                    SystemRandom.fill(&mut bytes);
                    let object = Object::chunk(packs.key(), bytes);
                    let id = object.id;
                    packs.put(vec![object]).await.unwrap();
                    writeln!(std::io::stdout().lock(), "acked {id}").unwrap();
                }
            });
        }
        writers.join_all().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_objects_survive_and_nothing_is_half_there() {
    let mut disk = Disk::new(256 << 20).unwrap();
    let mut acked: Vec<ObjectId> = Vec::new();
    let random = SeededRandom::new(11);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, disk.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut byte = [0];
        random.fill(&mut byte);
        let mut left = 5 + usize::from(byte[0] % 40);
        let mut note = |line: &str| -> bool {
            // libtest writes its own texts to the same stream, at worst on the same line.
            let Some((_, id)) = line.split_once("acked ") else {
                return false;
            };
            let bytes: Vec<u8> = (0..32)
                .map(|n| u8::from_str_radix(&id[2 * n..2 * n + 2], 16).unwrap())
                .collect();
            acked.push(ObjectId::from_slice(&bytes).unwrap());
            true
        };
        while left > 0 {
            left -= usize::from(note(&lines.next().unwrap().unwrap()));
        }
        freeze(rustix::process::Pid::from_child(&child)).unwrap();
        let after = disk.after_power_cut().unwrap();
        // Looked at in a copy: the next machine starts from what this one left, untouched.
        let copy = disk.after_power_cut().unwrap();
        child.kill().unwrap();
        // What was said before the cut but not read yet counts too.
        for line in lines.map_while(Result::ok) {
            if line.len() >= 70 {
                note(&line);
            }
        }
        child.wait().unwrap();
        disk = after;

        let (packs, meta) = open(&copy.path());
        let read = packs.get_many(&acked).await.unwrap();
        let lost = read.iter().filter(|object| object.is_none()).count();
        assert_eq!(
            lost,
            0,
            "of {} acknowledged objects, round {round}",
            acked.len()
        );
        let range = Range::prefix(KeyBuf::new(org().as_str()));
        let rows = meta
            .scan(Table::Chunks, &range, 100_000, false)
            .await
            .unwrap();
        let indexed: HashSet<ObjectId> = rows
            .iter()
            .map(|row| ObjectId::from_slice(&row.key.0[row.key.0.len() - 32..]).unwrap())
            .collect();
        assert!(indexed.len() >= acked.len());
        let indexed: Vec<ObjectId> = indexed.into_iter().collect();
        // Reading verifies: an index row without its pack is an error.
        let read = packs.get_many(&indexed).await.unwrap();
        assert!(read.iter().all(Option::is_some));
    }
    assert!(acked.len() > 30);
}
