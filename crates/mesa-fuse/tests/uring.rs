//! The io_uring transport: the same results, also for requests that wait and callers that die.
//!
//! The kernel's switch for it is global; it is put back.

#![allow(clippy::unwrap_used)] // A failed step is a failed test.

mod support;

use std::{fs, path::Path, process::Command};

use mesa_fuse::{Feature, MountError, wire::Opcode};
use support::{Mounted, eventually, must_mount, shell};

const PARAMETER: &str = "/sys/module/fuse/parameters/enable_uring";

struct Switched(String);

impl Switched {
    fn on() -> Self {
        let before = fs::read_to_string(PARAMETER).unwrap();
        fs::write(PARAMETER, "Y").unwrap();
        Self(before)
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        let _ = fs::write(PARAMETER, &self.0);
    }
}

/// What kernels before 6.14 must see: automatic goes on without it, required says what is missing.
fn an_older_kernel_is_told() {
    let mounted = Mounted::with(|options| options.io_uring = Feature::Auto);
    assert!(!mounted.handle.uses_io_uring());
    let error = support::refused(|options| options.io_uring = Feature::Required);
    assert!(matches!(error, MountError::FeatureMissing(_)), "{error}");
}

#[test]
fn programs_work_over_io_uring() {
    must_mount();
    if !Path::new(PARAMETER).exists() {
        return an_older_kernel_is_told();
    }
    let _switched = Switched::on();
    for passthrough in [Feature::Auto, Feature::Off] {
        let mounted = Mounted::with(|options| {
            options.io_uring = Feature::Required;
            options.passthrough = passthrough;
        });
        assert!(mounted.handle.uses_io_uring());
        shell(
            mounted.path(),
            "git init -q -b main r; cd r; for i in $(seq 100); do echo $i > f$i; done
             git add -A; git commit -qm one; git fsck --strict; rm -r *; git checkout -q .
             head -c 5000000 /dev/urandom > big; cp big copy; cmp big copy; cat big big > two
             cmp <(cat big big) two; ls -la > /dev/null; rm -rf .git",
        );
        // A request that waits neither blocks the others nor survives its caller.
        fs::create_dir(mounted.join("dir")).unwrap();
        let wait = |name: &str| {
            let before = mounted.handle.counters().later();
            let child = Command::new("stat")
                .arg(mounted.join(name))
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            eventually("the lookup waits", || {
                mounted.handle.counters().later() > before
            });
            child
        };
        let mut child = wait("dir/slow");
        fs::write(mounted.join("fast"), b"x").unwrap();
        mounted.fs.gate.add_permits(1);
        assert!(!child.wait().unwrap().success());
        let mut child = wait("dir/slow-2");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(mounted.count(Opcode::Interrupt) > 0);
        eventually("every handle is released", || {
            mounted.fs.open_handles() == 0
        });
    }
}
