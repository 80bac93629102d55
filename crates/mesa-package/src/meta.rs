//! What a package says about itself, and what is in it.

use bytes::Bytes;

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Arch {
    /// Both.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// As `uname -m` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The one of `uname -m`.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// As Debian calls it.
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

/// A kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Debian's.
    Deb,
    /// Alpine's (version 2, unsigned).
    Apk,
    /// RPM's (version 4, unsigned).
    Rpm,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deb, Self::Apk, Self::Rpm];

    /// How file names end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Rpm => "rpm",
        }
    }

    /// `mesa_1.0.0_amd64.deb`: the architecture as the system calls it.
    pub fn file_name(self, meta: &Meta) -> String {
        let arch = match self {
            Self::Deb => meta.arch.debian(),
            Self::Apk | Self::Rpm => meta.arch.name(),
        };
        format!("{}_{}_{arch}.{}", meta.name, meta.version, self.extension())
    }
}

/// What a package says about itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Meta {
    /// The package's name.
    pub name: String,
    /// Dotted numbers.
    pub version: String,
    /// Of the program in it.
    pub arch: Arch,
    /// One line.
    pub summary: String,
    /// A few sentences on one line.
    pub description: String,
    /// `Name <mail>`.
    pub maintainer: String,
    /// A page about it.
    pub homepage: String,
    /// SPDX expression.
    pub licence: String,
    /// Packages worth having beside it; none is needed.
    pub recommends: Vec<String>,
    /// Time stamp of every file, seconds since 1970.
    pub modified: u32,
}

impl Meta {
    /// With texts to be filled in.
    pub fn new(name: &str, version: &str, arch: Arch, modified: u32) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            arch,
            summary: name.to_owned(),
            description: name.to_owned(),
            maintainer: format!("{name} <{name}@localhost>"),
            homepage: String::new(),
            licence: "Apache-2.0".to_owned(),
            recommends: Vec::new(),
            modified,
        }
    }
}

/// A file to be installed, owned by root.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Absolute, at most 99 bytes.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub bytes: Bytes,
}

impl Entry {
    /// A file.
    pub fn new(path: &str, mode: u32, bytes: impl Into<Bytes>) -> Self {
        debug_assert!(path.starts_with('/') && path.len() < 100);
        Self {
            path: path.to_owned(),
            mode,
            bytes: bytes.into(),
        }
    }
}

/// The directories above these files, parents first, each once, without the root.
pub(crate) fn directories<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    for path in paths {
        let mut rest = path;
        while let Some((parent, _)) = rest
            .rsplit_once('/')
            .filter(|(parent, _)| !parent.is_empty())
        {
            found.insert(parent.to_owned());
            rest = parent;
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_directories() {
        let meta = Meta::new("mesa", "0.1.0", Arch::Aarch64, 0);
        let names = Format::ALL.map(|format| format.file_name(&meta));
        assert_eq!(
            names,
            [
                "mesa_0.1.0_arm64.deb",
                "mesa_0.1.0_aarch64.apk",
                "mesa_0.1.0_aarch64.rpm"
            ]
        );
        assert_eq!(Arch::of("x86_64"), Some(Arch::X86_64));
        assert_eq!(Arch::of("riscv64"), None);
        let all = directories(["/usr/bin/mesa", "/etc/mesa/install.toml"].into_iter());
        assert_eq!(all, ["/etc", "/etc/mesa", "/usr", "/usr/bin"]);
    }
}
