//! Random trees, and the same trees here and in Jujutsu.
#![allow(clippy::unwrap_used, dead_code, reason = "helpers of tests")]

use std::{collections::BTreeMap, sync::Arc};

use futures::{AsyncReadExt as _, executor::block_on};
use jj_lib::{
    backend::{CopyId, TreeId, TreeValue as JjValue},
    conflict_labels::ConflictLabels,
    files::FileMergeHunkLevel,
    merge::{Merge as JjMerge, SameChange},
    merged_tree::MergedTree as JjTree,
    repo_path::{RepoPath, RepoPathBuf},
    signing::Signer,
    simple_backend::SimpleBackend,
    store::Store,
    tree_merge::MergeOptions as JjOptions,
};
use mesa_object::OrgKey;
use mesa_vcs::{
    Merge,
    memory::{MemoryStore, Paths},
    tree::TreePath,
};
use proptest::prelude::*;

/// A file: its text and executable bit; or a symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    Text(Vec<u8>, bool),
    Link(String),
}

/// A tree without what Jujutsu cannot hold.
pub type Files = BTreeMap<String, File>;

pub fn jj_options() -> JjOptions {
    JjOptions {
        hunk_level: FileMergeHunkLevel::Line,
        same_change: SameChange::Accept,
    }
}

pub struct Jj {
    pub store: Arc<Store>,
    _dir: tempfile::TempDir,
}

impl Jj {
    pub fn new() -> Self {
        // Jujutsu's simple backend writes a file for everything.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let backend = SimpleBackend::init(dir.path());
        let signer = Signer::new(None, Vec::new());
        let store = Store::new(Box::new(backend), signer, jj_options());
        Self { store, _dir: dir }
    }

    pub fn tree(&self, files: &Files) -> JjTree {
        JjTree::resolved(self.store.clone(), self.dir(RepoPath::root(), files))
    }

    fn dir(&self, path: &RepoPath, files: &Files) -> TreeId {
        let mut entries = BTreeMap::new();
        let mut below: BTreeMap<String, Files> = BTreeMap::new();
        for (name, file) in files {
            if let Some((dir, rest)) = name.split_once('/') {
                let dir = below.entry(dir.to_owned()).or_default();
                dir.insert(rest.to_owned(), file.clone());
                continue;
            }
            let value = match file {
                File::Text(text, executable) => {
                    let mut reader = &text[..];
                    let id = block_on(self.store.write_file(path, &mut reader)).unwrap();
                    JjValue::File {
                        id,
                        executable: *executable,
                        copy_id: CopyId::placeholder(),
                    }
                }
                File::Link(to) => {
                    JjValue::Symlink(block_on(self.store.write_symlink(path, to)).unwrap())
                }
            };
            entries.insert(name.clone(), value);
        }
        for (name, files) in below {
            let id = self.dir(path, &files);
            entries.insert(name, JjValue::Tree(id));
        }
        let entries = entries
            .into_iter()
            .map(|(name, value)| {
                let name = jj_lib::repo_path::RepoPathComponentBuf::new(name).unwrap();
                (name, value)
            })
            .collect();
        let tree = jj_lib::backend::Tree::from_sorted_entries(entries);
        let tree = block_on(self.store.write_tree(path, tree)).unwrap();
        tree.id().clone()
    }

    /// What a value is, in words; a tree by its files.
    pub fn describe(&self, path: &RepoPath, value: Option<&JjValue>) -> Option<String> {
        Some(match value? {
            JjValue::File { id, executable, .. } => {
                let mut text = Vec::new();
                let mut reader = block_on(self.store.read_file(path, id)).unwrap();
                block_on(reader.read_to_end(&mut text)).unwrap();
                describe(&File::Text(text, *executable))
            }
            JjValue::Symlink(id) => describe(&File::Link(
                block_on(self.store.read_symlink(path, id)).unwrap(),
            )),
            JjValue::Tree(id) => {
                let tree = JjTree::resolved(self.store.clone(), id.clone());
                let files = self.files(&tree);
                format!("tree {files:?}")
            }
            JjValue::GitSubmodule(_) => "submodule".into(),
        })
    }

