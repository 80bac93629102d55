//! Debian's package: an `ar` archive of a version, a control archive and the files (deb(5)).

use crate::{
    payload::{Described, gzip},
    tar::{self, Archive},
};

/// Everything before the compressed files.
pub(crate) fn head(of: &Described<'_>) -> Vec<u8> {
    let mut archive = Archive::new("./", of.meta.modified, false);
    archive.file("./control", 0o644, control(of).as_bytes());
    archive.bytes.extend_from_slice(&tar::END);
    let control = gzip(&archive.bytes);
    let mut bytes = b"!<arch>\n".to_vec();
    member(&mut bytes, "debian-binary", of.meta.modified, 4);
    bytes.extend_from_slice(b"2.0\n");
    member(
        &mut bytes,
        "control.tar.gz",
        of.meta.modified,
        control.len() as u64,
    );
    bytes.extend_from_slice(&control);
    if control.len() % 2 == 1 {
        bytes.push(b'\n');
    }
    member(&mut bytes, "data.tar.gz", of.meta.modified, of.packed);
    bytes
}

fn member(to: &mut Vec<u8>, name: &str, time: u32, size: u64) {
    let header = format!(
        "{name:<16}{time:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
        0, 0, 100_644
    );
    to.extend_from_slice(header.as_bytes());
}

fn control(of: &Described<'_>) -> String {
    let meta = of.meta;
    let mut text = format!(
        "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: {}\nInstalled-Size: {}\n\
         Section: utils\nPriority: optional\n",
        meta.name,
        meta.version,
        meta.arch.debian(),
        meta.maintainer,
        of.installed.div_ceil(1024),
    );
    if !meta.recommends.is_empty() {
        text.extend(["Recommends: ", &meta.recommends.join(", "), "\n"]);
    }
    if !meta.homepage.is_empty() {
        text.extend(["Homepage: ", &meta.homepage, "\n"]);
    }
    text + &format!("Description: {}\n {}\n", meta.summary, meta.description)
}
