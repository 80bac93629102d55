//! Every environment variable that is a setting. (`HOME`, `XDG_CONFIG_HOME`, the proxy variables
//! and `SSL_CERT_FILE` are read where they are used.)

use mesa_types::{OrgSlug, RepoName, Secret};

use crate::{
    address,
    environment::Environment,
    file::{bookmark_rev, change_rev, checked_path, http_url, log_color},
    layer::{Layer, LogTarget, Rev},
    paths::Paths,
    problem::{Place, Problem},
    settings::Credential,
    size::parse_size,
};

/// All names that have a meaning here or in the SDKs; others beginning with `MESA_` warn.
pub const NAMES: &[&str] = &[
    "MESA_ACCESS_TOKEN",
    "MESA_API_KEY",
    "MESA_API_URL",
    "MESA_CACHE_ENABLED",
    "MESA_CACHE_MAX_MEMORY_SIZE",
    "MESA_CACHE_MAX_SIZE",
    "MESA_CACHE_PATH",
    "MESA_CA_FILE",
    "MESA_DAEMON_LOG_COLOR",
    "MESA_DAEMON_LOG_FILE",
    "MESA_DURABILITY",
    "MESA_FUSE_IO_URING",
    "MESA_GID",
    "MESA_LOG",
    "MESA_MESAIGNORE_PATH",
    "MESA_MOUNT_POINT",
    "MESA_NAPI_PATH",
    "MESA_NO_CONFIG_FILE",
    "MESA_ORG",
    "MESA_ORGS",
    "MESA_PREFETCH_CACHE_PRESSURE_LIMIT",
    "MESA_PREFETCH_ENABLED",
    "MESA_PREFETCH_MAX_CONCURRENCY",
    "MESA_PREFETCH_MAX_DEPTH",
    "MESA_PRIVATE_KEY",
    "MESA_REPO_REVS",
    "MESA_RUNTIME_DIR",
    "MESA_SERVICE_DOMAIN",
    "MESA_STATE_DIR",
    "MESA_TELEMETRY",
    "MESA_TELEMETRY_COLLECTOR_URL",
    "MESA_UID",
    "MESA_VAULT_PASSPHRASE",
    "MESA_WEBHOOK_SECRET",
    "MESA_WRITES",
];

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    pub layer: Layer,
    pub credential: Option<Credential>,
    pub org: Option<OrgSlug>,
    pub new_orgs: Vec<(OrgSlug, Secret)>,
    pub vault_passphrase: Option<Secret>,
    pub problems: Vec<Problem>,
}

