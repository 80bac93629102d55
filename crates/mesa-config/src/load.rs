//! Files, environment and flags put together.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use mesa_types::{OrgSlug, Secret};

use crate::{
    environment::Environment,
    file,
    layer::Layer,
    paths::Paths,
    problem::{Place, Problem},
    settings::Settings,
    variables,
};

/// Largest configuration file in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How to load.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `--config-path`: the only file read besides `install.toml`.
    pub config_path: Option<PathBuf>,
    /// The file of `config_path` may be missing (it is about to be written).
    pub may_be_missing: bool,
    /// From the command line; wins over everything.
    pub flags: Layer,
}

/// The outcome.
#[derive(Debug)]
pub struct Loaded {
    /// What to do.
    pub settings: Settings,
    /// Worth telling, nothing to stop for.
    pub warnings: Vec<Problem>,
    /// The file that edits go to.
    pub config_file: PathBuf,
    /// Keys found in files of old form: to be moved to the secret store.
    pub old_keys: Vec<(PathBuf, OrgSlug, Secret)>,
    /// Files that were read.
    pub files: Vec<PathBuf>,
}

/// Why no settings came out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file named by `--config-path` does not exist.
    #[error("the configuration file {0} does not exist")]
    Missing(PathBuf),
    /// Everything that is wrong, in order of files and lines.
    #[error("the configuration is invalid")]
    Invalid(Vec<Problem>),
}

/// What a configuration file with this text would be told: problems, then warnings.
pub fn check(text: &str) -> Vec<Problem> {
    let root = Path::new("/");
    let paths = Paths::of(&Environment::with(root, &[]));
    let mut parsed = file::parse(&root.join("config.toml"), text, &paths);
    parsed.problems.append(&mut parsed.warnings);
    parsed.problems
}

/// Loads and merges everything.
pub fn load(environment: &Environment, request: Request) -> Result<Loaded, LoadError> {
    let paths = Paths::of(environment);
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let from_environment = variables::read(environment, &paths);
    problems.extend(from_environment.problems);
    let mut merged = request.flags.or(from_environment.layer);
    let mut old_keys = Vec::new();
    let mut read_files = Vec::new();

    let skip_files = environment.flag("MESA_NO_CONFIG_FILE");
    let files = match &request.config_path {
        Some(path) => vec![path.clone()],
        None if skip_files => Vec::new(),
        None => paths.config_files.clone(),
    };
    let install = if skip_files {
        &[][..]
    } else {
        &paths.install_files[..]
    };
    for path in files.iter().chain(install) {
        let named = request.config_path.as_ref() == Some(path);
        let text = match read(path) {
            Ok(Some(text)) => text,
            Ok(None) if named && !request.may_be_missing => {
                return Err(LoadError::Missing(path.clone()));
            }
            Ok(None) => continue,
            Err(message) => {
                let problem = Problem {
                    place: Place::File(path.clone(), None),
                    message,
                };
                if named {
                    problems.push(problem);
                } else {
                    warnings.push(problem);
                }
                continue;
            }
        };
        let parsed = file::parse(path, &text, &paths);
        problems.extend(parsed.problems);
        warnings.extend(parsed.warnings);
        read_files.push(path.clone());
        for (slug, org) in &parsed.layer.orgs {
            if let Some(key) = &org.api_key {
                old_keys.push((path.clone(), slug.clone(), key.clone()));
            }
        }
        merged = merged.or(parsed.layer);
    }
    for name in environment.names("MESA_") {
        if !variables::NAMES.contains(&name.as_str()) {
            let place = Place::Variable(name);
            warnings.push(Problem {
                place,
                message: "is not a setting of mesa".to_owned(),
            });
        }
    }
    if !problems.is_empty() {
        return Err(LoadError::Invalid(problems));
    }
    let config_file = request
        .config_path
        .unwrap_or_else(|| paths.user_config.clone());
    let mut settings = Settings::decide(merged, environment, paths);
    settings.credential = from_environment.credential;
    settings.org = from_environment.org;
    settings.new_orgs = from_environment.new_orgs;
    settings.vault_passphrase = from_environment.vault_passphrase;
    Ok(Loaded {
        settings,
        warnings,
        config_file,
        old_keys,
        files: read_files,
    })
}

