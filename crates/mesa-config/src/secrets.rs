//! The secret store: tokens by org and repo, in one file.

mod plaintext;
mod vault;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use mesa_types::{OrgSlug, RepoName, Secret};

use crate::{paths::Paths, write::write_private};

/// Which kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// age with a passphrase (scrypt): `secrets.vault.age`.
    EncryptedFile,
    /// TOML, 0600: `secrets.plaintext.toml`.
    PlaintextFile,
}

impl Backend {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EncryptedFile => "encrypted-file",
            Self::PlaintextFile => "plaintext-file",
        }
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "encrypted-file" => Ok(Self::EncryptedFile),
            "plaintext-file" => Ok(Self::PlaintextFile),
            _ => Err("must be \"encrypted-file\" or \"plaintext-file\"".to_owned()),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a token applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretName {
    /// Everywhere nothing else applies.
    Global,
    /// One org.
    Org(OrgSlug),
    /// One repo.
    Repo(OrgSlug, RepoName),
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Org(org) => write!(f, "orgs/{org}"),
            Self::Repo(org, repo) => write!(f, "orgs/{org}/repos/{repo}"),
        }
    }
}

impl FromStr for SecretName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["global"] => Ok(Self::Global),
            ["orgs", org] => Ok(Self::Org(org.parse().map_err(drop)?)),
            ["orgs", org, "repos", repo] => Ok(Self::Repo(
                org.parse().map_err(drop)?,
                repo.parse().map_err(drop)?,
            )),
            _ => Err(()),
        }
    }
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The vault needs a passphrase and none was given.
    #[error("the secret vault {0} needs a passphrase")]
    PassphraseMissing(PathBuf),
    /// It does not open the vault.
    #[error("the passphrase does not open the secret vault {0}")]
    PassphraseWrong(PathBuf),
    /// Not a store.
    #[error("the secret store {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Without any of its content.
        reason: &'static str,
    },
    /// The file cannot be read or written.
    #[error("cannot {action} the secret store {path}")]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The tokens of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<SecretName, Secret>);

impl Secrets {
    /// The token for a repo, else its org's, else the global one.
    pub fn lookup(&self, org: &OrgSlug, repo: Option<&RepoName>) -> Option<&Secret> {
        repo.and_then(|repo| self.0.get(&SecretName::Repo(org.clone(), repo.clone())))
            .or_else(|| self.0.get(&SecretName::Org(org.clone())))
            .or_else(|| self.0.get(&SecretName::Global))
    }

    /// Sets or replaces one.
    pub fn set(&mut self, name: SecretName, secret: Secret) {
        self.0.insert(name, secret);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&SecretName, &Secret)> {
        self.0.iter()
    }

    fn encode(&self) -> String {
        let mut tokens = toml::Table::new();
        for (name, secret) in &self.0 {
            tokens.insert(name.to_string(), toml::Value::from(secret.expose()));
        }
        let mut document = toml::Table::new();
        document.insert("version".to_owned(), toml::Value::from(1));
        document.insert("tokens".to_owned(), toml::Value::from(tokens));
        document.to_string()
    }

    fn decode(text: &str) -> Result<Self, &'static str> {
        let document: toml::Table = text.parse().map_err(|_| "it is not TOML")?;
        if document.get("version").and_then(toml::Value::as_integer) != Some(1) {
            return Err("it was written by another version");
        }
        let mut secrets = Self::default();
        let tokens = document.get("tokens").and_then(toml::Value::as_table);
        for (name, token) in tokens.into_iter().flatten() {
            let name = name.parse().map_err(|()| "it names something unknown")?;
            let token = token.as_str().ok_or("a token is not a string")?;
            secrets.set(name, Secret::new(token));
        }
        Ok(secrets)
    }
}

/// One store, not yet opened.
#[derive(Debug, Clone)]
pub struct SecretStore {
    backend: Backend,
    path: PathBuf,
    passphrase: Option<Secret>,
}

impl SecretStore {
    /// The user's store of this kind.
    pub fn new(backend: Backend, paths: &Paths, passphrase: Option<Secret>) -> Self {
        let name = match backend {
            Backend::EncryptedFile => "secrets.vault.age",
            Backend::PlaintextFile => "secrets.plaintext.toml",
        };
        Self {
            backend,
            path: paths.data.join(name),
            passphrase,
        }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its kind.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether it exists already.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Gives the passphrase later, after asking for it.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: Secret) -> Self {
        self.passphrase = Some(passphrase);
        self
    }

