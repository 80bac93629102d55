//! One `config.toml`: every problem with its line, unknown keys as warnings.

use std::path::{Path, PathBuf};

use mesa_types::{OrgSlug, RepoName, Secret};
use toml::de::{DeTable, DeValue};

use crate::{
    address,
    layer::{Layer, LogColor, LogTarget, MountMode, OrgLayer, RepoLayer, Rev},
    paths::Paths,
    problem::{Place, Problem},
    size::parse_size,
};

/// What a file said.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub layer: Layer,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// Reads a file's text. Values with problems are left out of the layer.
pub(crate) fn parse(path: &Path, text: &str, paths: &Paths) -> Parsed {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut sink = Sink {
        path,
        text,
        paths,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    for error in errors {
        let offset = error.span().map(|s| s.start);
        sink.problem(offset, format!("not valid TOML: {}", error.message()));
    }
    let layer = root(Reader::new("", document.get_ref(), &mut sink));
    sink.problems.sort_by_key(|p| match &p.place {
        Place::File(_, line) => *line,
        Place::Variable(_) => None,
    });
    Parsed {
        layer,
        problems: sink.problems,
        warnings: sink.warnings,
    }
}

struct Sink<'a> {
    path: &'a Path,
    text: &'a str,
    paths: &'a Paths,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Sink<'_> {
    fn place(&self, offset: Option<usize>) -> Place {
        let line = offset.map(|o| {
            let before = self.text.get(..o).unwrap_or(self.text);
            before.bytes().filter(|b| *b == b'\n').count() + 1
        });
        Place::File(self.path.to_owned(), line)
    }

    fn problem(&mut self, offset: Option<usize>, message: String) {
        let place = self.place(offset);
        self.problems.push(Problem { place, message });
    }
}

/// Takes the known keys out of a table; what is left is unknown.
struct Reader<'t, 's, 'a> {
    prefix: String,
    table: &'t DeTable<'t>,
    taken: Vec<&'static str>,
    sink: &'s mut Sink<'a>,
}

impl<'t, 's, 'a> Reader<'t, 's, 'a> {
    fn new(prefix: &str, table: &'t DeTable<'t>, sink: &'s mut Sink<'a>) -> Self {
        Self {
            prefix: prefix.to_owned(),
            table,
            taken: Vec::new(),
            sink,
        }
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>, &Paths) -> Result<T, String>,
    ) -> Option<T> {
        self.taken.push(key);
        let value = self.table.get(key)?;
        match read(value.get_ref(), self.sink.paths) {
            Ok(value) => Some(value),
            Err(message) => {
                let message = format!("{}{key} {message}", self.prefix);
                self.sink.problem(Some(value.span().start), message);
                None
            }
        }
    }

    fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Reader<'_, '_, '_>) -> T,
    ) -> Option<T> {
        self.taken.push(key);
        let value = self.table.get(key)?;
        let prefix = format!("{}{key}.", self.prefix);
        sub_table(
            &prefix,
            value.get_ref(),
            value.span().start,
            self.sink,
            read,
        )
    }

    /// A table whose keys are names: each is checked, then read.
    fn named<N: std::str::FromStr<Err = mesa_types::NameError>, T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Reader<'_, '_, '_>) -> T,
    ) -> Vec<(N, T)> {
        self.taken.push(key);
        let mut found = Vec::new();
        let Some(value) = self.table.get(key) else {
            return found;
        };
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("{}{key} must be a table", self.prefix);
            self.sink.problem(Some(value.span().start), message);
            return found;
        };
        for (name, value) in table {
            let text = name.get_ref().to_string();
            let prefix = format!("{}{key}.{text}.", self.prefix);
            let read = |reader: Reader<'_, '_, '_>| read(reader);
            let inner = sub_table(
                &prefix,
                value.get_ref(),
                value.span().start,
                self.sink,
                read,
            );
            match (text.parse::<N>(), inner) {
                (Ok(name), Some(inner)) => found.push((name, inner)),
                (Ok(_), None) => {}
                (Err(error), _) => {
                    let message = format!("{}{key}: the name '{text}' {error}", self.prefix);
                    self.sink.problem(Some(name.span().start), message);
                }
            }
        }
        found
    }

    /// Accepted without effect.
    fn ignore(&mut self, key: &'static str) {
        self.taken.push(key);
    }

    fn finish(self) {
        for (name, _) in self.table {
            let text = name.get_ref().to_string();
            if !self.taken.contains(&text.as_str()) {
                let place = self.sink.place(Some(name.span().start));
                let message = format!("unknown key {}{text}", self.prefix);
                self.sink.warnings.push(Problem { place, message });
            }
        }
    }
}

