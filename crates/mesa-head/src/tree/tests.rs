//! The tree against a naive model, with seals and lazy loading in between.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use mesa_object::{
    OrgKey,
    tree::{DirLoader, Entry, EntryTarget, LinkLoader, Root, build_links, seal_dir},
};
use mesa_types::{ContentRef, EntryName, FileId, GitOid, Nanos, NodeKind, ObjectId, Owner};
use proptest::prelude::*;

use super::{Applied, Need, PlanEntry, Refusal, Sealed, SealedListing, Tree};
use crate::op::{Create, Op, OpKind, Place, SetContent};

const ROOT: FileId = FileId::root_of(1);

/// A step of a test: numbers choose among what exists.
#[derive(Debug, Clone)]
enum Step {
    Create(u8, u8, bool),
    Link(u8, u8, u8),
    Remove(u8, u8),
    Rename(u8, u8, u8, u8, bool),
    Write(u8, u8),
    Seal,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let n = any::<u8>;
    prop_oneof![
        4 => (n(), n(), any::<bool>()).prop_map(|(a, b, c)| Step::Create(a, b, c)),
        2 => (n(), n(), n()).prop_map(|(a, b, c)| Step::Link(a, b, c)),
        2 => (n(), n()).prop_map(|(a, b)| Step::Remove(a, b)),
        3 => (n(), n(), n(), n(), any::<bool>())
            .prop_map(|(a, b, c, d, e)| Step::Rename(a, b, c, d, e)),
        2 => (n(), n()).prop_map(|(a, b)| Step::Write(a, b)),
        1 => Just(Step::Seal),
        1 => Just(Step::Reload),
    ]
}

/// What should be there: every name, and every node.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    names: BTreeMap<(FileId, EntryName), FileId>,
    nodes: BTreeMap<FileId, (NodeKind, u32, u64)>,
}

impl Model {
    fn dirs(&self) -> Vec<FileId> {
        let dirs = self.nodes.iter().filter(|(_, n)| n.0 == NodeKind::Dir);
        std::iter::once(ROOT)
            .chain(dirs.map(|(id, _)| *id))
            .collect()
    }

    fn path(&self, id: FileId) -> Vec<u8> {
        if id == ROOT {
            return Vec::new();
        }
        let ((parent, name), _) = self.names.iter().find(|(_, n)| **n == id).unwrap();
        let mut path = self.path(*parent);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        path
    }

    fn within(&self, id: FileId, above: FileId) -> bool {
        id == above
            || id != ROOT
                && self
                    .names
                    .iter()
                    .filter(|(_, n)| **n == id)
                    .any(|((parent, _), _)| self.within(*parent, above))
    }

    fn is_empty(&self, dir: FileId) -> bool {
        !self.names.keys().any(|(parent, _)| *parent == dir)
    }

    fn is_dir(&self, id: FileId) -> bool {
        self.nodes.get(&id).is_some_and(|n| n.0 == NodeKind::Dir)
    }

    fn drop_name(&mut self, place: &(FileId, EntryName)) {
        let id = self.names.remove(place).unwrap();
        let node = self.nodes.get_mut(&id).unwrap();
        node.1 -= 1;
        if node.1 == 0 {
            self.nodes.remove(&id);
        }
    }