    /// Reads everything; a missing file is an empty store.
    pub fn load(&self) -> Result<Secrets, SecretError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Secrets::default());
            }
            Err(source) => return Err(self.io("read", source)),
        };
        let text = match self.backend {
            Backend::PlaintextFile => {
                plaintext::tighten(&self.path);
                zeroize::Zeroizing::new(
                    String::from_utf8(bytes).map_err(|_| self.damaged("it is not text"))?,
                )
            }
            Backend::EncryptedFile => vault::open(&self.path, &bytes, self.needed()?)?,
        };
        Secrets::decode(&text).map_err(|reason| self.damaged(reason))
    }

    /// Reads, changes and writes under a lock, so that two commands do not lose each other's
    /// tokens.
    pub fn update(&self, change: impl FnOnce(&mut Secrets)) -> Result<Secrets, SecretError> {
        let _lock = self.lock()?;
        let mut secrets = self.load()?;
        let before = secrets.clone();
        change(&mut secrets);
        if secrets == before && self.exists() {
            return Ok(secrets);
        }
        let text = zeroize::Zeroizing::new(secrets.encode());
        let bytes = match self.backend {
            Backend::PlaintextFile => text.as_bytes().to_vec(),
            Backend::EncryptedFile => vault::seal(&self.path, text.as_bytes(), self.needed()?)?,
        };
        write_private(&self.path, &bytes, 0o600).map_err(|source| self.io("write", source))?;
        Ok(secrets)
    }

    fn needed(&self) -> Result<&Secret, SecretError> {
        self.passphrase
            .as_ref()
            .ok_or_else(|| SecretError::PassphraseMissing(self.path.clone()))
    }

    fn lock(&self) -> Result<std::fs::File, SecretError> {
        use std::os::unix::fs::OpenOptionsExt;
        let locked = || -> io::Result<std::fs::File> {
            if let Some(dir) = self.path.parent() {
                std::fs::DirBuilder::new().recursive(true).create(dir)?;
            }
            let file = std::fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(self.path.with_extension("lock"))?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
            Ok(file)
        };
        locked().map_err(|source| self.io("write", source))
    }

    fn io(&self, action: &'static str, source: io::Error) -> SecretError {
        SecretError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }

    fn damaged(&self, reason: &'static str) -> SecretError {
        SecretError::Damaged {
            path: self.path.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::environment::Environment;

    fn store(root: &Path, backend: Backend, passphrase: Option<&str>) -> SecretStore {
        let home = root.join("home");
        let environment = Environment::with(root, &[("HOME", home.to_str().unwrap())]);
        SecretStore::new(
            backend,
            &Paths::of(&environment),
            passphrase.map(Secret::new),
        )
    }

    fn org(text: &str) -> OrgSlug {
        text.parse().unwrap()
    }

    #[test]
    fn lookup_order() {
        let mut secrets = Secrets::default();
        let repo: RepoName = "r".parse().unwrap();
        assert!(secrets.lookup(&org("o"), Some(&repo)).is_none());
        secrets.set(SecretName::Global, Secret::new("g"));
        secrets.set(SecretName::Org(org("o")), Secret::new("o"));
        secrets.set(SecretName::Repo(org("o"), repo.clone()), Secret::new("r"));
        assert_eq!(
            secrets.lookup(&org("o"), Some(&repo)).unwrap().expose(),
            "r"
        );
        assert_eq!(secrets.lookup(&org("o"), None).unwrap().expose(), "o");
        assert_eq!(
            secrets.lookup(&org("p"), Some(&repo)).unwrap().expose(),
            "g"
        );
    }

    #[test]
    fn plaintext_is_private_and_survives() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path(), Backend::PlaintextFile, None);
        assert_eq!(store.load().unwrap(), Secrets::default());
        store
            .update(|s| s.set(SecretName::Org(org("o")), Secret::new("mesa_1")))
            .unwrap();
        store
            .update(|s| s.set(SecretName::Org(org("p")), Secret::new("mesa_2")))
            .unwrap();
        let mode = std::fs::metadata(store.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(store.load().unwrap().iter().count(), 2);
        // A copied file with wide permissions is narrowed when it is used.
        std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        store.load().unwrap();
        let mode = std::fs::metadata(store.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_vault_needs_its_passphrase() {
        let root = tempfile::tempdir().unwrap();
        let good = store(root.path(), Backend::EncryptedFile, Some("correct horse"));
        good.update(|s| s.set(SecretName::Global, Secret::new("mesa_1")))
            .unwrap();
        let bytes = std::fs::read(good.path()).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
        assert!(!bytes.windows(6).any(|w| w == b"mesa_1"));
        assert_eq!(good.load().unwrap().iter().count(), 1);
        let wrong = store(root.path(), Backend::EncryptedFile, Some("x"));
        assert!(matches!(wrong.load(), Err(SecretError::PassphraseWrong(_))));
        let none = store(root.path(), Backend::EncryptedFile, None);
        assert!(matches!(
            none.load(),
            Err(SecretError::PassphraseMissing(_))
        ));
        std::fs::write(good.path(), b"junk").unwrap();
        assert!(matches!(good.load(), Err(SecretError::Damaged { .. })));
    }

    #[test]
    fn damage_is_reported_without_content() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path(), Backend::PlaintextFile, None);
        std::fs::create_dir_all(store.path().parent().unwrap()).unwrap();
        for text in [
            "tokens = \"mesa_x",
            "version = 2",
            "version = 1\n[tokens]\nmesa_x = \"y\"\n",
        ] {
            std::fs::write(store.path(), text).unwrap();
            let error = store.load().unwrap_err().to_string();
            assert!(
                error.contains("damaged") && !error.contains("mesa_x"),
                "{error}"
            );
        }
    }

    #[test]
    fn concurrent_updates_lose_nothing() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for i in 0..8 {
                let store = store(root.path(), Backend::PlaintextFile, None);
                scope.spawn(move || {
                    let name = SecretName::Org(org(&format!("o{i}")));
                    store.update(|s| s.set(name, Secret::new("t"))).unwrap();
                });
            }
        });
        let store = store(root.path(), Backend::PlaintextFile, None);
        assert_eq!(store.load().unwrap().iter().count(), 8);
    }
}
