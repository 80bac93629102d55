//! Files with several names in merges: what is done to a name that stands for another file by now
//! does not reach the other names, and names of one file stay or become names of one file.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesa_head::{MergeOutcome, Resolve, ViewTarget};
use mesa_proto::v1::{self, op};
use mesa_repo::ChangeState;
use mesa_testkit::RawSession;
use mesa_types::{ChangeId, NodeKind};

use crate::{
    crosswise::at,
    merges::give_back,
    support::{Server, delete, main, pairs, put, rename},
};

/// File id, content and number of names, by path.
type Named = BTreeMap<String, (u64, String, u32)>;

impl Server {
    /// A closed change on `main` in which each list of paths names one file with this content.
    async fn linked(&self, files: &[(&[&str], &str)]) -> ChangeId {
        let mut session = RawSession::open(&self.api, "acme", "demo").await;
        session.lease().await;
        let root = session.root();
        let mut dirs: BTreeMap<String, u64> = session
            .tree()
            .await
            .into_iter()
            .map(|(path, node)| (path, node.id))
            .collect();
        for (names, content) in files {
            let mut made: Option<(u64, String)> = None;
            for name in *names {
                let (dir, file) = name.rsplit_once('/').unwrap_or(("", name));
                let parent = match dirs.get(dir) {
                    _ if dir.is_empty() => root,
                    Some(id) => *id,
                    None => {
                        let (id, mkdir) = session.create("", root, dir, NodeKind::Dir);
                        session.commit(vec![mkdir]).await;
                        dirs.insert(dir.to_owned(), id);
                        id
                    }
                };
                let op = if let Some((id, path)) = &made {
                    let link = v1::Link {
                        id: *id,
                        parent,
                        name: Bytes::copy_from_slice(file.as_bytes()),
                        source_path: Bytes::copy_from_slice(path.as_bytes()),
                    };
                    session.op(dir, op::Kind::Link(link))
                } else {
                    let (id, create) = session.file(dir, parent, file, content.as_bytes());
                    made = Some((id, (*name).to_owned()));
                    create
                };
                session.commit(vec![op]).await;
            }
        }
        give_back(&mut session).await;
        let change = self.main_change().await;
        let heads = &self.backend.heads;
        let closed = heads.close_change(&self.repo, &change, ChangeState::Closed);
        closed.await.unwrap();
        change
    }

    async fn named(&self, target: ViewTarget) -> Named {
        let view = self.view(target.clone()).await;
        let files = self.files(target).await;
        let mut found = Named::new();
        for (path, content) in files.into_iter().filter(|(_, shown)| shown != "/") {
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let entries = view.list(dir.as_bytes()).await.unwrap().unwrap();
            let entry = entries
                .iter()
                .find(|entry| entry.name.as_bytes() == name.as_bytes());
            let attr = &entry.unwrap().node.attr;
            found.insert(path.clone(), (attr.id.0, content, attr.nlink));
        }
        found
    }

    async fn merge_all(&self, target: &str, source: &str) {
        let merged = self.merge_into(target, source, BTreeMap::new()).await;
        assert!(matches!(merged, MergeOutcome::Merged { .. }), "{merged:?}");
    }
}

/// Content and number of names.
fn shown<'a>(named: &'a Named, path: &str) -> (&'a str, u32) {
    let (_, content, names) = &named[path];
    (content, *names)
}

#[tokio::test]
async fn a_name_that_became_another_file_does_not_take_the_other_names_along() {
    let server = Server::start().await;
    let base = server.linked(&[(&["h1", "h2"], "X")]).await;
    server.bookmark("dev", base).await;
    // Another file at one of the names.
    server.write(at("dev"), vec![delete("h1")]).await.unwrap();
    let edit = vec![put("h1", "Y")];
    server.write(at("dev"), edit).await.unwrap();
    server.write(main(), vec![put("g", "1")]).await.unwrap();
    let before = server.named(main()).await;
    server.merge_all("main", "dev").await;
    let after = server.named(main()).await;
    assert_eq!(shown(&after, "h1"), ("Y", 1));
    assert_eq!(shown(&after, "h2"), ("X", 1), "both parents have X");
    assert_eq!(after["h2"].0, before["h2"].0);
}

#[tokio::test]
async fn what_is_in_conflict_at_one_name_does_not_show_at_the_other() {
    let server = Server::start().await;
    let base = server.linked(&[(&["h1", "h2"], "X\n")]).await;
    server.bookmark("dev", base).await;
    server.write(at("dev"), vec![delete("h1")]).await.unwrap();
    server
        .write(at("dev"), vec![put("h1", "Y\n")])
        .await
        .unwrap();
    // Through both names.
    server.write(main(), vec![put("h1", "Z\n")]).await.unwrap();
    let resolved = BTreeMap::from([(b"h1".to_vec(), Resolve::Content("YZ\n".into()))]);
    let merged = server.merge_into("main", "dev", resolved).await;
    assert!(matches!(merged, MergeOutcome::Merged { .. }), "{merged:?}");
    let after = server.named(main()).await;
    assert_eq!(shown(&after, "h1"), ("YZ\n", 1));
    assert_eq!(shown(&after, "h2"), ("Z\n", 1));
}

