//! The short run: good encodings, damaged ones and noise through every check.
//!
//! `MESA_DECODER_ROUNDS` says how many inputs each format gets (default 20,000);
//! `MESA_DECODER_SEED` which.

use std::path::Path;

use mesa_decoders::TARGETS;
use mesa_proto::v1::{self, client_message, op::Kind, server_message};
use mesa_types::random::{Random, SeededRandom};
use prost::Message;

const ROUNDS: u64 = 20_000;
/// Values that lengths, counts and versions go wrong at.
const EDGES: &[u64] = &[
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 20,
    (1 << 20) + 1,
    u64::MAX >> 1,
    u64::MAX,
];

struct Dice(SeededRandom);

impl Dice {
    fn next(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn below(&self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn mutated(seeds: &[Vec<u8>], dice: &Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len());
        let end = at + dice.below((bytes.len() - at).min(64));
        match dice.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 if !bytes.is_empty() => bytes[at] = dice.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            5 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            6 => {
                let noise: Vec<u8> = (0..dice.below(32)).map(|_| dice.next() as u8).collect();
                bytes.splice(at..at, noise);
            }
            _ => {
                let width = 1 << dice.below(4);
                let edge = EDGES[dice.below(EDGES.len())].to_le_bytes();
                if at + width <= bytes.len() {
                    bytes[at..at + width].copy_from_slice(&edge[..width]);
                }
            }
        }
    }
    bytes
}

/// Golden vectors of the object formats.
fn golden() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mesa-object/tests/golden");
    let files = std::fs::read_dir(&dir).expect("golden vectors");
    let read = files.map(|file| std::fs::read(file.expect("an entry").path()).expect("bytes"));
    let mut found: Vec<Vec<u8>> = read.collect();
    // Directory order is not the same everywhere.
    found.sort();
    let decoded = found.iter().filter_map(|text| from_hex(text));
    let decoded: Vec<Vec<u8>> = decoded.collect();
    found.extend(decoded);
    found
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .iter()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| char::from(*b).to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    Some(pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn ops() -> Vec<v1::Op> {
    let content = v1::ContentRef {
        size: 5,
        id: vec![3; 32].into(),
        manifest: false,
    };
    let create = v1::Create {
        parent: 1,
        name: "name".into(),
        id: 7,
        kind: 1,
        mode: 0o644,
        content: Some(content.clone()),
        inline: "12345".into(),
        ..v1::Create::default()
    };
    let rename = v1::Rename {
        parent: 1,
        name: "a".into(),
        id: 7,
        new_parent: 2,
        new_name: "b".into(),
        replaced: 9,
        ..v1::Rename::default()
    };
    let set = v1::SetContent {
        id: 7,
        base: Some(content.clone()),
        content: Some(content),
        extents: vec![v1::Extent {
            offset: 1,
            length: 4,
        }],
        resized: true,
        ..v1::SetContent::default()
    };
    let xattr = v1::SetXattr {
        id: 7,
        name: "user.x".into(),
        value: "v".into(),
        ..v1::SetXattr::default()
    };
    [
        Kind::Create(create),
        Kind::Rename(rename),
        Kind::SetContent(set),
        Kind::SetXattr(xattr),
    ]
    .into_iter()
    .map(|kind| v1::Op {
        time_ns: 1,
        path: "dir/file".into(),
        actor: 0,
        kind: Some(kind),
    })
    .collect()
}

fn messages() -> Vec<Vec<u8>> {
    let ops = ops();
    let append = v1::Append {
        first_client_seq: 4,
        ops: ops.clone(),
        actors: vec![v1::Actor::default()],
        digest: vec![1; 32].into(),
        lease: 2,
    };
    let entry = v1::LogEntry {
        first_seq: 3,
        ops: ops.clone(),
        ..v1::LogEntry::default()
    };
    let client = v1::ClientMessage {
        kind: Some(client_message::Kind::Append(append)),
    };
    let server = v1::ServerMessage {
        kind: Some(server_message::Kind::Event(v1::Event {
            entry: Some(entry.clone()),
        })),
    };
    let mut all: Vec<Vec<u8>> = ops.iter().map(Message::encode_to_vec).collect();
    all.extend([
        client.encode_to_vec(),
        server.encode_to_vec(),
        entry.encode_to_vec(),
    ]);
    all
}

/// Payloads and framed records of the journal.
fn records() -> Vec<Vec<u8>> {
    let framed = |payload: &[u8]| {
        let length = (payload.len() as u32).to_le_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&length), payload).to_le_bytes();
        [&length[..], &crc, payload].concat()
    };
    let number = |n: u64| n.to_le_bytes().to_vec();
    let mut payloads = vec![
        [&[1, 6][..], &number(5)].concat(),
        [&[1, 5][..], &number(7), &number(1)].concat(),
        [&[1, 4][..], &number(7), &number(1), &[0]].concat(),
    ];
    for op in ops() {
        let op = op.encode_to_vec();
        payloads.push([&[1, 1][..], &number(3), &number(1), &[0; 4], &op].concat());
        let files = [number(7), number(1)].concat();
        payloads.push([&[1, 3][..], &number(3), &number(0), &files, &[0; 4], &op].concat());
    }
    let mut all: Vec<Vec<u8>> = payloads.iter().map(|payload| framed(payload)).collect();
    all.push(all.concat());
    all.extend(payloads);
    all
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let text = |texts: &[&str]| texts.iter().map(|t| t.as_bytes().to_vec()).collect();
    let mut seeds: Vec<Vec<u8>> = match target {
        "config" => text(&[
            "api-url = \"https://api.example.com\"\n[cache]\nmax-size = \"10 GB\"\n[organizations.a]\nmount = \"explicit\"\n\
             [organizations.a.repos.r]\nrev = { bookmark = \"b\" }\nread-only = true\n",
            "durability = 'close'\nuid = 1000\n[prefetch]\nmax-depth = 3\ncache-pressure-limit = 0.8\n[daemon.log]\ntarget = 7",
            "10 GiB",
            "env=prod AND NOT (team:* OR tier^=a)",
            "{\"and\":[{\"key\":\"a\",\"in\":[\"b\"]}]}",
        ]),
        "git" => text(&[
            "[submodule \"x\"]\n\tpath = ../x\n\turl = -u\n",
            "* -text\n",
            ".GIT",
            "git~1",
        ]),
        "journal" => records(),
        "protocol" => messages(),
        "saved" => Vec::new(),
        _ => golden(),
    };
    assert!(target == "saved" || !seeds.is_empty(), "{target}");
    seeds.extend([Vec::new(), vec![0; 64], vec![0xff; 200]]);
    seeds
}

#[test]
fn every_decoder_survives_any_bytes() {
    let rounds = number("MESA_DECODER_ROUNDS", ROUNDS);
    for (target, check) in TARGETS {
        let dice = Dice(SeededRandom::new(number("MESA_DECODER_SEED", 1)));
        let seeds = seeds(target);
        let inputs = seeds.iter().cloned();
        let inputs = inputs.chain((0..rounds).map(|_| mutated(&seeds, &dice)));
        for bytes in inputs {
            let run = std::panic::catch_unwind(|| check(&bytes));
            assert!(run.is_ok(), "{target} fails on {bytes:02x?}");
        }
    }
}

#[test]
fn every_fuzz_target_is_built() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/Cargo.toml");
    let text = std::fs::read_to_string(manifest).expect("the fuzz targets' manifest");
    for (target, _) in TARGETS {
        assert!(text.contains(&format!("name = \"{target}\"")), "{target}");
    }
    assert_eq!(text.matches("[[bin]]").count(), TARGETS.len());
}
