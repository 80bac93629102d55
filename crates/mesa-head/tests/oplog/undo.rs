//! Undoing actions.

use bytes::Bytes;
use mesa_head::{ActionFilter, At, UndoOutcome, ViewTarget};
use mesa_proto::v1::{self, op, server_message::Kind};
use mesa_repo::ChangeState;
use mesa_types::NodeKind;

use crate::{
    support::{SECOND, World, give_back, release, shown},
    writes::{delete, main, pairs, put, rename},
};

#[tokio::test]
async fn undo_goes_back_step_by_step_and_an_undo_can_be_undone() {
    let world = World::start().await;
    let server = &world.server;
    for content in ["1", "2", "3"] {
        server.write(main(), vec![put("f", content)]).await.unwrap();
    }
    let (undone, written) = world.undo(None).await;
    assert_eq!(world.files().await, pairs(&[("f", "2")]));
    let action = written.written.unwrap();
    assert_eq!(
        (action.origin.as_str(), action.undoes),
        ("undo", Some(undone))
    );
    assert_eq!(action.address, "192.0.2.7");
    assert_eq!(written.change, world.change().await);
    assert!(written.commit.is_some());

    world.undo(None).await;
    assert_eq!(world.files().await, pairs(&[("f", "1")]));
    // The second undo changed the line of the first one.
    let conflicts = world.conflicts(Some(action.first)).await;
    assert_eq!(conflicts[0].path, b"f");
    let actions = world.actions().await;
    assert_eq!(actions.len(), 5);
    let of = |first| actions.iter().find(|a| a.first == first).unwrap();
    assert_eq!(of(undone).undone_by, Some(action.first));
    assert_eq!(of(action.first).undone_by, None);
}

#[tokio::test]
async fn a_redo_brings_back_what_an_undo_took() {
    let world = World::start().await;
    let server = &world.server;
    server.write(main(), vec![put("a", "1")]).await.unwrap();
    let before = world.shown().await;
    server
        .write(main(), vec![put("d/b", "2"), rename("a", "d/a")])
        .await
        .unwrap();
    let after = world.shown().await;
    let (undone, undo) = world.undo(None).await;
    assert_eq!(world.shown().await, before);
    let undo = undo.written.unwrap().first;
    world.undo(Some(undo)).await;
    assert_eq!(world.shown().await, after);
    // The action is in effect again, so it is what the next undo is about.
    let (again, _) = world.undo(None).await;
    assert_eq!(again, undone);
    assert_eq!(world.shown().await, before);
    let (_, none) = world.undo(Some(undone)).await;
    assert_eq!(none.written, None, "nothing is left of it");
    world.undo(None).await;
    assert!(world.files().await.is_empty());
    let wanted = World::wanted(world.change().await, None);
    let error = world.try_undo(wanted).await.unwrap_err();
    assert_eq!(error.code, "NOTHING_TO_UNDO");
}

#[tokio::test]
async fn later_edits_stay_and_those_of_the_same_lines_are_conflicts() {
    let world = World::start().await;
    let server = &world.server;
    let lines = |first: &str, last: &str| format!("{first}\n2\n3\n4\n5\n6\n{last}\n");
    let write = async |path: &str, text: String| {
        server.write(main(), vec![put(path, &text)]).await.unwrap();
        world.actions().await[0].first
    };
    write("f", lines("1", "7")).await;
    let edit = write("f", lines("one", "7")).await;
    write("f", lines("one", "seven")).await;
    write("other", "x".to_owned()).await;
    world.undo(Some(edit)).await;
    let expected = lines("1", "seven");
    assert_eq!(
        world.files().await,
        pairs(&[("f", &expected), ("other", "x")])
    );

    let edit = write("f", lines("uno", "seven")).await;
    write("f", lines("eins", "seven")).await;
    let before = world.files().await;
    let conflicts = world.conflicts(Some(edit)).await;
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].path, b"f");
    let hunk = &conflicts[0].hunks[0];
    let sides = [&hunk.target, &hunk.base, &hunk.source].map(Option::as_deref);
    let expected = [&b"eins\n"[..], b"uno\n", b"1\n"];
    assert_eq!(sides, expected.map(Some));
    assert_eq!(world.files().await, before, "nothing was written");

    let mut wanted = World::wanted(world.change().await, Some(edit));
    wanted.allow_conflicted = true;
    let UndoOutcome::Done { rewritten, .. } = world.try_undo(wanted).await.unwrap() else {
        panic!("conflicts were allowed");
    };
    assert_eq!(rewritten.conflicts.len(), 1);
    let text = &world.files().await[0].1;
    assert!(text.contains("<<<<<<<") && text.contains("eins") && text.contains("seven"));
    assert_eq!(world.files().await[1].1, "x");
}