    fn apply(&mut self, op: &Op) -> Result<(), Refusal> {
        match &op.kind {
            OpKind::Create(create) => {
                let place = (create.place.parent, create.place.name.clone());
                if self.names.contains_key(&place) {
                    return Err(Refusal::Exists);
                }
                self.names.insert(place, create.place.id);
                self.nodes.insert(create.place.id, (create.kind, 1, 0));
            }
            OpKind::Link { place, .. } => {
                if self.names.contains_key(&(place.parent, place.name.clone())) {
                    return Err(Refusal::Exists);
                }
                if self.is_dir(place.id) {
                    return Err(Refusal::NotPermitted);
                }
                self.names
                    .insert((place.parent, place.name.clone()), place.id);
                self.nodes.get_mut(&place.id).unwrap().1 += 1;
            }
            OpKind::Unlink(place) => {
                if self.is_dir(place.id) {
                    return Err(Refusal::IsDir);
                }
                self.drop_name(&(place.parent, place.name.clone()));
            }
            OpKind::Rmdir(place) => {
                if !self.is_dir(place.id) {
                    return Err(Refusal::NotDir);
                }
                if !self.is_empty(place.id) {
                    return Err(Refusal::NotEmpty);
                }
                self.drop_name(&(place.parent, place.name.clone()));
            }
            OpKind::Rename {
                from,
                new_parent,
                new_name,
                replaced,
                exchange,
                ..
            } => {
                let (old, new) = (
                    (from.parent, from.name.clone()),
                    (*new_parent, new_name.clone()),
                );
                if *exchange {
                    let other = replaced.unwrap();
                    if other == from.id {
                        return Ok(());
                    }
                    if self.within(new.0, from.id) || self.within(old.0, other) {
                        return Err(Refusal::Invalid);
                    }
                    self.names.insert(old, other);
                    self.names.insert(new, from.id);
                    return Ok(());
                }
                if *replaced == Some(from.id) {
                    return Ok(());
                }
                if self.is_dir(from.id) && self.within(new.0, from.id) {
                    return Err(Refusal::Invalid);
                }
                if let Some(there) = *replaced {
                    match (self.is_dir(from.id), self.is_dir(there)) {
                        (true, false) => return Err(Refusal::NotDir),
                        (false, true) => return Err(Refusal::IsDir),
                        (true, true) if !self.is_empty(there) => return Err(Refusal::NotEmpty),
                        _ => {}
                    }
                    self.drop_name(&new);
                }
                self.names.remove(&old);
                self.names.insert(new, from.id);
            }
            OpKind::SetContent(set) => {
                self.nodes.get_mut(&set.id).unwrap().2 = set.content.size();
            }
            _ => unreachable!("not generated"),
        }
        Ok(())
    }
}

/// A stored snapshot.
#[derive(Default)]
struct Store {
    objects: HashMap<ObjectId, Bytes>,
    root: Option<ObjectId>,
}

fn key() -> OrgKey {
    OrgKey::new([3; 32])
}

fn satisfy(store: &Store, tree: &mut Tree, need: Need) {
    match need {
        Need::Links(table) => {
            let mut loader = LinkLoader::new(table);
            while let Some(id) = loader.missing().first().copied() {
                loader.supply(id, &store.objects[&id]).unwrap();
            }
            tree.attach_links(loader.finish().unwrap().0).unwrap();
        }
        Need::Listings(wanted) => {
            for (id, object) in wanted {
                let mut loader = DirLoader::new(object);
                while let Some(id) = loader.missing().first().copied() {
                    loader.supply(id, &store.objects[&id]).unwrap();
                }
                tree.attach_listing(id, loader.finish().unwrap().0).unwrap();
            }
        }
    }
}

