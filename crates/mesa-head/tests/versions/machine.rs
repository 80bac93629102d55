//! Changes and bookmarks as a state machine: whatever is made, written, closed, moved, merged and
//! deleted in whatever order, and however often the server dies, they are as a model says.

use std::collections::{BTreeMap, BTreeSet};

use mesa_head::{MergeOutcome, ViewTarget};
use mesa_repo::ChangeState;
use mesa_testkit::InProcess;
use mesa_types::{ChangeId, CommitOid};
use proptest::prelude::*;

use crate::support::{Server, pairs, put};

/// Something done to a change or bookmark, by its place among those there are.
#[derive(Debug, Clone)]
enum Step {
    Create(usize),
    WriteTo(usize),
    WriteBy(usize),
    Close(usize),
    Bookmark(usize),
    Move(usize, usize, bool),
    Delete(usize),
    Merge(usize, usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..64_usize;
    prop_oneof![
        4 => n().prop_map(Step::Create),
        3 => n().prop_map(Step::WriteTo),
        4 => n().prop_map(Step::WriteBy),
        2 => n().prop_map(Step::Close),
        2 => n().prop_map(Step::Bookmark),
        3 => (n(), n(), any::<bool>()).prop_map(|(b, c, back)| Step::Move(b, c, back)),
        1 => n().prop_map(Step::Delete),
        5 => (n(), n()).prop_map(|(t, s)| Step::Merge(t, s)),
        1 => Just(Step::Restart),
    ]
}

#[derive(Debug, Clone)]
struct Modelled {
    parents: Vec<ChangeId>,
    /// Every write adds a file of its own, so that merges are unions.
    files: BTreeSet<String>,
    state: ChangeState,
    /// What a change that takes no more writes is for good.
    commit: Option<CommitOid>,
}

struct Machine {
    server: Server,
    changes: BTreeMap<ChangeId, Modelled>,
    bookmarks: BTreeMap<String, ChangeId>,
    serial: usize,
}

impl Machine {
    async fn start() -> Self {
        Self {
            server: Server::start().await,
            changes: BTreeMap::new(),
            bookmarks: BTreeMap::from([("main".to_owned(), ChangeId::ROOT)]),
            serial: 0,
        }
    }

    fn next(&mut self) -> String {
        self.serial += 1;
        format!("n{}", self.serial)
    }

    /// Some change, the virtual root too.
    fn change(&self, n: usize) -> ChangeId {
        let all = std::iter::once(ChangeId::ROOT).chain(self.changes.keys().copied());
        all.clone().nth(n % all.count()).unwrap()
    }

    fn bookmark(&self, n: usize) -> (String, ChangeId) {
        let all = &self.bookmarks;
        let (name, change) = all.iter().nth(n % all.len()).unwrap();
        (name.clone(), *change)
    }

    fn files(&self, change: ChangeId) -> BTreeSet<String> {
        let modelled = self.changes.get(&change);
        modelled.map(|m| m.files.clone()).unwrap_or_default()
    }

    fn ancestors(&self, change: ChangeId) -> BTreeSet<ChangeId> {
        let mut found = BTreeSet::new();
        let mut queue = vec![change];
        while let Some(id) = queue.pop() {
            if found.insert(id)
                && let Some(modelled) = self.changes.get(&id)
            {
                queue.extend(&modelled.parents);
            }
        }
        found.insert(ChangeId::ROOT);
        found
    }

    /// A change takes no more writes.
    fn end(&mut self, change: ChangeId, state: ChangeState) {
        if let Some(modelled) = self.changes.get_mut(&change) {
            let ends = matches!(
                (modelled.state, state),
                (ChangeState::Open, _) | (ChangeState::Closed, ChangeState::Published)
            );
            if ends {
                modelled.state = state;
            }
        }
    }

    fn add(&mut self, id: ChangeId, parents: Vec<ChangeId>, file: Option<String>) {
        let mut files = BTreeSet::new();
        for parent in &parents {
            self.end(*parent, ChangeState::Closed);
            files.extend(self.files(*parent));
        }
        files.extend(file);
        let state = ChangeState::Open;
        let commit = None;
        let modelled = Modelled {
            parents,
            files,
            state,
            commit,
        };
        let former = self.changes.insert(id, modelled);
        assert!(former.is_none(), "{id} exists already");
    }

