//! Sandboxes that lack something: what `mesa mount` and `mesa doctor` say, and that a mount comes
//! about wherever it can.

use mesa_e2e::{
    Fuse, Output, Place, Sandbox, Server,
    sandbox::{self, ADDRESS},
};

/// A server, and a sandbox that was installed from it.
struct Case {
    server: Server,
    sandbox: Sandbox,
    orgs: String,
    _dist: Place,
}

impl Case {
    fn new(sandbox: Sandbox) -> Self {
        let dist = sandbox::dist();
        let server = Server::start_with(&["--dist-dir", &dist.path().display().to_string()]);
        server.create_repo("work");
        let _forwarding = sandbox.reaches(&server);
        let text = format!(
            "command -v wget >/dev/null || {{ apt-get update -q && \
             apt-get install -q -y --no-install-recommends wget; }} >/dev/null; \
             wget -q -O - http://{ADDRESS}/install.sh | sh -s -- -y"
        );
        sandbox.sh("root", &text).ok();
        let (key, _) = server.create_key("{}");
        Self {
            server,
            sandbox,
            orgs: format!("my-org:{key}"),
            _dist: dist,
        }
    }

    /// `mesa mount -d -y` behind these words, with these variables.
    fn mount(&self, user: &str, variables: &[(&str, &str)], before: &[&str]) -> Output {
        let mut all = vec![("MESA_ORGS", self.orgs.as_str())];
        all.extend(variables);
        let words = [before, &["mesa", "mount", "-d", "-y"]].concat();
        self.sandbox.run(user, &all, &words)
    }

    /// The line of a check, with its fix.
    fn doctor(
        &self,
        user: &str,
        variables: &[(&str, &str)],
        before: &[&str],
        check: &str,
    ) -> String {
        let words = [before, &["mesa", "doctor"]].concat();
        let told = self.sandbox.run(user, variables, &words).stdout;
        let mut lines = told
            .lines()
            .skip_while(|line| line.split_whitespace().nth(1) != Some(check));
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("no {check}:\n{told}"))
            .to_owned();
        match lines.next().filter(|next| next.trim().starts_with("fix:")) {
            Some(fix) => line + "\n" + fix,
            None => line,
        }
    }
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

#[test]
fn without_the_device() {
    let case = Case::new(Sandbox::busybox(Fuse::Missing));
    let refused = case.mount("root", &[], &[]);
    assert_eq!(refused.code, 8, "{refused:?}");
    says(&refused.stderr, &["/dev/fuse", "--device /dev/fuse"]);
    says(
        &case.doctor("root", &[], &[], "/dev/fuse"),
        &["FAIL", "missing", "--cap-add SYS_ADMIN"],
    );
    assert_eq!(
        case.sandbox
            .sh("root", "grep -c ' fuse' /proc/mounts")
            .stdout
            .trim(),
        "0"
    );
}

#[test]
fn without_the_right_to_mount() {
    let case = Case::new(Sandbox::debian(Fuse::Root));
    // Root in a container without the capability.
    let bounded = [
        "setpriv",
        "--bounding-set",
        "-sys_admin",
        "--inh-caps",
        "-sys_admin",
    ];
    let refused = case.mount("root", &[], &bounded);
    assert_eq!(refused.code, 8, "{refused:?}");
    says(&refused.stderr, &["not permitted", "--cap-add SYS_ADMIN"]);
    says(
        &case.doctor("root", &[], &bounded, "mounting"),
        &["FAIL", "SYS_ADMIN"],
    );

    // A user whose device is closed, then one who may gain no privileges, then a helper that has
    // none to give.
    let denied = case.mount("user", &[], &[]);
    assert_eq!(denied.code, 8, "{denied:?}");
    says(&denied.stderr, &["/dev/fuse", "chmod 666 /dev/fuse"]);
    case.sandbox.sh("root", "chmod 666 /dev/fuse").ok();
    let kept_down = ["setpriv", "--no-new-privs"];
    let refused = case.mount("user", &[], &kept_down);
    assert_eq!(refused.code, 8, "{refused:?}");
    says(&refused.stderr, &["not permitted", "mesa doctor"]);
    says(
        &case.doctor("user", &[], &kept_down, "mounting"),
        &["FAIL", "no_new_privs"],
    );
    case.sandbox
        .sh("root", "chmod u-s /usr/bin/fusermount3")
        .ok();
    says(
        &case.doctor("user", &[], &[], "mounting"),
        &["FAIL", "chmod 4755"],
    );
    case.sandbox
        .sh("root", "chmod u+s /usr/bin/fusermount3")
        .ok();
    let mounted = case.mount("user", &[], &[]);
    assert_eq!(mounted.code, 0, "{mounted:?}");
    says(&mounted.stderr, &["user_allow_other to /etc/fuse.conf"]);
}