fn sub_table<T>(
    prefix: &str,
    value: &DeValue<'_>,
    offset: usize,
    sink: &mut Sink<'_>,
    read: impl FnOnce(Reader<'_, '_, '_>) -> T,
) -> Option<T> {
    if let Some(table) = value.as_table() {
        Some(read(Reader::new(prefix, table, sink)))
    } else {
        let message = format!("{} must be a table", prefix.trim_end_matches('.'));
        sink.problem(Some(offset), message);
        None
    }
}

fn root(mut r: Reader<'_, '_, '_>) -> Layer {
    let url = r.take("api-url", |v, _| text(v).and_then(address::from_url));
    let domain = r.take("service-domain", |v, _| {
        text(v).and_then(address::from_domain)
    });
    let mut layer = Layer {
        server: url.or(domain),
        ca_file: r.take("ca-file", path),
        mount_point: r.take("mount-point", path),
        uid: r.take("uid", |v, _| integer(v)),
        gid: r.take("gid", |v, _| integer(v)),
        durability: r.take("durability", |v, _| text(v)?.parse()),
        io_uring: r.take("fuse-io-uring", |v, _| text(v)?.parse()),
        writes: r.take("writes", |v, _| text(v)?.parse()),
        ignore_file: r.take("ignore-file", path),
        state_dir: r.take("state-dir", path),
        ..Layer::default()
    };
    layer.secrets_backend = r
        .table("secrets", |mut s| {
            let backend = s.take("backend", |v, _| text(v)?.parse());
            s.finish();
            backend
        })
        .flatten();
    layer.orgs = r
        .named::<OrgSlug, _>("organizations", org)
        .into_iter()
        .collect();
    r.table("cache", |mut c| {
        layer.cache_enabled = c.take("enabled", |v, _| boolean(v));
        layer.cache_path = c.take("path", path);
        layer.cache_bytes_max = c.take("max-size", |v, _| size(v));
        layer.cache_memory_bytes_max = c.take("max-memory-size", |v, _| size(v));
        c.finish();
    });
    r.table("prefetch", |mut p| {
        layer.prefetch_enabled = p.take("enabled", |v, _| boolean(v));
        layer.prefetch_depth_max = p.take("max-depth", |v, _| integer(v));
        layer.prefetch_concurrency_max = p.take("max-concurrency", |v, _| positive(v));
        layer.prefetch_pressure_limit = p.take("cache-pressure-limit", |v, _| share(v));
        p.finish();
    });
    r.table("daemon", |mut d| {
        layer.pid_file = d.take("pid-file", path);
        layer.runtime_dir = d.take("runtime-dir", path);
        d.table("log", |mut l| {
            layer.log_target = l.take("target", log_target);
            layer.log_color = l.take("color", |v, _| log_color(text(v)?));
            l.finish();
        });
        d.finish();
    });
    r.table("telemetry", |mut t| {
        layer.collector_url = t.take("collector-url", |v, _| http_url(text(v)?));
        t.ignore("vendor");
        t.finish();
    });
    r.finish();
    layer
}

fn org(mut o: Reader<'_, '_, '_>) -> OrgLayer {
    let layer = OrgLayer {
        mount: o.take("mount", |v, _| mount_mode(text(v)?)),
        repos: o.named::<RepoName, _>("repos", repo).into_iter().collect(),
        api_key: o.take("api-key", |v, _| secret(v)),
    };
    o.finish();
    layer
}

fn repo(mut r: Reader<'_, '_, '_>) -> RepoLayer {
    let layer = RepoLayer {
        rev: r.take("rev", |v, _| rev(v)),
        writes: r.take("writes", |v, _| text(v)?.parse()),
        read_only: r.take("read-only", |v, _| boolean(v)),
    };
    r.ignore("prefetch");
    r.finish();
    layer
}

fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("must be a string, not {}", article(value)))
}

fn article(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    match name.as_bytes().first() {
        Some(b'a' | b'i') => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("must be true or false, not {}", article(value)))
}

fn integer(value: &DeValue<'_>) -> Result<u32, String> {
    let number = value
        .as_integer()
        .ok_or_else(|| format!("must be a number, not {}", article(value)))?;
    u32::from_str_radix(number.as_str(), number.radix())
        .map_err(|_| format!("must be between 0 and {}", u32::MAX))
}

fn positive(value: &DeValue<'_>) -> Result<u32, String> {
    match integer(value)? {
        n @ 1..=1024 => Ok(n),
        _ => Err("must be between 1 and 1024".to_owned()),
    }
}

