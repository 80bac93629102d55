//! Servers that do not answer, disks that are full, sessions that are lost: who waits, who is told,
//! and what is left.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use mesa_e2e::{Client, Output, Server, eventually, sh};

fn mounted_with(settings: &[(&str, &str)]) -> (Server, Client, String) {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let client = server.client();
    mount(&client, &key, settings);
    (server, client, key)
}

fn mount(client: &Client, key: &str, settings: &[(&str, &str)]) {
    let mut command = client.command(&["mount", "-d", "-y"]);
    command
        .env("MESA_ORGS", format!("my-org:{key}"))
        .envs(settings.iter().copied());
    Output::of(&mut command).ok();
}

/// Starts a program and waits until it is in one of these system calls.
#[track_caller]
fn start(dir: &Path, script: &str, calls: &[&str]) -> Child {
    let mut command = Command::new("bash");
    let child = command
        .args(["-c", script])
        .current_dir(dir)
        .stderr(Stdio::null())
        .spawn()
        .expect("bash");
    let path = format!("/proc/{}/syscall", child.id());
    let mut last = String::new();
    eventually(20, script, || {
        let now = std::fs::read_to_string(&path).unwrap_or_default();
        let call = now.split(' ').next().unwrap_or_default();
        // The same call, for a while.
        let waits = calls.contains(&call) && now == last;
        last = now;
        std::thread::sleep(std::time::Duration::from_millis(200));
        waits
    });
    child
}

/// Appends a line and waits in fsync.
const APPEND: &str = "exec dd if=<(echo 2) of=f oflag=append conv=notrunc,fsync status=none";

const READ: &str = "0";
const CLOSE: &str = "3";
const FSYNC: &str = "74";
const COPY: &str = "326";
const OPENAT: &str = "257";

#[test]
fn whoever_waits_for_a_stopped_server_dies_on_a_signal() {
    let (server, writer, key) = mounted_with(&[("MESA_DURABILITY", "close")]);
    let repo = writer.repo("work");
    sh(
        &repo,
        "head -c 3000000 /dev/urandom > big; echo 1 > f; sync f",
    );
    let reader = server.client();
    mount(&reader, &key, &[]);
    sh(&reader.repo("work"), "ls -l big f");
    server.pause();
    let mut waiting = vec![
        start(&repo, APPEND, &[FSYNC]),
        start(&repo, "exec cp f copy", &[CLOSE, OPENAT, COPY]),
        start(
            &reader.repo("work"),
            "exec cat big > /dev/null",
            &[OPENAT, READ],
        ),
    ];
    for child in &mut waiting {
        child.kill().expect("kill");
        eventually(10, "it dies", || {
            child.try_wait().is_ok_and(|s| s.is_some())
        });
    }
    server.resume();
    writer.mesa(&["sync"]).ok();
    assert_eq!(sh(&reader.repo("work"), "cat f"), "1\n2");
    assert_eq!(sh(&reader.repo("work"), "wc -c < big"), "3000000");
}

#[test]
fn a_huge_sparse_file_delays_nobody() {
    let (server, client, _) = mounted_with(&[]);
    let repo = client.repo("work");
    sh(&repo, "truncate -s 64G huge; echo small > f; sync f");
    let path = Server::content_path("work", "f");
    assert_eq!(
        server.get_raw(&path, &server.admin_key()),
        (200, b"small\n".to_vec())
    );
    client.mesa(&["sync"]).ok();
    assert_eq!(sh(&repo, "stat -c %s huge; rm huge; ls"), "68719476736\nf");
}