#[tokio::test]
async fn removing_a_big_tree_is_undone_in_one_write() {
    let mut world = World::start().await;
    let mut session = world.session("/bin/cp", 7).await;
    let root = session.root();
    let mut dirs = vec![(String::from("top"), {
        let (id, mkdir) = session.create("", root, "top", NodeKind::Dir);
        session.commit(vec![mkdir]).await;
        id
    })];
    let mut files: Vec<(String, u64, String, u64)> = Vec::new();
    for d in 0..50 {
        let (above, parent) = dirs[d / 4].clone();
        let name = format!("d{d}");
        let (dir, mkdir) = session.create(&above, parent, &name, NodeKind::Dir);
        let path = format!("{above}/{name}");
        dirs.push((path.clone(), dir));
        let mut ops = vec![mkdir];
        for f in 0..100 {
            let name = format!("f{f}");
            let bytes = format!("{d} {f}");
            let (id, create) = session.file(&path, dir, &name, bytes.as_bytes());
            files.push((path.clone(), dir, name, id));
            ops.push(create);
        }
        session.commit(ops).await;
    }
    // Everything a file can have.
    let (path, dir, name, id) = files[0].clone();
    let full = format!("{path}/{name}");
    let kinds = vec![
        op::Kind::SetAttr(v1::SetAttr {
            id,
            mode: Some(0o4711),
            set_owner: true,
            uid: Some(12),
            gid: Some(34),
            mtime_ns: Some(5),
        }),
        op::Kind::SetXattr(v1::SetXattr {
            id,
            name: Bytes::from_static(b"user.x"),
            value: Bytes::from_static(b"y"),
            flags: 0,
        }),
    ];
    let mut ops: Vec<_> = kinds
        .into_iter()
        .map(|kind| session.op(&full, kind))
        .collect();
    let link = v1::Link {
        id,
        parent: dir,
        name: Bytes::from_static(b"second"),
        source_path: full.clone().into(),
    };
    ops.push(session.op(&path, op::Kind::Link(link)));
    let (_, mut symlink) = session.create(&path, dir, "symlink", NodeKind::Symlink);
    if let Some(op::Kind::Create(create)) = &mut symlink.kind {
        create.target = Bytes::from_static(b"../nowhere");
        create.mode = 0o777;
    }
    ops.push(symlink.clone());
    let (_, fifo) = session.create(&path, dir, "fifo", NodeKind::Fifo);
    let (_, empty) = session.create(&path, dir, "empty", NodeKind::Dir);
    ops.extend([fifo, empty]);
    session.commit(ops).await;
    world.seal().await;
    let before = shown(&session).await;
    let whole = session.tree().await;
    assert_eq!(before.len(), 51 + 5000 + 4);

    // As rm -rf does: files, then directories from the leaves up.
    session.pause(5 * SECOND);
    session.actors[0].exe = "/bin/rm".to_owned();
    let mut ops = Vec::new();
    let ids: Vec<_> = whole
        .iter()
        .map(|(path, node)| (path.clone(), node.clone()))
        .collect();
    for (full, node) in ids.iter().rev() {
        let (above, name) = full.rsplit_once('/').unwrap_or(("", full.as_str()));
        let parent = whole.get(above).map_or(root, |node| node.id);
        let name = Bytes::copy_from_slice(name.as_bytes());
        let kind = if node.kind == NodeKind::Dir as u32 {
            let id = node.id;
            op::Kind::Rmdir(v1::Rmdir { parent, name, id })
        } else {
            let id = node.id;
            op::Kind::Unlink(v1::Unlink { parent, name, id })
        };
        ops.push(session.op(above, kind));
    }
    for part in ops.chunks(500) {
        session.commit(part.to_vec()).await;
    }
    assert!(session.tree().await.is_empty());
    world.seal().await;
    let removal = world.actions().await[0].clone();
    assert_eq!(removal.operations, 51 + 5000 + 4);
    assert_eq!(removal.path_count, 51 + 5000 + 4);
    assert_eq!(removal.paths.len(), 100);

    release(&mut session).await;
    world.restart();
    let (undone, rewritten) = world.undo(None).await;
    assert_eq!(undone, removal.first);
    let after = world.shown().await;
    assert_eq!(after.len(), before.len());
    assert_eq!(after, before);
    let written = rewritten.written.unwrap();
    // One operation a node, two more for the file with attributes, one for each directory's time.
    assert!(written.operations <= 2 * 51 + 5000 + 10, "{written:?}");
    let reader = mesa_testkit::RawSession::open(&world.server.api, "acme", "demo").await;
    let now = reader.tree().await;
    for (path, node) in &whole {
        assert_eq!(now[path].mtime_ns, node.mtime_ns, "{path}");
    }
    assert_eq!(now[&full].id, now[&format!("{path}/second")].id);
}

