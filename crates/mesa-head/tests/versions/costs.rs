//! What bookmarks, changes and merges cost, in calls of the stores, rows and bytes, in a small and
//! in a large repo.

use std::{ops::Sub, sync::Arc};

use mesa_store::Counted;
use mesa_testkit::RawSession;
use mesa_types::{ChangeId, NodeKind};

use crate::{
    merges::give_back,
    support::{Server, main, put},
    tally::Tally,
};

/// Work done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    calls: u64,
    rows: u64,
    bytes: u64,
}

impl Sub for Work {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            rows: self.rows - before.rows,
            bytes: self.bytes - before.bytes,
        }
    }
}

struct Counting {
    server: Server,
    meta: Arc<Tally>,
    objects: Arc<Counted<mesa_store::MemoryStore>>,
}

impl Counting {
    async fn start() -> Self {
        let meta = Arc::new(Tally::over(Arc::new(mesa_meta::MemoryStore::new())));
        let objects = Arc::new(Counted::new(mesa_store::MemoryStore::new()));
        let server = Server::over(meta.clone(), objects.clone()).await;
        Self {
            server,
            meta,
            objects,
        }
    }

    fn now(&self) -> Work {
        let ((calls, rows), objects) = (self.meta.counts(), self.objects.counts());
        Work {
            calls: calls + objects.calls(),
            rows,
            bytes: objects.bytes_put + objects.bytes_got,
        }
    }

    /// Fills `main` with `dirs` times a thousand files, as a mount would.
    async fn fill(&self, dirs: u64) {
        let mut session = RawSession::open(&self.server.api, "acme", "demo").await;
        session.lease().await;
        let root = session.root();
        let (top, op) = session.create("", root, "top", NodeKind::Dir);
        session.commit(vec![op]).await;
        for d in 0..dirs {
            let path = format!("top/{d}");
            let (dir, op) = session.create("top", top, &d.to_string(), NodeKind::Dir);
            let mut ops = vec![op];
            for f in 0_u64..1000 {
                if session.ids_left() == 0 {
                    session.more_ids().await;
                }
                let (_, op) = session.file(&path, dir, &f.to_string(), &f.to_le_bytes());
                ops.push(op);
            }
            session.commit(ops).await;
        }
        give_back(&mut session).await;
    }

    /// Makes changes, half of them one on top of the other and half of them beside, and answers
    /// the top.
    async fn history(&self, changes: usize) -> ChangeId {
        let base = self.server.main_change().await;
        let mut top = base;
        for _ in 0..changes / 2 {
            top = self.server.create(top, vec![], "one more").await.change;
            self.server.create(base, vec![], "beside").await;
        }
        self.server.move_main(top, false).await.unwrap();
        top
    }
}

/// Work of a bookmark, of a change with one edit, and of its merge into a bookmark that has another.
async fn works(dirs: u64, changes: usize) -> [Work; 3] {
    let mut counting = Counting::start().await;
    counting.fill(dirs).await;
    let top = counting.history(changes).await;
    let found = counting.server.main_change().await;
    assert_eq!(found, top);
    let mut works = Vec::new();
    let mut before = counting.now();
    let mut done = |counting: &Counting| {
        let now = counting.now();
        works.push(now - std::mem::replace(&mut before, now));
    };
    // Nothing is in memory.
    counting.server.backend = counting.server.backend.restarted();
    let server = &counting.server;
    server.bookmark("mark", top).await;
    done(&counting);
    let edit = vec![put("top/1/7", "edited")];
    let side = server.create(top, edit, "one edit").await.change;
    done(&counting);
    server.bookmark("side", side).await;
    server
        .write(main(), vec![put("top/2/9", "other")])
        .await
        .unwrap();
    server.merged("side").await;
    done(&counting);
    let read = server.view(main()).await;
    for path in ["top/1/7", "top/2/9"] {
        assert!(read.stat(path.as_bytes()).await.unwrap().is_some());
    }
    works.try_into().unwrap()
}

#[tokio::test]
async fn bookmarks_changes_and_merges_cost_what_they_change() {
    // Bookmark, change, write with merge: more than this is not for what changed.
    let most = [(5, 10), (100, 200), (300, 600)];
    let small = works(3, 10).await;
    let large = works(300, 10_000).await;
    for ((small, large), (calls, rows)) in small.into_iter().zip(large).zip(most) {
        let shown = format!("{small:?} in a small repo, {large:?} in a large one");
        assert!(large.calls <= small.calls + 10, "{shown}");
        assert!(large.rows <= small.rows + 20, "{shown}");
        assert!(large.calls <= calls && large.rows <= rows, "{shown}");
        // A directory of 300 is read where there was one of three; all files are 30 MB.
        assert!(large.bytes <= small.bytes + (1 << 20), "{shown}");
    }
}
