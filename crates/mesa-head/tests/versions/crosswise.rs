//! Lines that are merged into each other at the same time: no side's work and no decision is lost,
//! whatever the order of commit ids.

use std::collections::{BTreeMap, BTreeSet};

use mesa_head::{Describe, MergeInto, MergeOutcome, Resolve, ViewTarget};
use mesa_repo::ChangeState;
use mesa_types::ChangeId;
use proptest::prelude::*;

use crate::support::{Server, by_bookmark, delete, main, pairs, put};

impl Server {
    pub async fn merge_into(
        &self,
        target: &str,
        source: &str,
        resolutions: BTreeMap<Vec<u8>, Resolve>,
    ) -> MergeOutcome {
        let wanted = MergeInto {
            target: by_bookmark(target),
            source: by_bookmark(source),
            describe: Describe::default(),
            resolutions,
            allow_conflicted: false,
        };
        let heads = &self.backend.heads;
        let merged = heads.merge(&self.actor(), &self.repo, wanted).await;
        merged.unwrap()
    }

    /// Begins `main` and other lines with a closed change.
    async fn lines(&self, files: Vec<mesa_head::FileEdit>, others: &[&str]) {
        let base = self.write(main(), files).await.unwrap().change;
        let heads = &self.backend.heads;
        let closed = heads.close_change(&self.repo, &base, ChangeState::Closed);
        closed.await.unwrap();
        for name in others {
            self.bookmark(name, base).await;
        }
    }

    async fn tip(&self, bookmark: &str) -> ChangeId {
        let name = bookmark.parse().unwrap();
        let catalog = &self.backend.catalog;
        let read = catalog.bookmark(&self.repo.org, &self.repo.id, &name).await;
        read.unwrap().unwrap().change
    }

    /// Merges both into each other, each as it is now.
    async fn cross(&self, one: &str, other: &str, n: usize) {
        for name in [one, other] {
            self.bookmark(&format!("{name}-{n}"), self.tip(name).await)
                .await;
        }
        for (target, source) in [(one, other), (other, one)] {
            let source = format!("{source}-{n}");
            let merged = self.merge_into(target, &source, BTreeMap::new()).await;
            assert!(
                matches!(merged, MergeOutcome::Merged { .. }),
                "{target}: {merged:?}"
            );
        }
    }
}

pub fn at(name: &str) -> ViewTarget {
    ViewTarget::Bookmark(name.parse().unwrap())
}

#[tokio::test]
async fn a_change_taken_back_after_a_crosswise_merge_stays_taken_back() {
    // One of two ancestors was taken by their ids before: it must not depend on them.
    for n in 0..6 {
        let server = Server::start().await;
        let files = vec![put("f", "a\n"), put("g", &n.to_string())];
        server.lines(files, &["dev"]).await;
        server.write(main(), vec![put("f", "b\n")]).await.unwrap();
        server.write(at("dev"), vec![put("h", "x")]).await.unwrap();
        server.cross("main", "dev", 0).await;
        server
            .write(at("dev"), vec![put("f", "a\n")])
            .await
            .unwrap();
        server.write(main(), vec![put("i", "y")]).await.unwrap();
        server.merged("dev").await;
        let n = n.to_string();
        let expected = [("f", "a\n"), ("g", n.as_str()), ("h", "x"), ("i", "y")];
        assert_eq!(server.files(main()).await, pairs(&expected));
    }
}

#[tokio::test]
async fn two_decisions_about_the_same_conflict_are_a_conflict() {
    for (ours, theirs) in [("1\n", "2\n"), ("\0one", "\0two"), ("", "2\n")] {
        let server = Server::start().await;
        let files = vec![put("f", "0\n"), put("g", "")];
        server.lines(files, &["dev"]).await;
        let edit = if ours.is_empty() {
            delete("f")
        } else {
            put("f", ours)
        };
        server.write(main(), vec![edit]).await.unwrap();
        server
            .write(at("dev"), vec![put("f", theirs)])
            .await
            .unwrap();
        for name in ["main", "dev"] {
            server
                .bookmark(&format!("{name}-0"), server.tip(name).await)
                .await;
        }
        // Everybody keeps his own.
        let mine = BTreeMap::from([(b"f".to_vec(), Resolve::Target)]);
        server.merge_into("main", "dev-0", mine.clone()).await;
        server.merge_into("dev", "main-0", mine).await;
        let MergeOutcome::Conflicts(left) = server.merge_with("dev", &[]).await.unwrap() else {
            panic!("one of {ours:?} and {theirs:?} was dropped");
        };
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].path, b"f");
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A line, a path, and which of its former contents; a new one if there are not so many.
    Write(usize, usize, usize),
    Merge(usize, usize, u8),
    Cross(usize, usize, u8),
}

fn step(lines: usize, reverts: usize) -> impl Strategy<Value = Step> {
    let line = 0..lines;
    prop_oneof![
        4 => (line.clone(), 0..PATHS.len(), 0..reverts + 8)
            .prop_map(|(line, path, old)| Step::Write(line, path, old)),
        1 => (line.clone(), line.clone(), 0..3_u8).prop_map(|(a, b, by)| Step::Merge(a, b, by)),
        3 => (line.clone(), line, 0..3_u8).prop_map(|(a, b, by)| Step::Cross(a, b, by)),
    ]
}

const LINES: [&str; 3] = ["main", "dev", "more"];
const PATHS: [&str; 2] = ["f", "d/g"];

