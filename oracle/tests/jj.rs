//! Merges compared with Jujutsu's own library.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use futures::executor::block_on;
use jj_lib::{
    conflicts::{
        ConflictMarkerStyle, ConflictMaterializeOptions, materialize_merge_result_to_bytes,
        parse_conflict,
    },
    files::{self, MergeResult},
    merged_tree::MergedTree as JjTree,
};
use mesa_types::{Nanos, NodeKind};
use mesa_vcs::{
    Labels, Merge, markers,
    text::{self, TextMerge},
    tree::{MergeOptions, Terms, TreeValue, merge_trees},
};
use proptest::prelude::*;
use support::{
    File, Files, Jj, any_history, cases, describe, jj_merge, jj_options, memory, paths, unlabelled,
};

fn any_merge(values: u8) -> impl Strategy<Value = Merge<u8>> {
    (0..5_usize).prop_flat_map(move |changes| {
        prop::collection::vec(0..values, changes * 2 + 1)
            .prop_map(|terms| Merge::from_terms(terms).unwrap())
    })
}

fn any_texts() -> impl Strategy<Value = Merge<Vec<u8>>> {
    let line = prop::sample::select(vec![
        "a\n",
        "b\n",
        "c\n",
        "d\n",
        "e\n",
        "\n",
        "}\n",
        "f\r\n",
        "-g\n",
        "<<<<<<<\n",
        "h",
    ]);
    let text = prop::collection::vec(line, 0..14).prop_map(|l| l.concat().into_bytes());
    // Sides that have much in common with the base.
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, 0..4_usize), 0..5);
    (text, prop::collection::vec((edits, any::<bool>()), 2..=4)).prop_map(|(base, mut sides)| {
        if sides.len() % 2 == 1 {
            sides.pop();
        }
        let mut texts = vec![base.clone()];
        for (edits, crlf) in sides {
            let mut lines: Vec<Vec<u8>> = text::lines(&base).map(<[u8]>::to_vec).collect();
            for (at, drop, add) in edits {
                let at = at.index(lines.len() + 1);
                let end = (at + drop).min(lines.len());
                let new = b"bdxy"[..add].iter().map(|b| vec![*b, b'\n']);
                lines.splice(at..end, new);
            }
            if crlf && lines.len() > 2 {
                lines.swap(0, 1);
            }
            texts.push(lines.concat());
        }
        texts.swap(0, 1);
        Merge::from_terms(texts).unwrap()
    })
}

