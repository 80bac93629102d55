//! Filesystems inside a process (`mesa-fs`) against a real server, beside FUSE mounts.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use mesa_e2e::{Server, eventually, sh, token::short_lived};
use mesa_fs::{
    At, Code, Credential, FileSystem, MountOptions, OpenOptions, ProviderError, ReadStreamOptions,
    RepoMount, Secret, Token, TokenProvider,
};

const ORG: &str = "my-org";
/// Names the server of a test that runs itself as another process.
const CHILD: &str = "MESA_TEST_IN_PROCESS_CHILD";
/// Bytes of the large stream; 2 GiB in the long form.
const STREAM: &str = "MESA_TEST_STREAM_BYTES";

fn options(url: &str, key: &str, repo: &str) -> MountOptions {
    let mut options = MountOptions::new(url, Credential::Fixed(Secret::new(key)));
    options.repos.push(RepoMount::new(ORG, repo));
    options
}

fn open(server: &Server, repo: &str) -> FileSystem {
    FileSystem::open(options(&server.url(), &server.admin_key(), repo)).expect("a mount")
}

fn at(repo: &str, path: &str) -> PathBuf {
    Path::new("/").join(ORG).join(repo).join(path)
}

#[test]
fn a_fuse_mount_and_a_process_see_each_others_writes() {
    let server = Server::start();
    server.create_repo("work");
    let client = server.client();
    client.mount(&server.admin_key()).ok();
    let dir = client.repo("work");
    sh(&dir, "mkdir d; echo from-fuse > d/f; ln -s d/f link");
    let fs = open(&server, "work");
    fs.block_on(fs.ready()).expect("open");
    let mut watch = fs.watch();
    let read = |path: &str| fs.block_on(fs.read(at("work", path)));
    eventually(5, "the process sees the mount's file", || {
        read("link").is_ok_and(|text| text == b"from-fuse\n"[..])
    });
    fs.block_on(fs.append(at("work", "d/f"), b"from-process\n"))
        .expect("appended");
    fs.block_on(fs.mkdir_all(at("work", "made/here"), 0o755))
        .expect("made");
    eventually(5, "the mount sees what the process wrote", || {
        std::fs::read_to_string(dir.join("d/f")).is_ok_and(|t| t == "from-fuse\nfrom-process\n")
            && dir.join("made/here").is_dir()
    });
    sh(&dir, "echo told > told; mv d/f d/g; rm link");
    eventually(5, "the process sees what the mount changed", || {
        read("d/g").is_ok() && read("link").is_err() && read("told").is_ok()
    });
    let seen = fs.block_on(async {
        let mut seen = Vec::new();
        let end = tokio::time::Instant::now() + Duration::from_secs(5);
        while !seen.contains(&at("work", "d/g")) || !seen.contains(&at("work", "told")) {
            let next = tokio::time::timeout_at(end, watch.next_change()).await;
            seen.push(next.expect("told in time").expect("open").path);
        }
        seen
    });
    assert!(
        !seen.contains(&at("work", "made/here")),
        "told of what it did itself: {seen:?}"
    );
    // One change, one file: numbers and times are the same on both sides.
    let here = fs.block_on(fs.stat(at("work", "d/g"))).expect("a stat");
    let there = std::fs::metadata(dir.join("d/g")).expect("a stat");
    use std::os::unix::fs::MetadataExt;
    assert_eq!((here.ino, here.size), (there.ino(), there.size()));
    assert_eq!(here.modified, there.modified().expect("a time"));
    let change = fs
        .block_on(fs.repo("", "work").expect("the repo").current())
        .expect("a change");
    let status = client.json_in(&dir, &["status"]);
    assert!(
        status.to_string().contains(&change.change_id),
        "{status} is not {change:?}"
    );
    fs.block_on(fs.close()).expect("closed");
}