/// Holds a descriptor or a mapping, and does what it is told.
struct Holder {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

const HOLDER: &str = r"
import errno, mmap, os, sys
path, kind = sys.argv[1:3]
fd = os.open(path, os.O_RDWR)
if kind == 'map':
    area = mmap.mmap(fd, 0)
    os.close(fd)
print('ready', flush=True)
for line in sys.stdin:
    command, text = line.split()
    try:
        if command == 'write':
            os.write(fd, text.encode())
        elif command == 'store':
            area[0:len(text)] = text.encode()
        elif command == 'fsync':
            os.fsync(fd)
        print('ok', flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
";

impl Holder {
    /// `kind`: `map` keeps a mapping without a descriptor, `open` a descriptor.
    fn new(path: &Path, kind: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", HOLDER])
            .arg(path)
            .arg(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        let mut holder = Self { child, answers };
        assert_eq!(holder.answer(), "ready");
        holder
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line.trim().to_owned()
    }

    fn tell(&mut self, command: &str, text: &str) -> String {
        let input = self.child.stdin.as_mut().expect("its input");
        writeln!(input, "{command} {text}").expect("a living process");
        self.answer()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn private_bytes(client: &Client) -> u64 {
    let state = client.home().join(".local/share/mesa/state/my-org/work");
    let targets = std::fs::read_dir(state).expect("the state directory");
    let works = targets.flatten().map(|dir| dir.path().join("work"));
    works.map(|dir| Server::disk_bytes(&dir)).sum()
}

#[test]
fn private_files_are_bounded_by_the_quota_but_mapped_ones_stay() {
    let (server, client, _) = mounted_with(&[("MESA_CACHE_MAX_SIZE", "8MB")]);
    let repo = client.repo("work");
    sh(&repo, "echo first-bytes > mapped; sync mapped");
    let mut mapping = Holder::new(&repo.join("mapped"), "map");
    // Nothing can go before it is on the server.
    server.pause();
    sh(
        &repo,
        "for i in $(seq 20); do head -c 1000000 /dev/urandom > f$i; done; sha256sum f* > sums",
    );
    assert!(private_bytes(&client) > 20_000_000);
    server.resume();
    client.mesa(&["sync"]).ok();
    eventually(60, "private files go", || {
        private_bytes(&client) <= 4_100_000
    });
    sh(&repo, "sha256sum -c --quiet sums");
    assert!(Server::disk_bytes(&client.home().join(".cache/mesa")) <= 10_000_000);

    assert_eq!(mapping.tell("store", "FIRST"), "ok");
    client.mesa(&["sync"]).ok();
    let path = Server::content_path("work", "mapped");
    assert_eq!(
        server.get_raw(&path, &server.admin_key()),
        (200, b"FIRST-bytes\n".to_vec())
    );
}

/// A small filesystem below a client's state directory.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn new(at: &'a Path, size: &str) -> Self {
        std::fs::create_dir_all(at).expect("a directory");
        let mount = Output::of(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
                .arg(at),
        );
        mount.ok();
        Self(at)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_local_disk_is_told_and_survived() {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let client = server.client();
    let state = client.home().join("state");
    let _disk = SmallDisk::new(&state, "24m");
    let state_text = state.display().to_string();
    mount(&client, &key, &[("MESA_STATE_DIR", &state_text)]);
    let repo = client.repo("work");
    sh(&repo, "for i in $(seq 50); do echo $i > before$i; done");
    let full = sh(
        &repo,
        "! dd if=/dev/zero of=big bs=64k count=1000 2>&1; i=0;
         while [ $i -lt 20000 ] && echo $i > n$i; do i=$((i+1)); done 2>err-$$ || true; rm -f err-$$
         ! echo no > denied",
    );
    assert!(full.contains("No space left"), "{full}");
    // What was answered with success stays, and room can be made.
    sh(&repo, "cat before50; rm big");
    eventually(30, "writing works again", || {
        std::fs::write(repo.join("again"), "after").is_ok()
    });
    client.mesa(&["sync"]).ok();
    let names = sh(&repo, "rm -f denied; ls | sort");
    client.mesa(&["sync"]).ok();
    let fresh = server.client();
    mount(&fresh, &key, &[]);
    assert_eq!(sh(&fresh.repo("work"), "ls | sort"), names);
    assert_eq!(
        sh(
            &fresh.repo("work"),
            "cat again; cat before50; ls | grep -c before"
        ),
        "after50\n50"
    );
}

#[test]
fn descriptors_of_a_lost_session_are_told() {
    let (server, frozen, key) = mounted_with(&[]);
    let repo = frozen.repo("work");
    sh(&repo, "echo sealed > f; sync f");
    let mut open = Holder::new(&repo.join("f"), "open");
    sh(&repo, "echo 1 > g; sync g");
    let pids = frozen.daemon_pids();
    let signal = |signal| {
        for pid in &pids {
            rustix::process::kill_process(*pid, signal).expect("kill");
        }
    };
    signal(rustix::process::Signal::STOP);
    // Passthrough: nobody of the daemon is needed.
    assert_eq!(open.tell("write", "unsent"), "ok");
    let other = server.client();
    mount(&other, &key, &[]);
    // Waits for the lease of a session that does not answer.
    sh(&other.repo("work"), "echo 2 > g; sync g");
    signal(rustix::process::Signal::CONT);
    assert_eq!(open.tell("fsync", "-"), "EIO");
    eventually(10, "the descriptor is stale for good", || {
        let answer = open.tell("fsync", "-");
        assert_ne!(answer, "ok", "a false success");
        answer == "ESTALE"
    });
    drop(open);
    eventually(20, "the mount goes on", || {
        std::fs::read(repo.join("g")).is_ok_and(|g| g == b"2\n")
            && std::fs::read(repo.join("f")).is_ok_and(|f| f == b"sealed\n")
    });
    sh(&repo, "echo 3 > h; sync h");
    let recovered = || {
        let (_, list) = server.get("/v1/my-org/work/bookmarks", &server.admin_key());
        list.to_string().contains("recovered/")
    };
    eventually(20, "the rest is in a recovery change", recovered);
}
