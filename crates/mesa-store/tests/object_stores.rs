//! Every object store passes the same suite.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{os::unix::fs::PermissionsExt, sync::Arc};

use bytes::Bytes;
use mesa_store::{
    Counted, Fault, Faulty, LocalStore, MemoryStore, ObjectName, ObjectStore, StoreErrorKind,
    conformance,
};

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    conformance::run(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_directory_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conformance::run(Arc::new(LocalStore::open(dir.path().join("a/b")).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrappers_conform() {
    let counted = Counted::new(Faulty::new(MemoryStore::new(), |_, _| Fault::None));
    let counted = Arc::new(counted);
    conformance::run(counted.clone()).await;
    let counts = counted.counts();
    assert!(counts.puts > 20 && counts.gets > 8 && counts.lists > 6 && counts.deletes == 2);
    assert!(counts.bytes_put > 3 << 20 && counts.bytes_got > 3 << 20);
}

#[tokio::test]
async fn a_reopened_directory_has_its_objects_and_no_left_overs() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path()).unwrap();
    store
        .put(&name("p/a"), Bytes::from_static(b"x"))
        .await
        .unwrap();
    let again = store.put(&name("p/a"), Bytes::from_static(b"y")).await;
    assert!(again.is_err());
    // What a put that was killed leaves behind.
    std::fs::write(dir.path().join("p/b#1"), b"half").unwrap();
    let store = LocalStore::open(dir.path()).unwrap();
    let found = store.list("", None, 10).await.unwrap();
    assert_eq!(
        found.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(),
        ["p/a"]
    );
    let missing = store.size(&name("p/b")).await;
    assert_eq!(missing.unwrap_err().kind, StoreErrorKind::NotFound);
    store
        .put(&name("p/b"), Bytes::from_static(b"whole"))
        .await
        .unwrap();
    assert_eq!(store.get_range(&name("p/b"), 0..5).await.unwrap(), "whole");
}

#[tokio::test]
async fn io_errors_have_a_kind_and_a_cause() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), b"").unwrap();
    let error = LocalStore::open(dir.path().join("file/sub")).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let store = LocalStore::open(dir.path().join("objects")).unwrap();
    let blocked = dir.path().join("objects/p");
    std::fs::write(&blocked, b"").unwrap();
    std::fs::set_permissions(&blocked, std::fs::Permissions::from_mode(0o600)).unwrap();
    let error = store.put(&name("p/a"), Bytes::new()).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error}");
}

#[test]
fn names_are_checked() {
    for good in ["a", "a/b", "packs/org_1/X/01H.pack"] {
        assert!(ObjectName::new(good).is_ok(), "{good}");
    }
    let long = "x".repeat(513);
    for bad in [
        "", "/a", "a/", "a//b", "..", "a/../b", ".", "a b", "a#1", "ä", "a\0", &long,
    ] {
        assert_eq!(
            ObjectName::new(bad).unwrap_err().kind,
            StoreErrorKind::Usage,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let store = Faulty::new(MemoryStore::new(), |_, name| match name {
        "fail" => Fault::Fail(StoreErrorKind::Full),
        "answer" => Fault::LoseAnswer,
        "drop" => Fault::DropWrite,
        _ => Fault::None,
    });
    let put = |n| store.put(n, Bytes::from_static(b"x"));
    let (fail, answer, dropped) = (name("fail"), name("answer"), name("drop"));
    assert_eq!(put(&fail).await.unwrap_err().kind, StoreErrorKind::Full);
    assert_eq!(
        put(&answer).await.unwrap_err().kind,
        StoreErrorKind::Unavailable
    );
    put(&dropped).await.unwrap();
    let kept = store.list("", None, 9).await.unwrap();
    assert_eq!(
        kept.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(),
        ["answer"]
    );
}
