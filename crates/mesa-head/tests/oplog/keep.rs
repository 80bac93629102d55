//! How long the past is kept, and what a crash leaves of a write.

use mesa_head::{At, HeadsConfig};
use mesa_meta::{MetaStore, Range, Table};
use mesa_types::Nanos;

use crate::{
    support::{DAY, SECOND, World, release},
    writes::{main, pairs, put},
};

impl World {
    async fn rows(&self, table: Table) -> usize {
        let org = mesa_meta::KeyBuf::new(self.server.caller.org.as_str());
        let range = Range::prefix(org);
        let found = self.meta.scan(table, &range, 10_000, false).await;
        found.unwrap().len()
    }

    async fn collect(&self) {
        for _ in 0..40 {
            self.server.backend.heads.collect(1000).await.unwrap();
        }
    }
}

#[tokio::test]
async fn operations_are_kept_for_a_day_with_what_it_takes_to_undo_them() {
    let world = World::start().await;
    let mut session = world.session("/bin/sh", 2).await;
    let root = session.root();
    let (file, create) = session.file("", root, "f", b"0");
    session.commit(vec![create]).await;
    world.seal().await;
    // A tail of two rows that straddle the limit, one seal for both.
    let mut content = b"0".to_vec();
    for n in 1..=6 {
        world.pass(10 * 3600 * SECOND);
        session.pause(3 * SECOND);
        let next = n.to_string().into_bytes();
        let write = session.write("f", file, &content, &next);
        session.commit(vec![write]).await;
        content = next;
        if n % 2 == 0 {
            world.seal().await;
        }
    }
    release(&mut session).await;
    world.collect().await;
    // Written 60, 50, 40, 30, 20, 10 and 0 hours ago; sealed at 60, 40, 20 and 0.
    let actions = world.actions().await;
    let kept: Vec<u64> = actions.iter().map(|action| action.first).collect();
    assert_eq!(kept, [7, 6, 5, 4], "4 is needed for the state before 5");
    let conflicts = world.conflicts(Some(5)).await;
    let source = conflicts[0].hunks[0].source.as_deref();
    assert_eq!(source, Some(&b"3"[..]), "the state before it");
    let old = world.try_restore(At::After(3), &["f"], false).await;
    assert_eq!(old.unwrap_err().code, "OPERATION_NOT_FOUND");
    world.restore(At::Before(5), &["f"]).await;
    assert_eq!(world.files().await, pairs(&[("f", "3")]));

    // Older states are there as they were sealed.
    let at = |hours: i64| {
        let now = world.server.backend.catalog.now().0;
        At::Time(Nanos(now - hours * 3600 * SECOND))
    };
    for (hours, expected) in [(59, "0"), (45, "0"), (39, "2"), (31, "2"), (19, "4")] {
        world.restore(at(hours), &["f"]).await;
        let found = world.files().await;
        assert_eq!(found, pairs(&[("f", expected)]), "{hours} hours ago");
    }
    world.pass(3 * DAY);
    world.collect().await;
    assert_eq!(world.rows(Table::OpLog).await, 0);
    world.restore(at(3 * 24 + 19), &["f"]).await;
    assert_eq!(world.files().await, pairs(&[("f", "4")]));
}

#[tokio::test]
async fn marks_of_the_past_go_after_their_time() {
    let world = World::start().await;
    for n in 0..20 {
        let content = n.to_string();
        world
            .server
            .write(main(), vec![put("f", &content)])
            .await
            .unwrap();
        world.pass(SECOND);
    }
    let (undone, _) = world.undo(None).await;
    assert_eq!(undone, 20);
    let rows = world.rows(Table::Heads).await;
    assert!(rows > 20, "{rows}");
    world.pass(HeadsConfig::default().commits_life.0 + DAY);
    world.collect().await;
    // The head, its pending name, the last base that was not followed by another one in time.
    let rows = world.rows(Table::Heads).await;
    assert!(rows <= 3, "{rows}");
    assert_eq!(world.files().await, pairs(&[("f", "18")]));
    world
        .server
        .write(main(), vec![put("f", "x")])
        .await
        .unwrap();
    world.undo(None).await;
    assert_eq!(world.files().await, pairs(&[("f", "18")]));
}
