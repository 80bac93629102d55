//! Where things are kept.

use std::{
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::environment::Environment;

/// The user's directories. Nothing is made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The home directory, or the private directory standing in for one.
    pub home: PathBuf,
    /// Set when there is no home: everything goes below a private temporary directory.
    pub homeless: bool,
    /// `config.toml` that is written to.
    pub user_config: PathBuf,
    /// Configuration files after each other, first wins (without `--config-path`).
    pub config_files: Vec<PathBuf>,
    /// Written by installer and packages only.
    pub install_files: Vec<PathBuf>,
    /// `~/.local/share/mesa`.
    pub data: PathBuf,
    /// `~/.cache/mesa`.
    pub cache: PathBuf,
}

impl Paths {
    /// Works out the directories; makes only the private stand-in for a missing home.
    pub fn of(environment: &Environment) -> Self {
        let (home, homeless) = match environment.home() {
            Some(home) => (home, false),
            None => (private_temp(environment), true),
        };
        let home_config = home.join(".config/mesa/config.toml");
        let xdg = environment
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
            .map(|p| p.join("mesa/config.toml"));
        let mut config_files = Vec::new();
        config_files.extend(xdg.clone());
        if xdg.as_ref() != Some(&home_config) {
            config_files.push(home_config.clone());
        }
        config_files.push(environment.etc.join("mesa/config.toml"));
        let data = home.join(".local/share/mesa");
        Self {
            user_config: xdg.unwrap_or(home_config),
            config_files,
            install_files: vec![
                data.join("install.toml"),
                environment.etc.join("mesa/install.toml"),
            ],
            cache: home.join(".cache/mesa"),
            data,
            home,
            homeless,
        }
    }

    /// Replaces a leading `~`.
    pub fn expand(&self, path: &str) -> PathBuf {
        match path.strip_prefix('~') {
            Some("") => self.home.clone(),
            Some(rest) if rest.starts_with('/') => self.home.join(&rest[1..]),
            _ => PathBuf::from(path),
        }
    }
}

/// `<temp>/mesa-<uid>`, 0700 and ours; another name when somebody else has that one. When others
/// have all of them it is a directory that cannot be made.
pub fn private_temp(environment: &Environment) -> PathBuf {
    let preferred = environment.temp.join(format!("mesa-{}", environment.uid));
    for attempt in 0..8 {
        let path = match attempt {
            0 => preferred.clone(),
            n => environment
                .temp
                .join(format!("mesa-{}-{n}", environment.uid)),
        };
        let made = std::fs::DirBuilder::new()
            .recursive(false)
            .mode(0o700)
            .create(&path);
        match made {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                if is_private(&path, environment.uid) {
                    return path;
                }
            }
            Ok(()) | Err(_) => return path,
        }
    }
    // All taken: a name nobody can have, which fails where it is used. Never somebody else's.
    Path::new("/dev/null").join(format!("mesa-{}", environment.uid))
}

/// Ours, and nothing for group and others (the six lowest mode bits).
fn is_private(path: &Path, uid: u32) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|m| m.is_dir() && m.uid() == uid && m.mode().trailing_zeros() >= 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_expansion() {
        let root = tempfile::tempdir().unwrap();
        let environment =
            Environment::with(root.path(), &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]);
        let paths = Paths::of(&environment);
        assert_eq!(paths.user_config, PathBuf::from("/x/mesa/config.toml"));
        assert_eq!(
            paths.config_files,
            [
                PathBuf::from("/x/mesa/config.toml"),
                PathBuf::from("/h/.config/mesa/config.toml"),
                root.path().join("etc/mesa/config.toml"),
            ]
        );
        assert_eq!(paths.expand("~/a"), PathBuf::from("/h/a"));
        assert_eq!(paths.expand("~"), PathBuf::from("/h"));
        assert_eq!(paths.expand("~user/a"), PathBuf::from("~user/a"));
    }

    #[test]
    fn without_a_home_there_is_a_private_directory() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("tmp")).unwrap();
        let environment = Environment::with(root.path(), &[]);
        let paths = Paths::of(&environment);
        assert!(paths.homeless);
        let mode = std::fs::metadata(&paths.home).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(Paths::of(&environment).home, paths.home);
    }

    #[test]
    fn a_foreign_directory_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let temp = root.path().join("tmp");
        std::fs::create_dir(&temp).unwrap();
        let environment = Environment::with(root.path(), &[]);
        let taken = temp.join(format!("mesa-{}", environment.uid));
        std::os::unix::fs::symlink("/etc", &taken).unwrap();
        assert_ne!(private_temp(&environment), taken);
    }

    #[test]
    fn when_all_names_are_taken_nothing_foreign_is_used() {
        let root = tempfile::tempdir().unwrap();
        let temp = root.path().join("tmp");
        std::fs::create_dir(&temp).unwrap();
        let environment = Environment::with(root.path(), &[]);
        for n in 0..8 {
            let name = match n {
                0 => format!("mesa-{}", environment.uid),
                n => format!("mesa-{}-{n}", environment.uid),
            };
            std::os::unix::fs::symlink("/etc", temp.join(name)).unwrap();
        }
        let path = private_temp(&environment);
        assert!(!path.starts_with(root.path()));
        assert!(std::fs::create_dir_all(&path).is_err());
    }
}
