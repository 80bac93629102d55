//! Alpine's package, version 2: compressed archives after each other, first the control archive
//! without an end, then the files. Unsigned, so `apk add --allow-untrusted`.

use crate::{
    payload::{Described, gzip},
    tar::Archive,
};

/// Everything before the compressed files.
pub(crate) fn head(of: &Described<'_>) -> Vec<u8> {
    let mut archive = Archive::new("", of.meta.modified, false);
    archive.file(".PKGINFO", 0o644, info(of).as_bytes());
    gzip(&archive.bytes)
}

fn info(of: &Described<'_>) -> String {
    let meta = of.meta;
    format!(
        "pkgname = {}\npkgver = {}-r0\npkgdesc = {}\nurl = {}\nbuilddate = {}\npackager = {}\n\
         size = {}\narch = {}\norigin = {}\nlicense = {}\ndatahash = {}\n",
        meta.name,
        meta.version,
        meta.summary,
        meta.homepage,
        meta.modified,
        meta.maintainer,
        of.installed,
        meta.arch.name(),
        meta.name,
        meta.licence,
        of.hash,
    )
}
