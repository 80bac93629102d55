//! What cannot be sent is kept and reported.

use std::path::{Path, PathBuf};

use crate::{
    rig::{self, mount, noise, until},
    server::{Faults, Server},
};

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn holds(dir: &Path, bytes: &[u8]) -> bool {
    let mut found = Vec::new();
    files(dir, &mut found);
    found
        .iter()
        .any(|path| std::fs::read(path).unwrap() == bytes)
}

/// A state directory with work the server never saw.
async fn unsent(server: &std::sync::Arc<Server>, state: &Path, bytes: &[u8]) {
    let m = mount(server, state).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    for n in 0..10 {
        m.create(&format!("n{n}")).await;
    }
    let (work, _) = m.create_work("big").await;
    rig::write(&work, 0, bytes);
    m.close(&work).unwrap();
    drop(work);
    m.kill().await;
    server.cut();
    server.inner.lock().faults = Faults::default();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_identity_everything_is_kept_and_said() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let bytes = noise(100_000, 1);
    unsent(&server, state.path(), &bytes).await;
    std::fs::remove_file(state.path().join("session.json")).unwrap();
    // The server forgets who held the lease after a while.
    server.inner.lock().exclusive = None;
    let m = mount(&server, state.path()).await;
    let status = m.session.status();
    assert_eq!(status.kept.len(), 1);
    assert!(status.last_error.unwrap().1.contains("session.json"));
    assert!(holds(&status.kept[0], &bytes));
    assert!(status.kept[0].join("journal-1").is_dir());
    m.acked(m.create("later").await).await;
    m.session.close().await.unwrap();
    m.kill().await;
    // Nor does an end in good order delete it; it is said again at the next start.
    let again = mount(&server, state.path()).await;
    assert_eq!(again.session.status().kept, status.kept);
    assert!(holds(&status.kept[0], &bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_damaged_record_everything_is_kept_and_said() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let bytes = noise(100_000, 2);
    unsent(&server, state.path(), &bytes).await;
    let mut segments = Vec::new();
    files(&state.path().join("journal-1"), &mut segments);
    let hit = segments.iter().any(|path| {
        let mut journal = std::fs::read(path).unwrap();
        let at = journal.windows(2).position(|w| w == b"n4");
        if let Some(at) = at {
            journal[at] ^= 0x20;
            std::fs::write(path, journal).unwrap();
        }
        at.is_some()
    });
    assert!(hit);
    let m = mount(&server, state.path()).await;
    until("what could be read is sent", || {
        m.session.status().lag_ops == 0
    })
    .await;
    let status = m.session.status();
    assert_eq!(status.kept.len(), 1);
    // n4 to n9, the last file and its content.
    let told = status.last_error.unwrap().1;
    assert!(told.contains("8 operations could not be read"), "{told}");
    assert!(holds(&status.kept[0], &bytes));
    m.session.close().await.unwrap();
    assert!(holds(&status.kept[0], &bytes));
}

/// The newest segment that holds operations.
fn newest(journal: &Path) -> PathBuf {
    let mut segments = Vec::new();
    files(journal, &mut segments);
    segments.retain(|path| path.extension().is_some_and(|ext| ext == "seg"));
    segments.sort();
    segments.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_end_of_a_journal_that_was_cut_everything_is_kept_and_said() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let bytes = noise(100_000, 3);
    unsent(&server, state.path(), &bytes).await;
    let path = newest(&state.path().join("journal-1"));
    let journal = std::fs::read(&path).unwrap();
    // Between two records: nothing in what is left tells.
    let at = journal.windows(2).position(|w| w == b"n9").unwrap();
    let (count, length) = mesa_vfs::journal::whole_records(&journal[4..at]);
    assert!(count > 0);
    let end = 4 + length;
    std::fs::write(&path, &journal[..end]).unwrap();
    let m = mount(&server, state.path()).await;
    until("what is left is sent", || m.session.status().lag_ops == 0).await;
    let status = m.session.status();
    assert_eq!(status.kept.len(), 1);
    let told = status.last_error.unwrap().1;
    assert!(
        told.contains("cut off at byte") && told.contains("and 1 file that"),
        "{told}"
    );
    assert!(holds(&status.kept[0], &bytes));
    let readme = std::fs::read_to_string(status.kept[0].join("README")).unwrap();
    assert!(readme.starts_with(&told), "{readme}");
    m.session.close().await.unwrap();
    m.kill().await;
    // It is said as long as it is there.
    server.inner.lock().exclusive = None;
    let again = mount(&server, state.path()).await;
    assert_eq!(again.session.status().kept, status.kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_not_called_sent_and_tried_again() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, made) = m.create_work("a").await;
    m.acked(made).await;
    let bytes = noise(1000, 5);
    rig::write(&work, 0, &bytes);
    let mut found = Vec::new();
    files(&state.path().join("work"), &mut found);
    found.retain(|path| std::fs::metadata(path).unwrap().len() > 0);
    let path = found.pop().unwrap();
    assert!(found.is_empty());
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    // It is there and cannot be opened.
    std::os::unix::fs::symlink(&aside, &path).unwrap();
    m.acked(m.close(&work).unwrap()).await;
    assert_eq!(m.session.status().unsent_files, 1);
    let told = m.session.status().last_error.unwrap().1;
    assert!(told.contains("cannot read the local file"), "{told}");
    assert_eq!(m.session.sync().await, Err(mesa_vfs::fs::FsError::Io));
    std::fs::rename(&aside, &path).unwrap();
    until("it is to be queued again", || m.sink.has("changed")).await;
    m.acked(m.close(&work).unwrap()).await;
    assert_eq!(m.session.status().unsent_files, 0);
    m.session.sync().await.unwrap();
    assert_eq!(server.log("ses_1").last().unwrap(), "content 1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_journal_the_files_are_kept_and_said() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let bytes = noise(100_000, 4);
    unsent(&server, state.path(), &bytes).await;
    std::fs::remove_dir_all(state.path().join("journal-1")).unwrap();
    let m = mount(&server, state.path()).await;
    let status = m.session.status();
    assert_eq!(status.kept.len(), 1);
    assert!(holds(&status.kept[0], &bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_whole_journal_are_not_kept() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, _) = m.create_work("a").await;
    rig::write(&work, 0, b"bytes");
    m.acked(m.close(&work).unwrap()).await;
    m.session.drop_work(&work);
    let stray = state.path().join("work/ff/ffff");
    m.kill().await;
    drop(work);
    // As an opening for writing leaves it that was cut off before anybody had the file.
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, b"a copy of what the server has").unwrap();
    let m = mount(&server, state.path()).await;
    assert_eq!(m.session.status().kept, [] as [PathBuf; 0]);
    assert!(!stray.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_good_order_leaves_nothing_to_keep() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let m = mount(&server, state.path()).await;
        let (work, _) = m.create_work("a").await;
        rig::write(&work, 0, b"bytes");
        m.acked(m.close(&work).unwrap()).await;
        m.session.close().await.unwrap();
        assert!(m.session.status().kept.is_empty());
        // As if it died before it deleted its files.
        drop(work);
        m.kill().await;
        server.inner.lock().exclusive = None;
        std::fs::create_dir_all(state.path().join("journal-1")).unwrap();
        std::fs::write(state.path().join("closed.json"), b"{}").unwrap();
    }
}