fn seal(store: &mut Store, tree: &mut Tree, seq: u64) {
    let plan = tree.seal_plan(seq).unwrap();
    let git = |content: &ContentRef| {
        let mut oid = [1; 20];
        oid[..8].copy_from_slice(&content.size().to_le_bytes());
        GitOid(oid)
    };
    let mut links = plan.links;
    for record in links.values_mut() {
        record.git = Some(git(&record.attr.content));
    }
    let mut sealed = Sealed {
        seq,
        ..Sealed::default()
    };
    for dir in plan.dirs {
        let mut entries = Vec::new();
        for (name, entry) in dir.entries {
            let target = match entry {
                PlanEntry::Link(id, kind) => EntryTarget::Link { id, kind },
                PlanEntry::Node(mut record) => {
                    if let Some(done) = sealed.dirs.get(&record.attr.id) {
                        record.dir = Some(done.dir.clone());
                        record.git = done.git;
                    } else if record.attr.kind == NodeKind::File {
                        record.git = Some(git(&record.attr.content));
                    }
                    EntryTarget::Node(record)
                }
            };
            entries.push(Entry { name, target });
        }
        let out = seal_dir(&key(), &entries, |id| links.get(&id)).unwrap();
        let stored = out.objects.into_iter().map(|o| (o.id, o.bytes));
        store.objects.extend(stored);
        let listing = SealedListing {
            dir: out.dir,
            git: out.git,
        };
        sealed.dirs.insert(dir.id, listing);
    }
    sealed.links = plan.links_sealed;
    if plan.links_changed {
        let mut records: Vec<_> = links.into_values().collect();
        records.sort_by_key(|r| r.attr.id);
        sealed.links = None;
        if !records.is_empty() {
            let (table, objects) = build_links(&key(), &records).unwrap();
            let stored = objects.into_iter().map(|o| (o.id, o.bytes));
            store.objects.extend(stored);
            sealed.links = Some(table);
        }
    }
    let mut root = Root {
        dir: plan.root,
        links: sealed.links,
        conflicts: None,
    };
    if let Some(listing) = sealed.dirs.get(&ROOT) {
        root.dir.dir = Some(listing.dir.clone());
        root.dir.git = listing.git;
    }
    let object = root.encode(&key()).unwrap();
    store.root = Some(object.id);
    store.objects.insert(object.id, object.bytes);
    tree.sealed(&sealed);
}

/// Everything in the tree, loaded as it is met.
fn contents(store: &Store, tree: &mut Tree) -> Model {
    let mut model = Model::default();
    let mut queue = vec![ROOT];
    while let Some(dir) = queue.pop() {
        while let Some(need) = tree.needs_node(dir, b"", true) {
            satisfy(store, tree, need);
        }
        let listing = tree.listing(dir).unwrap().clone();
        for (name, id) in listing {
            let node = tree.node(id).unwrap();
            if node.attr.kind == NodeKind::Dir {
                queue.push(id);
            }
            let facts = (node.attr.kind, node.attr.nlink, node.attr.content.size());
            model.nodes.insert(id, facts);
            model.names.insert((dir, name), id);
        }
    }
    model
}