fn share(value: &DeValue<'_>) -> Result<f64, String> {
    let number = value.as_float().map(|f| f.as_str().replace('_', ""));
    let number = number.or_else(|| value.as_integer().map(|i| i.as_str().to_owned()));
    let number = number.ok_or_else(|| format!("must be a number, not {}", article(value)))?;
    match number.parse::<f64>() {
        Ok(n) if (0.0..=1.0).contains(&n) => Ok(n),
        _ => Err("must be between 0 and 1".to_owned()),
    }
}

fn size(value: &DeValue<'_>) -> Result<u64, String> {
    if let Some(number) = value.as_integer() {
        return number
            .as_str()
            .parse()
            .map_err(|_| "must be a size such as \"512MB\"".to_owned());
    }
    parse_size(text(value)?).map_err(|e| format!("has a bad value: {e}"))
}

fn path(value: &DeValue<'_>, paths: &Paths) -> Result<PathBuf, String> {
    checked_path(text(value)?, paths)
}

/// An absolute path, with `~` for the home directory.
pub(crate) fn checked_path(text: &str, paths: &Paths) -> Result<PathBuf, String> {
    let path = paths.expand(text);
    if text.is_empty() {
        Err("must not be empty".to_owned())
    } else if text.contains('\0') {
        Err("must not contain NUL".to_owned())
    } else if path.is_absolute() {
        Ok(path)
    } else {
        Err("must be an absolute path (or begin with ~/)".to_owned())
    }
}

fn secret(value: &DeValue<'_>) -> Result<Secret, String> {
    let secret = Secret::new(text(value)?);
    if secret.is_plausible() {
        Ok(secret)
    } else {
        Err("is empty or has characters no key can have".to_owned())
    }
}

fn mount_mode(text: &str) -> Result<MountMode, String> {
    match text {
        "all" => Ok(MountMode::All),
        "explicit" => Ok(MountMode::Explicit),
        _ => Err("must be \"all\" or \"explicit\"".to_owned()),
    }
}

/// `"auto"`, `"always"`, `"never"`.
pub(crate) fn log_color(text: &str) -> Result<LogColor, String> {
    match text {
        "auto" => Ok(LogColor::Auto),
        "always" => Ok(LogColor::Always),
        "never" => Ok(LogColor::Never),
        _ => Err("must be auto, always or never".to_owned()),
    }
}

/// Checks for `http://` or `https://`.
pub(crate) fn http_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.to_owned())
    } else {
        Err("must begin with http:// or https://".to_owned())
    }
}

fn log_target(value: &DeValue<'_>, paths: &Paths) -> Result<LogTarget, String> {
    let wrong = || "must be \"stdout\", \"stderr\" or { file = \"path\" }".to_owned();
    match value.as_str() {
        Some("stdout") => Ok(LogTarget::Stdout),
        Some("stderr") => Ok(LogTarget::Stderr),
        Some(_) => Err(wrong()),
        None => {
            let table = value.as_table().ok_or_else(wrong)?;
            let file = table.get("file").ok_or_else(wrong)?;
            Ok(LogTarget::File(path(file.get_ref(), paths)?))
        }
    }
}

fn rev(value: &DeValue<'_>) -> Result<Rev, String> {
    let wrong = || "must be { bookmark = \"...\" } or { change-id = \"...\" }".to_owned();
    let table = value.as_table().ok_or_else(wrong)?;
    let bookmark = table
        .get("bookmark")
        .map(|v| text(v.get_ref()))
        .transpose()?;
    let change = table
        .get("change-id")
        .map(|v| text(v.get_ref()))
        .transpose()?;
    if table.len() != 1 {
        return Err(wrong());
    }
    match (bookmark, change) {
        (Some(name), None) => bookmark_rev(name),
        (None, Some(id)) => change_rev(id),
        _ => Err(wrong()),
    }
}

/// A bookmark as a revision.
pub(crate) fn bookmark_rev(name: &str) -> Result<Rev, String> {
    name.parse()
        .map(Rev::Bookmark)
        .map_err(|e| format!("the bookmark '{name}' {e}"))
}