#[test]
fn where_the_server_cannot_be_reached() {
    let case = Case::new(Sandbox::busybox(Fuse::Root));
    let elsewhere = [("MESA_API_URL", "http://198.51.100.1:1")];
    let refused = case.mount("root", &elsewhere, &[]);
    assert_eq!(refused.code, 7, "{refused:?}");
    says(
        &refused.stderr,
        &["http://198.51.100.1:1 cannot be reached"],
    );
    let network = case.doctor("root", &elsewhere, &[], "network");
    says(
        &network,
        &["FAIL", "198.51.100.1:1", "reaches listed hosts only"],
    );
    let nameless = [("MESA_API_URL", "http://nowhere.invalid")];
    says(
        &case.doctor("root", &nameless, &[], "network"),
        &["FAIL", "nowhere.invalid", "DNS"],
    );
    let proxied = [elsewhere[0], ("HTTPS_PROXY", "http://198.51.100.2:3128")];
    says(
        &case.doctor("root", &proxied, &[], "network"),
        &["WARN", "HTTPS_PROXY", "NO_PROXY"],
    );
    assert_eq!(
        case.sandbox
            .sh("root", "grep -c ' fuse' /proc/mounts")
            .stdout
            .trim(),
        "0"
    );
}

/// No home, nothing writable but /tmp, no terminal, no service manager.
#[test]
fn on_a_read_only_root_without_a_home() {
    let case = Case::new(Sandbox::busybox(Fuse::Root));
    case.sandbox.sh("root", "mount -o remount,ro /").ok();
    let place = [("MESA_MOUNT_POINT", "/tmp/mnt")];
    let mounted = case.mount("root", &place, &["env", "-u", "HOME"]);
    assert_eq!(mounted.code, 0, "{mounted:?}");
    says(
        &mounted.stderr,
        &["/tmp/mesa-0", "may not survive", "give MESA_ORGS again"],
    );
    case.sandbox
        .sh(
            "root",
            "echo hello > /tmp/mnt/my-org/work/f && MESA_MOUNT_POINT=/tmp/mnt mesa sync",
        )
        .ok();
    let (_, text) = case
        .server
        .get_raw(&Server::content_path("work", "f"), &case.server.admin_key());
    assert_eq!(text, b"hello\n");
    for check in ["cache", "state", "runtime"] {
        says(
            &case.doctor("root", &place, &[], check),
            &["WARN", "cannot be written"],
        );
    }
    let unmounted = case.sandbox.run("root", &place, &["mesa", "unmount"]);
    assert_eq!(unmounted.code, 0, "{unmounted:?}");
}

#[test]
fn with_little_memory() {
    let case = Case::new(Sandbox::busybox(Fuse::Root));
    let much = [("MESA_CACHE_MAX_MEMORY_SIZE", "100TB")];
    says(
        &case.doctor("root", &much, &[], "memory"),
        &["WARN", "MESA_CACHE_MAX_MEMORY_SIZE=64MB"],
    );
    says(&case.doctor("root", &[], &[], "disk"), &["free at /"]);
}
