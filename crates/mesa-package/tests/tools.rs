//! The systems' own tools read what this crate writes. Needs dpkg-deb, busybox, tar and rpm.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, process::Command};

use mesa_package::{Arch, Entry, Format, Meta, Payload};

fn package(dir: &Path, format: Format, address: &str) -> String {
    let mut meta = Meta::new("mesa", "0.1.0", Arch::X86_64, 1_700_000_000);
    meta.recommends = vec!["fuse3".to_owned()];
    "http://localhost/".clone_into(&mut meta.homepage);
    let program: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    let entries = [
        Entry::new("/usr/bin/mesa", 0o755, program),
        Entry::new("/usr/share/doc/mesa/copyright", 0o644, &b"free\n"[..]),
    ];
    let payload = Payload::new(format, meta, &entries);
    let mine = [Entry::new(
        "/etc/mesa/install.toml",
        0o644,
        address.to_owned(),
    )];
    let extra = if address.is_empty() {
        &[][..]
    } else {
        &mine[..]
    };
    let made = payload.finish(extra);
    assert_eq!(
        made.whole(),
        payload.finish(extra).whole(),
        "the same bytes"
    );
    let name = format!("mesa.{}", format.extension());
    std::fs::write(dir.join(&name), made.whole()).unwrap();
    name
}

#[track_caller]
fn sh(dir: &Path, script: &str) -> String {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{text}\n{errors}");
    text + &errors
}

const TREE: &str = "find . -mindepth 1 -printf '%p %m %u %s\\n' | LC_ALL=C sort";
const FILES: &str = "./etc 755 root\n./etc/mesa 755 root\n./etc/mesa/install.toml 644 root 6\n\
    ./usr 755 root\n./usr/bin 755 root\n./usr/bin/mesa 755 root 1200000\n./usr/share 755 root\n\
    ./usr/share/doc 755 root\n./usr/share/doc/mesa 755 root\n\
    ./usr/share/doc/mesa/copyright 644 root 5\n";

/// The tree without the sizes of directories.
fn tree(dir: &Path) -> String {
    let text = sh(dir, TREE);
    let lines = text.lines().map(|line| match line.rsplit_once(' ') {
        Some((rest, _)) if rest.contains(" 755 ") && !rest.contains("bin/mesa") => rest.to_owned(),
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn debian_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let name = package(dir.path(), Format::Deb, "hello\n");
    let fields = sh(dir.path(), &format!("dpkg-deb -f {name}"));
    for field in [
        "Package: mesa",
        "Architecture: amd64",
        "Recommends: fuse3",
        "Installed-Size: 1172",
    ] {
        assert!(fields.contains(field), "{fields}");
    }
    for (place, tool) in [("a", "dpkg-deb"), ("b", "busybox dpkg-deb")] {
        sh(
            dir.path(),
            &format!("mkdir {place}; umask 022; {tool} -x {name} {place}"),
        );
        assert_eq!(tree(&dir.path().join(place)), FILES, "{tool}");
    }
    let all = sh(
        dir.path(),
        &format!(
            "mkdir admin root; touch admin/status; mkdir admin/updates admin/info admin/triggers; dpkg --admindir=admin --instdir=root --force-all --log=/dev/null -i {name} 2>&1; dpkg --admindir=admin -L mesa"
        ),
    );
    assert!(all.contains("/etc/mesa/install.toml"), "{all}");
    let name = package(dir.path(), Format::Deb, "");
    let list = sh(dir.path(), &format!("dpkg-deb -c {name}"));
    assert!(!list.contains("./etc"), "{list}");
}

#[test]
fn alpine_s_form_holds() {
    let dir = tempfile::tempdir().unwrap();
    let name = package(dir.path(), Format::Apk, "hello\n");
    // busybox and GNU tar read both archives as one.
    for tar in ["busybox tar", "tar --warning=no-unknown-keyword"] {
        sh(
            dir.path(),
            &format!("rm -rf x; mkdir x; umask 022; {tar} -xzf {name} -C x"),
        );
        let info = sh(dir.path(), "cat x/.PKGINFO; rm x/.PKGINFO");
        assert!(
            info.contains("pkgver = 0.1.0-r0\n") && info.contains("arch = x86_64\n"),
            "{info}"
        );
        assert_eq!(tree(&dir.path().join("x")), FILES, "{tar}");
    }
    // The hash is that of everything after the first member.
    sh(
        dir.path(),
        &format!(
            "python3 - {name} <<'P'\nimport sys, zlib, hashlib, io, tarfile, re\n\
             data = open(sys.argv[1], 'rb').read()\nd = zlib.decompressobj(31)\n\
             control = d.decompress(data)\nrest = d.unused_data\n\
             info = control[512:].split(b'\\0')[0].decode()\nassert len(control) % 512 == 0\n\
             assert 'datahash = ' + hashlib.sha256(rest).hexdigest() in info, info\n\
             files = tarfile.open(fileobj=io.BytesIO(rest))\n\
             for f in files:\n  if f.isfile():\n    sum = f.pax_headers['APK-TOOLS.checksum.SHA1']\n    \
             assert sum == hashlib.sha1(files.extractfile(f).read()).hexdigest()\nP"
        ),
    );
}

#[test]
fn rpm_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let name = package(dir.path(), Format::Rpm, "hello\n");
    let checked = sh(dir.path(), &format!("rpm -K --nosignature {name}"));
    assert!(checked.contains("digests OK"), "{checked}");
    let told = sh(
        dir.path(),
        &format!(
            "rpm -qp --qf '%{{NAME}} %{{VERSION}} %{{ARCH}} %{{SUMMARY}} [%{{RECOMMENDNAME}}]\\n' {name}; rpm -qpl {name}"
        ),
    );
    let wanted = "mesa 0.1.0 x86_64 mesa fuse3\n/usr/share/doc/mesa\n/usr/bin/mesa\n\
        /usr/share/doc/mesa/copyright\n/etc/mesa\n/etc/mesa/install.toml\n";
    assert_eq!(told, wanted);
    sh(
        dir.path(),
        &format!(
            "mkdir root; rpm --root $PWD/root --initdb; rpm --root $PWD/root -i --nodeps --noscripts --ignorearch {name}; rm -rf root/var; rpm2cpio {name} | busybox cpio -t"
        ),
    );
    let installed = tree(&dir.path().join("root"));
    let files = FILES.lines().filter(|l| !l.ends_with("root"));
    for line in files {
        assert!(installed.contains(line), "{line}\n{installed}");
    }
}
