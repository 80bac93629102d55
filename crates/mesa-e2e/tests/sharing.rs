//! Two machines on one repo.

use mesa_e2e::{Client, Server, eventually, sh};

fn two() -> (Server, Client, Client) {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let (one, two) = (server.client(), server.client());
    one.mount(&key).ok();
    two.mount(&key).ok();
    (server, one, two)
}

#[test]
fn closed_writes_are_seen_by_the_other() {
    let (_server, one, two) = two();
    let (a, b) = (one.repo("work"), two.repo("work"));
    sh(&a, "echo from-a > a");
    eventually(5, "b sees a's file", || {
        std::fs::read_to_string(b.join("a")).is_ok_and(|t| t == "from-a\n")
    });
    sh(&b, "echo from-b > b; mkdir d; echo x > d/x");
    eventually(5, "a sees b's file", || {
        std::fs::read_to_string(a.join("d/x")).is_ok_and(|t| t == "x\n")
    });
    sh(&a, "echo more >> b; mv d e; rm a");
    eventually(5, "b sees a's changes", || {
        std::fs::read_to_string(b.join("b")).is_ok_and(|t| t == "from-b\nmore\n")
            && b.join("e/x").exists()
            && !b.join("a").exists()
            && !b.join("d").exists()
    });
}

#[test]
fn exclusive_create_has_one_winner() {
    let (_server, one, two) = two();
    let script = "n=0; for i in $(seq 100); do (set -C; echo $$ > lock-$i) 2>/dev/null && n=$((n+1)); done; echo $n";
    let (a, b) = (one.repo("work"), two.repo("work"));
    let first = std::thread::spawn(move || sh(&a, script).parse::<u32>());
    let second = sh(&b, script).parse::<u32>().expect("a number");
    let first = first.join().expect("joined").expect("a number");
    assert_eq!(first + second, 100);
}

#[test]
fn disjoint_ranges_of_two_writers_survive() {
    let (_server, one, two) = two();
    let (a, b) = (one.repo("work"), two.repo("work"));
    sh(&a, "head -c 40000 /dev/zero | tr '\\0' . > f");
    eventually(5, "b has the file", || {
        std::fs::metadata(b.join("f")).is_ok_and(|m| m.len() == 40_000)
    });
    use std::os::unix::fs::FileExt;
    let open = |p: &std::path::Path| {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(p.join("f"))
    };
    let (fa, fb) = (open(&a).expect("open"), open(&b).expect("open"));
    fa.write_all_at(b"AAAA", 100).expect("write");
    fb.write_all_at(b"BBBB", 30_000).expect("write");
    drop(fa);
    drop(fb);
    let both = |p: &std::path::Path| {
        let bytes = std::fs::read(p.join("f")).unwrap_or_default();
        bytes.len() == 40_000 && &bytes[100..104] == b"AAAA" && &bytes[30_000..30_004] == b"BBBB"
    };
    eventually(10, "both ranges are on both machines", || {
        both(&a) && both(&b)
    });
}
