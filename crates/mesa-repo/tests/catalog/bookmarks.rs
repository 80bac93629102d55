use mesa_repo::{
    CatalogEvent, Change, ChangeState, ErrorKind, OperationKind, PageRequest, Signature,
};
use mesa_types::{BookmarkName, ChangeId, Nanos, OrgId, RepoId};

use crate::fixture::{Fixture, actor};

pub fn change(org: &OrgId, repo: &RepoId, id: ChangeId) -> Change {
    let author = Signature {
        name: "A".to_owned(),
        email: "a@example.com".to_owned(),
        at: None,
    };
    Change {
        id,
        org: org.clone(),
        repo: repo.clone(),
        state: ChangeState::Open,
        commit: None,
        root: None,
        parents: vec![ChangeId::ROOT],
        message: String::new(),
        author,
        coauthors: Vec::new(),
        committer: None,
        conflicted: false,
        behind: false,
        evolutions: 0,
        head: None,
        created: Nanos(0),
        updated: Nanos(0),
    }
}

fn name(text: &str) -> BookmarkName {
    text.parse().unwrap()
}

#[tokio::test]
async fn moves_compare_and_swap() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let (a, b) = (ChangeId([1; 16]), ChangeId([2; 16]));
    for id in [a, b] {
        f.catalog
            .create_change(&change(&f.org.id, &repo.id, id), &actor())
            .await
            .unwrap();
    }
    let main = name("main");
    let go = async |expected, to| {
        f.catalog
            .move_bookmark(&f.org.id, &repo.id, &main, expected, to, &actor())
            .await
    };
    let mut events = f.catalog.subscribe();
    assert_eq!(go(None, a).await.unwrap(), ChangeId::ROOT);
    let moved = CatalogEvent::BookmarkMoved {
        org: f.org.id.clone(),
        repo: repo.id.clone(),
        name: main.clone(),
        from: Some(ChangeId::ROOT),
        to: Some(a),
    };
    assert_eq!(events.try_recv().unwrap(), moved);
    let error = go(Some(b), b).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::Conflict, "BOOKMARK_MOVED")
    );
    assert_eq!(go(Some(a), b).await.unwrap(), a);
    assert_eq!(
        go(None, ChangeId([9; 16])).await.unwrap_err().code,
        "CHANGE_NOT_FOUND"
    );
    assert_eq!(go(None, ChangeId::ROOT).await.unwrap(), b);
    let missing = name("none");
    let error = f
        .catalog
        .move_bookmark(&f.org.id, &repo.id, &missing, None, a, &actor())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::NotFound, "BOOKMARK_NOT_FOUND")
    );
    let log = f
        .catalog
        .list_operations(&f.org.id, &repo.id, &<_>::default())
        .await
        .unwrap();
    let moves: Vec<_> = log
        .items
        .iter()
        .filter_map(|o| match &o.what {
            OperationKind::BookmarkMoved { from, to, .. } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(moves, [(ChangeId::ROOT, a), (a, b), (b, ChangeId::ROOT)]);
}

#[tokio::test]
async fn a_move_in_a_batch_loses_to_one_made_meanwhile() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let main = name("main");
    let read = f
        .catalog
        .bookmark(&f.org.id, &repo.id, &main)
        .await
        .unwrap()
        .unwrap();
    let own = change(&f.org.id, &repo.id, ChangeId([1; 16]));
    let mut batch = mesa_meta::Batch::new();
    f.catalog.create_change_in(&mut batch, &own, &actor());
    f.catalog
        .move_bookmark_in(&mut batch, &read, own.id, &actor());
    let other = change(&f.org.id, &repo.id, ChangeId([2; 16]));
    f.catalog.create_change(&other, &actor()).await.unwrap();
    f.catalog
        .move_bookmark(&f.org.id, &repo.id, &main, None, other.id, &actor())
        .await
        .unwrap();
    let outcome = f.catalog.meta().commit(batch).await.unwrap();
    assert!(matches!(outcome, mesa_meta::Committed::Conflict(_)));
    assert!(
        f.catalog
            .change(&f.org.id, &repo.id, &own.id)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn creating_listing_deleting() {
    let f = Fixture::new().await;
    let (repo, other) = (f.repo("demo").await, f.repo("other").await);
    let create = async |text: &str| {
        let root = ChangeId::ROOT;
        f.catalog
            .create_bookmark(&f.org.id, &repo.id, &name(text), root, &actor())
            .await
    };
    for text in ["feature/b", "feature/a", "zz"] {
        create(text).await.unwrap();
    }
    let error = create("zz").await.unwrap_err();
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::Exists, "BOOKMARK_EXISTS")
    );
    let list = async |glob: Option<&str>| {
        let page = PageRequest {
            limit: Some(2),
            cursor: None,
        };
        let one = f
            .catalog
            .list_bookmarks(&f.org.id, &repo.id, glob, &page)
            .await
            .unwrap();
        let mut all = one.items;
        if let Some(cursor) = one.next {
            let page = PageRequest {
                limit: Some(2),
                cursor: Some(cursor),
            };
            let two = f
                .catalog
                .list_bookmarks(&f.org.id, &repo.id, glob, &page)
                .await
                .unwrap();
            assert_eq!(two.next, None);
            all.extend(two.items);
        }
        all.into_iter()
            .map(|b| String::from(b.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(None).await, ["feature/a", "feature/b", "main", "zz"]);
    assert_eq!(list(Some("feature/*")).await, ["feature/a", "feature/b"]);
    assert_eq!(list(Some("?ain")).await, ["main"]);
    let elsewhere = Some(ChangeId([9; 16]));
    let delete = async |at| {
        let catalog = &f.catalog;
        let zz = name("zz");
        catalog
            .delete_bookmark_at(&f.org.id, &repo.id, &zz, at, &actor())
            .await
    };
    assert_eq!(delete(elsewhere).await.unwrap_err().code, "STALE_BOOKMARK");
    assert_eq!(list(Some("z*")).await, ["zz"]);
    delete(None).await.unwrap();
    assert_eq!(list(Some("z*")).await, Vec::<String>::new());
    let of_other = f
        .catalog
        .list_bookmarks(&f.org.id, &other.id, None, &<_>::default())
        .await;
    assert_eq!(of_other.unwrap().items.len(), 1);
    assert_eq!(f.audited().await.last().unwrap(), "bookmark.delete");
}
