//! Work files that may still change: a shared mapping writes to one without any request, also
//! after the last descriptor is closed.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use mesa_types::{Nanos, time::Clock};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Session;
use crate::{
    content::{Protect, WorkFile, WorkId},
    transfer,
};

/// Looks after the last descriptor for writing was closed, in milliseconds.
const LOOKS_MS: [i64; 2] = [2_000, 10_000];
/// Between attempts to let go of private files.
const SETTLE_MS: i64 = 2_000;
/// How often the list is gone through.
const TICK: Duration = Duration::from_millis(500);

struct Entry {
    work: Weak<WorkFile>,
    /// When to look next.
    due: Nanos,
    /// When it was first seen without writers; `None` while it has some.
    closed: Option<Nanos>,
}

/// Work files to look at.
pub(super) struct Watch {
    entries: Mutex<HashMap<WorkId, Entry>>,
    clock: Arc<dyn Clock>,
    interval_ms: i64,
    settled: Mutex<Nanos>,
    wake: Notify,
}

impl Watch {
    pub fn new(clock: Arc<dyn Clock>, interval: Duration) -> Self {
        Self {
            entries: Mutex::default(),
            clock,
            interval_ms: i64::try_from(interval.as_millis()).unwrap_or(2_000),
            settled: Mutex::new(Nanos(0)),
            wake: Notify::new(),
        }
    }

    fn may_settle(&self, now: Nanos) -> bool {
        let mut settled = self.settled.lock();
        let may = now >= later(*settled, SETTLE_MS);
        if may {
            *settled = now;
        }
        may
    }

    /// Looks at `work` from now on.
    pub fn add(&self, work: &Arc<WorkFile>) {
        let due = later(self.clock.now(), self.interval_ms);
        let mut entries = self.entries.lock();
        let entry = entries.entry(work.id()).or_insert_with(|| Entry {
            work: Arc::downgrade(work),
            due,
            closed: None,
        });
        entry.closed = None;
    }

    /// No longer.
    pub fn remove(&self, work: &WorkFile) {
        self.entries.lock().remove(&work.id());
    }

    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Files to look at now, and whether that was the last time.
    fn due(&self) -> Vec<(Arc<WorkFile>, bool)> {
        let now = self.clock.now();
        let mut look = Vec::new();
        self.entries.lock().retain(|_, entry| {
            let Some(work) = entry.work.upgrade() else {
                return false;
            };
            if work.writers() > 0 {
                entry.closed = None;
                entry.due = entry.due.min(later(now, self.interval_ms));
            } else if entry.closed.is_none() {
                entry.closed = Some(now);
                entry.due = later(now, LOOKS_MS[0]);
            }
            if now < entry.due {
                return true;
            }
            let Some(closed) = entry.closed else {
                entry.due = later(now, self.interval_ms);
                look.push((work, false));
                return true;
            };
            let next = LOOKS_MS.iter().find(|&&ms| later(closed, ms) > now);
            look.push((work, next.is_none()));
            match next {
                Some(&ms) => {
                    entry.due = later(closed, ms);
                    true
                }
                None => false,
            }
        });
        look
    }
}

fn later(time: Nanos, ms: i64) -> Nanos {
    Nanos(time.0.saturating_add(ms.saturating_mul(1_000_000)))
}

/// Goes through the list until the session ends.
pub(super) async fn run(session: Arc<Session>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = session.watch.wake.notified() => {}
        }
        if session.is_closing() {
            return;
        }
        let me = Arc::clone(&session);
        let looked = tokio::task::spawn_blocking(move || look(&me)).await;
        if looked.is_err() {
            tracing::error!("looking at work files failed");
        }
        // The idle return is decided by the writer, whose heartbeat may be slow.
        session.wake_writer.ring();
    }
}

fn look(session: &Session) {
    let due = session.watch.due();
    let works: Vec<_> = due.iter().map(|(work, _)| Arc::clone(work)).collect();
    report_changed(session, &works, Compare::Sparingly);
    let probe = session.config.quiet.as_deref();
    let seen = session.work_dir.protection() != Protect::Never;
    for (work, last) in due {
        if !last && !work.is_inherited() {
            continue;
        }
        // A mapping outlived its descriptor.
        let mapped = probe.is_some_and(|probe| !work.look_quiet(probe));
        if last && work.writers() == 0 && (mapped || seen && work.is_unsure()) {
            session.watch.add(&work);
        }
    }
    if probe.is_some() {
        settle(session);
    }
}

/// Lets go of private files when there are too many or they take too much of the cache's quota,
/// those used longest ago first. Otherwise they stay: local bytes are better than a download.
fn settle(session: &Session) {
    let content = session.content.store();
    let kept = session.config.tuning.works_kept;
    let share = content.quota() / 2;
    let over = |count: usize| count > kept || content.private_bytes() > share;
    let mut count = session.works.lock().len();
    let now = session.watch.clock.now();
    // What can be read while the server is away is not given up then.
    let attached = session.core.lock().connection == super::Connection::Attached;
    if !attached || !over(count) || !session.watch.may_settle(now) {
        return;
    }
    let Some(sink) = session.sink() else { return };
    let mut works: Vec<_> = all(session)
        .into_iter()
        .filter(|work| work.is_quiet() && !work.is_open())
        .map(|work| (work.last_use(), work.id(), work))
        .collect();
    works.sort_unstable_by_key(|(used, id, _)| (*used, *id));
    for (_, _, work) in works {
        if !over(count) {
            return;
        }
        let file = work.file();
        // Its bytes are not counted any more when the last reference goes.
        drop(work);
        sink.on_work_settled(file);
        count = session.works.lock().len();
    }
}

