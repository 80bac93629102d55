//! The pack store: what it keeps, how often it calls, what it notices.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use bytes::Bytes;
use mesa_meta::{Batch, MetaStore};
use mesa_object::{Domain, Object, OrgKey};
use mesa_store::{
    Counted, Fault, Faulty, LocalStore, MemoryStore, ObjectName, ObjectStore, OrgPacks, PackStore,
    PackStoreConfig, StoreErrorKind, Stored,
};
use mesa_types::{ObjectId, OrgId, random::SeededRandom};

fn key() -> OrgKey {
    OrgKey::new([42; 32])
}

fn org(text: &str) -> OrgId {
    OrgId::from_unique(text)
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    mesa_types::random::Random::fill(&SeededRandom::new(seed), &mut out);
    out
}

fn chunk(seed: u64, len: usize) -> Object {
    Object::chunk(&key(), noise(seed, len))
}

fn listing(seed: u64) -> Object {
    Object::new(&key(), Domain::Directory, noise(seed, 500))
}

struct Setup {
    objects: Arc<Counted<MemoryStore>>,
    meta: Arc<mesa_meta::MemoryStore>,
    store: PackStore,
}

impl Setup {
    fn new() -> Self {
        Self::with(PackStoreConfig::default())
    }

    fn with(config: PackStoreConfig) -> Self {
        let objects = Arc::new(Counted::new(MemoryStore::new()));
        let meta = Arc::new(mesa_meta::MemoryStore::new());
        let store = PackStore::new(objects.clone(), meta.clone(), config);
        Self {
            objects,
            meta,
            store,
        }
    }

    /// The same stores with nothing in memory.
    fn cold(&self) -> OrgPacks {
        let config = PackStoreConfig::default();
        PackStore::new(self.objects.clone(), self.meta.clone(), config).org(org("a"), key())
    }

    async fn names(&self) -> Vec<ObjectName> {
        let found = self.objects.list("", None, 1000).await.unwrap();
        found.into_iter().map(|info| info.name).collect()
    }
}

#[tokio::test]
async fn objects_come_back_from_memory_and_from_packs() {
    let setup = Setup::new();
    let packs = setup.store.org(org("a"), key());
    let mut objects: Vec<Object> = (0..50).map(|n| chunk(n, 1 + n as usize * 999)).collect();
    objects.extend((0..10).map(listing));
    objects.push(Object::chunk(&key(), Bytes::new()));
    let stored = packs.put(objects.clone()).await.unwrap();
    assert_eq!(
        stored,
        Stored {
            stored: 61,
            present: 0
        }
    );
    let absent = ObjectId([9; 32]);
    for packs in [packs.clone(), setup.cold()] {
        let ids: Vec<ObjectId> = objects.iter().map(|o| o.id).chain([absent]).collect();
        let twice = [&ids[..], &ids[..]].concat();
        let read = packs.get_many(&twice).await.unwrap();
        for (n, read) in read.iter().enumerate() {
            let expected = objects.get(n % 62).map(|o| &o.bytes);
            assert_eq!(read.as_ref(), expected);
        }
        assert_eq!(packs.has(&[ids[0], absent]).await.unwrap(), [true, false]);
        let described = packs.describe(&[ids[2], absent, ids[50]]).await.unwrap();
        let expected = [
            Some((Domain::Chunk, 1999)),
            None,
            Some((Domain::Directory, 500)),
        ];
        assert_eq!(described, expected);
        let error = packs.get(absent).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound);
    }
}

#[tokio::test]
async fn a_seal_sized_put_takes_four_store_operations() {
    let setup = Setup::new();
    let packs = setup.store.org(org("a"), key());
    let objects = (0..300).map(|n| {
        if n % 2 == 0 {
            chunk(n, 2_000)
        } else {
            listing(n)
        }
    });
    packs.put(objects.collect()).await.unwrap();
    let counts = setup.store.counts();
    assert_eq!(
        (
            counts.packs_written,
            counts.index_reads,
            counts.index_commits
        ),
        (2, 1, 1)
    );
    assert_eq!(counts.store_operations(), 4);
    assert_eq!(setup.objects.counts().calls(), 2);
    let names = setup.names().await;
    assert!(
        names.iter().all(|n| n.as_str().starts_with("packs/org_a/")),
        "{names:?}"
    );
}

