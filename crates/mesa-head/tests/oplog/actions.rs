//! What the log says.

use mesa_head::{Action, ActionFilter, HeadsConfig, OpSort};
use mesa_types::{Nanos, NodeKind};

use crate::{
    support::{SECOND, World},
    writes::{main, put},
};

fn paths(action: &Action) -> Vec<&str> {
    let text = |p: &'_ [u8]| std::str::from_utf8(p).map(str::len).unwrap();
    action
        .paths
        .iter()
        .map(|touched| {
            assert!(text(&touched.path) > 0);
            std::str::from_utf8(&touched.path).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn a_program_s_operations_are_one_action_until_it_pauses() {
    let world = World::start().await;
    let mut session = world.session("/usr/bin/make", 40).await;
    let root = session.root();
    let (dir, mkdir) = session.create("", root, "out", NodeKind::Dir);
    let (file, create) = session.file("out", dir, "a.o", b"1");
    session.commit(vec![mkdir, create]).await;
    // Another process of the same group.
    session.actors[0].exe = "/usr/bin/cc".to_owned();
    session.actors[0].pid = 99;
    session.pause(SECOND);
    let write = session.write("out/a.o", file, b"1", b"22");
    session.commit(vec![write]).await;
    session.pause(2 * SECOND);
    let unlink = session.unlink("out", dir, "a.o", file);
    session.commit(vec![unlink]).await;
    session.actors[0].group = 41;
    let (_, create) = session.file("", root, "other", b"");
    session.commit(vec![create]).await;

    let actions = world.actions().await;
    assert_eq!(actions.len(), 3);
    let [other, removed, made] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!((made.first, made.last, made.operations), (1, 3, 3));
    assert_eq!(made.counts.of(OpSort::Create), 2);
    assert_eq!(made.counts.of(OpSort::Write), 1);
    assert_eq!(paths(made), ["out", "out/a.o"]);
    assert_eq!(made.path_count, 2);
    let program = made.program.as_ref().unwrap();
    assert_eq!((program.exe.as_str(), program.group), ("/usr/bin/make", 40));
    assert_eq!(made.origin, "mount");
    assert_eq!(made.session, session.opened.session);
    assert_eq!(made.key, world.server.caller.key.as_str());
    assert_eq!(paths(removed), ["out/a.o"]);
    assert_eq!(removed.counts.of(OpSort::Delete), 1);
    assert_eq!((other.first, paths(other)), (5, vec!["other"]));

    let heads = &world.server.backend.heads;
    let repo = &world.server.repo;
    for seq in 1..=3 {
        let found = heads.action(repo, &made.change, seq).await.unwrap();
        assert_eq!(found, *made, "{seq}");
    }
    let (some, more) = heads.operations(repo, made, 0, 2).await.unwrap();
    assert!(more && some.len() == 2);
    let (rest, more) = heads.operations(repo, made, 2, 2).await.unwrap();
    assert!(!more);
    assert_eq!(rest[0].size, Some(2));
    assert_eq!(rest[0].sort, OpSort::Write);
    let missing = heads.action(repo, &made.change, 6).await.unwrap_err();
    assert_eq!(missing.code, "OPERATION_NOT_FOUND");
}

#[tokio::test]
async fn pages_have_every_action_once_also_those_that_overlap() {
    let world = World::start().await;
    let mut one = world.session("/bin/one", 1).await;
    let mut two = world.join(&mut one, "/bin/two", 2).await;
    let root = one.root();
    for round in 0..12 {
        // The second one's actions are longer and lie across those of the first.
        if round % 2 == 0 {
            one.pause(3 * SECOND);
        }
        if round % 5 == 0 {
            two.pause(3 * SECOND);
        }
        for session in [&mut one, &mut two] {
            let group = session.actors[0].group;
            let (_, create) = session.file("", root, &format!("f{round}-{group}"), b"x");
            session.commit(vec![create]).await;
        }
        world.pass(SECOND);
    }
    world
        .server
        .write(main(), vec![put("rest", "1")])
        .await
        .unwrap();
    let all = world.actions().await;
    assert_eq!(all.len(), 6 + 3 + 1);
    assert!(all.windows(2).all(|pair| pair[0].last > pair[1].last));
    assert_eq!(all[0].origin, "rest");
    assert_eq!(all[0].address, "192.0.2.7");
    let operations: u64 = all.iter().map(|action| action.operations).sum();
    assert_eq!(operations, 25);
    for limit in 1..4 {
        let paged = world.filtered(&ActionFilter::default(), limit).await;
        assert_eq!(paged, all, "{limit} a page");
    }

    let on = |path: &str| ActionFilter {
        path: Some(path.as_bytes().to_vec()),
        ..ActionFilter::default()
    };
    let found = world.filtered(&on("f3-2"), 1).await;
    assert_eq!(found.len(), 1);
    assert!(paths(&found[0]).contains(&"f3-2"));
    let by = ActionFilter {
        session: Some(two.opened.session.clone()),
        ..ActionFilter::default()
    };
    assert_eq!(world.filtered(&by, 2).await.len(), 3);
    let middle = all[4].started;
    let since = ActionFilter {
        since: Some(middle),
        ..ActionFilter::default()
    };
    let until = ActionFilter {
        until: Some(middle),
        ..ActionFilter::default()
    };
    let wanted = |keep: &dyn Fn(&&Action) -> bool| -> Vec<Action> {
        all.iter().filter(keep).cloned().collect()
    };
    let late = wanted(&|action| action.ended >= middle);
    assert_eq!(world.filtered(&since, 3).await, late);
    let early = wanted(&|action| action.started < middle);
    assert_eq!(world.filtered(&until, 3).await, early);
    let never = ActionFilter {
        since: Some(Nanos(i64::MAX)),
        ..ActionFilter::default()
    };
    assert!(world.filtered(&never, 3).await.is_empty());
}

#[tokio::test]
async fn the_bytes_a_session_lost_to_another_are_in_the_log() {
    let world = World::start().await;
    let mut one = world.session("/bin/one", 1).await;
    let root = one.root();
    let (file, create) = one.file("", root, "f", b"base");
    one.commit(vec![create]).await;
    let mut two = world.join(&mut one, "/bin/two", 2).await;
    one.pause(3 * SECOND);
    let write = one.write("f", file, b"base", b"mine");
    one.commit(vec![write]).await;
    let write = two.write("f", file, b"base", b"ours");
    two.commit(vec![write]).await;

    let actions = world.actions().await;
    assert_eq!(actions[0].overwrote, 1);
    let heads = &world.server.backend.heads;
    let repo = &world.server.repo;
    let (operations, _) = heads.operations(repo, &actions[0], 0, 10).await.unwrap();
    let lost = operations[0].overwrote.as_ref().unwrap();
    assert_eq!(lost.bytes.as_deref(), Some(&b"mine"[..]));

    // They come back with the file as it was, and by undoing what overwrote them.
    let before = mesa_head::At::Before(operations[0].seq);
    world.restore(before, &["f"]).await;
    assert_eq!(world.files().await, crate::writes::pairs(&[("f", "mine")]));
}

/// A world in which four actions are many.
async fn crowded() -> World {
    let config = HeadsConfig {
        actions_at_once: 4,
        ..HeadsConfig::default()
    };
    World::start_with(config).await
}

fn firsts(actions: &[Action]) -> Vec<u64> {
    actions.iter().map(|action| action.first).collect()
}

#[tokio::test]
async fn any_number_of_writes_at_the_same_moment_is_listed_and_undone() {
    let world = crowded().await;
    for n in 0..20 {
        let edits = vec![put(&format!("f{n}"), "1")];
        world.server.write(main(), edits).await.unwrap();
    }
    let listed = firsts(&world.actions().await);
    assert!(listed.len() == 20 && listed.is_sorted_by(|a, b| a > b));
    for limit in [1, 3] {
        let all = world.filtered(&ActionFilter::default(), limit).await;
        assert_eq!(firsts(&all), listed, "{limit}");
    }
    for newest in &listed[..2] {
        let (undone, _) = world.undo(None).await;
        assert_eq!(undone, *newest);
    }
    assert_eq!(world.files().await.len(), 18);
}

#[tokio::test]
async fn writes_beside_a_program_that_goes_on_are_listed_page_by_page() {
    let world = crowded().await;
    let mut session = world.session("/usr/bin/make", 40).await;
    let root = session.root();
    let (file, create) = session.file("", root, "log", b"");
    session.commit(vec![create]).await;
    crate::support::release(&mut session).await;
    session.lease = 0;
    let mut before = Vec::new();
    for n in 0..30_u8 {
        let edits = vec![put(&format!("f{n}"), "1")];
        world.server.write(main(), edits).await.unwrap();
        if n % 10 == 9 {
            session.lease().await;
            let after = [&before[..], b"x"].concat();
            let write = session.write("log", file, &before, &after);
            session.commit(vec![write]).await;
            crate::support::release(&mut session).await;
            before = after;
        }
    }
    for limit in [1, 2, 7, 100] {
        let all = world.filtered(&ActionFilter::default(), limit).await;
        // The program's action ended last; then the others, each once.
        assert_eq!((all[0].first, all[0].operations), (1, 4), "{limit}");
        let mut rest = firsts(&all[1..]);
        assert!(rest.is_sorted_by(|a, b| a > b), "{rest:?}");
        rest.dedup();
        assert_eq!(rest.len(), 30, "{limit}: {rest:?}");
    }
    let only = ActionFilter {
        path: Some(b"f3".to_vec()),
        ..ActionFilter::default()
    };
    assert_eq!(world.filtered(&only, 5).await.len(), 1);
}

#[tokio::test]
async fn more_programs_at_once_than_can_be_told_apart_are_refused() {
    let world = crowded().await;
    let mut session = world.session("/bin/sh", 1).await;
    let root = session.root();
    let (_, create) = session.file("", root, "first", b"");
    session.commit(vec![create]).await;
    for group in 2..8 {
        session.actors[0].group = group;
        let (_, create) = session.file("", root, &format!("f{group}"), b"");
        session.commit(vec![create]).await;
    }
    let change = world.change().await;
    let heads = &world.server.backend.heads;
    let filter = ActionFilter::default();
    let listed = heads.actions(&world.server.repo, &change, &filter, None, 10);
    assert_eq!(listed.await.unwrap_err().code, "TOO_MANY_ACTIONS");
}
