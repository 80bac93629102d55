use std::collections::{BTreeMap, BTreeSet};

use mesa_repo::{
    CatalogEvent, ErrorKind, OperationKind, PageRequest,
    catalog::{NewRepo, RepoUpdate},
    tags::TagFilter,
};
use mesa_types::{ChangeId, FileId};

use crate::fixture::{Fixture, actor};

#[tokio::test]
async fn a_new_repo_has_its_bookmark_at_the_root() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    assert_eq!(repo.default_bookmark.as_str(), "main");
    assert!((1..=FileId::TAG_MAX).contains(&repo.tag));
    let main = f
        .catalog
        .bookmark(&f.org.id, &repo.id, &repo.default_bookmark)
        .await
        .unwrap();
    assert_eq!(main.unwrap().change, ChangeId::ROOT);
    let log = f
        .catalog
        .list_operations(&f.org.id, &repo.id, &<_>::default())
        .await
        .unwrap();
    assert_eq!(log.items[0].what, OperationKind::RepoCreated);
    assert_eq!(log.items[0].source, "127.0.0.1");
    assert_eq!(f.audited().await, ["api_key.create", "repo.create"]);
    let new = NewRepo {
        default_bookmark: Some("trunk".parse().unwrap()),
        ..NewRepo::default()
    };
    let generated = f
        .catalog
        .create_repo(&f.org.id, new, &actor())
        .await
        .unwrap();
    assert!(generated.name.as_str().starts_with("repo-"));
    assert_eq!(generated.default_bookmark.as_str(), "trunk");
}

#[tokio::test]
async fn names_are_unique_while_in_use() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let again = || NewRepo {
        name: Some("demo".parse().unwrap()),
        ..NewRepo::default()
    };
    let error = f
        .catalog
        .create_repo(&f.org.id, again(), &actor())
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.code), (ErrorKind::Exists, "REPO_EXISTS"));
    let mut events = f.catalog.subscribe();
    f.catalog
        .delete_repo(&f.org.id, &repo.id, &actor())
        .await
        .unwrap();
    let deleted = CatalogEvent::RepoDeleted {
        org: f.org.id.clone(),
        repo: repo.id.clone(),
    };
    assert_eq!(events.try_recv().unwrap(), deleted);
    assert!(
        f.catalog
            .repo_by_name(&f.org.id, &repo.name)
            .await
            .unwrap()
            .is_none()
    );
    let error = f
        .catalog
        .delete_repo(&f.org.id, &repo.id, &actor())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::NotFound, "REPO_NOT_FOUND")
    );
    let second = f
        .catalog
        .create_repo(&f.org.id, again(), &actor())
        .await
        .unwrap();
    assert_ne!((&second.id, second.tag), (&repo.id, repo.tag));
    assert_eq!(f.catalog.count_repos(&f.org.id).await.unwrap(), 1);
}

#[tokio::test]
async fn renaming_moves_the_name() {
    let f = Fixture::new().await;
    let (repo, _other) = (f.repo("old").await, f.repo("taken").await);
    let rename = |name: &str| RepoUpdate {
        name: Some(name.parse().unwrap()),
        ..<_>::default()
    };
    let update = async |change: &RepoUpdate| {
        f.catalog
            .update_repo(&f.org.id, &repo.id, change, &actor())
            .await
    };
    assert_eq!(
        update(&rename("taken")).await.unwrap_err().code,
        "REPO_EXISTS"
    );
    f.clock.advance_secs(1);
    let renamed = update(&rename("new")).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.updated), ("new", f.now()));
    let find = async |name: &str| {
        f.catalog
            .repo_by_name(&f.org.id, &name.parse().unwrap())
            .await
            .unwrap()
            .map(|r| r.record.id)
    };
    assert_eq!(find("old").await, None);
    assert_eq!(find("new").await, Some(repo.id.clone()));
    f.repo("old").await;
    // The same name again changes nothing, not even the time.
    f.clock.advance_secs(1);
    assert_eq!(update(&rename("new")).await.unwrap(), renamed);
}

#[tokio::test]
async fn the_default_bookmark_must_exist() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let update = RepoUpdate {
        default_bookmark: Some("dev".parse().unwrap()),
        ..RepoUpdate::default()
    };
    let set = async || {
        f.catalog
            .update_repo(&f.org.id, &repo.id, &update, &actor())
            .await
    };
    assert_eq!(set().await.unwrap_err().code, "BOOKMARK_NOT_FOUND");
    let dev = "dev".parse().unwrap();
    let root = ChangeId::ROOT;
    f.catalog
        .create_bookmark(&f.org.id, &repo.id, &dev, root, &actor())
        .await
        .unwrap();
    assert_eq!(set().await.unwrap().default_bookmark, dev);
    let error = f
        .catalog
        .delete_bookmark(&f.org.id, &repo.id, &dev, &actor())
        .await
        .unwrap_err();
    assert_eq!(error.code, "DEFAULT_BOOKMARK");
}