#[test]
fn a_process_makes_changes_and_bookmarks() {
    let server = Server::start();
    server.create_repo("work");
    let fs = open(&server, "work");
    let repo = fs.repo(ORG, "work").expect("the repo");
    fs.block_on(async {
        fs.write(at("work", "f"), b"one").await.expect("written");
        let first = repo.describe("first").await.expect("described");
        assert_eq!(first.bookmark.as_deref(), Some("main"));
        let kept = repo.checkpoint(Some("kept")).await.expect("kept");
        assert_eq!(kept.expect("something").message, "kept");
        assert_eq!(repo.checkpoint(None).await.expect("nothing"), None);
        fs.write(at("work", "f"), b"two").await.expect("written");
        let second = repo.current().await.expect("current");
        assert_ne!(second.change_id, first.change_id);
        repo.create_bookmark("side").await.expect("a bookmark");
        assert_eq!(repo.bookmarks().await.expect("names"), ["main", "side"]);
        let listed = repo.changes(0).await.expect("changes");
        assert_eq!(
            (&listed[0].change_id, &listed[1].change_id),
            (&second.change_id, &first.change_id)
        );
        assert_eq!(repo.changes(1).await.expect("changes").len(), 1);
        // On top of the first the file is what it was there.
        let on = At::Change(first.change_id.clone());
        let third = repo.new_change(Some(on), Some("third")).await.expect("new");
        assert_eq!(fs.read(at("work", "f")).await.expect("read"), &b"one"[..]);
        fs.write(at("work", "third"), b"3").await.expect("written");
        assert_eq!(
            repo.current().await.expect("current").change_id,
            third.change_id
        );
        let file = fs
            .open_file(at("work", "third"), &OpenOptions::appending())
            .await
            .expect("open");
        let main = At::Bookmark("main".to_owned());
        let busy = repo.edit(main.clone()).await.expect_err("a file is open");
        assert_eq!(busy.code(), Code::Busy, "{busy}");
        file.close().await.expect("closed");
        repo.edit(main).await.expect("back");
        assert_eq!(fs.read(at("work", "f")).await.expect("read"), &b"two"[..]);
        assert!(!fs.exists(at("work", "third")).await.expect("an answer"));
        let none = repo
            .edit(At::Bookmark("none".to_owned()))
            .await
            .expect_err("no such bookmark");
        assert_eq!(none.code(), Code::NotFound, "{none}");
        assert!(none.server_code().is_some());
        repo.move_bookmark("side", &second.change_id)
            .await
            .expect("where it is");
        fs.close().await.expect("closed");
        let closed = repo.bookmarks().await.expect_err("closed");
        assert_eq!(closed.code(), Code::BadHandle);
    });
}

/// Signs tokens that end in a few seconds.
struct Short {
    key: String,
    key_id: String,
    asked: AtomicU32,
}

const SHORT: u64 = 4;

#[async_trait::async_trait]
impl TokenProvider for Short {
    async fn token(&self, _org: &str) -> Result<Token, ProviderError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (key, id) = (self.key.clone(), self.key_id.clone());
        let token = tokio::task::spawn_blocking(move || short_lived(&key, &id, SHORT)).await?;
        Ok(Token {
            secret: Secret::new(&token),
            expires_at: None,
        })
    }
}

#[test]
fn a_mount_outlives_its_tokens() {
    let server = Server::start();
    server.create_repo("work");
    let (key, key_id) = server.create_key("{}");
    let provider = Arc::new(Short {
        key,
        key_id,
        asked: AtomicU32::new(0),
    });
    let credential = Credential::Provider(Arc::clone(&provider) as Arc<dyn TokenProvider>);
    let mut options = options(&server.url(), "", "work");
    options.credential = credential;
    let fs = FileSystem::open(options).expect("a mount");
    let end = Instant::now() + Duration::from_secs(3 * SHORT);
    let mut written = 0;
    while Instant::now() < end {
        let durable = OpenOptions {
            durable: true,
            ..OpenOptions::writing()
        };
        let path = at("work", &written.to_string());
        fs.block_on(fs.write_with(&path, b"x", &durable))
            .expect("on the server");
        written += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    let asked = provider.asked.load(Ordering::Relaxed);
    assert!((3..30).contains(&asked), "asked {asked} times");
    let listed = fs.block_on(fs.read_dir(at("work", ""))).expect("a listing");
    assert_eq!(listed.len(), written);
    fs.block_on(fs.close()).expect("closed");
}

#[test]
fn a_key_that_is_revoked_is_told_by_its_code() {
    let server = Server::start();
    server.create_repo("work");
    let (key, id) = server.create_key("{}");
    let fs = FileSystem::open(options(&server.url(), &key, "work")).expect("a mount");
    fs.block_on(fs.write(at("work", "f"), b"x"))
        .expect("written");
    fs.block_on(fs.sync()).expect("sent");
    let (status, _) = server.delete(&format!("/v1/{ORG}/api-keys/{id}"), &server.admin_key());
    assert_eq!(status, 200);
    let mut told = None;
    eventually(10, "writing fails", || {
        told = fs.block_on(fs.write(at("work", "g"), b"x")).err();
        told.is_some()
    });
    let told = told.expect("an error");
    assert_eq!(told.code(), Code::Access, "{told}");
    fs.set_credential(&Credential::Fixed(Secret::new(&server.admin_key())));
    eventually(10, "another key helps", || {
        fs.block_on(fs.write(at("work", "g"), b"x")).is_ok()
    });
    fs.block_on(fs.close()).expect("closed");
}

/// Largest resident size of this process so far, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.expect("a peak").trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().expect("a number") * 1024
}

