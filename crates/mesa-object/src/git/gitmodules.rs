//! A `.gitmodules` file that git accepts and that cannot do harm.
//!
//! Stricter than git: a file with anything unusual (escapes, values without a key, unknown
//! update modes) counts as harmful and stays out of the projection.

/// Whether git's fsck would accept the content.
pub(super) fn is_harmless(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else {
        return false;
    };
    let mut section = Section::None;
    text.lines().all(|line| match Line::parse(line) {
        Some(Line::Blank) => true,
        Some(Line::Section(next)) => {
            section = next;
            section.is_harmless()
        }
        Some(Line::Value(key, value)) => match section {
            Section::None => false,
            Section::Other => true,
            Section::Submodule(_) => value_is_harmless(key, value),
        },
        None => false,
    })
}

enum Line<'a> {
    Blank,
    Section(Section<'a>),
    Value(&'a str, &'a str),
}

#[derive(Clone, Copy)]
enum Section<'a> {
    None,
    Submodule(&'a str),
    Other,
}

impl Section<'_> {
    fn is_harmless(self) -> bool {
        match self {
            Self::Submodule(name) => {
                !name.is_empty() && name.split(['/', '\\']).all(|part| part != "..")
            }
            Self::None | Self::Other => true,
        }
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.chars().any(|c| c.is_control() && c != '\t') || line.contains('\\') {
            return None;
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Some(Self::Blank);
        }
        if let Some(rest) = line.strip_prefix('[') {
            let (head, after) = rest.split_once(']')?;
            if !after.is_empty() {
                return None;
            }
            return Self::section(head);
        }
        let (key, value) = line.split_once('=')?;
        let key = key.trim_end();
        let key_is_good = key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let value = value.trim_start();
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        let value_is_good = !value.contains(['"', '#', ';']);
        (key_is_good && value_is_good).then_some(Self::Value(key, value))
    }

    fn section(head: &'a str) -> Option<Self> {
        let word = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let Some((name, quoted)) = head.split_once([' ', '\t']) else {
            // `[submodule.name]` is an older spelling of a subsection.
            return word(head).then_some(Self::Section(Section::Other));
        };
        let sub = quoted.trim_start().strip_prefix('"')?.strip_suffix('"')?;
        if !word(name) || sub.contains('"') {
            return None;
        }
        Some(Self::Section(if name.eq_ignore_ascii_case("submodule") {
            Section::Submodule(sub)
        } else {
            Section::Other
        }))
    }
}

fn value_is_harmless(key: &str, value: &str) -> bool {
    match key.to_ascii_lowercase().as_str() {
        "url" => url_is_harmless(value),
        "path" => !value.is_empty() && !value.starts_with('-'),
        "update" => matches!(value, "checkout" | "rebase" | "merge" | "none"),
        _ => true,
    }
}

fn url_is_harmless(url: &str) -> bool {
    if url.is_empty() || url.starts_with('-') || url.contains("::") {
        return false;
    }
    if url.chars().any(|c| c.is_whitespace() || !c.is_ascii()) {
        return false;
    }
    let lower = url.to_ascii_lowercase();
    if lower.contains("%0a") || lower.contains("%00") || lower.contains("%0d") {
        return false;
    }
    let mut relative = url;
    while let Some(rest) = relative
        .strip_prefix("./")
        .or_else(|| relative.strip_prefix("../"))
    {
        relative = rest;
    }
    if relative.len() < url.len() {
        return relative.starts_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c));
    }
    match url.split_once("://") {
        Some((scheme, rest)) => {
            matches!(scheme, "http" | "https" | "ssh" | "git" | "file")
                && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
                && (scheme == "file" || !rest.starts_with('/'))
        }
        None => url.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/'),
    }
}
