//! The workload: a process of its own (it may hang on a dead mount and is then killed) that works
//! in the mount and writes one line to its log before and after each step.
//!
//! Log lines: `begin KIND NAME VERSION SIZE`, `done KIND NAME VERSION SIZE MILLIS LEVEL` where LEVEL is `synced` or
//! `closed` and MILLIS the time of completion since the epoch; `move FROM TO` pairs likewise.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{model::content, random::Random};

struct Worker {
    repo: PathBuf,
    log: File,
    /// Where mapped bytes are handed to the other process; outside the mount.
    staging: PathBuf,
    random: Random,
    version: u64,
    mapper: Option<(
        Child,
        ChildStdin,
        std::io::BufReader<std::process::ChildStdout>,
    )>,
}

/// `mesa-torture worker REPO LOG SEED FIRST_VERSION`; runs until an operation fails.
#[allow(clippy::print_stderr)] // a command-line tool's output
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(2).collect();
    let [repo, log, seed, first] = args.as_slice() else {
        return ExitCode::from(2);
    };
    let (Ok(seed), Ok(first)) = (seed.parse(), first.parse()) else {
        return ExitCode::from(2);
    };
    let staging = PathBuf::from(format!("{log}.bytes"));
    let log = match OpenOptions::new().create(true).append(true).open(log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{log}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut worker = Worker {
        repo: repo.into(),
        log,
        staging,
        random: Random::new(seed),
        version: first,
        mapper: None,
    };
    // The first failure is the kill itself; the harness decides what must hold.
    while let Ok(()) = worker.step() {}
    ExitCode::SUCCESS
}

pub fn now_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Worker {
    fn step(&mut self) -> std::io::Result<()> {
        self.version += 1;
        let size = match self.random.below(20) {
            0 => 200_000 + self.random.below(2_000_000),
            1..=4 => 20_000 + self.random.below(80_000),
            _ => self.random.below(6_000),
        };
        let sync = self.random.below(4) == 0;
        match self.random.below(12) {
            0..=3 => self.save(size, sync),
            4..=6 => self.overwrite(size, sync),
            7..=8 => self.append(sync),
            9 => self.mapped(sync),
            10 => self.move_directory(),
            _ => self.remove(),
        }
    }

    fn say(&mut self, line: &str) -> std::io::Result<()> {
        writeln!(self.log, "{line}")
    }

    fn done(&mut self, kind: &str, name: &str, size: u64, sync: bool) -> std::io::Result<()> {
        let level = if sync { "synced" } else { "closed" };
        let line = format!(
            "done {kind} {name} {} {size} {} {level}",
            self.version,
            now_millis()
        );
        self.say(&line)
    }

    fn begin(&mut self, kind: &str, name: &str, size: u64) -> std::io::Result<()> {
        let line = format!("begin {kind} {name} {} {size}", self.version);
        self.say(&line)
    }

    /// An editor's save: temporary file, write, maybe fsync, rename over.
    fn save(&mut self, size: u64, sync: bool) -> std::io::Result<()> {
        let name = format!("save-{}", self.random.below(12));
        self.begin("save", &name, size)?;
        let temporary = self.repo.join(format!(".{name}.swp"));
        let mut file = File::create(&temporary)?;
        file.write_all(&content(&name, self.version, size))?;
        if sync {
            file.sync_all()?;
        }
        drop(file);
        std::fs::rename(&temporary, self.repo.join(&name))?;
        if sync {
            File::open(&self.repo)?.sync_all()?;
        }
        self.done("save", &name, size, sync)
    }

    /// Truncate and write in place.
    fn overwrite(&mut self, size: u64, sync: bool) -> std::io::Result<()> {
        let name = format!("over-{}", self.random.below(12));
        self.begin("over", &name, size)?;
        let mut file = File::create(self.repo.join(&name))?;
        for part in content(&name, self.version, size).chunks(60_000) {
            file.write_all(part)?;
        }
        if sync {
            file.sync_all()?;
        }
        drop(file);
        self.done("over", &name, size, sync)
    }

    /// Numbered lines at the end of a log.
    fn append(&mut self, sync: bool) -> std::io::Result<()> {
        let name = format!("log-{}", self.random.below(3));
        self.begin("log", &name, 0)?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.repo.join(&name))?;
        writeln!(file, "line {}", self.version)?;
        if sync {
            file.sync_data()?;
        }
        drop(file);
        self.done("log", &name, 0, sync)
    }

    /// Through a shared mapping held by another process, then fsynced or not by this one.
    fn mapped(&mut self, sync: bool) -> std::io::Result<()> {
        let name = format!("map-{}", self.random.below(3));
        let size = 16_384;
        self.begin("map", &name, size)?;
        let path = self.repo.join(&name);
        let bytes = content(&name, self.version, size);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)?;
        if file.metadata()?.len() != size {
            file.write_all_at(&vec![0; size as usize], 0)?;
        }
        let staging = self.staging.clone();
        std::fs::write(&staging, &bytes)?;
        self.tell_mapper(&path, &staging)?;
        if sync {
            file.sync_all()?;
        }
        drop(file);
        self.done("map", &name, size, sync)
    }

    /// A directory of files moves; all of them or none.
    fn move_directory(&mut self) -> std::io::Result<()> {
        let name = format!("dir-{}", self.version);
        self.begin("dir", &name, 5)?;
        let temporary = self.repo.join(format!("tmp-{name}"));
        std::fs::create_dir(&temporary)?;
        for i in 0..5 {
            std::fs::write(temporary.join(format!("f{i}")), content(&name, i, 700))?;
        }
        std::fs::rename(&temporary, self.repo.join(&name))?;
        self.done("dir", &name, 5, false)
    }

    fn remove(&mut self) -> std::io::Result<()> {
        let name = format!("save-{}", self.random.below(12));
        let path = self.repo.join(&name);
        if !path.exists() {
            return Ok(());
        }
        self.begin("gone", &name, 0)?;
        std::fs::remove_file(&path)?;
        self.done("gone", &name, 0, false)
    }

    fn tell_mapper(&mut self, path: &Path, staging: &Path) -> std::io::Result<()> {
        use std::io::BufRead;
        const SCRIPT: &str = "import mmap,sys\nfor line in sys.stdin:\n p,s=line.rstrip('\\n').split('\\t')\n \
            f=open(p,'r+b')\n m=mmap.mmap(f.fileno(),0)\n f.close()\n m[:]=open(s,'rb').read()\n m.close()\n \
            print('ok',flush=True)\n";
        if self.mapper.is_none() {
            let mut child = Command::new("python3")
                .args(["-c", SCRIPT])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // What tells the rig that nobody writes any more.
                .stderr(Stdio::inherit())
                .spawn()?;
            let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
                return Err(std::io::Error::other("the mapper has no pipes"));
            };
            self.mapper = Some((child, input, std::io::BufReader::new(output)));
        }
        let Some((_, input, output)) = &mut self.mapper else {
            return Err(std::io::Error::other("no mapper"));
        };
        writeln!(input, "{}\t{}", path.display(), staging.display())?;
        let mut answer = String::new();
        output.read_line(&mut answer)?;
        if answer == "ok\n" {
            Ok(())
        } else {
            Err(std::io::Error::other("the mapper failed"))
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((mut child, ..)) = self.mapper.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
