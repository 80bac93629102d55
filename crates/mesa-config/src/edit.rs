//! Edits of the user's `config.toml` that keep comments and order.

use std::{
    io,
    path::{Path, PathBuf},
};

use mesa_types::{OrgSlug, RepoName};
use toml_edit::{DocumentMut, Item, Table, value};

use crate::{secrets::Backend, write::write_private};

/// First lines of a new file.
const HEADER: &str = "# Written by mesa. Flags and environment variables go before it.\n";

/// Why an edit failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file cannot be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not TOML, or has a value where a table is needed.
    #[error("{0} is not a valid configuration file")]
    Invalid(PathBuf),
}

/// A file being edited.
#[derive(Debug)]
pub struct ConfigEdit {
    path: PathBuf,
    document: DocumentMut,
    before: String,
}

impl ConfigEdit {
    /// Reads the file; a missing one is empty.
    pub fn open(path: &Path) -> Result<Self, EditError> {
        let before = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                String::new()
            }
            Err(source) => {
                return Err(EditError::Io {
                    action: "read",
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let document = before
            .parse()
            .map_err(|_| EditError::Invalid(path.to_owned()))?;
        Ok(Self {
            path: path.to_owned(),
            document,
            before,
        })
    }

    /// Sets `[secrets] backend`, unless it is set.
    pub fn choose_backend(&mut self, backend: Backend) -> Result<(), EditError> {
        let secrets = self.table(&["secrets"])?;
        if !secrets.contains_key("backend") {
            secrets.insert("backend", value(backend.as_str()));
        }
        Ok(())
    }

    /// Makes sure `[organizations.O]` exists.
    pub fn add_org(&mut self, org: &OrgSlug) -> Result<(), EditError> {
        self.table(&["organizations", org.as_str()]).map(drop)
    }

    /// Makes sure `[organizations.O.repos.R]` exists; whether it was new.
    pub fn add_repo(&mut self, org: &OrgSlug, repo: &RepoName) -> Result<bool, EditError> {
        let repos = self.table(&["organizations", org.as_str(), "repos"])?;
        let new = !repos.contains_key(repo.as_str());
        self.table(&["organizations", org.as_str(), "repos", repo.as_str()])?;
        Ok(new)
    }

    /// Removes `[organizations.O.repos.R]`; whether it was there. The org stays explicit even
    /// without repos.
    pub fn remove_repo(&mut self, org: &OrgSlug, repo: &RepoName) -> Result<bool, EditError> {
        let table = self.table(&["organizations", org.as_str()])?;
        let removed = table
            .get_mut("repos")
            .and_then(Item::as_table_like_mut)
            .and_then(|repos| repos.remove(repo.as_str()))
            .is_some();
        if removed && !table.contains_key("mount") {
            table.insert("mount", value("explicit"));
        }
        Ok(removed)
    }

    /// Removes an old `api-key`.
    pub fn remove_api_key(&mut self, org: &OrgSlug) -> Result<(), EditError> {
        self.table(&["organizations", org.as_str()])?
            .remove("api-key");
        Ok(())
    }

    /// Writes the file if anything changed; whether it did.
    pub fn save(self) -> Result<bool, EditError> {
        let mut text = self.document.to_string();
        if text == self.before {
            return Ok(false);
        }
        if self.before.is_empty() {
            text.insert_str(0, HEADER);
        }
        write_private(&self.path, text.as_bytes(), 0o600).map_err(|source| EditError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })?;
        Ok(true)
    }

    fn table(&mut self, path: &[&str]) -> Result<&mut dyn toml_edit::TableLike, EditError> {
        let invalid = EditError::Invalid(self.path.clone());
        let mut table: &mut dyn toml_edit::TableLike = self.document.as_table_mut();
        for (i, key) in path.iter().enumerate() {
            if !table.contains_key(key) {
                let mut new = Table::new();
                // Only the innermost table gets a header of its own.
                new.set_implicit(i + 1 < path.len());
                table.insert(key, Item::Table(new));
            }
            match table.get_mut(key).and_then(Item::as_table_like_mut) {
                Some(inner) => table = inner,
                None => return Err(invalid),
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stay_and_edits_are_idempotent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/config.toml");
        let mut edit = ConfigEdit::open(&path).unwrap();
        let org: OrgSlug = "my-org".parse().unwrap();
        edit.choose_backend(Backend::PlaintextFile).unwrap();
        edit.add_org(&org).unwrap();
        assert!(edit.save().unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# Written by mesa."), "{text}");
        assert!(text.contains("[organizations.my-org]"), "{text}");
        assert!(text.contains("backend = \"plaintext-file\""), "{text}");
        assert!(!text.contains("[organizations]\n"), "{text}");
        std::fs::write(&path, format!("# mine\n{text}")).unwrap();
        let mut edit = ConfigEdit::open(&path).unwrap();
        edit.choose_backend(Backend::EncryptedFile).unwrap();
        edit.add_org(&org).unwrap();
        assert!(!edit.save().unwrap());
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .starts_with("# mine\n")
        );
    }

    #[test]
    fn repos_open_and_close() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let org: OrgSlug = "o".parse().unwrap();
        let repo: RepoName = "a.b".parse().unwrap();
        let mut edit = ConfigEdit::open(&path).unwrap();
        assert!(edit.add_repo(&org, &repo).unwrap());
        assert!(!edit.add_repo(&org, &repo).unwrap());
        edit.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("[organizations.o.repos.\"a.b\"]"), "{text}");
        let mut edit = ConfigEdit::open(&path).unwrap();
        assert!(edit.remove_repo(&org, &repo).unwrap());
        assert!(!edit.remove_repo(&org, &repo).unwrap());
        edit.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("mount = \"explicit\""), "{text}");
    }

    #[test]
    fn a_value_in_the_way_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "organizations = 1\n").unwrap();
        let mut edit = ConfigEdit::open(&path).unwrap();
        assert!(matches!(
            edit.add_org(&"o".parse().unwrap()),
            Err(EditError::Invalid(_))
        ));
    }
}
