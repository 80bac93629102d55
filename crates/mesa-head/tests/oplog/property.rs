//! Whatever an action did, undoing it leads back to the state before it.

use bytes::Bytes;
use mesa_proto::v1::{self, op};
use mesa_testkit::RawSession;
use mesa_types::NodeKind;
use proptest::{prelude::*, test_runner::RngSeed};

use crate::support::{SECOND, World, release, shown};

/// Something a program does to one of a few names.
#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize, u8),
    Mkdir(usize, usize),
    Symlink(usize, usize),
    Remove(usize, usize),
    Rename(usize, usize, usize, usize),
    Link(usize, usize, usize, usize),
    Mode(usize, usize, u16),
    Xattr(usize, usize, u8),
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn step() -> impl Strategy<Value = Step> {
    let (dir, name) = (0..8_usize, 0..NAMES.len());
    let place = || (dir.clone(), name.clone());
    prop_oneof![
        4 => (place(), 0..4_u8).prop_map(|((d, n), byte)| Step::Write(d, n, byte)),
        3 => place().prop_map(|(d, n)| Step::Mkdir(d, n)),
        1 => place().prop_map(|(d, n)| Step::Symlink(d, n)),
        3 => place().prop_map(|(d, n)| Step::Remove(d, n)),
        3 => (place(), place()).prop_map(|((d, n), (e, m))| Step::Rename(d, n, e, m)),
        1 => (place(), place()).prop_map(|((d, n), (e, m))| Step::Link(d, n, e, m)),
        1 => (place(), 0..0o7777_u16).prop_map(|((d, n), mode)| Step::Mode(d, n, mode)),
        1 => (place(), any::<u8>()).prop_map(|((d, n), byte)| Step::Xattr(d, n, byte)),
    ]
}

/// The operations of a step in the present tree; none if it is not possible.
async fn ops(session: &mut RawSession, step: &Step) -> Vec<v1::Op> {
    let tree = session.tree().await;
    let mut dirs: Vec<(String, u64)> = vec![(String::new(), session.root())];
    for (path, node) in &tree {
        if node.kind == NodeKind::Dir as u32 {
            dirs.push((path.clone(), node.id));
        }
    }
    let at = |dir: usize, name: usize| {
        let (path, id) = dirs[dir % dirs.len()].clone();
        let name = NAMES[name];
        let full = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}/{name}")
        };
        let node = tree.get(&full).cloned();
        (path, id, name, full, node)
    };
    let is_dir = |node: &v1::Node| node.kind == NodeKind::Dir as u32;
    let is_empty = |path: &str| {
        !tree
            .keys()
            .any(|other| other.starts_with(&format!("{path}/")))
    };
    let bytes = |name: &str| Bytes::copy_from_slice(name.as_bytes());
    match *step {
        Step::Write(d, n, byte) => {
            let (path, parent, name, full, node) = at(d, n);
            let text: Vec<u8> = (0..byte).flat_map(|n| [b'0' + n, b'\n']).collect();
            match node {
                None => vec![session.file(&path, parent, name, &text).1],
                Some(node) if node.kind == NodeKind::File as u32 => {
                    vec![session.write(&full, node.id, &node.inline, &text)]
                }
                Some(_) => Vec::new(),
            }
        }
        Step::Mkdir(d, n) => match at(d, n) {
            (path, parent, name, _, None) => {
                vec![session.create(&path, parent, name, NodeKind::Dir).1]
            }
            _ => Vec::new(),
        },
        Step::Symlink(d, n) => match at(d, n) {
            (path, parent, name, _, None) => {
                let (_, mut op) = session.create(&path, parent, name, NodeKind::Symlink);
                if let Some(op::Kind::Create(create)) = &mut op.kind {
                    create.target = Bytes::from_static(b"a/b");
                }
                vec![op]
            }
            _ => Vec::new(),
        },
        Step::Remove(d, n) => match at(d, n) {
            (path, parent, name, full, Some(node)) if is_dir(&node) => {
                if !is_empty(&full) {
                    return Vec::new();
                }
                let (name, id) = (bytes(name), node.id);
                vec![session.op(&path, op::Kind::Rmdir(v1::Rmdir { parent, name, id }))]
            }
            (path, parent, name, _, Some(node)) => {
                vec![session.unlink(&path, parent, name, node.id)]
            }
            _ => Vec::new(),
        },
        Step::Rename(d, n, e, m) => {
            let (path, parent, name, full, node) = at(d, n);
            let (new_path, new_parent, new_name, new_full, there) = at(e, m);
            let Some(node) = node else { return Vec::new() };
            let into_itself = new_full == full || new_full.starts_with(&format!("{full}/"));
            let fits = there.as_ref().is_none_or(|there| {
                is_dir(there) == is_dir(&node) && (!is_dir(there) || is_empty(&new_full))
            });
            if into_itself || !fits {
                return Vec::new();
            }
            let rename = v1::Rename {
                parent,
                name: bytes(name),
                id: node.id,
                new_parent,
                new_name: bytes(new_name),
                new_path: bytes(&new_path),
                replaced: there.map_or(0, |there| there.id),
                exchange: false,
            };
            vec![session.op(&path, op::Kind::Rename(rename))]
        }
        Step::Link(d, n, e, m) => {
            let (_, _, _, full, node) = at(d, n);
            let (path, parent, name, _, there) = at(e, m);
            match (node, there) {
                (Some(node), None) if !is_dir(&node) => {
                    let link = v1::Link {
                        id: node.id,
                        parent,
                        name: bytes(name),
                        source_path: bytes(&full),
                    };
                    vec![session.op(&path, op::Kind::Link(link))]
                }
                _ => Vec::new(),
            }
        }
        Step::Mode(d, n, mode) => match at(d, n) {
            (_, _, _, full, Some(node)) if node.kind != NodeKind::Symlink as u32 => {
                let set = v1::SetAttr {
                    id: node.id,
                    mode: Some(mode.into()),
                    ..v1::SetAttr::default()
                };
                vec![session.op(&full, op::Kind::SetAttr(set))]
            }
            _ => Vec::new(),
        },
        Step::Xattr(d, n, byte) => match at(d, n) {
            (_, _, _, full, Some(node)) if node.kind != NodeKind::Symlink as u32 => {
                let set = v1::SetXattr {
                    id: node.id,
                    name: Bytes::from_static(b"user.x"),
                    value: Bytes::copy_from_slice(&[byte]),
                    flags: 0,
                };
                vec![session.op(&full, op::Kind::SetXattr(set))]
            }
            _ => Vec::new(),
        },
    }
}