/// A change id as a revision.
pub(crate) fn change_rev(id: &str) -> Result<Rev, String> {
    id.parse()
        .map(Rev::Change)
        .map_err(|_| format!("'{id}' is not a change id (32 letters k to z)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{environment::Environment, secrets::Backend};

    fn parsed(text: &str) -> Parsed {
        let environment = Environment::with(Path::new("/r"), &[("HOME", "/h")]);
        parse(Path::new("/c.toml"), text, &Paths::of(&environment))
    }

    fn lines(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_guides_file() {
        let text = "mount-point = \"/home/daytona/mesa/mnt\"\n\n[secrets]\nbackend = \"plaintext-file\"\n\n[organizations.my-org]";
        let found = parsed(text);
        assert!(found.problems.is_empty() && found.warnings.is_empty());
        assert_eq!(
            found.layer.mount_point,
            Some(PathBuf::from("/home/daytona/mesa/mnt"))
        );
        assert_eq!(found.layer.secrets_backend, Some(Backend::PlaintextFile));
        assert_eq!(found.layer.orgs.len(), 1);
    }

    #[test]
    fn every_key() {
        let found = parsed(
            r#"
            service-domain = "example.com"
            ca-file = "~/ca.pem"
            uid = 1000
            gid = 0x3e8
            durability = "close"
            fuse-io-uring = "auto"
            writes = "isolate"
            ignore-file = "/i"
            [organizations.o]
            mount = "all"
            [organizations.o.repos.r]
            rev = { bookmark = "feature/x" }
            writes = "follow"
            read-only = true
            [organizations.o.repos.s]
            rev = { change-id = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz" }
            [cache]
            enabled = false
            path = "/c"
            max-size = "10GB"
            max-memory-size = 1048576
            [prefetch]
            enabled = true
            max-depth = 3
            max-concurrency = 4
            cache-pressure-limit = 0.5
            [daemon]
            pid-file = "/p"
            log.target = { file = "~/log" }
            log.color = "never"
            [telemetry]
            vendor = false
            collector-url = "http://127.0.0.1:4317"
            "#,
        );
        assert_eq!(lines(&found.problems), Vec::<String>::new());
        assert_eq!(lines(&found.warnings), Vec::<String>::new());
        let l = found.layer;
        assert_eq!(l.server.as_deref(), Some("https://api.example.com"));
        assert_eq!(l.ca_file, Some("/h/ca.pem".into()));
        assert_eq!((l.uid, l.gid), (Some(1000), Some(1000)));
        assert_eq!(l.cache_bytes_max, Some(10 << 30));
        assert_eq!(l.cache_memory_bytes_max, Some(1 << 20));
        assert_eq!(l.prefetch_pressure_limit, Some(0.5));
        assert_eq!(l.log_target, Some(LogTarget::File("/h/log".into())));
        assert_eq!(l.log_color, Some(LogColor::Never));
        let org = l.orgs.values().next().unwrap();
        assert_eq!(org.mount, Some(MountMode::All));
        assert_eq!(org.repos.len(), 2);
    }

    #[test]
    fn all_problems_at_once_with_lines() {
        let found = parsed(
            "mount-point = 5\nuid = \"me\"\ndurability = \"maybe\"\nfoo = 1\n\n[cache]\nmax-size = \"lots\"\nbar = 2\n[organizations.Bad_Name]\n[organizations.o.repos.\"a/b\"]\n",
        );
        assert_eq!(
            lines(&found.problems),
            [
                "/c.toml:1: mount-point must be a string, not an integer",
                "/c.toml:2: uid must be a number, not a string",
                "/c.toml:3: durability must be fsync, close, write or local",
                "/c.toml:7: cache.max-size has a bad value: 'lots' is not a size such as 512MB or 10GB",
                "/c.toml:9: organizations: the name 'Bad_Name' has a character that is not allowed here",
                "/c.toml:10: organizations.o.repos: the name 'a/b' has a character that is not allowed here",
            ]
        );
        let mut warnings = lines(&found.warnings);
        warnings.sort();
        assert_eq!(
            warnings,
            [
                "/c.toml:4: unknown key foo",
                "/c.toml:8: unknown key cache.bar"
            ]
        );
    }

    #[test]
    fn broken_syntax_does_not_hide_other_problems() {
        let found = parsed("uid = \"x\"\nmount-point = = 1\ngid = true\n");
        let all = lines(&found.problems);
        assert!(all.iter().any(|p| p.contains(":1: uid")), "{all:?}");
        assert!(
            all.iter().any(|p| p.contains(":2: not valid TOML")),
            "{all:?}"
        );
        assert!(all.iter().any(|p| p.contains(":3: gid")), "{all:?}");
    }

    #[test]
    fn an_old_api_key_is_read_and_never_shown() {
        let found = parsed("[organizations.o]\napi-key = \"mesa_old\"\n");
        let org = found.layer.orgs.values().next().unwrap();
        assert_eq!(org.api_key.as_ref().unwrap().expose(), "mesa_old");
        let found = parsed("[organizations.o]\napi-key = \"mesa old\"\n");
        assert!(!lines(&found.problems).concat().contains("mesa old"));
    }
}