#[tokio::test]
async fn what_is_there_is_not_written_again() {
    let setup = Setup::new();
    let packs = setup.store.org(org("a"), key());
    let objects = vec![chunk(1, 100), chunk(2, 100), chunk(1, 100)];
    let first = packs.put(objects.clone()).await.unwrap();
    assert_eq!(
        first,
        Stored {
            stored: 2,
            present: 1
        }
    );
    let again = packs.put(objects).await.unwrap();
    assert_eq!(
        again,
        Stored {
            stored: 0,
            present: 3
        }
    );
    assert_eq!(setup.objects.counts().puts, 1);
    assert_eq!(setup.store.counts().index_commits, 1);
    assert_eq!(packs.put(Vec::new()).await.unwrap(), Stored::default());
}

#[tokio::test]
async fn packs_are_closed_at_their_size() {
    let setup = Setup::new();
    let packs = setup.store.org(org("a"), key());
    packs
        .put((0..40).map(|n| chunk(n, 1 << 20)).collect())
        .await
        .unwrap();
    let sizes = setup.objects.list("", None, 10).await.unwrap();
    assert_eq!(sizes.len(), 3);
    assert!(
        sizes.iter().all(|info| info.bytes <= (16 << 20) + 4096),
        "{sizes:?}"
    );
}

#[tokio::test]
async fn written_objects_appear_with_the_callers_batch() {
    let setup = Setup::new();
    let packs = setup.store.org(org("a"), key());
    let object = chunk(1, 100);
    let rows = packs.write(vec![object.clone()]).await.unwrap();
    assert_eq!(packs.has(&[object.id]).await.unwrap(), [false]);
    let mut batch = Batch::new();
    rows.add_to(&mut batch);
    setup.meta.commit(batch).await.unwrap();
    assert_eq!(packs.get(object.id).await.unwrap(), object.bytes);
}

#[tokio::test]
async fn neighbours_are_read_together() {
    let setup = Setup::new();
    let packs = setup.store.org(org("a"), key());
    let objects: Vec<Object> = (0..200).map(|n| chunk(n, 10_000)).collect();
    packs.put(objects.clone()).await.unwrap();
    let cold = setup.cold();
    let before = setup.objects.counts().gets;
    let ids: Vec<ObjectId> = objects.iter().step_by(3).map(|o| o.id).collect();
    cold.get_many(&ids).await.unwrap();
    assert_eq!(setup.objects.counts().gets - before, 1);
    cold.get_many(&ids).await.unwrap();
    assert_eq!(setup.objects.counts().gets - before, 1, "now in memory");
}

#[tokio::test]
async fn orgs_do_not_see_each_other() {
    let setup = Setup::new();
    let packs = setup.store.org(org("a"), key());
    let object = chunk(1, 100);
    packs.put(vec![object.clone()]).await.unwrap();
    packs.get(object.id).await.unwrap();
    // Even with the same key, and the object in memory.
    let other = setup.store.org(org("b"), key());
    assert_eq!(other.has(&[object.id]).await.unwrap(), [false]);
    assert_eq!(other.get_many(&[object.id]).await.unwrap(), [None]);
    let stored = other.put(vec![object]).await.unwrap();
    assert_eq!(stored.stored, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_reads_of_one_object_are_one_read() {
    let setup = Setup::new();
    let object = chunk(1, 500_000);
    setup
        .store
        .org(org("a"), key())
        .put(vec![object.clone()])
        .await
        .unwrap();
    let cold = setup.cold();
    let before = setup.objects.counts().gets;
    let reads = (0..64).map(|_| {
        let (cold, id) = (cold.clone(), object.id);
        tokio::spawn(async move { cold.get(id).await })
    });
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.unwrap().unwrap(), object.bytes);
    }
    assert_eq!(setup.objects.counts().gets - before, 1);
}

#[tokio::test]
async fn a_reader_that_gives_up_does_not_block_others() {
    let setup = Setup::new();
    let object = chunk(1, 1000);
    setup
        .store
        .org(org("a"), key())
        .put(vec![object.clone()])
        .await
        .unwrap();
    // The first read fails, whoever waits for it reads again.
    let failures = AtomicU32::new(1);
    let bytes = setup.objects.clone();
    let objects = Faulty::new(Passing(bytes), move |_, _| {
        let fail = failures
            .fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1))
            .is_ok();
        if fail {
            Fault::Fail(StoreErrorKind::Unavailable)
        } else {
            Fault::None
        }
    });
    let config = PackStoreConfig::default();
    let store = PackStore::new(Arc::new(objects), setup.meta.clone(), config);
    let packs = store.org(org("a"), key());
    let (first, second) = futures::join!(packs.get(object.id), packs.get(object.id));
    assert_eq!(first.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(second.unwrap(), object.bytes);
    drop(packs.get(object.id));
    assert_eq!(packs.get(object.id).await.unwrap(), object.bytes);
}

