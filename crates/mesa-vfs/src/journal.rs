//! The local journal: every operation is here before its caller gets an answer, until the server
//! has acknowledged it. Byte layout: `docs/design/sync.md`.

mod length;
mod record;
mod scan;
mod segment;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    path::{Path, PathBuf},
};

use mesa_types::{ContentRef, FileId};

pub(crate) use record::{OpRecord, Record, Verdict};
pub(crate) use scan::Damage;

use crate::{
    content::{WorkId, WorkStat},
    session::ClientSeq,
};
use length::Length;
use segment::Segment;

/// How many whole records stand at the front of a segment's bytes behind its magic, and how long
/// they are together. What follows is torn or damaged.
pub fn whole_records(bytes: &[u8]) -> (usize, usize) {
    let (mut count, mut at) = (0, 0);
    while let Some((_, length)) = Record::decode(&bytes[at..]) {
        count += 1;
        at += length;
    }
    (count, at)
}

/// Size at which a segment is closed, not counting the marks it begins with.
const SEGMENT_BYTES: u64 = 4 << 20;
/// Kept back on the disk, so that files can be removed when it is full.
const RESERVE_BYTES: u64 = 1 << 20;
/// File of that size.
const RESERVE: &str = "reserve";

/// A node served from a work file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkMark {
    /// The work file.
    pub work: WorkId,
    /// Content it was made from, or that was last acknowledged from it.
    pub base: ContentRef,
    /// Attributes of the work file when it held exactly that.
    pub clean: Option<WorkStat>,
}

struct Closed {
    path: PathBuf,
    last: Option<ClientSeq>,
}

/// An open journal.
pub(crate) struct Journal {
    dir: PathBuf,
    active: Segment,
    length: Length,
    number: u64,
    last: Option<ClientSeq>,
    closed: VecDeque<Closed>,
    works: HashMap<FileId, WorkMark>,
    /// Acknowledgements: known, and written down.
    acked: (ClientSeq, ClientSeq),
    buffer: Vec<u8>,
    /// Bytes of marks at the beginning of the active segment.
    marks: u64,
    /// The disk is full: the reserve is given up or in use.
    full: bool,
}

/// What a journal held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Operations in order, acknowledged ones perhaps among them.
    pub ops: Vec<Record>,
    /// Live work marks.
    pub works: HashMap<FileId, WorkMark>,
    /// Files that had a work file once, or have one that nothing else tells of.
    pub unmarked: HashSet<FileId>,
    /// Everything up to here was acknowledged when the journal was last written.
    pub acked: ClientSeq,
    /// Damage met, and where the bytes behind it were put.
    pub damage: Option<Damage>,
    /// It is known that nothing is missing.
    pub whole: bool,
}

/// To be called before [`Journal::open`] when the machine was started since it was written: what was
/// not synced is gone then, and nothing is damaged.
pub(crate) fn forget_length(dir: &Path) -> io::Result<()> {
    length::forget(dir)
}

impl Journal {
    /// Opens the journal in `dir` (made if absent) and reads it.
    pub fn open(dir: &Path) -> io::Result<(Self, Found)> {
        std::fs::create_dir_all(dir)?;
        let mut found = Found::default();
        let mut closed = VecDeque::new();
        let numbers = segment::list(dir)?;
        let noted = length::read(dir);
        for (index, &number) in numbers.iter().enumerate() {
            let path = segment::path(dir, number);
            if let Some(damage) = &mut found.damage {
                // Operations behind a gap cannot be sent in order: keep them aside, whole.
                damage.note_more(scan::set_aside(&path)?);
                continue;
            }
            let tail = index + 1 == numbers.len();
            let length = noted.filter(|noted| noted.segment == number);
            let length = length.map_or(0, |noted| noted.bytes);
            let (records, damage) = scan::read_segment(&path, tail, length)?;
            found.damage = damage;
            let last = found.take_in(records);
            closed.push_back(Closed { path, last });
        }
        let newest = numbers.last().copied().unwrap_or(0);
        if let Some(noted) = noted.filter(|noted| noted.segment > newest)
            && found.damage.is_none()
        {
            let path = segment::path(dir, noted.segment);
            found.damage = Some(scan::note_missing(&path, noted.bytes)?);
        }
        found.whole = noted.is_some() && found.damage.is_none();
        let number = newest + 1;
        let mut journal = Self {
            dir: dir.to_owned(),
            active: Segment::create(dir, number)?,
            length: Length::keep(dir),
            number,
            last: None,
            closed,
            works: found.works.clone(),
            acked: (found.acked, found.acked),
            buffer: Vec::new(),
            marks: 0,
            full: false,
        };
        journal.write_marks()?;
        journal.full = !journal.keep_reserve();
        Ok((journal, found))
    }