fn op_of(step: &Step, model: &Model, next: &mut u64) -> Option<Op> {
    let dirs = model.dirs();
    let dir = |n: u8| dirs[n as usize % dirs.len()];
    let name = |n: u8| EntryName::new([b'a' + n % 5]).unwrap();
    let place = |n: u8| {
        let count = model.names.len();
        let ((parent, name), id) = model.names.iter().nth(n as usize % count.max(1))?;
        Some(Place {
            parent: *parent,
            name: name.clone(),
            id: *id,
        })
    };
    let (path, kind) = match step {
        Step::Create(a, b, is_dir) => {
            *next += 1;
            let create = Create {
                place: Place {
                    parent: dir(*a),
                    name: name(*b),
                    id: FileId(ROOT.0 + *next),
                },
                kind: if *is_dir {
                    NodeKind::Dir
                } else {
                    NodeKind::File
                },
                mode: 0o644,
                uid: Owner::Mounter,
                gid: Owner::Mounter,
                target: Bytes::new(),
                mtime: Nanos(1),
                content: ContentRef::Empty,
                inline: Bytes::new(),
            };
            (model.path(dir(*a)), OpKind::Create(Box::new(create)))
        }
        Step::Link(a, b, c) => {
            let source = place(*c)?;
            let link = OpKind::Link {
                place: Place {
                    parent: dir(*a),
                    name: name(*b),
                    id: source.id,
                },
                source_path: model.path(source.id).into(),
            };
            (model.path(dir(*a)), link)
        }
        Step::Remove(a, b) => {
            let place = place(*a)?;
            let path = model.path(place.parent);
            // Now and then the wrong call for the kind.
            let kind = if model.is_dir(place.id) == (b % 8 != 0) {
                OpKind::Rmdir(place)
            } else {
                OpKind::Unlink(place)
            };
            (path, kind)
        }
        Step::Rename(a, b, c, d, exchange) => {
            let from = place(*a)?;
            let (new_parent, new_name) = (dir(*b), name(*c));
            let there = model.names.get(&(new_parent, new_name.clone())).copied();
            let rename = OpKind::Rename {
                new_path: model.path(new_parent).into(),
                new_parent,
                new_name,
                replaced: there,
                exchange: *exchange && there.is_some() && d % 2 == 0,
                from: from.clone(),
            };
            (model.path(from.parent), rename)
        }
        Step::Write(a, b) => {
            let place = place(*a)?;
            if model.is_dir(place.id) {
                return None;
            }
            let set = SetContent {
                id: place.id,
                base: ContentRef::Empty,
                content: ContentRef::Chunk {
                    id: ObjectId([*b; 32]),
                    size: u64::from(*b) + 1,
                },
                inline: Bytes::new(),
                extents: Vec::new(),
                resized: true,
                mtime: Nanos(2),
            };
            (model.path(place.id), OpKind::SetContent(Box::new(set)))
        }
        Step::Seal | Step::Reload => return None,
    };
    Some(Op {
        time: Nanos(7),
        path: path.into(),
        kind,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let mut tree = Tree::empty(ROOT, Nanos(0));
        let mut model = Model::default();
        let mut store = Store::default();
        let (mut seq, mut next) = (0, 1);
        for step in &steps {
            if matches!(step, Step::Seal | Step::Reload) {
                seal(&mut store, &mut tree, seq);
                prop_assert!(!tree.is_changed(ROOT));
                if matches!(step, Step::Reload) {
                    let root = &store.objects[&store.root.unwrap()];
                    tree = Tree::from_root(Root::decode(root).unwrap());
                }
                continue;
            }
            let Some(op) = op_of(step, &model, &mut next) else { continue };
            while let Some(need) = tree.needs(&op) {
                satisfy(&store, &mut tree, need);
            }
            let content = match &op.kind {
                OpKind::SetContent(set) => set.content,
                _ => ContentRef::Empty,
            };
            let mut expected = model.clone();
            let wanted = expected.apply(&op);
            let got = tree.apply(&op, content, seq + 1);
            prop_assert_eq!(got.map(|_: Applied| ()), wanted, "{:?}", op);
            if got.is_ok() {
                model = expected;
                seq += 1;
            }
        }
        prop_assert_eq!(&contents(&store, &mut tree), &model);
        seal(&mut store, &mut tree, seq);
        let root = &store.objects[&store.root.unwrap()];
        let mut fresh = Tree::from_root(Root::decode(root).unwrap());
        prop_assert_eq!(&contents(&store, &mut fresh), &model);
    }
}

#[test]
fn a_stale_hint_still_finds_the_node() {
    let mut tree = Tree::empty(ROOT, Nanos(0));
    let mut store = Store::default();
    let mut model = Model::default();
    let mut next = 1;
    // d/f, sealed and loaded anew, then operated on under a path that no longer exists.
    for step in [Step::Create(0, 0, true), Step::Create(1, 1, false)] {
        let op = op_of(&step, &model, &mut next).unwrap();
        tree.apply(&op, ContentRef::Empty, next).unwrap();
        model.apply(&op).unwrap();
    }
    seal(&mut store, &mut tree, 9);
    let root = &store.objects[&store.root.unwrap()];
    let mut tree = Tree::from_root(Root::decode(root).unwrap());
    let file = FileId(ROOT.0 + 3);
    let op = |id, path: &'static [u8]| Op {
        time: Nanos(1),
        path: Bytes::from_static(path),
        kind: OpKind::SetAttr {
            id,
            mode: Some(0o600),
            owner: None,
            mtime: None,
        },
    };
    let chmod = op(file, b"gone/f");
    while let Some(need) = tree.needs(&chmod) {
        satisfy(&store, &mut tree, need);
    }
    assert_eq!(tree.apply(&chmod, ContentRef::Empty, 10), Ok(Applied::Yes));
    assert_eq!(tree.node(file).unwrap().attr.mode, 0o600);
    let nobody = op(FileId(ROOT.0 + 99), b"gone/x");
    assert_eq!(tree.needs(&nobody), None);
    let refused = tree.apply(&nobody, ContentRef::Empty, 11);
    assert_eq!(refused, Err(Refusal::NotFound));
}
