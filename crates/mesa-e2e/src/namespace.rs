//! Tests that need a machine other than the one they run on: each in a mount namespace of its own,
//! where device nodes can be shown with other modes without anybody noticing outside.

use std::process::Command;

use crate::Place;

const INSIDE: &str = "MESA_E2E_NAMESPACE";
const SETUP: &str = "mknod \"$1/fuse\" c 10 229; chmod 666 \"$1/fuse\"; \
    mount --bind \"$1/fuse\" /dev/fuse; shift; exec \"$@\"";

/// Runs the calling test again where every user may open `/dev/fuse`, as on a desktop. True =
/// that was done and the test is over; false = this is the run inside.
///
/// # Panics
/// If the test fails inside.
#[track_caller]
pub fn anybody_may_mount(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let devices = Place::fresh();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-euc", SETUP])
        .arg("sh")
        .arg(devices.path())
        .arg(std::env::current_exe().expect("the test knows its own path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1");
    let text = crate::shell::run(&mut command, test);
    assert!(
        text.contains("1 passed"),
        "no test is called {test}: {text}"
    );
    true
}