    /// A write to a change: into it, or into a new one on top.
    fn wrote(&mut self, to: ChangeId, got: ChangeId, file: String) {
        let open = |m: &Modelled| m.state == ChangeState::Open;
        if self.changes.get(&to).is_some_and(open) {
            assert_eq!(got, to);
            self.changes.get_mut(&to).unwrap().files.insert(file);
        } else {
            assert_ne!(got, to);
            self.add(got, vec![to], Some(file));
        }
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Create(parent) => {
                let (parent, file) = (self.change(parent), self.next());
                let made = self.server.create(parent, vec![put(&file, "x")], "made");
                let made = made.await.change;
                self.add(made, vec![parent], Some(file));
            }
            Step::WriteTo(to) => {
                let (to, file) = (self.change(to), self.next());
                let target = ViewTarget::Change(to);
                let written = self.server.write(target, vec![put(&file, "x")]).await;
                if !to.is_root() {
                    self.wrote(to, written.unwrap().change, file);
                } else if let Ok(written) = written {
                    self.add(written.change, vec![to], Some(file));
                }
            }
            Step::WriteBy(bookmark) => {
                let ((name, at), file) = (self.bookmark(bookmark), self.next());
                let target = ViewTarget::Bookmark(name.parse().unwrap());
                let written = self.server.write(target, vec![put(&file, "x")]).await;
                let got = written.unwrap().change;
                self.wrote(at, got, file);
                self.bookmarks.insert(name, got);
            }
            Step::Close(change) => {
                let change = self.change(change);
                let (heads, state) = (&self.server.backend.heads, ChangeState::Closed);
                let closed = heads.close_change(&self.server.repo, &change, state).await;
                closed.unwrap();
                self.end(change, state);
            }
            Step::Bookmark(change) => {
                let (change, name) = (self.change(change), self.next());
                self.server.bookmark(&name, change).await;
                self.bookmarks.insert(name, change);
            }
            Step::Move(bookmark, to, backwards) => {
                let ((name, at), to) = (self.bookmark(bookmark), self.change(to));
                let server = &self.server;
                let parsed = name.parse().unwrap();
                let heads = &server.backend.heads;
                let (actor, repo) = (server.actor(), &server.repo);
                let moved = heads.move_bookmark(&actor, repo, &parsed, to, backwards);
                match moved.await {
                    Ok(from) => {
                        assert_eq!(from, at);
                        let forward = self.ancestors(to).contains(&at);
                        assert!(backwards || forward, "{name} went from {at} to {to}");
                        self.bookmarks.insert(name, to);
                    }
                    Err(error) => {
                        assert_eq!(error.code, "NON_FORWARD_MOVE");
                        assert!(!backwards && !self.ancestors(to).contains(&at));
                    }
                }
            }
            Step::Delete(bookmark) => {
                let (name, _) = self.bookmark(bookmark);
                let server = &self.server;
                let (org, repo) = (&server.repo.org, &server.repo.id);
                let (catalog, parsed) = (&server.backend.catalog, name.parse().unwrap());
                let actor = server.actor();
                let deleted = catalog.delete_bookmark(org, repo, &parsed, &actor).await;
                assert_eq!(deleted.is_ok(), name != "main");
                if name != "main" {
                    self.bookmarks.remove(&name);
                }
            }
            Step::Merge(target, source) => self.merge(target, source).await,
            Step::Restart => {
                self.server.backend = self.server.backend.restarted();
                let heads = self.server.backend.heads.clone();
                self.server.api = InProcess::new(heads, self.server.caller.clone());
            }
        }
    }

    async fn merge(&mut self, target: usize, source: usize) {
        let ((target, ours), (source, theirs)) = (self.bookmark(target), self.bookmark(source));
        let merged = self.server.merge_bookmarks(&target, &source).await.unwrap();
        let has_all = self.ancestors(ours).contains(&theirs);
        match merged {
            MergeOutcome::Nothing { change, .. } => {
                assert!(has_all);
                assert_eq!(change, ours);
            }
            MergeOutcome::Merged {
                change, conflicted, ..
            } => {
                assert!(!has_all && !conflicted);
                let parents = [ours, theirs].into_iter().filter(|id| !id.is_root());
                self.add(change, parents.collect(), None);
                for ended in [ours, theirs] {
                    self.end(ended, ChangeState::Published);
                }
                self.end(change, ChangeState::Closed);
                self.bookmarks.insert(target, change);
            }
            MergeOutcome::Conflicts(conflicts) => panic!("{conflicts:?}"),
        }
    }

    /// Everything is as the model says, and what is closed never becomes anything else.
    async fn check(&mut self) {
        let server = &self.server;
        let (org, repo) = (&server.repo.org, &server.repo.id);
        for (name, expected) in &self.bookmarks {
            let (catalog, parsed) = (&server.backend.catalog, name.parse().unwrap());
            let read = catalog.bookmark(org, repo, &parsed).await;
            assert_eq!(read.unwrap().unwrap().change, *expected, "{name}");
        }
        for (id, modelled) in &mut self.changes {
            let found = server.change(*id).await;
            let parents = match &modelled.parents[..] {
                [] => vec![ChangeId::ROOT],
                parents => parents.to_vec(),
            };
            assert_eq!(found.parents, parents, "{id}");
            assert_eq!(found.state, modelled.state, "{id}");
            let files: Vec<_> = modelled.files.iter().map(|f| (f.as_str(), "x")).collect();
            let mut files = pairs(&files);
            files.sort();
            assert_eq!(server.files(ViewTarget::Change(*id)).await, files, "{id}");
            if modelled.state != ChangeState::Open {
                assert!(found.commit.is_some(), "{id}");
                let first = *modelled.commit.get_or_insert(found.commit.unwrap());
                assert_eq!(found.commit, Some(first), "{id} was rewritten");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn changes_and_bookmarks_are_as_the_model_says(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let mut machine = Machine::start().await;
            for step in &steps {
                machine.take(step).await;
                machine.check().await;
            }
        });
    }
}