/// What each line has to have: for every path the event that made it what it is.
struct Model {
    /// Content, and the events it was made in knowledge of, itself included.
    events: Vec<(String, BTreeSet<usize>)>,
    /// By line and path.
    state: Vec<Vec<usize>>,
}

impl Model {
    fn event(&mut self, content: String, seen: &[usize]) -> usize {
        let id = self.events.len();
        let mut known: BTreeSet<usize> = BTreeSet::from([id]);
        for event in seen {
            known.extend(&self.events[*event].1);
        }
        self.events.push((content, known));
        id
    }

    async fn merge(
        &mut self,
        server: &Server,
        target: usize,
        (source, theirs): (&str, Vec<usize>),
        by: u8,
    ) {
        let name = LINES[target];
        let mut outcome = server.merge_into(name, source, BTreeMap::new()).await;
        let mut resolved = BTreeMap::new();
        if let MergeOutcome::Conflicts(paths) = &outcome {
            for conflict in paths {
                let n = self.events.len() + resolved.len();
                let resolve = match by {
                    0 => Resolve::Target,
                    1 => Resolve::Source,
                    _ => Resolve::Content(format!("decided {n}\n").into()),
                };
                resolved.insert(conflict.path.clone(), resolve);
            }
            outcome = server.merge_into(name, source, resolved.clone()).await;
        }
        assert!(
            !matches!(outcome, MergeOutcome::Conflicts(_)),
            "{outcome:?}"
        );
        let files = server.files(at(name)).await;
        for (n, path) in PATHS.iter().enumerate() {
            let (ours, theirs) = (self.state[target][n], theirs[n]);
            let (a, b) = (&self.events[ours], &self.events[theirs]);
            let found = &files.iter().find(|(at, _)| at == path).unwrap().1;
            let by = resolved.get(path.as_bytes());
            // Who knew of the other's content has the last word.
            let newer = if a.1.contains(&theirs) {
                Some(ours)
            } else if b.1.contains(&ours) {
                Some(theirs)
            } else {
                None
            };
            if let (Some(newer), None) = (newer, by) {
                assert_eq!(*found, self.events[newer].0, "{name} {path}");
                self.state[target][n] = newer;
                continue;
            }
            // Between two lines, nothing else is in conflict than what two changed.
            assert!(newer.is_none() || self.state.len() > 2, "{name} {path}");
            // One went on from the very content that the other one has (again).
            let went_on = |(content, known): &(String, BTreeSet<usize>), other: &String| {
                let mut known = known.iter().map(|event| &self.events[*event].0);
                found == content && known.any(|content| content == other)
            };
            let went_on = went_on(a, &b.0) || went_on(b, &a.0);
            assert!(
                by.is_some() || a.0 == b.0 || went_on,
                "{name} {path}: {} and {} became {found}",
                a.0,
                b.0
            );
            let found = found.clone();
            self.state[target][n] = self.event(found, &[ours, theirs]);
        }
    }
}

async fn check(lines: usize, reverts: bool, steps: Vec<Step>) {
    let server = Server::start().await;
    let first = PATHS.map(|path| put(path, "start\n"));
    server.lines(first.to_vec(), &LINES[1..lines]).await;
    let mut model = Model {
        events: Vec::new(),
        state: Vec::new(),
    };
    let start = PATHS
        .map(|_| model.event("start\n".to_owned(), &[]))
        .to_vec();
    model.state = vec![start; lines];
    for (n, step) in steps.into_iter().enumerate() {
        match step {
            Step::Write(line, path, old) => {
                let before = model.state[line][path];
                let known: Vec<_> = model.events[before].1.iter().copied().collect();
                let content = match known.get(old) {
                    Some(old) if reverts => model.events[*old].0.clone(),
                    _ => format!("content {n}\n"),
                };
                if content != model.events[before].0 {
                    let edit = put(PATHS[path], &content);
                    server.write(at(LINES[line]), vec![edit]).await.unwrap();
                    model.state[line][path] = model.event(content, &[before]);
                }
            }
            Step::Merge(one, other, by) if one != other => {
                let source = (LINES[other], model.state[other].clone());
                model.merge(&server, one, source, by).await;
            }
            Step::Cross(one, other, by) if one != other => {
                let both = [one, other].map(|line| (line, model.state[line].clone()));
                for (line, _) in &both {
                    let tip = server.tip(LINES[*line]).await;
                    server.bookmark(&format!("x{n}-{line}"), tip).await;
                }
                for (target, (source, state)) in [(one, &both[1]), (other, &both[0])] {
                    let name = format!("x{n}-{source}");
                    model
                        .merge(&server, target, (&name, state.clone()), by)
                        .await;
                }
            }
            Step::Merge(..) | Step::Cross(..) => {}
        }
    }
}

fn run(lines: usize, reverts: bool, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(check(lines, reverts, steps));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn crosswise_merges_lose_nothing(
        steps in prop::collection::vec(step(2, 0), 4..16),
    ) {
        run(2, false, steps);
    }

    #[test]
    fn crosswise_merges_keep_what_was_taken_back(
        steps in prop::collection::vec(step(2, 8), 4..16),
    ) {
        run(2, true, steps);
    }

    #[test]
    fn three_lines_merged_crosswise_lose_nothing(
        steps in prop::collection::vec(step(3, 8), 4..20),
        reverts in any::<bool>(),
    ) {
        run(3, reverts, steps);
    }
}