#[tokio::test]
async fn what_others_wrote_in_between_stays() {
    let world = World::start().await;
    world
        .server
        .write(main(), vec![put("mine/a", "a1\n"), put("yours/b", "b1\n")])
        .await
        .unwrap();
    let mut one = world.session("/bin/one", 1).await;
    let mut two = world.join(&mut one, "/bin/two", 2).await;
    let tree = one.tree().await;
    let id = |path: &str| tree[path].id;
    // mine, yours, mine; then both at the same file, at different lines.
    let write = one.write("mine/a", id("mine/a"), b"a1\n", b"a2\n");
    one.commit(vec![write]).await;
    let write = two.write("yours/b", id("yours/b"), b"b1\n", b"b2\n");
    two.commit(vec![write]).await;
    let (shared, create) = one.file("mine", id("mine"), "shared", b"1\n2\n3\n");
    one.commit(vec![create]).await;
    let write = two.write("mine/shared", shared, b"1\n2\n3\n", b"1\n2\nthree\n");
    two.commit(vec![write]).await;
    let (_, create) = one.file("", one.root(), "new", b"n");
    one.commit(vec![create]).await;
    let write = one.write("mine/a", id("mine/a"), b"a2\n", b"a3\n");
    one.commit(vec![write]).await;

    let actions = world.actions().await;
    let mine = actions.iter().find(|a| a.session == one.opened.session);
    let mine = mine.unwrap();
    assert_eq!(mine.operations, 4);
    let conflicts = world.conflicts(Some(mine.first)).await;
    assert_eq!(
        conflicts.len(),
        1,
        "the other one's line is in a file that goes"
    );
    assert_eq!(conflicts[0].path, b"mine/shared");
    let mut only = World::wanted(world.change().await, Some(mine.first));
    only.paths = vec![b"mine/a".to_vec(), b"new".to_vec()];
    assert!(matches!(
        world.try_undo(only).await.unwrap(),
        UndoOutcome::Done { .. }
    ));
    assert_eq!(
        world.files().await,
        pairs(&[
            ("mine", "/"),
            ("mine/a", "a1\n"),
            ("mine/shared", "1\n2\nthree\n"),
            ("yours", "/"),
            ("yours/b", "b2\n"),
        ])
    );
}