fn materialize_options() -> ConflictMaterializeOptions {
    ConflictMaterializeOptions {
        marker_style: ConflictMarkerStyle::Diff,
        marker_len: None,
        merge: jj_options(),
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn the_algebra_is_the_same(merge in any_merge(4)) {
        let theirs = jj_merge(&merge);
        prop_assert_eq!(
            merge.resolve_trivial(),
            theirs.resolve_trivial(jj_lib::merge::SameChange::Accept)
        );
        let (ours, theirs) = (merge.simplify(), theirs.simplify());
        prop_assert_eq!(ours.terms(), theirs.as_slice());
    }

    #[test]
    fn flattening_is_the_same(parts in prop::collection::vec(any_merge(9), 3)) {
        let theirs = parts.iter().map(jj_merge).collect::<Vec<_>>();
        let theirs = jj_lib::merge::Merge::from_vec(theirs).flatten();
        let ours = Merge::from_terms(parts).unwrap().flatten();
        prop_assert_eq!(ours.terms(), theirs.as_slice());
    }

    #[test]
    fn texts_merge_the_same(texts in any_texts()) {
        let theirs = files::merge_hunks(&jj_merge(&texts), &jj_options());
        match (text::merge(&texts), theirs) {
            (TextMerge::Resolved(ours), MergeResult::Resolved(theirs)) => {
                prop_assert_eq!(ours, theirs.to_vec());
            }
            (TextMerge::Conflicted(ours), MergeResult::Conflict(theirs)) => {
                let theirs: Vec<Vec<Vec<u8>>> = theirs
                    .iter()
                    .map(|hunk| hunk.iter().map(|text| text.to_vec()).collect())
                    .collect();
                let ours: Vec<_> = ours.into_iter().map(Merge::into_terms).collect();
                prop_assert_eq!(ours, theirs);
            }
            (ours, theirs) => prop_assert!(false, "{ours:?} against {theirs:?}"),
        }
    }

    #[test]
    fn markers_are_the_same(texts in any_texts()) {
        let theirs = jj_merge(&texts);
        let written = markers::materialize(&texts, &Labels::none());
        let expected =
            materialize_merge_result_to_bytes(&theirs, &unlabelled(), &materialize_options());
        prop_assert_eq!(
            String::from_utf8_lossy(&written), String::from_utf8_lossy(&expected)
        );
        let names: Vec<String> = (0..texts.terms().len()).map(|n| format!("term {n}")).collect();
        let labels = Labels::new(Merge::from_terms(names.clone()).unwrap());
        let labelled = markers::materialize(&texts, &labels);
        let expected = materialize_merge_result_to_bytes(
            &theirs,
            &jj_lib::conflict_labels::ConflictLabels::from_vec(names),
            &materialize_options(),
        );
        prop_assert_eq!(
            String::from_utf8_lossy(&labelled), String::from_utf8_lossy(&expected)
        );
    }

    #[test]
    fn markers_read_the_same(
        texts in any_texts(),
        cut in (any::<prop::sample::Index>(), 0..4_usize, any::<bool>())
    ) {
        let written = markers::materialize(&texts, &Labels::none());
        let mut lines: Vec<&[u8]> = text::lines(&written).collect();
        if !lines.is_empty() {
            let at = cut.0.index(lines.len());
            let end = (at + cut.1).min(lines.len());
            let new: &[&[u8]] = if cut.2 { &[b"new\n"] } else { &[] };
            lines.splice(at..end, new.iter().copied());
        }
        let edited = lines.concat();
        let len = markers::marker_len(&texts);
        let ours = markers::parse(&edited, texts.sides(), len);
        let theirs = parse_conflict(&edited, texts.sides(), len).map(|hunks| {
            let terms = |hunk: &jj_lib::merge::Merge<_>| {
                hunk.iter().map(|text: &bstr::BString| text.to_vec()).collect::<Vec<_>>()
            };
            hunks.iter().map(terms).collect::<Vec<_>>()
        });
        let ours = ours.map(|hunks| hunks.into_iter().map(Merge::into_terms).collect::<Vec<_>>());
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn trees_merge_the_same(history in any_history()) {
        compare(&history)?;
    }
}

/// What a merge came to: files by path, conflicts by path.
type Outcome = (
    BTreeMap<String, String>,
    BTreeMap<String, Vec<Option<String>>>,
);

fn compare(history: &[Files]) -> Result<(), TestCaseError> {
    let jj = Jj::new();
    let theirs = jj_lib::merge::Merge::from_vec(
        history
            .iter()
            .map(|files| (jj.tree(files), String::new()))
            .collect::<Vec<_>>(),
    );
    let merged = block_on(JjTree::merge(theirs)).unwrap();
    let theirs: Outcome = (jj.files(&merged), jj.conflicts(&merged));
    let ours = ours(history);
    // Jujutsu drops terms that are the same tree in the end; what is left of a path's conflict
    // without its own cancelling terms does not depend on that.
    let simple = |result: &Outcome| {
        let conflicts = result.1.iter().map(|(path, terms)| {
            let terms = Merge::from_terms(terms.clone()).unwrap().simplify();
            (path.clone(), terms.into_terms())
        });
        (result.0.clone(), conflicts.collect::<BTreeMap<_, _>>())
    };
    prop_assert_eq!(simple(&ours), simple(&theirs));
    Ok(())
}

fn ours(history: &[Files]) -> Outcome {
    let store = memory();
    let terms = history.iter().map(|files| {
        let root = store.snapshot(&paths(&store, files)).unwrap();
        (Terms::resolved(root), String::new())
    });
    let Terms { roots, .. } = Terms::merge(Merge::from_terms(terms.collect()).unwrap());
    let options = MergeOptions::new(Nanos(1));
    let merged = block_on(merge_trees(&store, &roots, &options)).unwrap();
    let first = store.paths(roots.first()).unwrap();
    let after = store.apply(first, &merged.edits).unwrap();

    let file = |value: &TreeValue| {
        if value.kind() == NodeKind::Symlink {
            return File::Link(String::from_utf8(value.node.target.to_vec()).unwrap());
        }
        let text = store.get(&value.node.attr.content).unwrap();
        File::Text(text.to_vec(), value.is_executable())
    };
    let mut files = BTreeMap::new();
    for (path, node) in after {
        let conflicted = merged.conflicts.keys().any(|known| path.is_within(known));
        if node.dir.is_none() && node.attr.kind != NodeKind::Dir && !conflicted {
            let value = TreeValue { node, links: None };
            files.insert(path.to_string(), describe(&file(&value)));
        }
    }
    let mut conflicts = BTreeMap::new();
    for (path, conflict) in &merged.conflicts {
        let terms = conflict.terms.map(|term| {
            let value = term.as_ref()?;
            if value.kind() == NodeKind::Dir {
                let root = mesa_object::tree::Root {
                    dir: value.node.clone(),
                    links: None,
                    conflicts: None,
                };
                let below = store.paths(&root).unwrap();
                let below: BTreeMap<String, String> = below
                    .into_iter()
                    .filter(|(_, node)| node.dir.is_none())
                    .map(|(path, node)| {
                        let value = TreeValue { node, links: None };
                        (path.to_string(), describe(&file(&value)))
                    })
                    .collect();
                return Some(format!("tree {below:?}"));
            }
            Some(describe(&file(value)))
        });
        conflicts.insert(path.to_string(), terms.into_terms());
    }
    (files, conflicts)
}
