//! The cpio archive (`newc`) in an RPM package.

/// Appends one entry. `inode` tells hard links apart, so it differs between entries.
pub(crate) fn entry(
    to: &mut Vec<u8>,
    name: &str,
    mode: u32,
    inode: u32,
    time: u32,
    content: &[u8],
) {
    let links = if mode & 0o040_000 != 0 { 2 } else { 1 };
    let fields = [
        inode,
        mode,
        0,
        0,
        links,
        time,
        content.len() as u32,
        0,
        0,
        0,
        0,
        name.len() as u32 + 1,
        0,
    ];
    to.extend_from_slice(b"070701");
    for field in fields {
        to.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    to.extend_from_slice(name.as_bytes());
    to.push(0);
    pad(to);
    to.extend_from_slice(content);
    pad(to);
}

/// What ends an archive.
pub(crate) fn end(to: &mut Vec<u8>) {
    entry(to, "TRAILER!!!", 0, 0, 0, &[]);
}

/// Every part begins at a multiple of four, and so does every archive this is appended to.
fn pad(to: &mut Vec<u8>) {
    let full = to.len().next_multiple_of(4);
    to.resize(full, 0);
}