/// Shares a store between two wrappers.
struct Passing(Arc<Counted<MemoryStore>>);

#[async_trait::async_trait]
impl ObjectStore for Passing {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), mesa_store::StoreError> {
        self.0.put(name, bytes).await
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, mesa_store::StoreError> {
        self.0.get_range(name, range).await
    }

    async fn size(&self, name: &ObjectName) -> Result<u64, mesa_store::StoreError> {
        self.0.size(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<mesa_store::ObjectInfo>, mesa_store::StoreError> {
        self.0.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), mesa_store::StoreError> {
        self.0.delete(name).await
    }
}

#[tokio::test]
async fn damage_is_an_error_and_never_wrong_bytes() {
    let setup = Setup::new();
    let packs = setup.store.org(org("a"), key());
    let objects = vec![chunk(1, 1000), Object::chunk(&key(), b"text ".repeat(100))];
    packs.put(objects.clone()).await.unwrap();
    let pack = setup.names().await.remove(0);
    let size = setup.objects.size(&pack).await.unwrap() as usize;
    for at in (0..size).step_by(7) {
        setup.objects.inner().damage(&pack, |bytes| bytes[at] ^= 1);
        for object in &objects {
            match setup.cold().get(object.id).await {
                Ok(bytes) => assert_eq!(bytes, object.bytes),
                Err(error) => assert_eq!(error.kind, StoreErrorKind::Corrupt),
            }
        }
        setup.objects.inner().damage(&pack, |bytes| bytes[at] ^= 1);
    }
    setup
        .objects
        .inner()
        .damage(&pack, |bytes| bytes.truncate(100));
    let error = setup.cold().get(objects[0].id).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    setup.objects.delete(&pack).await.unwrap();
    let error = setup.cold().get(objects[0].id).await.unwrap_err();
    assert_eq!(
        error.kind,
        StoreErrorKind::Corrupt,
        "the index names a pack that is gone"
    );
}

#[tokio::test]
async fn a_failed_put_indexes_nothing() {
    let broken = Arc::new(AtomicBool::new(true));
    let plan = broken.clone();
    let objects = Faulty::new(MemoryStore::new(), move |_, _| {
        if plan.load(Relaxed) {
            Fault::Fail(StoreErrorKind::Full)
        } else {
            Fault::None
        }
    });
    let meta = Arc::new(mesa_meta::MemoryStore::new());
    let store = PackStore::new(Arc::new(objects), meta, PackStoreConfig::default());
    let packs = store.org(org("a"), key());
    let object = chunk(1, 100);
    let error = packs.put(vec![object.clone()]).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Full);
    assert_eq!(packs.has(&[object.id]).await.unwrap(), [false]);
    broken.store(false, Relaxed);
    packs.put(vec![object.clone()]).await.unwrap();
    assert_eq!(packs.get(object.id).await.unwrap(), object.bytes);
}

#[tokio::test]
async fn packs_in_a_directory_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let meta = Arc::new(mesa_meta::MemoryStore::new());
    let open = || {
        let objects = Arc::new(LocalStore::open(dir.path()).unwrap());
        PackStore::new(objects, meta.clone(), PackStoreConfig::default()).org(org("a"), key())
    };
    let objects: Vec<Object> = (0..20).map(|n| chunk(n, 100_000)).collect();
    open().put(objects.clone()).await.unwrap();
    let ids: Vec<ObjectId> = objects.iter().map(|o| o.id).collect();
    let read = open().get_many(&ids).await.unwrap();
    assert!(
        read.iter()
            .zip(&objects)
            .all(|(read, object)| read.as_ref() == Some(&object.bytes))
    );
}

#[tokio::test]
async fn pack_names_follow_from_clock_and_randomness() {
    let names = async || {
        let setup = Setup::with(PackStoreConfig {
            clock: Arc::new(FixedClock),
            random: Arc::new(SeededRandom::new(3)),
            ..PackStoreConfig::default()
        });
        let packs = setup.store.org(org("a"), key());
        packs.put(vec![chunk(1, 10), listing(1)]).await.unwrap();
        setup.names().await
    };
    assert_eq!(names().await, names().await);
}

struct FixedClock;

impl mesa_types::time::Clock for FixedClock {
    fn now(&self) -> mesa_types::Nanos {
        mesa_types::Nanos(1_700_000_000_000_000_000)
    }
}
