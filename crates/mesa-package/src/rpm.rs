//! RPM's package, version 4: lead, signature header, header, compressed cpio archive
//! (<https://rpm-software-management.github.io/rpm/manual/format_v4.html>). Unsigned; digests of
//! header and payload are there.

mod header;

use sha2::{Digest, Sha256};

use self::header::{Header, Value};
use crate::{
    meta::Arch,
    payload::{Described, Listed},
};

/// Everything before the compressed files.
pub(crate) fn head(of: &Described<'_>) -> Vec<u8> {
    let main = main(of).bytes(HEADER_IMMUTABLE);
    let mut signature = Header::default();
    let sha1 = sha1_checked::Sha1::try_digest(&main);
    signature.add(269, Value::Text(hex::encode(sha1.hash())));
    signature.add(273, Value::Text(hex::encode(Sha256::digest(&main))));
    signature.add(
        1000,
        Value::Int32(vec![(main.len() as u64 + of.packed) as u32]),
    );
    signature.add(1007, Value::Int32(vec![of.unpacked as u32]));
    let mut bytes = lead(of);
    bytes.extend_from_slice(&signature.bytes(HEADER_SIGNATURES));
    let full = bytes.len().next_multiple_of(8);
    bytes.resize(full, 0);
    bytes.extend_from_slice(&main);
    bytes
}

const HEADER_SIGNATURES: u32 = 62;
const HEADER_IMMUTABLE: u32 = 63;
/// `<=` on a capability of rpm itself.
const RPMLIB: u32 = (1 << 24) | 0x0a;
const EQUAL: u32 = 0x08;
const SHA256: u32 = 8;

/// 96 bytes that say "RPM" to programs like file(1); rpm itself reads no more than that.
fn lead(of: &Described<'_>) -> Vec<u8> {
    let mut bytes = vec![0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0, 0];
    bytes.push(match of.meta.arch {
        Arch::X86_64 => 1,
        Arch::Aarch64 => 19,
    });
    let mut name = format!("{}-{}-1", of.meta.name, of.meta.version).into_bytes();
    name.resize(66, 0);
    bytes.extend_from_slice(&name);
    bytes.extend_from_slice(&[0, 1, 0, 5]);
    bytes.resize(96, 0);
    bytes
}

fn main(of: &Described<'_>) -> Header {
    let meta = of.meta;
    let text = |text: &str| Value::Text(text.to_owned());
    let mut header = Header::default();
    header.add(100, Value::Texts(vec!["C".to_owned()]));
    header.add(1000, text(&meta.name));
    header.add(1001, text(&meta.version));
    header.add(1002, text("1"));
    header.add(1004, Value::Translated(meta.summary.clone()));
    header.add(1005, Value::Translated(meta.description.clone()));
    header.add(1006, Value::Int32(vec![meta.modified]));
    header.add(1007, text("localhost"));
    header.add(1009, Value::Int32(vec![of.installed as u32]));
    header.add(1014, text(&meta.licence));
    header.add(1015, text(&meta.maintainer));
    header.add(1016, Value::Translated("Unspecified".to_owned()));
    header.add(1020, text(&meta.homepage));
    header.add(1021, text("linux"));
    header.add(1022, text(meta.arch.name()));
    header.add(
        1044,
        text(&format!("{}-{}-1.src.rpm", meta.name, meta.version)),
    );
    files(&mut header, meta.modified, of.listed);
    header.add(1047, Value::Texts(vec![meta.name.clone()]));
    header.add(1112, Value::Int32(vec![EQUAL]));
    header.add(1113, Value::Texts(vec![format!("{}-1", meta.version)]));
    let needs = [
        ("rpmlib(CompressedFileNames)", "3.0.4-1"),
        ("rpmlib(FileDigests)", "4.6.0-1"),
        ("rpmlib(PayloadFilesHavePrefix)", "4.0-1"),
    ];
    header.add(1048, Value::Int32(vec![RPMLIB; needs.len()]));
    header.add(
        1049,
        Value::Texts(needs.map(|(name, _)| name.to_owned()).into()),
    );
    header.add(
        1050,
        Value::Texts(needs.map(|(_, version)| version.to_owned()).into()),
    );
    header.add(1124, text("cpio"));
    header.add(1125, text("gzip"));
    header.add(1126, text("6"));
    let beside = &meta.recommends;
    if !beside.is_empty() {
        header.add(5046, Value::Texts(beside.clone()));
        header.add(5047, Value::Texts(vec![String::new(); beside.len()]));
        header.add(5048, Value::Int32(vec![0; beside.len()]));
    }
    header.add(5092, Value::Texts(vec![of.hash.clone()]));
    header.add(5093, Value::Int32(vec![SHA256]));
    header
}

fn files(header: &mut Header, modified: u32, files: &[Listed]) {
    let split = |file: &Listed| {
        let (dir, base) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        (format!("{dir}/"), base.to_owned())
    };
    let mut dirs: Vec<String> = Vec::new();
    let (mut dir_indexes, mut bases) = (Vec::new(), Vec::new());
    for file in files {
        let (dir, base) = split(file);
        let at = dirs.iter().position(|d| *d == dir).unwrap_or_else(|| {
            dirs.push(dir);
            dirs.len() - 1
        });
        dir_indexes.push(at as u32);
        bases.push(base);
    }
    let count = files.len();
    let roots = || Value::Texts(vec!["root".to_owned(); count]);
    header.add(1028, Value::Int32(files.iter().map(|f| f.size).collect()));
    header.add(
        1030,
        Value::Int16(files.iter().map(|f| f.mode as u16).collect()),
    );
    header.add(1033, Value::Int16(vec![0; count]));
    header.add(1034, Value::Int32(vec![modified; count]));
    header.add(
        1035,
        Value::Texts(files.iter().map(|f| f.digest.clone()).collect()),
    );
    header.add(1036, Value::Texts(vec![String::new(); count]));
    header.add(1037, Value::Int32(vec![0; count]));
    header.add(1039, roots());
    header.add(1040, roots());
    header.add(1045, Value::Int32(vec![u32::MAX; count]));
    header.add(1095, Value::Int32(vec![1; count]));
    header.add(1096, Value::Int32((1..=count as u32).collect()));
    header.add(1097, Value::Texts(vec![String::new(); count]));
    header.add(1116, Value::Int32(dir_indexes));
    header.add(1117, Value::Texts(bases));
    header.add(1118, Value::Texts(dirs));
    header.add(5011, Value::Int32(vec![SHA256]));
}