#[tokio::test]
async fn sessions_see_an_undo_and_its_files_stay_the_same_nodes() {
    let world = World::start().await;
    let mut session = world.session("/bin/sh", 3).await;
    let root = session.root();
    let (dir, mkdir) = session.create("", root, "src", NodeKind::Dir);
    let (file, create) = session.file("src", dir, "f", b"1\n2\n3\n4\n5\n");
    let (other, create2) = session.file("src", dir, "g", b"g");
    session.commit(vec![mkdir, create, create2]).await;
    session.pause(3 * SECOND);
    let rename = v1::Rename {
        parent: root,
        name: Bytes::from_static(b"src"),
        id: dir,
        new_parent: root,
        new_name: Bytes::from_static(b"lib"),
        ..v1::Rename::default()
    };
    let rename = session.op("", op::Kind::Rename(rename));
    let write = session.write("lib/f", file, b"1\n2\n3\n4\n5\n", b"one\n2\n3\n4\n5\n");
    session.commit(vec![rename, write]).await;
    session.pause(3 * SECOND);
    let write = session.write("lib/f", file, b"one\n2\n3\n4\n5\n", b"one\n2\n3\n4\nfive\n");
    let (new, create) = session.file("lib", dir, "new", b"later");
    session.commit(vec![write, create]).await;

    let renamed = world.actions().await[1].first;
    let asked = world.undo(Some(renamed));
    // The holder of the lease is asked for it.
    let gives = async {
        give_back(&mut session).await;
        session.until(|kind| matches!(kind, Kind::Event(_))).await
    };
    let ((_, rewritten), event) = tokio::join!(asked, gives);
    let Kind::Event(event) = event else {
        unreachable!()
    };
    let written = rewritten.written.unwrap();
    assert_eq!(event.entry.unwrap().first_seq, written.first);
    assert_eq!(written.operations, 2, "a move and a content: {written:?}");
    let tree = session.tree().await;
    assert_eq!(
        world.files().await,
        pairs(&[
            ("src", "/"),
            ("src/f", "1\n2\n3\n4\nfive\n"),
            ("src/g", "g"),
            ("src/new", "later"),
        ])
    );
    let ids = ["src", "src/f", "src/g", "src/new"].map(|path| tree[path].id);
    assert_eq!(ids, [dir, file, other, new]);
}

#[tokio::test]
async fn an_action_of_a_closed_change_is_undone_on_top() {
    let world = World::start().await;
    let server = &world.server;
    server.write(main(), vec![put("f", "1")]).await.unwrap();
    let old = world.change().await;
    server.write(main(), vec![put("f", "2")]).await.unwrap();
    let heads = &server.backend.heads;
    heads
        .close_change(&server.repo, &old, ChangeState::Closed)
        .await
        .unwrap();
    server
        .write(main(), vec![put("g", "1"), delete("f"), put("f", "2")])
        .await
        .unwrap();
    let new = world.change().await;
    assert_ne!(new, old);
    let mut wanted = World::wanted(old, None);
    wanted.onto = main();
    let done = world.try_undo(wanted).await.unwrap();
    let UndoOutcome::Done { undone, rewritten } = done else {
        panic!("{done:?}");
    };
    assert_eq!(rewritten.change, new);
    assert_eq!(world.files().await, pairs(&[("f", "1"), ("g", "1")]));
    // Not onto the bookmark: on top of the closed change.
    let wanted = World::wanted(old, Some(undone));
    let done = world.try_undo(wanted).await.unwrap();
    let UndoOutcome::Done { rewritten, .. } = done else {
        panic!("{done:?}");
    };
    assert_ne!(rewritten.change, new);
    assert_ne!(rewritten.change, old);
    let made = server.change(rewritten.change).await;
    assert_eq!(made.parents, [old]);
}

