//! The client's journal.

use mesa_vfs::journal::whole_records;

/// Any bytes are some whole records and a rest; also behind a fitting header, so that the payload
/// is looked at.
pub fn check(data: &[u8]) {
    let (count, len) = whole_records(data);
    assert!(len <= data.len() && count <= len);
    let length = (data.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), data).to_le_bytes();
    let framed = [&length[..], &crc, data].concat();
    let (count, len) = whole_records(&framed);
    assert!(count <= 1 && (len == 0 || len == framed.len()));
}
