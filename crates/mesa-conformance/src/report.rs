//! Runs the cases and says what came out.

use std::{fmt, os::unix::fs::PermissionsExt, path::Path};

use crate::{Case, Ctx, cases};

/// What one case came to.
#[derive(Debug)]
pub struct Outcome {
    /// The case's name.
    pub name: &'static str,
    /// The failure, if it failed.
    pub failure: Option<String>,
}

/// All outcomes of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of running.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// The failed ones.
    pub fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|o| o.failure.is_some())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in self.failed() {
            writeln!(
                f,
                "FAIL {}: {}",
                outcome.name,
                outcome.failure.as_deref().unwrap_or("")
            )?;
        }
        let failed = self.failed().count();
        write!(
            f,
            "conformance: {} passed, {failed} failed",
            self.outcomes.len() - failed
        )
    }
}

/// Runs every case whose name contains `filter`, each in a directory of its own below `base`.
pub fn run(base: &Path, filter: &str) -> std::io::Result<Report> {
    rustix::process::umask(rustix::fs::Mode::empty());
    let root = base.join(format!("conformance-{}", std::process::id()));
    std::fs::create_dir(&root)?;
    let mut report = Report::default();
    for case in cases::all().into_iter().filter(|c| c.name.contains(filter)) {
        let failure = run_one(&root, case).err().map(|f| f.0);
        report.outcomes.push(Outcome {
            name: case.name,
            failure,
        });
    }
    remove(&root)?;
    Ok(report)
}

/// Removes what the cases left; whoever is not root has to open closed directories first.
fn remove(dir: &Path) -> std::io::Result<()> {
    if std::fs::remove_dir_all(dir).is_ok() {
        return Ok(());
    }
    open_up(dir)?;
    std::fs::remove_dir_all(dir)
}

fn open_up(dir: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

fn run_one(root: &Path, case: Case) -> Result<(), crate::Failure> {
    let ctx = Ctx::new(root.join(case.name.replace('/', "-")))?;
    (case.run)(&ctx)
}