/// Reads them all.
pub(crate) fn read(environment: &Environment, paths: &Paths) -> Variables {
    let mut found = Variables::default();
    let mut problems = Vec::new();
    let mut reader = Reader {
        environment,
        problems: &mut problems,
    };
    let r = &mut reader;
    let url = r.take("MESA_API_URL", address::from_url);
    let domain = r.take("MESA_SERVICE_DOMAIN", address::from_domain);
    let path = |text: &str| checked_path(text, paths);
    found.layer = Layer {
        server: url.or(domain),
        ca_file: r.take("MESA_CA_FILE", path),
        mount_point: r.take("MESA_MOUNT_POINT", path),
        uid: r.take("MESA_UID", number),
        gid: r.take("MESA_GID", number),
        durability: r.take("MESA_DURABILITY", str::parse),
        io_uring: r.take("MESA_FUSE_IO_URING", str::parse),
        writes: r.take("MESA_WRITES", str::parse),
        ignore_file: r.take("MESA_MESAIGNORE_PATH", path),
        cache_enabled: r.take("MESA_CACHE_ENABLED", boolean),
        cache_path: r.take("MESA_CACHE_PATH", path),
        cache_bytes_max: r.take("MESA_CACHE_MAX_SIZE", parse_size),
        cache_memory_bytes_max: r.take("MESA_CACHE_MAX_MEMORY_SIZE", parse_size),
        prefetch_enabled: r.take("MESA_PREFETCH_ENABLED", boolean),
        prefetch_depth_max: r.take("MESA_PREFETCH_MAX_DEPTH", number),
        prefetch_concurrency_max: r.take("MESA_PREFETCH_MAX_CONCURRENCY", number),
        prefetch_pressure_limit: r.take("MESA_PREFETCH_CACHE_PRESSURE_LIMIT", share),
        runtime_dir: r.take("MESA_RUNTIME_DIR", path),
        state_dir: r.take("MESA_STATE_DIR", path),
        log_target: r.take("MESA_DAEMON_LOG_FILE", path).map(LogTarget::File),
        log_color: r.take("MESA_DAEMON_LOG_COLOR", log_color),
        collector_url: r.take("MESA_TELEMETRY_COLLECTOR_URL", http_url),
        ..Layer::default()
    };
    for (org, repo, rev) in r.take("MESA_REPO_REVS", repo_revs).unwrap_or_default() {
        let org = found.layer.orgs.entry(org).or_default();
        org.repos.entry(repo).or_default().rev = Some(rev);
    }
    let token = r
        .take("MESA_ACCESS_TOKEN", secret)
        .map(Credential::AccessToken);
    let key = r.take("MESA_API_KEY", secret).map(Credential::ApiKey);
    found.credential = token.or(key);
    found.org = r.take("MESA_ORG", org_slug);
    found.new_orgs = r.take("MESA_ORGS", orgs).unwrap_or_default();
    found.vault_passphrase = r.take("MESA_VAULT_PASSPHRASE", |t| Ok(Secret::new(t)));
    let listed = found.new_orgs.iter().map(|(slug, _)| slug.clone());
    for slug in listed.chain(found.org.clone()) {
        found.layer.orgs.entry(slug).or_default();
    }
    found.problems = problems;
    found
}

struct Reader<'a> {
    environment: &'a Environment,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn take<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        debug_assert!(NAMES.contains(&name), "{name} is not declared");
        let result = match self.environment.text(name)? {
            Ok(text) => read(text),
            Err(()) => Err("is not UTF-8".to_owned()),
        };
        result
            .map_err(|message| {
                let place = Place::Variable(name.to_owned());
                self.problems.push(Problem { place, message });
            })
            .ok()
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("must be a number, not '{text}'"))
}

fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(n) if (0.0..=1.0).contains(&n) => Ok(n),
        _ => Err("must be between 0 and 1".to_owned()),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn secret(text: &str) -> Result<Secret, String> {
    let secret = Secret::new(text);
    if secret.is_plausible() {
        Ok(secret)
    } else {
        Err("has characters no key or token can have".to_owned())
    }
}

fn org_slug(text: &str) -> Result<OrgSlug, String> {
    text.parse()
        .map_err(|e| format!("the org name '{text}' {e}"))
}

/// `O:token[,O2:token2]`. Messages name the entry's place, never its text, which may be a token.
fn orgs(text: &str) -> Result<Vec<(OrgSlug, Secret)>, String> {
    let mut found: Vec<(OrgSlug, Secret)> = Vec::new();
    let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
    for (i, entry) in entries.enumerate() {
        let n = i + 1;
        let Some((slug, token)) = entry.split_once(':') else {
            return Err(format!("entry {n} has no ':'; write org:key[,org2:key2]"));
        };
        let slug: OrgSlug = slug
            .trim()
            .parse()
            .map_err(|e| format!("entry {n}: the part before ':' is no org name, it {e}"))?;
        let token = secret(token).map_err(|_| {
            format!("entry {n}: the key of org '{slug}' is empty or has characters no key can have")
        })?;
        found.retain(|(known, _)| *known != slug);
        found.push((slug, token));
    }
    Ok(found)
}