#[test]
fn a_large_stream_takes_little_memory() {
    let bytes: u64 = std::env::var(STREAM).map_or(256 << 20, |text| text.parse().expect("bytes"));
    let server = Server::start();
    server.create_repo("work");
    let fs = open(&server, "work");
    let path = at("work", "large");
    let piece = |n: u64| {
        let mut piece = vec![0_u8; 1 << 20];
        for (at, word) in piece.chunks_exact_mut(8).enumerate() {
            let value = (n << 20 | at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            word.copy_from_slice(&value.to_le_bytes());
        }
        piece
    };
    fs.block_on(async {
        fs.ready().await.expect("open");
        let before = peak_memory();
        let mut stream = fs
            .write_stream(&path, &OpenOptions::writing())
            .await
            .expect("a stream");
        for n in 0..bytes >> 20 {
            stream.write(&piece(n)).await.expect("written");
        }
        stream.finish().await.expect("finished");
        fs.close().await.expect("sent");

        let other = open(&server, "work");
        let mut stream = other
            .read_stream(&path, ReadStreamOptions::default())
            .await
            .expect("a stream");
        let mut read = 0;
        while let Some(found) = stream.next_piece().await.expect("read") {
            assert!(found == piece(read >> 20), "at {read}");
            read += found.len() as u64;
        }
        assert_eq!(read, bytes >> 20 << 20);
        drop(stream);
        other.close().await.expect("closed");
        let grown = peak_memory() - before;
        assert!(grown < 256 << 20, "{grown} bytes for {bytes}");
    });
}

/// Writes numbered files until it is killed.
fn write_for_ever(place: &str) {
    let (url, key) = place.split_once(' ').expect("a server");
    let fs = FileSystem::open(options(url, key, "work")).expect("a mount");
    let end = Instant::now() + Duration::from_mins(1);
    for n in 0.. {
        assert!(Instant::now() < end, "nobody kills this process");
        let text = format!("file {n}\n").repeat(200);
        fs.block_on(fs.write(at("work", &format!("{n:06}")), text.as_bytes()))
            .expect("written");
    }
}

#[test]
fn a_killed_process_leaves_a_prefix() {
    if let Ok(place) = std::env::var(CHILD) {
        return write_for_ever(&place);
    }
    let server = Server::start();
    server.create_repo("work");
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--exact", "in_process::a_killed_process_leaves_a_prefix"])
        .env(CHILD, format!("{} {}", server.url(), server.admin_key()))
        .stdout(Stdio::null())
        .spawn()
        .expect("another process");
    let fs = open(&server, "work");
    let count = || {
        fs.block_on(fs.read_dir(at("work", "")))
            .map_or(0, |all| all.len())
    };
    eventually(30, "files arrive", || count() > 50);
    child.kill().expect("killed");
    child.wait().expect("gone");
    // What was on its way has arrived when nothing more does.
    let mut before = (0, SystemTime::now());
    eventually(20, "nothing more arrives", || {
        let now = count();
        if now != before.0 {
            before = (now, SystemTime::now());
        }
        before
            .1
            .elapsed()
            .is_ok_and(|quiet| quiet > Duration::from_secs(2))
    });
    let listed = fs.block_on(fs.read_dir(at("work", ""))).expect("a listing");
    for (n, entry) in listed.iter().enumerate() {
        assert_eq!(entry.name.to_str(), Some(format!("{n:06}").as_str()));
        let text = fs
            .block_on(fs.read(at("work", &format!("{n:06}"))))
            .expect("readable");
        let whole = format!("file {n}\n").repeat(200);
        let last = n + 1 == listed.len();
        assert!(
            text == whole.as_bytes() || last && text.is_empty(),
            "{n} of {}: {} bytes",
            listed.len(),
            text.len()
        );
    }
    fs.block_on(fs.close()).expect("closed");
}