/// The file's text; `None` if it does not exist.
fn read(path: &Path) -> Result<Option<String>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(format!("cannot be read: {e}")),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| "is not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::MountMode;

    struct Case(tempfile::TempDir);

    impl Case {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, path: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }

        fn load(&self, variables: &[(&str, &str)], request: Request) -> Result<Loaded, LoadError> {
            let home = self.0.path().join("home");
            let mut all = vec![("HOME", home.to_str().unwrap())];
            all.extend(variables);
            load(&Environment::with(self.0.path(), &all), request)
        }
    }

    #[test]
    fn defaults_follow_home() {
        let case = Case::new();
        let loaded = case.load(&[], Request::default()).unwrap();
        let s = loaded.settings;
        let home = case.0.path().join("home");
        assert_eq!(s.server, "http://127.0.0.1:7117");
        assert_eq!(s.mount_point, home.join(".local/share/mesa/mnt"));
        assert_eq!(s.cache.path, home.join(".cache/mesa"));
        assert_eq!(s.cache.memory_bytes_max, 320 << 20);
        assert_eq!(loaded.config_file, home.join(".config/mesa/config.toml"));
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn earlier_files_win_key_by_key() {
        let case = Case::new();
        case.file(
            "home/.config/mesa/config.toml",
            "uid = 1\n[organizations.a]\n",
        );
        case.file(
            "etc/mesa/config.toml",
            "uid = 2\ngid = 2\n[organizations.b]\n",
        );
        case.file(
            "etc/mesa/install.toml",
            "gid = 3\napi-url = \"http://inst:1\"\n",
        );
        let s = case
            .load(&[("MESA_GID", "9")], Request::default())
            .unwrap()
            .settings;
        assert_eq!((s.uid, s.gid), (Some(1), Some(9)));
        assert_eq!(s.server, "http://inst:1");
        assert_eq!(s.orgs.len(), 2);
        let flags = Layer {
            uid: Some(7),
            ..Layer::default()
        };
        let request = Request {
            flags,
            ..Request::default()
        };
        let s = case.load(&[("MESA_UID", "8")], request).unwrap().settings;
        assert_eq!((s.uid, s.gid), (Some(7), Some(2)));
    }

    #[test]
    fn config_path_leaves_only_the_install_file() {
        let case = Case::new();
        case.file("home/.config/mesa/config.toml", "uid = 1\n");
        case.file("etc/mesa/install.toml", "api-url = \"http://inst:1\"\n");
        let path = case.file("mine.toml", "gid = 4\n");
        let request = Request {
            config_path: Some(path),
            ..Request::default()
        };
        let s = case.load(&[], request).unwrap().settings;
        assert_eq!(
            (s.uid, s.gid, s.server.as_str()),
            (None, Some(4), "http://inst:1")
        );
        let request = Request {
            config_path: Some("/nonexistent/c".into()),
            ..Request::default()
        };
        assert_eq!(
            case.load(&[], request).unwrap_err(),
            LoadError::Missing("/nonexistent/c".into())
        );
    }

    #[test]
    fn files_can_be_skipped() {
        let case = Case::new();
        case.file("home/.config/mesa/config.toml", "uid = \"broken\"\n");
        case.file("etc/mesa/install.toml", "api-url = \"http://inst:1\"\n");
        let s = case
            .load(&[("MESA_NO_CONFIG_FILE", "1")], Request::default())
            .unwrap()
            .settings;
        assert_eq!(s.server, "http://127.0.0.1:7117");
    }

    #[test]
    fn problems_of_all_sources_come_together() {
        let case = Case::new();
        case.file("home/.config/mesa/config.toml", "uid = \"a\"\n");
        case.file("etc/mesa/config.toml", "gid = \"b\"\n");
        let error = case
            .load(&[("MESA_UID", "x")], Request::default())
            .unwrap_err();
        let LoadError::Invalid(problems) = error else {
            panic!("{error:?}")
        };
        assert_eq!(problems.len(), 3);
    }

    #[test]
    fn mode_is_inferred() {
        let case = Case::new();
        let text = "[organizations.a]\n[organizations.b.repos.r]\n[organizations.c]\nmount = \"all\"\n[organizations.c.repos.r]\n";
        case.file("home/.config/mesa/config.toml", text);
        let s = case.load(&[], Request::default()).unwrap().settings;
        let modes: Vec<_> = s.orgs.values().map(|o| o.mode).collect();
        assert_eq!(modes, [MountMode::All, MountMode::Explicit, MountMode::All]);
    }

    #[test]
    fn unknown_variables_warn() {
        let case = Case::new();
        let loaded = case
            .load(&[("MESA_MOUNTPOINT", "/x")], Request::default())
            .unwrap();
        assert_eq!(
            loaded.warnings[0].to_string(),
            "MESA_MOUNTPOINT: is not a setting of mesa"
        );
    }

    #[test]
    fn oversized_and_binary_files() {
        let case = Case::new();
        let path = case.file("mine.toml", &"#".repeat(2 << 20));
        let request = Request {
            config_path: Some(path.clone()),
            ..Request::default()
        };
        assert!(matches!(
            case.load(&[], request),
            Err(LoadError::Invalid(_))
        ));
        std::fs::write(&path, b"\xff\xfe").unwrap();
        let request = Request {
            config_path: Some(path),
            ..Request::default()
        };
        assert!(matches!(
            case.load(&[], request),
            Err(LoadError::Invalid(_))
        ));
    }
}