#[tokio::test]
async fn pages_are_stable_under_inserts_and_deletes() {
    let f = Fixture::new().await;
    let mut expected = Vec::new();
    for n in 0..7 {
        expected.push(f.repo(&format!("r{n}")).await.id);
    }
    let mut page = PageRequest {
        limit: Some(3),
        cursor: None,
    };
    let mut seen = Vec::new();
    loop {
        let got = f.catalog.list_repos(&f.admin, None, &page).await.unwrap();
        seen.extend(got.items.into_iter().map(|r| r.id));
        if seen.len() == 3 {
            // The last one seen goes away, one not yet seen too, and one is added.
            f.catalog
                .delete_repo(&f.org.id, &expected[2], &actor())
                .await
                .unwrap();
            f.catalog
                .delete_repo(&f.org.id, &expected[4], &actor())
                .await
                .unwrap();
            expected.remove(4);
            expected.push(f.repo("late").await.id);
        }
        match got.next {
            None => break,
            cursor => page.cursor = cursor,
        }
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn an_exact_page_is_the_last() {
    let f = Fixture::new().await;
    for n in 0..4 {
        f.repo(&format!("r{n}")).await;
    }
    let page = |limit| PageRequest {
        limit: Some(limit),
        cursor: None,
    };
    let got = f
        .catalog
        .list_repos(&f.admin, None, &page(4))
        .await
        .unwrap();
    assert_eq!((got.items.len(), got.next), (4, None));
    let got = f
        .catalog
        .list_repos(&f.admin, None, &page(3))
        .await
        .unwrap();
    assert_eq!((got.items.len(), got.next.is_some()), (3, true));
}

#[tokio::test]
async fn filtered_pages_find_everything() {
    let f = Fixture::new().await;
    let mut expected = Vec::new();
    for n in 0..300 {
        let tags = BTreeMap::from([("n".to_owned(), (n % 7).to_string())]);
        let new = NewRepo {
            tags,
            ..NewRepo::default()
        };
        let repo = f
            .catalog
            .create_repo(&f.org.id, new, &actor())
            .await
            .unwrap();
        if n % 7 == 3 {
            expected.push(repo.id);
        }
    }
    let filter = TagFilter::parse("n:3").unwrap();
    for limit in [1, 5, 42, 43, 100] {
        let mut page = PageRequest {
            limit: Some(limit),
            cursor: None,
        };
        let mut seen = Vec::new();
        loop {
            let got = f
                .catalog
                .list_repos(&f.admin, Some(&filter), &page)
                .await
                .unwrap();
            assert!(got.items.len() <= limit);
            seen.extend(got.items.into_iter().map(|r| r.id));
            match got.next {
                None => break,
                cursor => page.cursor = cursor,
            }
        }
        assert_eq!(seen, expected, "limit {limit}");
    }
}

#[tokio::test]
async fn callers_see_their_repos_only() {
    let f = Fixture::new().await;
    let (one, two) = (f.repo("one").await, f.repo("two").await);
    let caller = f.restricted_admin(&[&two.id]).await;
    let got = f
        .catalog
        .list_repos(&caller, None, &<_>::default())
        .await
        .unwrap();
    assert_eq!(
        got.items.iter().map(|r| &r.id).collect::<Vec<_>>(),
        [&two.id]
    );
    assert!(f.catalog.visible_repo(&caller, &two.name).await.is_ok());
    let error = f
        .catalog
        .visible_repo(&caller, &one.name)
        .await
        .unwrap_err();
    let none = f
        .catalog
        .visible_repo(&caller, &"none".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!((error.code, error.message), (none.code, none.message));
    let error = f
        .catalog
        .bulk_tag(
            &caller,
            &[two.id.clone(), one.id.clone()],
            "a",
            Some("b"),
            &actor(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.code, "REPO_NOT_FOUND");
    assert!(
        f.catalog
            .repo(&f.org.id, &two.id)
            .await
            .unwrap()
            .unwrap()
            .tags
            .is_empty()
    );
}

#[tokio::test]
async fn bulk_tags_set_and_remove() {
    let f = Fixture::new().await;
    let repos = [f.repo("one").await.id, f.repo("two").await.id];
    let tag = async |value| {
        f.catalog
            .bulk_tag(&f.admin, &repos, "Env", value, &actor())
            .await
            .unwrap()
    };
    assert_eq!(tag(Some("prod")).await, 2);
    assert_eq!(tag(Some("prod")).await, 2);
    let filter = TagFilter::parse("env:prod").unwrap();
    let got = f
        .catalog
        .list_repos(&f.admin, Some(&filter), &<_>::default())
        .await
        .unwrap();
    assert_eq!(got.items.len(), 2);
    assert_eq!(tag(None).await, 2);
    let got = f
        .catalog
        .list_repos(&f.admin, Some(&filter), &<_>::default())
        .await
        .unwrap();
    assert_eq!(got.items.len(), 0);
    assert!(
        f.catalog
            .bulk_tag(&f.admin, &[], "a", None, &actor())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn file_ids_are_handed_out_once() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let mut seen = BTreeSet::from([FileId::root_of(repo.tag)]);
    for count in [1, 10, 1000, 1] {
        let first = f
            .catalog
            .allocate_file_ids(&f.org.id, &repo, count)
            .await
            .unwrap();
        for n in 0..u64::from(count) {
            let id = FileId(first.0 + n);
            assert_eq!(id.repo_tag(), repo.tag);
            assert!(seen.insert(id));
        }
    }
}
