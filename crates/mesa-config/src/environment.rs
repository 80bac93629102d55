//! The process environment as a value.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// Environment variables, user id and the system's directories.
#[derive(Debug, Clone)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// `/etc`, elsewhere in tests.
    pub etc: PathBuf,
    /// Where temporary files go.
    pub temp: PathBuf,
}

impl Environment {
    /// That of the running process.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            etc: PathBuf::from("/etc"),
            temp: std::env::temp_dir(),
        }
    }

    /// A made-up one.
    pub fn with(root: &Path, variables: &[(&str, &str)]) -> Self {
        Self {
            variables: variables
                .iter()
                .map(|(k, v)| (OsString::from(k), OsString::from(v)))
                .collect(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            etc: root.join("etc"),
            temp: root.join("tmp"),
        }
    }

    /// A variable; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|v| !v.is_empty())
    }

    /// A variable as text; not UTF-8 counts as `Err`.
    pub fn text(&self, name: &str) -> Option<Result<&str, ()>> {
        self.get(name).map(|v| v.to_str().ok_or(()))
    }

    /// Whether a variable is set to something that does not mean "no".
    pub fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|v| !matches!(v.to_str(), Some("0" | "false" | "no" | "off")))
    }

    /// The home directory: `HOME`, else the passwd entry of the user.
    pub fn home(&self) -> Option<PathBuf> {
        if let Some(home) = self.get("HOME") {
            let home = PathBuf::from(home);
            if home.is_absolute() {
                return Some(home);
            }
        }
        let passwd = std::fs::read_to_string(self.etc.join("passwd")).ok()?;
        let uid = self.uid.to_string();
        let home = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.len() >= 7 && fields[2] == uid).then(|| fields[5].to_owned())
        })?;
        (home.len() > 1 && home.starts_with('/')).then(|| PathBuf::from(home))
    }

    /// Names of variables that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.variables
            .keys()
            .filter_map(|k| k.to_str())
            .filter(|k| k.starts_with(prefix))
            .map(ToOwned::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_falls_back_to_passwd() {
        let root = tempfile::tempdir().unwrap();
        let environment = Environment::with(root.path(), &[("HOME", "/home/a")]);
        assert_eq!(environment.home(), Some(PathBuf::from("/home/a")));
        let environment = Environment::with(root.path(), &[("HOME", "")]);
        assert_eq!(environment.home(), None);
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        let uid = environment.uid;
        let line = format!("x:x:{uid}:0:X:/home/from-passwd:/bin/sh\n");
        std::fs::write(root.path().join("etc/passwd"), line).unwrap();
        assert_eq!(environment.home(), Some(PathBuf::from("/home/from-passwd")));
    }

    #[test]
    fn flags() {
        let root = Path::new("/nonexistent");
        let environment = Environment::with(root, &[("A", "1"), ("B", "false"), ("C", "")]);
        assert!(environment.flag("A"));
        assert!(!environment.flag("B"));
        assert!(!environment.flag("C"));
        assert!(!environment.flag("D"));
    }
}
