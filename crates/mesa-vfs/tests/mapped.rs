//! Stores through shared mappings reach the local file without a request and, from the second one
//! on a page, without a trace in its times.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)] // The mapping.

mod support;

use std::{os::fd::AsFd, ptr::NonNull};

use mesa_vfs::fs::{Filesystem, OpenMode, Opened};
use rustix::mm::{MapFlags, ProtFlags};
use support::{calls::*, rig::Rig, server::FakeServer};

const BYTES: usize = 8192;

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !check() {
        assert!(start.elapsed().as_secs() < 30, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// A shared mapping of the file behind a descriptor, as the kernel makes one for passthrough.
struct Mapping(NonNull<u8>);

// SAFETY: the address is used by its owner only.
unsafe impl Send for Mapping {}

impl Mapping {
    fn of(opened: &Opened) -> Self {
        let OpenMode::Local(backing) = &opened.mode else {
            panic!("not local");
        };
        rustix::fs::ftruncate(&backing.file, BYTES as u64).unwrap();
        // SAFETY: a new mapping at an address the kernel chooses.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                backing.file.as_fd(),
                0,
            )
        };
        Self(NonNull::new(address.unwrap().cast()).unwrap())
    }

    fn store(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= BYTES);
        // SAFETY: within the mapping, which nothing else in this process refers to.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(at), bytes.len());
        };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, not used any more.
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), BYTES) };
    }
}

fn starts(content: &[u8], with: &[u8]) -> bool {
    content.len() == BYTES && content.starts_with(with)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_store_to_a_page_is_sent_by_sync_fsync_and_unmount() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let (entry, opened) = create(m, "f").await.unwrap();
    let mapping = Mapping::of(&opened);
    mapping.store(0, b"one");
    m.sync_all().await.unwrap();
    assert!(starts(&server.content("f").unwrap(), b"one"));
    // At once after the last look: nothing in the times need tell of it.
    for text in [b"two", b"six", b"ten"] {
        mapping.store(0, text);
        m.sync_all().await.unwrap();
        assert!(starts(&server.content("f").unwrap(), text));
    }
    for text in [b"TWO", b"SIX", b"TEN"] {
        mapping.store(0, text);
        done(m.fsync(entry.node, opened.handle, true))
            .await
            .unwrap();
        assert!(starts(&server.content("f").unwrap(), text));
    }
    m.release(entry.node, opened.handle);
    mapping.store(0, b"end");
    m.sync_all().await.unwrap();
    mapping.store(0, b"END");
    drop(mapping);
    m.unmount().await.unwrap();
    assert!(starts(&server.content("f").unwrap(), b"END"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_store_after_close_is_found_without_being_asked() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let (entry, opened) = create(m, "f").await.unwrap();
    let mapping = Mapping::of(&opened);
    mapping.store(0, b"one");
    m.release(entry.node, opened.handle);
    until("the first store", || {
        server
            .content("f")
            .is_some_and(|bytes| starts(&bytes, b"one"))
    })
    .await;
    mapping.store(0, b"two");
    until("the second store", || {
        server
            .content("f")
            .is_some_and(|bytes| starts(&bytes, b"two"))
    })
    .await;
    drop(mapping);
    m.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unchanged_is_read_again_but_not_sent_again() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    put(m, "f", b"as it is").await.unwrap();
    m.sync_all().await.unwrap();
    let sent = server.calls(|calls| calls.ops);
    for _ in 0..5 {
        m.sync_all().await.unwrap();
    }
    m.unmount().await.unwrap();
    assert_eq!(server.calls(|calls| calls.ops), sent);
}
