//! Real programs on a real mount, in both data modes.

#![allow(clippy::unwrap_used)] // A failed step is a failed test.

mod support;

use mesa_fuse::{Feature, Mode};
use support::{Mounted, eventually, must_mount, shell};

fn modes() -> Vec<Mounted> {
    must_mount();
    let passthrough = Mounted::new();
    assert_eq!(passthrough.handle.mode(), Mode::Passthrough);
    let writeback = Mounted::with(|options| options.passthrough = Feature::Off);
    assert_eq!(writeback.handle.mode(), Mode::Writeback);
    vec![passthrough, writeback]
}

#[test]
fn git_works() {
    for mounted in modes() {
        let text = shell(
            mounted.path(),
            "git init -q -b main repo; cd repo
             mkdir -p src/deep; for i in $(seq 50); do echo $i > src/deep/f$i; done
             ln -s deep src/link; chmod +x src/deep/f1
             git add -A; git commit -qm one; git fsck --strict; git status --porcelain
             for i in 1 2 3; do echo $i >> src/deep/f2; git commit -qam $i; done
             git checkout -q -b other HEAD~2; git checkout -q main; git gc -q
             git clone -q . ../copy; cd ../copy; git log --oneline | wc -l
             test -x src/deep/f1; test \"$(readlink src/link)\" = deep; rm -rf ../repo; ls ..",
        );
        assert!(text.ends_with("4\ncopy\n"), "{text}");
    }
}

#[test]
fn tar_round_trip_keeps_everything() {
    for mounted in modes() {
        shell(
            mounted.path(),
            "mkdir in; cd in; for i in $(seq 300); do head -c $((i * 37)) /dev/urandom > f$i; done
             touch -d '2001-02-03 04:05:06.789' f1; chmod 4755 f2; ln f3 hard; ln -s f4 soft
             mkfifo pipe; truncate -s 1M sparse
             cd ..; tar c --format=posix -f all.tar in; mkdir out; tar xf all.tar -C out --strip-components=1
             diff -r --no-dereference --exclude pipe in out
             test \"$(cd in; stat -c '%n %a %Y %y %s %h' *)\" = \"$(cd out; stat -c '%n %a %Y %y %s %h' *)\"
             cmp <(cd in; tar cf - --sort=name --mtime=@0 .) <(cd out; tar cf - --sort=name --mtime=@0 .)",
        );
    }
}

/// Gets the mode as its argument.
const FILE_CALLS: &str = r"
import os, sys, mmap, fcntl, random, ctypes
random.seed(7)
# Random writes, truncates and maps against a model.
f = os.open('r', os.O_CREAT | os.O_RDWR); model = bytearray()
for i in range(2000):
    op = random.randrange(6); at = random.randrange(1 << 18); n = random.randrange(1, 1 << 13)
    if op < 2:
        d = random.randbytes(n); assert os.pwrite(f, d, at) == n
        if len(model) < at: model.extend(bytes(at - len(model)))
        model[at:at + n] = d
    elif op == 2:
        os.ftruncate(f, at); model = model[:at] + bytes(max(0, at - len(model)))
    elif op == 3 and len(model) > 4096:
        with mmap.mmap(f, len(model)) as m:
            p = random.randrange(len(model) - 100); d = random.randbytes(100)
            m[p:p + 100] = d; model[p:p + 100] = d
            if i % 2: m.flush()
    elif op == 4:
        g = os.open('r', os.O_RDWR); assert os.pread(g, n, at) == bytes(model[at:at + n]); os.close(g)
    else:
        assert os.pread(f, n, at) == bytes(model[at:at + n])
    assert os.fstat(f).st_size == len(model), (i, op)
assert open('r', 'rb').read() == bytes(model)
# Locks stay within the mount.
fcntl.lockf(f, fcntl.LOCK_EX); fcntl.flock(f, fcntl.LOCK_EX)
# Unnamed files, linked later or never.
t = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600); os.write(t, b'unnamed')
libc = ctypes.CDLL(None, use_errno=True)
assert libc.linkat(-100, f'/proc/self/fd/{t}'.encode(), -100, b'named', 0x400) == 0; os.close(t)
assert open('named').read() == 'unnamed'
# Unlinked and renamed while open.
u = os.open('u', os.O_CREAT | os.O_RDWR); os.unlink('u'); os.write(u, b'still'); assert os.pread(u, 9, 0) == b'still'
assert os.fstat(u).st_nlink == 0
# Holes, allocation, copies inside the daemon.
s = os.open('s', os.O_CREAT | os.O_RDWR); os.ftruncate(s, 1 << 20); os.pwrite(s, b'x' * 4096, 1 << 19); os.fsync(s)
# In write-back mode the daemon is not asked, since it knows nothing of what the kernel still holds.
holes = (1 << 19, (1 << 19) + 4096) if sys.argv[1] == 'Passthrough' else (0, 1 << 20)
assert (os.lseek(s, 0, os.SEEK_DATA), os.lseek(s, 1 << 19, os.SEEK_HOLE)) == holes
os.posix_fallocate(s, 0, 2 << 20); assert os.fstat(s).st_size == 2 << 20
c = os.open('c', os.O_CREAT | os.O_RDWR); assert os.copy_file_range(s, c, 8192, 1 << 19, 0) == 8192
assert os.pread(c, 4096, 0) == b'x' * 4096
# Append from two descriptors, extended attributes, rename flags.
a = os.open('a', os.O_CREAT | os.O_WRONLY | os.O_APPEND); b = os.open('a', os.O_WRONLY | os.O_APPEND)
for i in range(100): os.write(a, b'a'); os.write(b, b'b')
assert open('a').read() == 'ab' * 100
os.setxattr('a', 'user.x', b'1'); assert os.getxattr('a', 'user.x') == b'1' and os.listxattr('a') == ['user.x']
try: os.getxattr('a', 'user.none'); assert 0
except OSError as e: assert e.errno == 61
assert libc.renameat2(-100, b'a', -100, b'c', 1) == -1 and ctypes.get_errno() == 17
assert libc.renameat2(-100, b'a', -100, b'c', 2) == 0 and open('c').read() == 'ab' * 100
d = os.open('d', os.O_CREAT | os.O_RDWR | os.O_DIRECT)
m = mmap.mmap(-1, 4096); m.write(b'z' * 4096); os.write(d, m); assert open('d', 'rb').read() == b'z' * 4096
";

#[test]
fn file_calls_work() {
    for mounted in modes() {
        shell(
            mounted.path(),
            &format!("python3 - {:?} <<'P'\n{FILE_CALLS}P", mounted.handle.mode()),
        );
        eventually("every handle is released", || {
            mounted.fs.open_handles() == 0
        });
    }
}

#[test]
fn node_numbers_and_inode_numbers_differ() {
    use std::os::unix::fs::MetadataExt;
    for mounted in modes() {
        std::fs::write(mounted.join("f"), b"").unwrap();
        assert!(std::fs::metadata(mounted.join("f")).unwrap().ino() > 1_000_000);
        let listed = std::fs::read_dir(mounted.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        use std::os::unix::fs::DirEntryExt;
        assert!(listed.ino() > 1_000_000);
    }
}
