//! How data is drawn: colours and line characters.

use std::io::IsTerminal;

use crate::cli::{Color, Global};

/// What the reader of standard output can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences for colours.
    pub color: bool,
    /// Line characters beyond ASCII.
    pub unicode: bool,
}

impl Style {
    /// Of this process's standard output.
    pub fn of_output(global: &Global) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self {
            color: match global.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
            },
            unicode: terminal && speaks_utf8(|name| std::env::var(name).ok()),
        }
    }

    /// The text in a colour.
    pub fn paint(self, text: &str, color: Ink) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", color.code())
        } else {
            text.to_owned()
        }
    }
}

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Id,
    Bookmark,
    Faint,
    Conflict,
    Added,
    Deleted,
    Heading,
    Hunk,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Id | Self::Bookmark => "35",
            Self::Faint => "90",
            Self::Conflict | Self::Deleted => "31",
            Self::Added => "32",
            Self::Heading => "1",
            Self::Hunk => "36",
        }
    }
}

/// Whether the locale of the environment is a UTF-8 one: the first of the three variables that is
/// set and not empty decides, as in setlocale(3).
fn speaks_utf8(env: impl Fn(&str) -> Option<String>) -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = names
        .iter()
        .find_map(|name| env(name).filter(|v| !v.is_empty()));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Text of others for a terminal or a script: control characters are shown, not obeyed.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales() {
        let of = |all: &'static str, lang: &'static str| {
            speaks_utf8(move |name| match name {
                "LC_ALL" => Some(all.to_owned()),
                "LANG" => Some(lang.to_owned()),
                _ => None,
            })
        };
        assert!(of("", "en_US.UTF-8"));
        assert!(of("C.utf8", ""));
        assert!(!of("C", "en_US.UTF-8"));
        assert!(!of("", ""));
    }

    #[test]
    fn others_text_cannot_move_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\u{9b}1mü"), "a\\u{1b}[2Jb\\u{9b}1mü");
    }

    #[test]
    fn colours_only_when_wanted() {
        let style = Style::default();
        assert_eq!(style.paint("x", Ink::Added), "x");
        let style = Style {
            color: true,
            unicode: false,
        };
        assert_eq!(style.paint("x", Ink::Added), "\x1b[32mx\x1b[0m");
    }
}
