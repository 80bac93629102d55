use mesa_meta::{Batch, Committed};
use mesa_repo::{ChangeState, Commit, ErrorKind};
use mesa_types::{ChangeId, GitOid, ObjectId};

use crate::{
    bookmarks::change,
    fixture::{Fixture, actor},
};

#[tokio::test]
async fn a_seal_is_one_batch_and_loses_to_a_faster_one() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let own = change(&f.org.id, &repo.id, ChangeId([1; 16]));
    f.catalog.create_change(&own, &actor()).await.unwrap();
    let commit = |n: u8| Commit {
        org: f.org.id.clone(),
        repo: repo.id.clone(),
        oid: GitOid([n; 20]),
        change: own.id,
        parents: vec![],
        root: Some(ObjectId([n; 32])),
        git: ObjectId([n; 32]),
        generation: 1,
        sealed_seq: u64::from(n),
        message: String::new(),
        author: own.author.clone(),
        committer: own.author.clone(),
        authored: f.now(),
        committed: f.now(),
    };
    for n in 1..=3 {
        let read = f
            .catalog
            .change(&f.org.id, &repo.id, &own.id)
            .await
            .unwrap()
            .unwrap();
        let seal = || {
            let mut batch = Batch::new();
            let root = Some(ObjectId([n; 32]));
            f.catalog
                .seal_change_in(&mut batch, &read, &commit(n), root, false, &actor());
            batch
        };
        let (first, second) = (seal(), seal());
        assert!(matches!(
            f.catalog.meta().commit(first).await.unwrap(),
            Committed::Yes(_)
        ));
        assert!(matches!(
            f.catalog.meta().commit(second).await.unwrap(),
            Committed::Conflict(_)
        ));
    }
    let now = f
        .catalog
        .change(&f.org.id, &repo.id, &own.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((now.commit, now.evolutions), (Some(GitOid([3; 20])), 3));
    let evolution = f
        .catalog
        .list_evolution(&f.org.id, &repo.id, &own.id, &<_>::default())
        .await
        .unwrap();
    let oids: Vec<_> = evolution
        .items
        .iter()
        .map(|e| (e.n, e.commit.0[0]))
        .collect();
    assert_eq!(oids, [(0, 1), (1, 2), (2, 3)]);
    let read = f
        .catalog
        .commit_by_oid(&f.org.id, &repo.id, &GitOid([2; 20]))
        .await
        .unwrap();
    assert_eq!(read, Some(commit(2)));
}

#[tokio::test]
async fn an_id_wins_over_a_bookmark_of_the_same_text() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let (a, b) = (ChangeId([1; 16]), ChangeId([2; 16]));
    for id in [a, b] {
        f.catalog
            .create_change(&change(&f.org.id, &repo.id, id), &actor())
            .await
            .unwrap();
    }
    let bookmark = async |name: String| {
        let name = name.parse().unwrap();
        f.catalog
            .create_bookmark(&f.org.id, &repo.id, &name, b, &actor())
            .await
            .unwrap();
    };
    bookmark(a.to_string()).await;
    let unknown = ChangeId([7; 16]);
    bookmark(unknown.to_string()).await;
    let resolve = async |text: &str| f.catalog.resolve_change(&f.org.id, &repo.id, text).await;
    assert_eq!(resolve(&a.to_string()).await.unwrap(), a);
    assert_eq!(
        resolve(&unknown.to_string()).await.unwrap(),
        b,
        "no such id, so the bookmark"
    );
    assert_eq!(resolve("main").await.unwrap(), ChangeId::ROOT);
    assert_eq!(
        resolve(&ChangeId::ROOT.to_string()).await.unwrap(),
        ChangeId::ROOT
    );
    for bad in ["none", "", "../x", "a b"] {
        assert_eq!(resolve(bad).await.unwrap_err().code, "CHANGE_NOT_FOUND");
    }
}

#[tokio::test]
async fn updates_see_the_newest_record_and_may_refuse() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let own = change(&f.org.id, &repo.id, ChangeId([1; 16]));
    f.catalog.create_change(&own, &actor()).await.unwrap();
    assert_eq!(
        f.catalog
            .create_change(&own, &actor())
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Conflict
    );
    f.clock.advance_secs(1);
    let closed = f
        .catalog
        .set_change_state(&f.org.id, &repo.id, &own.id, ChangeState::Closed, &actor())
        .await
        .unwrap();
    assert_eq!(
        (closed.state, closed.updated),
        (ChangeState::Closed, f.now())
    );
    let stored = f
        .catalog
        .change(&f.org.id, &repo.id, &own.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored, closed);
    let missing = ChangeId([9; 16]);
    let error = f
        .catalog
        .update_change(&f.org.id, &repo.id, &missing, &actor(), |_| Ok(()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::NotFound, "CHANGE_NOT_FOUND")
    );
}
