//! A user without privileges: the mount is made by `fusermount3`, in write-back mode.

use mesa_e2e::{Client, Server, eventually, namespace::anybody_may_mount, sh};

const USER: u32 = 65534;

/// Cases that differ on purpose in write-back mode; each has its reason in `docs/semantics.md`.
const DELIBERATE: &[&str] = &["data/seek_data_and_hole"];

const LIST: &str = "find . -mindepth 1 -printf '%P %y %m %s %l %T@\\n' | LC_ALL=C sort | grep -v ' d '; \
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum";

fn mounted(server: &Server) -> Client {
    let client = server.client().of_user(USER);
    let (key, _) = server.create_key("{}");
    client.mount(&key).ok();
    let kind = client.sh(client.home(), "stat -f -c %T .local/share/mesa/mnt");
    assert!(kind.starts_with("fuse"), "a FUSE mount");
    client
}

#[test]
fn a_user_works_and_another_machine_sees_the_same() {
    if anybody_may_mount("user::a_user_works_and_another_machine_sees_the_same") {
        return;
    }
    let server = Server::start();
    server.create_repo("work");
    let client = mounted(&server);
    let repo = client.repo("work");
    assert_eq!(
        client.sh(&repo, "id -u; touch f; stat -c %u f; rm f"),
        "65534\n65534"
    );
    client.sh(
        &repo,
        "git init -q -b main g; cd g; mkdir -p a/b; for i in $(seq 200); do echo $i > a/b/f$i; done; \
         ln -s b a/l; chmod 750 a/b/f1; git add -A; git commit -qm one; echo x >> a/b/f2; \
         git commit -qam two; git fsck --strict; test -z \"$(git status --porcelain)\"; git gc -q",
    );
    client.sh(
        &repo,
        "python3 - <<'P'\nimport mmap, sqlite3, os\n\
         for mode in ('wal', 'delete'):\n \
         c = sqlite3.connect(f't-{mode}.db', isolation_level=None)\n \
         c.execute(f'pragma journal_mode={mode}')\n c.execute('create table t(a integer primary key, b text)')\n \
         for i in range(100): c.execute('insert into t(b) values(?)', ('x' * 300,))\n \
         assert c.execute('pragma integrity_check').fetchone()[0] == 'ok'\n c.close()\n\
         f = open('mapped', 'w+b')\nf.truncate(300000)\nm = mmap.mmap(f.fileno(), 0)\n\
         for i in range(0, 300000, 1000): m[i:i + 6] = b'%06d' % i\n\
         m.flush()\nm[0:5] = b'first'\nm.close()\nos.fsync(f.fileno())\nf.close()\nP",
    );
    let seen = client.sh(&repo, LIST);
    assert!(seen.lines().count() > 400, "{seen}");
    client.mesa(&["sync"]).ok();

    let second = mounted(&server);
    assert_eq!(
        second.sh(&second.repo("work"), LIST),
        seen,
        "a second machine"
    );
    let (key, _) = server.create_key("{}");
    let root = server.client();
    root.mount(&key).ok();
    assert_eq!(sh(&root.repo("work"), LIST), seen, "root on a third");
    assert_eq!(
        sh(&root.repo("work"), "stat -c %u mapped"),
        "0",
        "the reader owns it"
    );

    client.mesa(&["unmount"]).ok();
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(client.sh(&repo, LIST), seen, "after a remount");
    client.sh(
        &repo,
        "export GIT_OPTIONAL_LOCKS=0; git -C g fsck --strict; test -z \"$(git -C g status --porcelain)\"",
    );
    client.kill_daemon();
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(client.sh(&repo, LIST), seen, "after a kill");

    client.sh(&repo, "echo shared > s");
    eventually(10, "the other user sees a closed write", || {
        second.sh(&second.repo("work"), "cat s 2>/dev/null || true") == "shared"
    });
}

/// Everything that holds natively for this user holds in the mount.
#[test]
fn posix_cases_hold_for_a_user() {
    if anybody_may_mount("user::posix_cases_hold_for_a_user") {
        return;
    }
    let server = Server::start();
    server.create_repo("work");
    let client = mounted(&server);
    let cases = mesa_e2e::mesa_binary().with_file_name("mesa-conformance");
    assert!(
        cases.is_file(),
        "build it first: cargo build -p mesa-conformance"
    );
    let own = client.home().join("cases");
    std::fs::copy(&cases, &own).expect("a copy of the cases");
    let failures = |dir: &str| {
        let text = client.sh(client.home(), &format!("./cases {dir} 2>&1 || true"));
        assert!(text.contains("conformance: "), "{text}");
        let failed = text.lines().filter_map(|line| line.strip_prefix("FAIL "));
        let names = failed.filter_map(|line| line.split(':').next().map(str::to_owned));
        (names.collect::<Vec<_>>(), text.clone())
    };
    client.sh(client.home(), "mkdir native");
    let (native, _) = failures("native");
    let (mounted, text) = failures(&client.repo("work").display().to_string());
    let only_here: Vec<_> = mounted
        .iter()
        .filter(|name| !native.contains(name) && !DELIBERATE.contains(&name.as_str()))
        .collect();
    assert!(only_here.is_empty(), "{only_here:?}\n{text}");
    // Most cases need no second identity.
    assert!(native.len() < 40, "{native:?}");
}

/// Nobody but the daemon has the local file open: what is written comes through the kernel's pages.
#[test]
fn a_descriptor_from_before_a_crash_outlasts_a_short_quota() {
    if anybody_may_mount("user::a_descriptor_from_before_a_crash_outlasts_a_short_quota") {
        return;
    }
    let server = Server::start();
    server.create_repo("work");
    let client = server
        .client()
        .of_user(USER)
        .with_env("MESA_CACHE_MAX_SIZE", "2MB");
    let (key, _) = server.create_key("{}");
    client.mount(&key).ok();
    let repo = client.repo("work");
    let flag = |name: &str| client.home().join(name);
    let script = format!(
        "python3 - <<'P'\nimport os, time\n\
         fd = os.open('q', os.O_CREAT | os.O_RDWR)\nos.write(fd, b'A' * 100)\nos.fsync(fd)\n\
         open('{}', 'w').close()\n\
         while not os.path.exists('{}'): time.sleep(.05)\n\
         os.pwrite(fd, b'LATE', 0)\nos.fsync(fd)\nos.close(fd)\nprint('written')\nP",
        flag("opened").display(),
        flag("go").display()
    );
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| client.sh(&repo, &script));
        eventually(20, "it is open", || flag("opened").exists());
        let before = client.daemon_pids()[1];
        rustix::process::kill_process(before, rustix::process::Signal::KILL).expect("it runs");
        eventually(20, "another worker is there", || {
            client
                .daemon_pids()
                .get(1)
                .is_some_and(|now| *now != before)
        });
        client.sh(
            &repo,
            "for i in $(seq 30); do head -c 300000 /dev/urandom > fill$i; done",
        );
        eventually(60, "private files go", || {
            let stats = client.json_in(client.home(), &["stats"]);
            stats["work_files"].as_u64().is_some_and(|files| files < 8)
        });
        client.sh(client.home(), "touch go");
        assert_eq!(writer.join().expect("the writer"), "written");
    });
    let path = Server::content_path("work", "q");
    let (code, bytes) = server.get_raw(&path, &server.admin_key());
    assert_eq!((code, &bytes[..8]), (200, &b"LATEAAAA"[..]));
}
