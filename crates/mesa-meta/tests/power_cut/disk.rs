//! A model of what is on the platters: per file the synced bytes, and the writes since.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use mesa_types::Random;
use parking_lot::Mutex;

/// A write may be torn between sectors.
const SECTOR: usize = 512;

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

#[derive(Debug, Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<Change>,
}

static FILES: LazyLock<Mutex<HashMap<PathBuf, File>>> = LazyLock::new(Mutex::default);

type Hook = Box<dyn FnMut() + Send>;

/// Called on the thread that writes, after every write and before every sync in a directory.
static HOOKS: LazyLock<Mutex<HashMap<PathBuf, Hook>>> = LazyLock::new(Mutex::default);

/// Sets what is called for `directory`.
pub fn on_change(directory: &Path, hook: impl FnMut() + Send + 'static) {
    HOOKS.lock().insert(directory.to_owned(), Box::new(hook));
}

fn call_hook(path: &Path) {
    if let Some(hook) = path.parent().and_then(|d| HOOKS.lock().remove_entry(d)) {
        let (directory, mut hook) = hook;
        hook();
        HOOKS.lock().insert(directory, hook);
    }
}

/// A file was opened: what it holds then counts as synced, its name as durable.
pub fn opened(path: &Path) {
    let mut files = FILES.lock();
    if !files.contains_key(path) {
        let synced = std::fs::read(path).unwrap_or_default();
        files.insert(
            path.to_owned(),
            File {
                synced,
                since: Vec::new(),
            },
        );
    }
}

pub fn deleted(path: &Path) {
    FILES.lock().remove(path);
}

pub fn written(path: &Path, offset: usize, bytes: &[u8]) {
    if let Some(file) = FILES.lock().get_mut(path) {
        file.since.push(Change::Write {
            offset,
            bytes: bytes.to_vec(),
        });
    }
    call_hook(path);
}

pub fn truncated(path: &Path, len: usize) {
    if let Some(file) = FILES.lock().get_mut(path) {
        file.since.push(Change::Truncate { len });
    }
}

pub fn synced(path: &Path) {
    call_hook(path);
    if let Some(file) = FILES.lock().get_mut(path) {
        for change in std::mem::take(&mut file.since) {
            apply(&mut file.synced, &change);
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
        Change::Truncate { len } => content.resize(*len, 0),
    }
}

/// Makes `after` what `before` would hold after a power cut now: synced bytes, and of each write
/// since none, all or some sectors. Answers how many bytes were lost.
pub fn power_cut(before: &Path, after: &Path, random: &dyn Random) -> usize {
    let draw = || {
        let mut byte = [0];
        random.fill(&mut byte);
        byte[0]
    };
    std::fs::create_dir(after).unwrap();
    let mut lost = 0;
    let files = FILES.lock();
    for (path, file) in files
        .iter()
        .filter(|(path, _)| path.parent() == Some(before))
    {
        let mut content = file.synced.clone();
        for change in &file.since {
            match (draw() % 3, change) {
                (0, _) => apply(&mut content, change),
                (1, Change::Write { offset, bytes }) => {
                    for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                        if draw() % 2 == 0 {
                            let offset = offset + n * SECTOR;
                            apply(
                                &mut content,
                                &Change::Write {
                                    offset,
                                    bytes: sector.to_vec(),
                                },
                            );
                        } else {
                            lost += sector.len();
                        }
                    }
                }
                (_, Change::Write { bytes, .. }) => lost += bytes.len(),
                (_, Change::Truncate { .. }) => {}
            }
        }
        std::fs::write(after.join(path.file_name().unwrap()), content).unwrap();
    }
    lost
}
