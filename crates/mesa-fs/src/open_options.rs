//! How files are opened.

use mesa_vfs::fs::OpenFlags;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Every write goes to the end.
    pub append: bool,
    /// Empty it.
    pub truncate: bool,
    /// Make it if it is not there.
    pub create: bool,
    /// Make it, and fail if it is there.
    pub create_new: bool,
    /// Permission bits of a file that is made, before the umask.
    pub mode: u32,
    /// It is on the server when it is closed in good order, whatever the mount's durability
    /// (with [`crate::Durability::Local`]: on this machine's disk).
    pub durable: bool,
}

impl OpenOptions {
    const NONE: Self = Self {
        read: false,
        write: false,
        append: false,
        truncate: false,
        create: false,
        create_new: false,
        mode: 0o666,
        durable: false,
    };

    /// For reading.
    pub fn reading() -> Self {
        Self {
            read: true,
            ..Self::NONE
        }
    }

    /// For writing, made or emptied.
    pub fn writing() -> Self {
        Self {
            write: true,
            create: true,
            truncate: true,
            ..Self::NONE
        }
    }

    /// For writing at the end, made if it is not there.
    pub fn appending() -> Self {
        Self {
            write: true,
            append: true,
            create: true,
            ..Self::NONE
        }
    }

    /// From the words of Node (`r`, `r+`, `w`, `wx`, `a+`, ...) and Python (`x`, and `b` and `t`,
    /// which change nothing). `None` for anything else.
    pub fn from_flags(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let mut options = match letters.next()? {
            'r' => Self::reading(),
            'w' => Self::writing(),
            'a' => Self::appending(),
            'x' => Self {
                create_new: true,
                ..Self::writing()
            },
            _ => return None,
        };
        let mut seen = String::new();
        for letter in letters {
            if seen.contains(letter) {
                return None;
            }
            seen.push(letter);
            match letter {
                '+' => {
                    options.read = true;
                    options.write = true;
                }
                'x' if options.create && !options.create_new => options.create_new = true,
                's' | 'b' | 't' => {}
                _ => return None,
            }
        }
        Some(options)
    }

    pub(crate) fn writes(&self) -> bool {
        self.write || self.append || self.truncate
    }

    pub(crate) fn creates(&self) -> bool {
        self.create || self.create_new
    }

    pub(crate) fn flags(&self) -> OpenFlags {
        OpenFlags {
            read: self.read,
            write: self.write || self.append,
            append: self.append,
            truncate: self.truncate,
            exclusive: self.create_new,
            direct: false,
            sync: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let known = |text| OpenOptions::from_flags(text).unwrap();
        assert_eq!(known("r"), OpenOptions::reading());
        assert_eq!(known("rb"), OpenOptions::reading());
        assert_eq!(known("w"), OpenOptions::writing());
        assert_eq!(known("a"), OpenOptions::appending());
        let both = known("r+");
        assert!(both.read && both.write && !both.create && !both.truncate);
        assert_eq!(known("wx"), known("xb"));
        assert!(known("ax+").create_new && known("ax+").append && known("ax+").read);
        for text in ["", "q", "rx", "w++", "xx", "+r"] {
            assert_eq!(OpenOptions::from_flags(text), None, "{text}");
        }
    }
}