#[tokio::test]
async fn a_file_written_through_its_names_stays_one_file() {
    let server = Server::start().await;
    let base = server.linked(&[(&["h1", "h2"], "X")]).await;
    server.bookmark("dev", base).await;
    server.write(at("dev"), vec![put("h1", "Y")]).await.unwrap();
    server.write(main(), vec![put("g", "1")]).await.unwrap();
    let before = server.named(main()).await;
    server.merge_all("main", "dev").await;
    let after = server.named(main()).await;
    for name in ["h1", "h2"] {
        assert_eq!(shown(&after, name), ("Y", 2), "{name}");
        assert_eq!(after[name].0, before[name].0, "the same node");
    }
}

#[tokio::test]
async fn a_name_that_one_side_made_keeps_what_that_side_saw() {
    let server = Server::start().await;
    let base = server.linked(&[(&["h1", "h2"], "X")]).await;
    server.bookmark("dev", base).await;
    server.write(at("dev"), vec![put("h1", "Y")]).await.unwrap();
    // A third name, which dev does not know.
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let (root, id) = (session.root(), session.tree().await["h1"].id);
    let link = v1::Link {
        id,
        parent: root,
        name: Bytes::from_static(b"h3"),
        source_path: Bytes::from_static(b"h1"),
    };
    let link = session.op("", op::Kind::Link(link));
    session.commit(vec![link]).await;
    give_back(&mut session).await;
    server.merge_all("main", "dev").await;
    let after = server.named(main()).await;
    assert_eq!(shown(&after, "h1"), ("Y", 2));
    assert_eq!(shown(&after, "h2"), ("Y", 2));
    assert_eq!(after["h1"].0, after["h2"].0);
    assert_eq!(shown(&after, "h3"), ("X", 1), "nobody wrote to it");
}

#[tokio::test]
async fn names_of_one_file_come_as_names_of_one_file() {
    let server = Server::start().await;
    let base = server.linked(&[(&["kept"], "k")]).await;
    server.bookmark("dev", base).await;
    let linked: [(&[&str], &str); 3] = [
        (&["l/a0", "l/b0"], "0"),
        (&["l/a1", "m/b1", "m/c1"], "1"),
        (&["top"], "t"),
    ];
    server.linked(&linked).await;
    server
        .write(at("dev"), vec![put("other", "1")])
        .await
        .unwrap();
    server.merge_all("dev", "main").await;
    let after = server.named(at("dev")).await;
    for (names, content) in linked {
        for name in names {
            assert_eq!(shown(&after, name), (content, names.len() as u32), "{name}");
            assert_eq!(after[*name].0, after[names[0]].0, "{name}");
        }
    }
    // Another name of a file that the target has already.
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let (root, id) = (session.root(), session.tree().await["kept"].id);
    let link = v1::Link {
        id,
        parent: root,
        name: Bytes::from_static(b"again"),
        source_path: Bytes::from_static(b"kept"),
    };
    let link = session.op("", op::Kind::Link(link));
    session.commit(vec![link]).await;
    give_back(&mut session).await;
    server.merge_all("dev", "main").await;
    let after = server.named(at("dev")).await;
    assert_eq!(shown(&after, "again"), ("k", 2));
    assert_eq!(after["again"].0, after["kept"].0);
}

#[tokio::test]
async fn a_move_onto_another_name_of_the_same_file_leaves_that_name() {
    let server = Server::start().await;
    let base = server.linked(&[(&["d/h1", "h2"], "X")]).await;
    server.bookmark("dev", base).await;
    let reader = RawSession::open(&server.api, "acme", "demo").await;
    let moved = vec![rename("d/h1", "h2"), put("e/f", "1"), delete("e/f")];
    server.write(main(), moved).await.unwrap();
    let after = server.files(main()).await;
    assert_eq!(after, pairs(&[("h2", "X")]), "directories left empty go");
    assert_eq!(reader.tree().await.len(), 1);
}

#[tokio::test]
async fn directories_go_with_the_last_of_many_names() {
    let server = Server::start().await;
    let names: Vec<String> = (0..2000).map(|n| format!("d/e/{n}")).collect();
    let files = names.iter().map(|name| put(name, "1")).collect();
    server.write(main(), files).await.unwrap();
    let all_but_one = names[1..].iter().map(|name| delete(name)).collect();
    server.write(main(), all_but_one).await.unwrap();
    let expected = [("d", "/"), ("d/e", "/"), ("d/e/0", "1")];
    assert_eq!(server.files(main()).await, pairs(&expected));
    // One comes, both go.
    let edits = vec![put("d/e/new", "2"), delete("d/e/0"), rename("d/e/new", "n")];
    server.write(main(), edits).await.unwrap();
    assert_eq!(server.files(main()).await, pairs(&[("n", "2")]));
}