/// `O/R=bookmark:b[,O/R2=change-id:c]`.
fn repo_revs(text: &str) -> Result<Vec<(OrgSlug, RepoName, Rev)>, String> {
    let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
    entries
        .map(|entry| {
            let wrong =
                || format!("'{entry}' is not org/repo=bookmark:name or org/repo=change-id:id");
            let (repo, rev) = entry.split_once('=').ok_or_else(wrong)?;
            let (org, repo) = repo.split_once('/').ok_or_else(wrong)?;
            let org = org_slug(org)?;
            let repo = repo
                .parse()
                .map_err(|e| format!("the repo name '{repo}' {e}"))?;
            let rev = match rev.split_once(':').ok_or_else(wrong)? {
                ("bookmark", name) => bookmark_rev(name)?,
                ("change-id", id) => change_rev(id)?,
                _ => return Err(wrong()),
            };
            Ok((org, repo, rev))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Variables {
        let environment = Environment::with(Path::new("/r"), variables);
        let paths = Paths::of(&Environment::with(Path::new("/r"), &[("HOME", "/h")]));
        read(&environment, &paths)
    }

    #[test]
    fn every_variable_is_documented() {
        let text = include_str!("../../../docs/configuration.md");
        for name in NAMES {
            assert!(
                text.contains(name),
                "{name} is not in docs/configuration.md"
            );
        }
    }

    #[test]
    fn mesa_orgs() {
        let found = with(&[("MESA_ORGS", "my-org:mesa_a, other:x:y,")]);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let pairs: Vec<_> = found
            .new_orgs
            .iter()
            .map(|(o, s)| (o.as_str(), s.expose()))
            .collect();
        assert_eq!(pairs, [("my-org", "mesa_a"), ("other", "x:y")]);
        assert_eq!(found.layer.orgs.len(), 2);
    }

    #[test]
    fn bad_mesa_orgs_never_show_the_key() {
        for bad in [
            "mesa_secretkey",
            "Bad Org:mesa_secretkey",
            "o:",
            "o:mesa secretkey",
            "a:b,mesa_secretkey",
        ] {
            let found = with(&[("MESA_ORGS", bad)]);
            assert_eq!(found.problems.len(), 1, "{bad}");
            assert!(
                !found.problems[0].to_string().contains("secretkey"),
                "{}",
                found.problems[0]
            );
        }
    }

    #[test]
    fn access_token_goes_before_api_key() {
        let found = with(&[
            ("MESA_API_KEY", "k"),
            ("MESA_ACCESS_TOKEN", "t"),
            ("MESA_ORG", "o"),
        ]);
        assert_eq!(
            found.credential,
            Some(Credential::AccessToken(Secret::new("t")))
        );
        assert_eq!(found.org.unwrap().as_str(), "o");
    }

    #[test]
    fn repo_revs_and_values() {
        let found = with(&[
            (
                "MESA_REPO_REVS",
                "o/r=bookmark:feature/x,o/s=change-id:zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
            ),
            ("MESA_UID", "12"),
            ("MESA_CACHE_MAX_SIZE", "1GB"),
            ("MESA_PREFETCH_ENABLED", "no"),
        ]);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        assert_eq!(found.layer.orgs.values().next().unwrap().repos.len(), 2);
        assert_eq!(found.layer.uid, Some(12));
        assert_eq!(found.layer.cache_bytes_max, Some(1 << 30));
        assert_eq!(found.layer.prefetch_enabled, Some(false));
    }

    #[test]
    fn every_problem_names_its_variable() {
        let found = with(&[
            ("MESA_UID", "me"),
            ("MESA_API_URL", "x"),
            ("MESA_MOUNT_POINT", "rel"),
        ]);
        let mut texts: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
        texts.sort();
        assert_eq!(
            texts,
            [
                "MESA_API_URL: must begin with http:// or https://",
                "MESA_MOUNT_POINT: must be an absolute path (or begin with ~/)",
                "MESA_UID: must be a number, not 'me'",
            ]
        );
    }
}
