use std::{collections::BTreeSet, sync::Arc};

use mesa_meta::{MemoryStore, MetaStore, SqliteOptions, SqliteStore};
use mesa_repo::{
    Catalog, ErrorKind,
    catalog::{NewOrg, NewRepo},
};
use mesa_types::{BookmarkName, ChangeId, OrgId};
use tokio::task::JoinSet;

use crate::{
    bookmarks::change,
    fixture::{actor, catalog_over, clock},
};

const CALLERS: u64 = 8;
const ROUNDS: u64 = 12;

async fn on_every_store<F: Future<Output = ()>>(case: impl Fn(Catalog, OrgId) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(directory.path(), &SqliteOptions::default()).unwrap();
    let stores: [Arc<dyn MetaStore>; 2] = [Arc::new(MemoryStore::new()), Arc::new(sqlite)];
    for store in stores {
        let catalog = catalog_over(store, clock());
        let new = NewOrg {
            slug: "acme".parse().unwrap(),
            name: None,
        };
        let org = catalog.create_org(new, &actor()).await.unwrap();
        case(catalog, org.id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_creator_of_a_name_wins() {
    on_every_store(|catalog, org| async move {
        for round in 0..ROUNDS {
            let mut callers = JoinSet::new();
            for _ in 0..CALLERS {
                let (catalog, org) = (catalog.clone(), org.clone());
                let name = Some(format!("r{round}").parse().unwrap());
                callers.spawn(async move {
                    let new = NewRepo {
                        name,
                        ..NewRepo::default()
                    };
                    catalog
                        .create_repo(&org, new, &actor())
                        .await
                        .map_err(|e| e.kind)
                });
            }
            let outcomes = callers.join_all().await;
            let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
            assert_eq!(made.len(), 1);
            assert!(refused.into_iter().all(|r| r == Err(ErrorKind::Exists)));
        }
        assert_eq!(catalog.count_repos(&org).await.unwrap(), ROUNDS);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn file_id_ranges_never_overlap() {
    on_every_store(|catalog, org| async move {
        let repo = catalog
            .create_repo(&org, NewRepo::default(), &actor())
            .await
            .unwrap();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (catalog, org, repo) = (catalog.clone(), org.clone(), repo.clone());
            callers.spawn(async move {
                let mut firsts = Vec::new();
                for _ in 0..ROUNDS {
                    firsts.push(catalog.allocate_file_ids(&org, &repo, 10).await.unwrap().0);
                }
                firsts
            });
        }
        let firsts: BTreeSet<_> = callers.join_all().await.concat().into_iter().collect();
        assert_eq!(firsts.len() as u64, CALLERS * ROUNDS);
        let firsts: Vec<_> = firsts.into_iter().collect();
        assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] >= 10));
    })
    .await;
}

/// Every caller moves the bookmark to changes of its own; what each move replaced must be every
/// change once, except the one the bookmark ends at.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bookmark_moves_form_one_chain() {
    on_every_store(|catalog, org| async move {
        let repo = catalog
            .create_repo(&org, NewRepo::default(), &actor())
            .await
            .unwrap()
            .id;
        let main: BookmarkName = "main".parse().unwrap();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (catalog, org, repo, main) =
                (catalog.clone(), org.clone(), repo.clone(), main.clone());
            callers.spawn(async move {
                let mut replaced = Vec::new();
                for n in 0..ROUNDS {
                    let mut id = [1; 16];
                    (id[0], id[1]) = (caller as u8, n as u8);
                    let change = change(&org, &repo, ChangeId(id));
                    catalog.create_change(&change, &actor()).await.unwrap();
                    let from = catalog
                        .move_bookmark(&org, &repo, &main, None, change.id, &actor())
                        .await
                        .unwrap();
                    replaced.push(from);
                }
                replaced
            });
        }
        let mut replaced = callers.join_all().await.concat();
        replaced.push(
            catalog
                .bookmark(&org, &repo, &main)
                .await
                .unwrap()
                .unwrap()
                .change,
        );
        let distinct: BTreeSet<_> = replaced.iter().collect();
        assert_eq!(distinct.len(), replaced.len());
        assert_eq!(distinct.len() as u64, CALLERS * ROUNDS + 1);
    })
    .await;
}
