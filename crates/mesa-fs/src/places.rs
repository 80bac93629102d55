//! What the upper directories of a mount show: orgs, and repos in places of their own.

use std::{
    collections::BTreeMap,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Component, Path, PathBuf},
};

use mesa_types::{OrgSlug, RepoName};

/// A directory above the repos.
#[derive(Debug, Default)]
pub struct Place {
    pub children: BTreeMap<Vec<u8>, Child>,
}

/// What a name in such a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child {
    /// Another one.
    Place(usize),
    /// An org, with the repos the client core shows of it.
    Org(OrgSlug),
    /// A repo.
    Repo(OrgSlug, RepoName),
}

/// All upper directories; the first is the mount's root.
#[derive(Debug)]
pub struct Places {
    dirs: Vec<Place>,
    /// Repos that are not where their org is.
    elsewhere: Vec<(OrgSlug, RepoName, PathBuf)>,
    orgs: Vec<OrgSlug>,
}

impl Places {
    /// The root's number.
    pub const ROOT: usize = 0;

    pub fn new() -> Self {
        Self {
            dirs: vec![Place::default()],
            elsewhere: Vec::new(),
            orgs: Vec::new(),
        }
    }

    pub fn get(&self, index: usize) -> &Place {
        &self.dirs[index]
    }

    /// Shows an org in the root. An error says what is in the way.
    pub fn add_org(&mut self, org: &OrgSlug) -> Result<(), String> {
        if self.orgs.contains(org) {
            return Ok(());
        }
        self.put(Self::ROOT, org.as_str().as_bytes(), Child::Org(org.clone()))?;
        self.orgs.push(org.clone());
        Ok(())
    }

    /// Shows a repo at a path. An error says what is in the way.
    pub fn add_repo(&mut self, org: &OrgSlug, repo: &RepoName, at: &Path) -> Result<(), String> {
        let wrong = || format!("no repo can be shown at '{}'", at.display());
        let mut names = Vec::new();
        for part in at.components() {
            match part {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => names.push(name.as_bytes()),
                Component::ParentDir | Component::Prefix(_) => return Err(wrong()),
            }
        }
        let Some((last, above)) = names.split_last() else {
            return Err(wrong());
        };
        let mut dir = Self::ROOT;
        for name in above {
            dir = match self.dirs[dir].children.get(*name) {
                Some(Child::Place(next)) => *next,
                Some(_) => return Err(format!("{}: it is inside another", wrong())),
                None => {
                    let next = self.dirs.len();
                    self.dirs.push(Place::default());
                    self.put(dir, name, Child::Place(next))?;
                    next
                }
            };
        }
        self.put(dir, last, Child::Repo(org.clone(), repo.clone()))?;
        let shown = names.iter().fold(PathBuf::from("/"), |path, name| {
            path.join(std::ffi::OsStr::from_bytes(name))
        });
        self.elsewhere.push((org.clone(), repo.clone(), shown));
        Ok(())
    }

    fn put(&mut self, dir: usize, name: &[u8], child: Child) -> Result<(), String> {
        if self.dirs[dir].children.contains_key(name) {
            let name = String::from_utf8_lossy(name);
            return Err(format!("'{name}' would be shown twice"));
        }
        self.dirs[dir].children.insert(name.to_vec(), child);
        Ok(())
    }

    /// Where a path of a repo is shown.
    pub fn shown(&self, org: &OrgSlug, repo: &RepoName, path: &[u8]) -> PathBuf {
        let elsewhere = self
            .elsewhere
            .iter()
            .find(|(o, r, _)| o == org && r == repo);
        let mut shown = match elsewhere {
            Some((_, _, at)) => at.clone(),
            None => Path::new("/").join(org.as_str()).join(repo.as_str()),
        };
        if !path.is_empty() {
            shown.push(std::ffi::OsString::from_vec(path.to_vec()));
        }
        shown
    }

    /// The org and repo of a path without symlinks, if it is in one.
    pub fn owner(&self, path: &Path) -> Option<(String, String)> {
        let mut at = Self::ROOT;
        let mut names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        loop {
            let name = names.next()?;
            match self.dirs[at].children.get(name.as_bytes())? {
                Child::Place(next) => at = *next,
                Child::Repo(org, repo) => return Some((org.to_string(), repo.to_string())),
                Child::Org(org) => {
                    let repo = names.next()?.to_str()?.to_owned();
                    return Some((org.to_string(), repo));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(org: &str, repo: &str) -> (OrgSlug, RepoName) {
        (org.parse().unwrap(), repo.parse().unwrap())
    }

    #[test]
    fn repos_are_shown_where_they_are_put() {
        let mut places = Places::new();
        let (org, repo) = names("acme", "demo");
        places.add_org(&org).unwrap();
        places.add_org(&org).unwrap();
        places
            .add_repo(&org, &repo, Path::new("/work/here/"))
            .unwrap();
        let (_, other) = names("acme", "other");
        places
            .add_repo(&org, &other, Path::new("work/there"))
            .unwrap();
        let root: Vec<_> = places.get(Places::ROOT).children.keys().collect();
        assert_eq!(root, [&b"acme"[..], b"work"]);
        let Child::Place(work) = places.get(Places::ROOT).children[&b"work"[..]] else {
            panic!("no directory");
        };
        assert_eq!(places.get(work).children.len(), 2);
        assert_eq!(
            places.shown(&org, &repo, b"a/b"),
            Path::new("/work/here/a/b")
        );
        assert_eq!(places.shown(&org, &repo, b""), Path::new("/work/here"));
        let owner = |path: &str| places.owner(Path::new(path));
        let demo = Some(("acme".to_owned(), "demo".to_owned()));
        assert_eq!(owner("/work/here/a"), demo);
        assert_eq!(owner("/acme/demo"), demo);
        assert_eq!(
            (owner("/work"), owner("/acme"), owner("/")),
            (None, None, None)
        );
        let (_, third) = names("acme", "third");
        assert_eq!(places.shown(&org, &third, b"a"), Path::new("/acme/third/a"));
    }

    #[test]
    fn nothing_is_shown_inside_a_repo_or_twice() {
        let mut places = Places::new();
        let (org, repo) = names("acme", "demo");
        places.add_org(&org).unwrap();
        places.add_repo(&org, &repo, Path::new("/w")).unwrap();
        for path in ["/w", "/w/x", "/acme", "/acme/x", "/", "", "/a/../b"] {
            assert!(
                places.add_repo(&org, &repo, Path::new(path)).is_err(),
                "{path}"
            );
        }
    }
}