async fn check(actions: Vec<Vec<Step>>, seals: Vec<bool>) {
    let world = World::start().await;
    let mut session = world.session("/bin/sh", 9).await;
    let mut before = shown(&session).await;
    let mut last = None;
    for (steps, seal) in actions
        .iter()
        .zip(seals.iter().chain(std::iter::repeat(&false)))
    {
        session.pause(5 * SECOND);
        let state = shown(&session).await;
        let mut first = None;
        for step in steps {
            let ops = ops(&mut session, step).await;
            if !ops.is_empty() {
                let ack = session.commit(ops).await;
                first.get_or_insert(ack.head_seq);
            }
        }
        if *seal && world.change().await != mesa_types::ChangeId::ROOT {
            world.seal().await;
        }
        if first.is_some() {
            (before, last) = (state, first);
        }
    }
    let Some(last) = last else { return };
    let after = shown(&session).await;
    release(&mut session).await;
    let (undone, rewritten) = world.undo(None).await;
    assert_eq!(undone, last);
    assert_eq!(shown(&session).await, before, "{actions:?}");
    let Some(undo) = rewritten.written else {
        assert_eq!(before, after);
        return;
    };
    world.undo(Some(undo.first)).await;
    assert_eq!(shown(&session).await, after, "redone: {actions:?}");
}

/// The same cases every time, or as many others as `MESA_UNDO_CASES` says.
fn config() -> ProptestConfig {
    let others = std::env::var("MESA_UNDO_CASES").ok();
    match others.and_then(|cases| cases.parse().ok()) {
        Some(cases) => ProptestConfig::with_cases(cases),
        None => ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            ..ProptestConfig::with_cases(96)
        },
    }
}

/// A directory goes below one that the same action made, with another one in it.
#[tokio::test]
async fn a_move_between_directories_that_were_made_is_done_again() {
    let before = vec![Step::Mkdir(0, 0), Step::Mkdir(1, 2)];
    let action = vec![
        Step::Mkdir(4, 0),
        Step::Mkdir(3, 0),
        Step::Rename(6, 2, 7, 0),
    ];
    check(vec![before, action], Vec::new()).await;
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn undoing_the_last_action_leads_back(
        actions in prop::collection::vec(prop::collection::vec(step(), 1..12), 1..4),
        seals in prop::collection::vec(any::<bool>(), 4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(check(actions, seals));
    }
}