fn all(session: &Session) -> Vec<Arc<WorkFile>> {
    let works = session.works.lock();
    works.values().filter_map(Weak::upgrade).collect()
}

/// Looks at every work file that somebody may have written to.
pub(super) fn look_at_all(session: &Session) {
    let works: Vec<_> = all(session)
        .into_iter()
        .filter(|work| !work.is_quiet() || work.is_unsure())
        .collect();
    report_changed(session, &works, Compare::Now);
}

/// Whether a work file may hold other bytes than those last read, and a second look can tell.
pub(super) fn any_unsure(session: &Session) -> bool {
    let works = all(session);
    session.work_dir.protection() != Protect::Never
        && works
            .iter()
            .any(|work| !work.is_dropped() && work.is_unsure())
}

/// Whether a program can still write to a work file, past this process if it has to.
pub(super) fn any_in_use(session: &Session) -> bool {
    let Some(probe) = session.config.quiet.as_deref() else {
        return false;
    };
    let mut works = all(session).into_iter();
    works.any(|work| !work.is_dropped() && !work.look_quiet(probe))
}

/// Whether a work file could not be read when it was to be sent.
pub(super) fn any_failed(session: &Session) -> bool {
    all(session).iter().any(|work| work.has_failed())
}

/// How many work files hold changes without a place in the order.
pub(super) fn unsent(session: &Session) -> usize {
    all(session).iter().filter(|work| work.is_unsent()).count()
}

/// When bytes that may have changed unseen are read and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Now,
    /// Not more often than is reasonable for how long it takes.
    Sparingly,
}

/// The part of its time that one file may be read to be compared: one in so many.
const COMPARE_SHARE: i64 = 20;

fn is_changed(session: &Session, work: &Arc<WorkFile>, compare: Compare) -> bool {
    let Ok(stat) = work.stat() else {
        return false;
    };
    let (queued, read, unsure) = {
        let pick = work.pick.lock();
        (pick.queued, pick.stat, pick.unsure)
    };
    if queued.is_none_or(|queued| stat.differs(&queued)) {
        return true;
    }
    // Otherwise it is about to be read anyway.
    let was_read = read.is_some_and(|read| !stat.differs(&read));
    if !unsure || !was_read {
        return false;
    }
    let begun = session.now();
    if compare == Compare::Sparingly && begun < work.pick.lock().compare_after {
        return false;
    }
    let changed = transfer::is_changed_unseen(session, work);
    let took = session.now().0.saturating_sub(begun.0).max(0);
    let pause = Nanos(took.saturating_mul(COMPARE_SHARE));
    work.pick.lock().compare_after = Nanos(begun.0.saturating_add(pause.0));
    changed
}

/// Tells the tree of each file that changed since it was last queued.
pub(super) fn report_changed(session: &Session, works: &[Arc<WorkFile>], compare: Compare) {
    let Some(sink) = session.sink() else {
        return;
    };
    for work in works.iter().filter(|work| !work.is_dropped()) {
        if is_changed(session, work, compare) {
            sink.on_work_changed(work.file());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use mesa_types::{ContentRef, FileId};

    use super::*;
    use crate::content::work_dir::WorkDir;

    struct Manual(AtomicI64);

    impl Clock for Manual {
        fn now(&self) -> Nanos {
            Nanos::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    #[test]
    fn open_files_every_interval_closed_ones_twice() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = WorkDir::open_dir(tmp.path(), 0).unwrap();
        let (id, _file) = dir.create().unwrap();
        let work = WorkFile::found(dir, id, FileId(7), ContentRef::Empty, None);
        let clock = Arc::new(Manual(AtomicI64::new(0)));
        let watch = Watch::new(clock.clone(), Duration::from_secs(2));
        let looks = |at: i64| {
            clock.0.store(at, Ordering::SeqCst);
            let due = watch.due();
            due.iter().map(|(_, last)| *last).collect::<Vec<_>>()
        };
        work.begin_write();
        watch.add(&work);
        assert_eq!(looks(1_000), [] as [bool; 0]);
        assert_eq!(looks(2_000), [false]);
        assert_eq!(looks(3_000), [] as [bool; 0]);
        assert_eq!(looks(4_000), [false]);
        work.end_write();
        assert_eq!(looks(5_000), [] as [bool; 0]);
        assert_eq!(looks(7_000), [false]);
        assert_eq!(looks(14_000), [] as [bool; 0]);
        assert_eq!(looks(15_000), [true]);
        assert_eq!(looks(99_000), [] as [bool; 0], "no more looks");
        watch.add(&work);
        assert_eq!(looks(99_500), [] as [bool; 0]);
        assert_eq!(looks(101_500), [false]);
    }
}