    /// Writes records in one write(2). On an error nothing of it is in the journal. On a full disk
    /// only what helps to empty it (removals, and notes of what is done) is written, to the reserve.
    pub fn append(&mut self, records: &[&Record]) -> io::Result<()> {
        let frees = records.iter().all(|record| record.frees_space());
        if self.full {
            self.full = !self.keep_reserve();
            if self.full && !frees {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        match self.append_now(records) {
            Err(error) if is_full(&error) && frees && self.give_reserve() => {
                self.append_now(records)
            }
            Err(error) => {
                self.full |= is_full(&error);
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Takes the reserve from the disk; whether it is there.
    fn keep_reserve(&self) -> bool {
        let path = self.dir.join(RESERVE);
        if std::fs::metadata(&path).is_ok_and(|meta| meta.len() == RESERVE_BYTES) {
            return true;
        }
        let made = std::fs::File::create(&path).and_then(|file| {
            let none = rustix::fs::FallocateFlags::empty();
            rustix::fs::fallocate(&file, none, 0, RESERVE_BYTES)?;
            Ok(())
        });
        match made {
            Err(error) if is_full(&error) => {
                let _ = std::fs::remove_file(path);
                false
            }
            // Where space cannot be kept back there is no reserve.
            _ => true,
        }
    }

    fn give_reserve(&mut self) -> bool {
        self.full = true;
        std::fs::remove_file(self.dir.join(RESERVE)).is_ok()
    }

    fn append_now(&mut self, records: &[&Record]) -> io::Result<()> {
        // Marks are repeated in each segment: they must stay the smaller part.
        if self.active.len() >= self.marks + SEGMENT_BYTES.max(self.marks) {
            self.rotate()?;
        }
        self.buffer.clear();
        if self.acked.0 > self.acked.1 {
            Record::Acked(self.acked.0).encode(&mut self.buffer);
        }
        for record in records {
            record.encode(&mut self.buffer);
        }
        self.write_buffer()?;
        self.acked.1 = self.acked.0;
        for record in records {
            match record {
                Record::Work { file, mark } => {
                    self.works.insert(*file, *mark);
                }
                Record::Unwork { file, work } => {
                    if self.works.get(file).is_some_and(|mark| mark.work == *work) {
                        self.works.remove(file);
                    }
                }
                Record::Op(op) | Record::Content { op, .. } => self.last = Some(op.seq),
                // Of use only as long as the place it is for; that came before.
                Record::Acked(_) | Record::Instead(_) => {}
            }
        }
        Ok(())
    }

    /// Everything up to `seq` is acknowledged. Returns the files that are of no use any more, to
    /// be deleted without holding a lock.
    pub fn acked(&mut self, seq: ClientSeq) -> Vec<PathBuf> {
        self.acked.0 = self.acked.0.max(seq);
        let goes = |closed: &Closed| closed.last.is_none_or(|last| last <= seq);
        if self.closed.front().is_some_and(goes) && !self.note_acked() {
            return Vec::new();
        }
        let mut done = Vec::new();
        while let Some(first) = self.closed.front() {
            if first.last.is_some_and(|last| last > seq) {
                break;
            }
            if let Some(closed) = self.closed.pop_front() {
                done.push(closed.path);
            }
        }
        done
    }

    /// A descriptor of the active segment to fsync without holding a lock; closed segments are
    /// on stable storage already.
    pub fn sync_handle(&self) -> io::Result<std::fs::File> {
        self.active.duplicate()
    }

    /// Writes down what is acknowledged: with the operations gone, nothing else would tell how far
    /// this session came.
    fn note_acked(&mut self) -> bool {
        if self.acked.0 > self.acked.1 {
            self.buffer.clear();
            Record::Acked(self.acked.0).encode(&mut self.buffer);
            if let Err(error) = self.write_buffer() {
                tracing::warn!(%error, "cannot write the journal");
                return false;
            }
            self.acked.1 = self.acked.0;
        }
        true
    }

    fn rotate(&mut self) -> io::Result<()> {
        let next = Segment::create(&self.dir, self.number + 1)?;
        self.active.sync()?;
        self.closed.push_back(Closed {
            path: segment::path(&self.dir, self.number),
            last: self.last.take(),
        });
        self.active = next;
        self.number += 1;
        self.write_marks()
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.active.append(&self.buffer)?;
        self.length.note(self.number, self.active.len());
        Ok(())
    }

    fn write_marks(&mut self) -> io::Result<()> {
        self.buffer.clear();
        Record::Acked(self.acked.0).encode(&mut self.buffer);
        for (&file, &mark) in &self.works {
            Record::Work { file, mark }.encode(&mut self.buffer);
        }
        self.write_buffer()?;
        self.marks = self.buffer.len() as u64;
        // Not kept for the small writes that follow.
        self.buffer = Vec::new();
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl Found {
    /// Place of the last operation known here.
    pub fn last(&self) -> ClientSeq {
        let last = self.ops.iter().rev().find_map(|record| match record {
            Record::Op(op) | Record::Content { op, .. } => Some(op.seq),
            _ => None,
        });
        last.map_or(self.acked, |last| last.max(self.acked))
    }

    /// Another operation in a place that is known; nothing if it was acknowledged and deleted.
    fn replace(&mut self, with: &OpRecord) {
        let same = |record: &&mut Record| match record {
            Record::Op(op) | Record::Content { op, .. } => op.seq == with.seq,
            _ => false,
        };
        if let Some(record) = self.ops.iter_mut().rev().find(same) {
            *record = Record::Op(with.clone());
        }
    }

    /// Adds a segment's records; says which operation was its last.
    fn take_in(&mut self, records: Vec<Record>) -> Option<ClientSeq> {
        let mut last = None;
        for record in records {
            match &record {
                Record::Work { file, mark } => {
                    self.works.insert(*file, *mark);
                }
                Record::Unwork { file, work } => {
                    if self.works.get(file).is_some_and(|mark| mark.work == *work) {
                        self.works.remove(file);
                    }
                    self.unmarked.insert(*file);
                }
                Record::Acked(seq) => self.acked = self.acked.max(*seq),
                Record::Instead(op) => self.replace(op),
                Record::Op(op) | Record::Content { op, .. } => {
                    last = Some(op.seq);
                    self.ops.push(record);
                }
            }
        }
        last
    }
}

#[cfg(test)]
mod tests;
