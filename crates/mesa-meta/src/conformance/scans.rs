//! Ranges.

use std::collections::BTreeMap;

use super::{TABLE, key, yes};
use crate::{
    key::{Key, KeyBuf},
    store::{Batch, MetaStore, Range, Table},
};

async fn names(
    store: &dyn MetaStore,
    range: &Range,
    limit: usize,
    descending: bool,
) -> Vec<String> {
    let entries = store.scan(TABLE, range, limit, descending).await.unwrap();
    entries
        .iter()
        .map(|e| String::from_utf8_lossy(&e.row.value).into_owned())
        .collect()
}

pub(super) async fn order_is_byte_order(store: &dyn MetaStore) {
    let in_order: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\x01", b"a", b"a\0", b"\xff"];
    let mut batch = Batch::new();
    for (n, name) in in_order.iter().enumerate().rev() {
        batch.put(TABLE, KeyBuf::new("org_1").bytes(name), n.to_string());
    }
    batch.put(Table::Repos, key("a"), "elsewhere");
    yes(store, batch).await;
    let all = Range::prefix(KeyBuf::new("org_1"));
    assert_eq!(names(store, &all, 100, false).await.concat(), "0123456");
    assert_eq!(names(store, &all, 100, true).await.concat(), "6543210");
}

pub(super) async fn ranges_and_limits(store: &dyn MetaStore) {
    let mut batch = Batch::new();
    for name in ["a", "b", "c", "d"] {
        batch.put(TABLE, key(name), name);
    }
    yes(store, batch).await;
    let mut other = Batch::new();
    other.put(TABLE, KeyBuf::new("org_2").text("a"), "other");
    yes(store, other).await;
    let range = |start: &str, end: Option<&str>| Range {
        start: key(start),
        end: end.map(key),
    };
    for (range, limit, descending, expected) in [
        (range("b", Some("d")), 10, false, "bc"),
        (range("b", Some("d")), 10, true, "cb"),
        (range("b", Some("d")), 1, true, "c"),
        (range("bb", None), 10, false, "cdother"),
        (range("bb", None), 10, true, "otherdc"),
        (range("a", None), 2, false, "ab"),
        (range("a", None), 0, false, ""),
        (range("c", Some("c")), 10, false, ""),
        (range("d", Some("a")), 10, false, ""),
        (Range::prefix(KeyBuf::new("org_1")), 10, false, "abcd"),
        (Range::prefix(KeyBuf::new("org_2")), 10, true, "other"),
        (Range::prefix(KeyBuf::new("org_3")), 10, false, ""),
    ] {
        let found = names(store, &range, limit, descending).await.concat();
        assert_eq!(found, expected, "{range:?} {limit} {descending}");
    }
}

/// Pseudo-random writes against a map, compared by random scans.
pub(super) async fn matches_a_model(store: &dyn MetaStore) {
    let mut model: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let name = |n: u64| Key::from(KeyBuf::new("org_1").bytes(&[(n % 5) as u8, (n / 5) as u8]));
    for _ in 0..200 {
        let mut batch = Batch::new();
        for _ in 0..=random(4) {
            let key = name(random(25));
            if random(3) == 0 {
                batch.delete(TABLE, key.clone());
                model.remove(&key);
            } else {
                let value = random(1000).to_string();
                batch.put(TABLE, key.clone(), value.clone());
                model.insert(key, value.into());
            }
        }
        yes(store, batch).await;
        let start = name(random(25));
        let end = (random(3) > 0).then(|| name(random(25)));
        let (limit, descending) = (random(10) as usize, random(2) == 1);
        let mut expected: Vec<_> = model
            .iter()
            .filter(|&(key, _)| *key >= start && end.as_ref().is_none_or(|end| key < end))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if descending {
            expected.reverse();
        }
        expected.truncate(limit);
        let found = store
            .scan(TABLE, &Range { start, end }, limit, descending)
            .await
            .unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|e| (e.key, e.row.value.to_vec()))
            .collect();
        assert_eq!(found, expected);
    }
}
