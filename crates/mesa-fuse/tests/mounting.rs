//! Making and removing mounts: what is refused and why, stale mounts, users without privileges.

#![allow(clippy::unwrap_used)] // A failed step is a failed test.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use mesa_fuse::{MountError, MountOptions, MountState, UnmountError, clean_stale, state};
use support::{Mounted, eventually, memfs::MemFs, must_mount, refused};

#[test]
fn bad_mount_points_are_named() {
    must_mount();
    let error = refused(|options| options.mount_point.push("missing"));
    assert!(matches!(error, MountError::MountPointMissing(_)), "{error}");
    let error = refused(|options| {
        options.mount_point.push("file");
        fs::write(&options.mount_point, b"").unwrap();
    });
    assert!(matches!(error, MountError::MountPointNotDir(_)), "{error}");
    let error = refused(|options| {
        fs::write(options.mount_point.join("file"), b"").unwrap();
    });
    assert!(
        matches!(error, MountError::MountPointNotEmpty(_)),
        "{error}"
    );
    let error = refused(|options| options.mount_point = "/proc".into());
    assert!(matches!(error, MountError::AlreadyMounted(_)), "{error}");
    let error = refused(|options| options.outside.push(options.mount_point.join("not/yet")));
    assert!(matches!(error, MountError::StateInside { .. }), "{error}");
    let error = refused(|options| options.state_dir.push("missing"));
    assert!(matches!(error, MountError::MountPoint(..)), "{error}");
}

#[test]
fn unmounting_waits_for_open_files_unless_lazy() {
    must_mount();
    let mounted = Mounted::new();
    let path = mounted.path().to_owned();
    assert_eq!(state(&path), MountState::Live { ours: true });
    let file = fs::File::create(path.join("f")).unwrap();
    assert!(matches!(
        mounted.handle.unmount(false),
        Err(UnmountError::Busy(_))
    ));
    assert!(mounted.handle.is_alive());
    mounted.handle.unmount(true).unwrap();
    assert_eq!(state(&path), MountState::NotMounted);
    // Still served until it is closed.
    file.set_len(7).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 7);
    drop(file);
    mounted.runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), mounted.handle.ended())
            .await
            .unwrap();
    });
    assert!(!mounted.handle.is_alive());
    assert!(matches!(
        mesa_fuse::unmount(&path, false),
        Err(UnmountError::NotMounted(_))
    ));
}

#[test]
fn an_aborted_mount_is_seen_as_dead_and_cleaned() {
    must_mount();
    let mounted = Mounted::new();
    let path = mounted.path().to_owned();
    // Held open, so that a forced unmount cannot remove it.
    let _open = fs::File::create(path.join("f")).unwrap();
    assert!(mounted.handle.abort());
    eventually("the mount dies", || state(&path) == MountState::Dead);
    clean_stale(&path).unwrap();
    assert_eq!(state(&path), MountState::NotMounted);
    assert!(
        mounted.handle.unmount(false).is_ok(),
        "already gone is fine"
    );
}

/// Not root: through the set-uid helper, in write-back mode. Runs this test's binary as nobody, in
/// a mount namespace of its own where every user may open the device, as on a desktop.
#[test]
fn a_user_mounts_through_the_helper() {
    const WORKER: &str = "MESA_FUSE_TEST_USER_DIR";
    const SETUP: &str = "set -e; mknod \"$1/fuse\" c 10 229; chmod 666 \"$1/fuse\"; \
        mount --bind \"$1/fuse\" /dev/fuse; shift; \
        exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \"$@\"";
    if let Some(dir) = std::env::var_os(WORKER) {
        user_side(std::path::Path::new(&dir));
        return;
    }
    must_mount();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let copy = dir.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            SETUP,
            "sh",
        ])
        .arg(dir.path())
        .arg(&copy)
        .args(["--exact", "a_user_mounts_through_the_helper", "--nocapture"])
        .env(WORKER, dir.path())
        .env("TMPDIR", dir.path())
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

fn user_side(dir: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mount_point, state_dir) = (dir.join("m"), dir.join("s"));
    fs::create_dir(&mount_point).unwrap();
    fs::create_dir(&state_dir).unwrap();
    let filesystem = std::sync::Arc::new(MemFs::new(&state_dir));
    let (_notices, receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut options = MountOptions::new(&mount_point, state_dir, runtime.handle().clone());
    let others = mesa_fuse::mount::allow_other_permitted();
    options.allow_other = true;
    match mesa_fuse::mount(options.clone(), filesystem.clone(), receiver) {
        Err(MountError::AllowOtherForbidden) => assert!(!others),
        other => assert!(others, "{other:?}"),
    }
    options.allow_other = false;
    let (_notices, receiver) = tokio::sync::mpsc::unbounded_channel();
    let handle = mesa_fuse::mount(options, filesystem, receiver).unwrap();
    assert_eq!(handle.mode(), mesa_fuse::Mode::Writeback);
    support::shell(
        &mount_point,
        "echo hello > f; cat f; mkdir d; mv f d; ls -l d",
    );
    handle.unmount(false).unwrap();
    assert_eq!(state(&mount_point), MountState::NotMounted);
}