    /// Every path that is no conflict.
    pub fn files(&self, tree: &JjTree) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for (path, value) in tree.entries() {
            if let Ok(Some(value)) = value.unwrap().into_resolved() {
                let text = self.describe(&path, Some(&value)).unwrap();
                files.insert(path.as_internal_file_string().to_owned(), text);
            }
        }
        files
    }

    /// Every conflict with its terms.
    pub fn conflicts(&self, tree: &JjTree) -> BTreeMap<String, Vec<Option<String>>> {
        let mut conflicts = BTreeMap::new();
        for (path, value) in tree.conflicts() {
            let value = value.unwrap();
            let terms = value.iter();
            let terms = terms
                .map(|term| self.describe(&path, term.as_ref()))
                .collect();
            conflicts.insert(path.as_internal_file_string().to_owned(), terms);
        }
        conflicts
    }
}

pub fn path_buf(path: &str) -> RepoPathBuf {
    RepoPathBuf::from_internal_string(path).unwrap()
}

pub fn describe(file: &File) -> String {
    match file {
        File::Text(text, executable) => {
            let text = String::from_utf8_lossy(text);
            format!("{}{text:?}", if *executable { "x " } else { "" })
        }
        File::Link(to) => format!("-> {to}"),
    }
}

pub fn jj_merge<T>(merge: &Merge<T>) -> JjMerge<T>
where
    T: Clone,
{
    JjMerge::from_vec(merge.terms().to_vec())
}

pub fn unlabelled() -> ConflictLabels {
    ConflictLabels::unlabeled()
}

/// Few cases in every run, more by `PROPTEST_CASES`.
pub fn cases(few: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(few);
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub fn memory() -> MemoryStore {
    MemoryStore::new(OrgKey::new([3; 32]))
}

/// The same tree here. Ids are those of the paths.
pub fn paths(store: &MemoryStore, files: &Files) -> Paths {
    files
        .iter()
        .map(|(path, file)| {
            let id = path.bytes().fold(7_u64, |id, b| {
                id.wrapping_mul(31).wrapping_add(u64::from(b))
            });
            let node = match file {
                File::Text(text, executable) => {
                    let mut node = store.file(id, text);
                    node.attr.mode = if *executable { 0o755 } else { 0o644 };
                    node
                }
                File::Link(to) => store.symlink(id, to.as_bytes()),
            };
            (TreePath::new(path.as_bytes()).unwrap(), node)
        })
        .collect()
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop::sample::select(vec!["a\n", "b\n", "c\n", "d\n", "\n", "}\n", "e"]),
        0..9,
    )
    .prop_map(|lines| lines.concat().into_bytes())
}

pub fn any_file() -> impl Strategy<Value = File> {
    prop_oneof![
        12 => (any_text(), prop::bool::weighted(0.2)).prop_map(|(t, x)| File::Text(t, x)),
        1 => "[ab]".prop_map(File::Link),
    ]
}

/// A change to a tree: a path gets a file, or loses what it has.
fn any_change() -> impl Strategy<Value = (String, Option<File>)> {
    let path = prop::sample::select(vec!["a", "b", "d/a", "d/b", "d/e/a", "e", "e/a"]);
    (
        path.prop_map(str::to_owned),
        prop::option::weighted(0.8, any_file()),
    )
}

fn changed(files: &Files, changes: &[(String, Option<File>)]) -> Files {
    let mut files = files.clone();
    for (path, file) in changes {
        let within =
            |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|r| r.starts_with('/'));
        files.retain(|known, _| !within(known, path) && !within(path, known));
        if let Some(file) = file {
            files.insert(path.clone(), file.clone());
        }
    }
    files
}

/// Trees that come from one another by a few changes: 3 or 5 of them.
pub fn any_history() -> impl Strategy<Value = Vec<Files>> {
    let changes = |n| prop::collection::vec(any_change(), 0..n);
    let steps = prop::collection::vec((changes(5), any::<prop::sample::Index>()), 2..=4);
    (changes(8), steps).prop_map(|(first, mut steps)| {
        if steps.len() % 2 == 1 {
            steps.pop();
        }
        let mut trees = vec![changed(&Files::new(), &first)];
        for (changes, from) in steps {
            let from = from.get(&trees).clone();
            trees.push(changed(&from, &changes));
        }
        trees.swap(0, 1);
        trees
    })
}
