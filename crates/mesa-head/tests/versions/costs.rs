//! What a change and a merge cost, in calls of the stores, in a small and in a large repo.

use std::sync::Arc;

use mesa_head::HeadsConfig;
use mesa_repo::Scope;
use mesa_store::Counted;
use mesa_testkit::{Backend, InProcess};
use mesa_types::time::SystemClock;

use crate::support::{Server, main, put};

/// Calls of a new change with one edit and its merge, in a repo of `dirs` times 500 files with as
/// many changes as directories.
async fn calls(dirs: usize) -> u64 {
    let meta = Arc::new(mesa_meta::MemoryStore::new());
    let objects = Arc::new(Counted::new(mesa_store::MemoryStore::new()));
    let backend = Backend::over(
        meta.clone(),
        objects.clone(),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
    let repo = backend.repo(&caller, "demo").await.unwrap();
    let mut server = Server {
        api: InProcess::new(backend.heads.clone(), caller.clone()),
        backend,
        caller,
        repo,
    };
    for dir in 0..dirs {
        let files = (0..500).map(|file| put(&format!("all/{dir}/{file}"), &file.to_string()));
        let made = server.write(main(), files.collect()).await.unwrap();
        server
            .create(made.change, vec![put("side", "x")], "side")
            .await;
    }
    let base = server.main_change().await;
    server.backend = server.backend.restarted();
    let count = || meta.counters().calls().total() + objects.counts().calls();
    let before = count();
    let side = vec![put("all/0/7", "edited")];
    let side = server.create(base, side, "one edit").await.change;
    server.bookmark("side", side).await;
    server.write(main(), vec![put("other", "o")]).await.unwrap();
    server.merged("side").await;
    count() - before
}

#[tokio::test]
async fn a_change_and_a_merge_cost_what_they_change() {
    let (small, large) = (calls(3).await, calls(60).await);
    assert!(
        large <= small + 10,
        "{small} calls in a small repo, {large} in a large one"
    );
    assert!(large <= 300, "{large} calls");
}