/// `ln -f source name`: a link under another name, renamed over it.
fn relink(
    session: &mut mesa_testkit::RawSession,
    (source, source_id): (&'static str, u64),
    (name, id): (&'static str, u64),
) -> Vec<v1::Op> {
    let root = session.root();
    let temporary = Bytes::from_static(b"CuXXXXXX");
    let link = v1::Link {
        id: source_id,
        parent: root,
        name: temporary.clone(),
        source_path: Bytes::from_static(source.as_bytes()),
    };
    let rename = v1::Rename {
        parent: root,
        name: temporary,
        id: source_id,
        new_parent: root,
        new_name: Bytes::from_static(name.as_bytes()),
        replaced: id,
        ..v1::Rename::default()
    };
    let link = session.op("", op::Kind::Link(link));
    vec![link, session.op("", op::Kind::Rename(rename))]
}

#[tokio::test]
async fn a_name_given_to_another_file_comes_back_without_writing_to_that() {
    let world = World::start().await;
    let mut session = world.session("/bin/sh", 3).await;
    let root = session.root();
    let (a, create_a) = session.file("", root, "a", b"AAAA\n");
    let (b, create_b) = session.file("", root, "b", b"BBBB\n");
    session.commit(vec![create_a, create_b]).await;
    let before = shown(&session).await;
    session.pause(3 * SECOND);
    session.actors[0].exe = "/bin/ln".to_owned();
    let ops = relink(&mut session, ("b", b), ("a", a));
    session.commit(ops).await;
    release(&mut session).await;
    let linked = shown(&session).await;
    let (_, done) = world.undo(None).await;
    assert_eq!(shown(&session).await, before);
    assert_eq!(session.tree().await["b"].id, b);
    world.undo(Some(done.written.unwrap().first)).await;
    assert_eq!(shown(&session).await, linked);
}

#[tokio::test]
async fn one_name_of_a_file_comes_back_as_a_file_of_its_own() {
    let world = World::start().await;
    let mut session = world.session("/bin/sh", 3).await;
    let root = session.root();
    let (p, create_p) = session.file("", root, "p", b"old p\n");
    let (q, create_q) = session.file("", root, "q", b"q\n");
    session.commit(vec![create_p, create_q]).await;
    let seq = world.actions().await[0].last;
    session.pause(3 * SECOND);
    let ops = relink(&mut session, ("q", q), ("p", p));
    session.commit(ops).await;
    release(&mut session).await;
    world.restore(At::After(seq), &["p"]).await;
    assert_eq!(
        world.files().await,
        pairs(&[("p", "old p\n"), ("q", "q\n")])
    );
    let tree = session.tree().await;
    assert_eq!((tree["p"].nlink, tree["q"].nlink), (1, 1));
    assert_eq!(tree["q"].id, q);

    // A name made later is not written to either.
    let seq = world.actions().await[0].last;
    session.lease().await;
    session.pause(3 * SECOND);
    let p = tree["p"].id;
    let link = v1::Link {
        id: p,
        parent: root,
        name: Bytes::from_static(b"later"),
        source_path: Bytes::from_static(b"p"),
    };
    let link = session.op("", op::Kind::Link(link));
    let write = session.write("p", p, b"old p\n", b"new\n");
    session.commit(vec![link, write]).await;
    release(&mut session).await;
    world.restore(At::After(seq), &["p"]).await;
    let expected = [("later", "new\n"), ("p", "old p\n"), ("q", "q\n")];
    assert_eq!(world.files().await, pairs(&expected));
}

#[tokio::test]
async fn what_is_undone_elsewhere_is_undone() {
    let world = World::start().await;
    let server = &world.server;
    for (path, content) in [("a", "1"), ("b", "1"), ("b", "2")] {
        server
            .write(main(), vec![put(path, content)])
            .await
            .unwrap();
    }
    let old = world.change().await;
    let heads = &server.backend.heads;
    let closed = heads.close_change(&server.repo, &old, ChangeState::Closed);
    closed.await.unwrap();
    // On top, with another head.
    let top = server.create(old, vec![put("c", "1")], "top").await.change;
    let mut undone = Vec::new();
    for expected in [
        &[("a", "1"), ("b", "1"), ("c", "1")][..],
        &[("a", "1"), ("c", "1")],
        &[("c", "1")],
    ] {
        let mut wanted = World::wanted(old, None);
        wanted.onto = ViewTarget::Change(top);
        match world.try_undo(wanted).await.unwrap() {
            UndoOutcome::Done { undone: first, .. } => undone.push(first),
            other @ UndoOutcome::Conflicts(_) => panic!("{other:?}"),
        }
        let files = server.files(ViewTarget::Change(top)).await;
        assert_eq!(files, pairs(expected));
    }
    assert!(undone.windows(2).all(|two| two[0] > two[1]), "{undone:?}");
    let mut wanted = World::wanted(old, None);
    wanted.onto = ViewTarget::Change(top);
    let error = world.try_undo(wanted).await.unwrap_err();
    assert_eq!(error.code, "NOTHING_TO_UNDO");
    // Undoing the last of these undos puts its action into effect again.
    let any = ActionFilter::default();
    let page = heads.actions(&server.repo, &top, &any, None, 10);
    let undo = page.await.unwrap().actions[0].clone();
    assert_eq!(undo.undoes, undone.last().copied());
    let wanted = World::wanted(top, Some(undo.first));
    world.try_undo(wanted).await.unwrap();
    let action = heads.action(&server.repo, &old, undone[2]).await.unwrap();
    assert_eq!(action.undone_by, None);
    let action = heads.action(&server.repo, &old, undone[1]).await.unwrap();
    assert!(action.undone_by.is_some());
}

#[tokio::test]
async fn an_action_undone_at_some_paths_is_not_undone() {
    let world = World::start().await;
    let server = &world.server;
    server.write(main(), vec![put("older", "1")]).await.unwrap();
    let edits = vec![put("p", "1"), put("q", "1")];
    server.write(main(), edits).await.unwrap();
    let action = world.actions().await[0].first;
    let mut wanted = World::wanted(world.change().await, None);
    wanted.paths = vec![b"p".to_vec()];
    world.try_undo(wanted).await.unwrap();
    assert_eq!(world.files().await, pairs(&[("older", "1"), ("q", "1")]));
    let (undone, _) = world.undo(None).await;
    assert_eq!(undone, action, "the rest of it");
    assert_eq!(world.files().await, pairs(&[("older", "1")]));
    world.undo(None).await;
    assert!(world.files().await.is_empty());
}

#[tokio::test]
async fn conflicts_of_an_undo_are_conflicts_of_the_change() {
    let world = World::start().await;
    let server = &world.server;
    let write = async |edits: Vec<mesa_head::FileEdit>| {
        server.write(main(), edits).await.unwrap();
        world.actions().await[0].first
    };
    write(vec![put("f", "1\n"), put("g", "\0one"), put("h", "h\n")]).await;
    let edit = write(vec![put("f", "2\n"), put("g", "\0two"), put("h", "hh\n")]).await;
    write(vec![put("f", "3\n"), put("g", "\0three")]).await;
    let conflicted = async || {
        let change = server.change(world.change().await).await;
        change.conflicted
    };
    let mut wanted = World::wanted(world.change().await, Some(edit));
    wanted.allow_conflicted = true;
    let UndoOutcome::Done { rewritten, .. } = world.try_undo(wanted).await.unwrap() else {
        panic!("conflicts were allowed");
    };
    assert_eq!(rewritten.conflicts.len(), 2);
    assert!(conflicted().await);
    let heads = &server.backend.heads;
    let root = world.seal().await.root;
    let told = heads.conflicts(&server.repo, root).await.unwrap();
    let paths: Vec<_> = told.iter().map(|conflict| &conflict.path[..]).collect();
    assert_eq!(paths, [b"f", b"g"]);
    let hunk = &told[0].hunks[0];
    let sides = [&hunk.target, &hunk.base, &hunk.source].map(Option::as_deref);
    assert_eq!(sides, [&b"3\n"[..], b"2\n", b"1\n"].map(Some));
    let files = world.files().await;
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["f", "g", "g.base-1", "g.side-1", "g.side-2", "h"]);
    assert!(files[0].1.contains("the change now"), "{}", files[0].1);
    assert_eq!(files[5].1, "h\n");

    // Conflicts at other paths come to these.
    write(vec![put("i", "1\n")]).await;
    let edit = write(vec![put("i", "2\n")]).await;
    write(vec![put("i", "3\n")]).await;
    let mut wanted = World::wanted(world.change().await, Some(edit));
    wanted.allow_conflicted = true;
    assert!(matches!(
        world.try_undo(wanted).await.unwrap(),
        UndoOutcome::Done { .. }
    ));
    let root = world.seal().await.root;
    let told = heads.conflict_paths(&server.repo, root).await.unwrap();
    assert!(told.paths.iter().eq([b"f", b"g", b"i"]));

    // Writing without markers resolves, as after a merge.
    write(vec![put("f", "1\n")]).await;
    write(vec![delete("g")]).await;
    write(vec![put("i", "1\n")]).await;
    assert!(!conflicted().await);
    let root = world.seal().await.root;
    assert!(
        heads
            .conflicts(&server.repo, root)
            .await
            .unwrap()
            .is_empty()
    );
}
