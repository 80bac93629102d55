//! Names.

use std::path::{Component, Path, PathBuf};

use mesa_fs::{Code, CopyOptions, RemoveOptions};
use napi::{Env, Result, bindgen_prelude::Object};
use napi_derive::napi;

use crate::{
    filesystem::MesaFileSystem,
    promise::{plain, promise},
    stat::{Dirent, FileStat},
};

/// Mode of directories before the umask.
const DIR_MODE: u32 = 0o777;

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

#[napi]
impl MesaFileSystem {
    /// Whether a path names something.
    #[napi(ts_return_type = "Promise<boolean>")]
    pub fn exists<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.exists(path).await })
    }

    /// Attributes, symlinks followed.
    #[napi(ts_return_type = "Promise<FileStat>")]
    pub fn stat<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let stat = async move { fs.stat(path).await };
        promise(env, &self.fs, stat, FileStat::from)
    }

    /// Attributes, of a symlink itself.
    #[napi(ts_return_type = "Promise<FileStat>")]
    pub fn lstat<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let stat = async move { fs.lstat(path).await };
        promise(env, &self.fs, stat, FileStat::from)
    }

    /// Whether this process may do what the mask says (4 read, 2 write, 1 run).
    #[napi(ts_return_type = "Promise<void>")]
    pub fn access<'env>(&self, env: &'env Env, path: String, mask: u32) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.access(path, mask).await })
    }

    /// Makes a directory. Resolves with the first one made, when recursive.
    #[napi(ts_return_type = "Promise<string | null>")]
    pub fn mkdir<'env>(
        &self,
        env: &'env Env,
        path: String,
        recursive: Option<bool>,
        mode: Option<u32>,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let mode = mode.unwrap_or(DIR_MODE);
        let make = async move {
            if recursive.unwrap_or(false) {
                return fs.mkdir_all(path, mode).await;
            }
            fs.mkdir(path, mode).await.map(|()| None)
        };
        promise(env, &self.fs, make, |first| first.map(text))
    }

    /// Names in a directory.
    #[napi(ts_return_type = "Promise<string[]>")]
    pub fn readdir<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let list = async move { fs.read_dir(path).await };
        promise(env, &self.fs, list, |entries| {
            let names = entries.into_iter().map(|entry| Dirent::from(entry).name);
            names.collect::<Vec<_>>()
        })
    }

    /// Entries of a directory.
    #[napi(ts_return_type = "Promise<Dirent[]>")]
    pub fn readdir_with_file_types<'env>(
        &self,
        env: &'env Env,
        path: String,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let list = async move { fs.read_dir(path).await };
        promise(env, &self.fs, list, |entries| {
            entries.into_iter().map(Dirent::from).collect::<Vec<_>>()
        })
    }

    /// Removes, as rm(1).
    #[napi(ts_return_type = "Promise<void>")]
    pub fn rm<'env>(
        &self,
        env: &'env Env,
        path: String,
        recursive: Option<bool>,
        force: Option<bool>,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let options = RemoveOptions {
            recursive: recursive.unwrap_or(false),
            force: force.unwrap_or(false),
        };
        let remove = async move {
            match fs.remove(&path, options).await {
                // An empty directory may go: just-bash removes directories so.
                Err(error) if error.code() == Code::IsDir => fs.rmdir(&path).await,
                outcome => outcome,
            }
        };
        plain(env, &self.fs, remove)
    }

    /// Removes the name of a file.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn unlink<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.unlink(path).await })
    }

    /// Removes an empty directory.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn rmdir<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.rmdir(path).await })
    }

    /// Copies.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn cp<'env>(
        &self,
        env: &'env Env,
        from: String,
        to: String,
        recursive: Option<bool>,
        overwrite: Option<bool>,
        preserve_times: Option<bool>,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let options = CopyOptions {
            recursive: recursive.unwrap_or(false),
            overwrite: overwrite.unwrap_or(true),
            preserve_times: preserve_times.unwrap_or(false),
        };
        plain(
            env,
            &self.fs,
            async move { fs.copy(from, to, options).await },
        )
    }

    /// Moves, also from one repo to another.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn mv<'env>(&self, env: &'env Env, from: String, to: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.move_to(from, to).await })
    }

    /// Renames within a repo.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn rename<'env>(&self, env: &'env Env, from: String, to: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.rename(from, to).await })
    }

    /// `path` seen from `base`.
    #[napi]
    pub fn resolve_path(&self, base: String, path: String) -> String {
        text(resolved(&base, &path))
    }

    /// Nothing: who wants every path lists directories.
    #[napi]
    pub fn get_all_paths(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes a symlink at `path`.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn symlink<'env>(
        &self,
        env: &'env Env,
        target: String,
        path: String,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.symlink(target, path).await })
    }

    /// Gives a file another name.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn link<'env>(
        &self,
        env: &'env Env,
        existing: String,
        path: String,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.link(existing, path).await })
    }

    /// A symlink's target.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn readlink<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let read = async move { fs.read_link(path).await };
        promise(env, &self.fs, read, text)
    }

    /// The path without symlinks.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn realpath<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let read = async move { fs.real_path(path).await };
        promise(env, &self.fs, read, text)
    }
}

fn resolved(base: &str, path: &str) -> PathBuf {
    let mut resolved = PathBuf::from("/");
    for part in Path::new(base).join(path).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir => {
                resolved.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    resolved
}

/// The codes of this filesystem's errors, for tables in JavaScript.
#[napi]
pub fn error_codes() -> Vec<String> {
    Code::ALL
        .iter()
        .map(|code| code.name().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_resolve_within_the_root() {
        for (base, path, expected) in [
            ("/", "a", "/a"),
            ("/a/b", "../c", "/a/c"),
            ("/a", "/x/./y/", "/x/y"),
            ("/", "../../x", "/x"),
            ("", "", "/"),
        ] {
            assert_eq!(resolved(base, path), Path::new(expected));
        }
    }
}
