//! Which orgs are mounted with which credentials: registers `MESA_ORGS`, moves old keys, asks
//! the server who each credential is, and persists what was new.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mesa_client::{CERTIFICATE_REFUSED, RestErrorKind, rest::model::Whoami};
use mesa_config::{
    ConfigEdit, Loaded, MountMode, OrgSettings, SecretError, SecretName, Secrets, Settings,
};
use mesa_types::{OrgSlug, Secret};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    context::Context,
    credentials::{self, OrgKeys},
    daemon::{
        launch::gave_up,
        plan::{OrgPlan, Plan},
    },
    duration,
    error::{CliError, CliResult, Exit},
    terminal,
};

/// Orgs with credentials that the server accepts.
pub struct Known {
    pub orgs: Vec<OrgPlan>,
    pub global_token: Option<String>,
}

impl Known {
    /// Until the first credential ends.
    pub fn expires_in(&self) -> Option<Duration> {
        let first = self.orgs.iter().filter_map(|o| o.expires_at_s).min()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        Some(Duration::from_secs(first.max(0) as u64).saturating_sub(now))
    }

    /// The same for people.
    pub fn life(&self) -> String {
        self.expires_in().map_or_else(
            || "the key does not expire".to_owned(),
            |left| format!("the key expires in {}", duration::human(left)),
        )
    }
}

/// Collects, checks and stores.
pub fn orgs(context: &Context, loaded: &Loaded, plan: &Plan, limit: Duration) -> CliResult<Known> {
    let settings = &loaded.settings;
    let first_run = asked_on_first_run(context, settings)?;
    let mut fresh: Vec<(OrgSlug, Secret)> = settings.new_orgs.clone();
    fresh.extend(first_run);
    let end = Instant::now() + limit;
    // A key the server refuses is not kept: it would make every later mount fail.
    let mut good = Vec::new();
    let mut identities = Vec::new();
    let mut refused = None;
    for (slug, secret) in &fresh {
        let answer = whoami(context, settings, secret, plan, end)
            .and_then(|me| own_org(&me, Some(slug)).map(|_| me))
            .map_err(|e| e.context(format!("org '{slug}' cannot be mounted")));
        match answer {
            Err(error) if error.exit == Exit::NotAuthenticated => {
                refused.get_or_insert(error);
            }
            answer => {
                good.push((slug.clone(), secret.clone()));
                identities.push((slug.clone(), answer));
            }
        }
    }
    let secrets = register(context, loaded, &good)?;
    if let Some(error) = refused {
        return Err(error);
    }
    let mut known = Known {
        orgs: Vec::new(),
        global_token: None,
    };
    if let Some(credential) = &settings.credential {
        let me = whoami(context, settings, credential.secret(), plan, end)?;
        let slug = own_org(&me, settings.org.as_ref())?;
        known.orgs.push(org_plan(
            settings,
            &slug,
            &me,
            credential.secret(),
            &OrgKeys::none(),
        ));
    }
    let listed = settings
        .orgs
        .keys()
        .chain(fresh.iter().map(|(slug, _)| slug));
    for slug in listed {
        if known.orgs.iter().any(|o| o.slug == slug.as_str()) {
            continue;
        }
        let given = fresh
            .iter()
            .find(|(org, _)| org == slug)
            .map(|(_, secret)| secret.clone());
        let keys = credentials::of_org(&secrets, slug);
        let single = keys.repos.first().map(|(_, secret)| secret.clone());
        let Some(secret) = given.or_else(|| keys.org.clone()).or(single) else {
            return Err(credentials::missing(slug));
        };
        let asked = identities.iter().position(|(org, _)| org == slug);
        let me = match asked {
            Some(place) => identities.swap_remove(place).1?,
            None => whoami(context, settings, &secret, plan, end)
                .and_then(|me| own_org(&me, Some(slug)).map(|_| me))
                .map_err(|e| e.context(format!("org '{slug}' cannot be mounted")))?,
        };
        known
            .orgs
            .push(org_plan(settings, slug, &me, &secret, &keys));
    }
    if known.orgs.is_empty() {
        return Err(CliError::usage("no organization is configured")
            .hint("MESA_ORGS=my-org:KEY mesa mount -d -y"));
    }
    Ok(known)
}

/// On a terminal without any configuration: two questions.
fn asked_on_first_run(
    context: &Context,
    settings: &Settings,
) -> CliResult<Option<(OrgSlug, Secret)>> {
    let nothing = settings.orgs.is_empty() && settings.credential.is_none();
    if !nothing || !context.interactive() {
        return Ok(None);
    }
    let slug = terminal::ask("Organization name:")?;
    let slug = slug
        .parse()
        .map_err(|e| CliError::usage(format!("the org name '{slug}' {e}")))?;
    let secret = terminal::ask_secret("API key:")?;
    if !secret.is_plausible() {
        return Err(CliError::usage(
            "the key is empty or has characters no key can have",
        ));
    }
    Ok(Some((slug, secret)))
}

/// Puts new and old-style keys into the store and the orgs into the configuration. What cannot be
/// written is a warning: this mount works without.
fn register(context: &Context, loaded: &Loaded, fresh: &[(OrgSlug, Secret)]) -> CliResult<Secrets> {
    let settings = &loaded.settings;
    if fresh.is_empty() && loaded.old_keys.is_empty() {
        return credentials::stored(context, settings);
    }
    let store = credentials::unlocked(context, settings)?;
    let old = loaded
        .old_keys
        .iter()
        .map(|(_, slug, secret)| (slug, secret));
    let new = fresh.iter().map(|(slug, secret)| (slug, secret));
    let all: Vec<(&OrgSlug, &Secret)> = old.chain(new).collect();
    let put = |secrets: &mut Secrets| {
        for (slug, secret) in &all {
            secrets.set(SecretName::Org((*slug).clone()), (*secret).clone());
        }
    };
    let secrets = match store.update(put) {
        Ok(secrets) => secrets,
        Err(error @ SecretError::Io { .. }) => {
            context.printer.warning(format!(
                "the keys were not stored: {}; give MESA_ORGS again next time",
                CliError::from(error)
                    .causes
                    .last()
                    .cloned()
                    .unwrap_or_default()
            ));
            let mut secrets = Secrets::default();
            put(&mut secrets);
            return Ok(secrets);
        }
        Err(error) => return Err(error.into()),
    };
    let edited = (|| {
        let mut edit = ConfigEdit::open(&loaded.config_file)?;
        if settings.secrets_backend.is_none() {
            edit.choose_backend(store.backend())?;
        }
        for (slug, _) in fresh {
            edit.add_org(slug)?;
        }
        edit.save()?;
        for (path, slug, _) in &loaded.old_keys {
            let mut edit = ConfigEdit::open(path)?;
            edit.remove_api_key(slug)?;
            edit.save()?;
        }
        Ok::<(), mesa_config::EditError>(())
    })();
    if let Err(error) = edited {
        context
            .printer
            .warning(format!("the configuration was not written: {error}"));
    }
    Ok(secrets)
}

/// Asks until the server answers or time is up.
fn whoami(
    context: &Context,
    settings: &Settings,
    secret: &Secret,
    plan: &Plan,
    end: Instant,
) -> CliResult<Whoami> {
    let client = context.rest(settings, Some(secret.clone()))?;
    context.block_on(async {
        let mut delay = Duration::from_millis(50);
        let mut last = None;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let error = match tokio::time::timeout(left, client.whoami()).await {
                Ok(Ok(me)) => return Ok(me),
                Ok(Err(error)) => error,
                // What an attempt before was told says more than that time is up.
                Err(_) => {
                    let silent = || gave_up(&format!("{} does not answer", plan.server));
                    return Err(last.map_or_else(silent, CliError::from));
                }
            };
            let retry =
                error.kind == RestErrorKind::Unreachable && error.code != CERTIFICATE_REFUSED;
            if !retry || Instant::now() + delay >= end {
                return Err(CliError::from(error));
            }
            last = Some(error);
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(Duration::from_secs(1));
        }
    })
}

/// The credential's org, which must be the one it is configured for.
fn own_org(me: &Whoami, expected: Option<&OrgSlug>) -> CliResult<OrgSlug> {
    let slug: OrgSlug = me
        .org
        .slug
        .parse()
        .map_err(|_| CliError::failure("the server named an org this program cannot use"))?;
    match expected {
        Some(expected) if *expected != slug => Err(CliError::new(
            Exit::NotAuthenticated,
            format!("the key given for org '{expected}' belongs to org '{slug}'"),
        )
        .hint("use the org's own key")),
        _ => Ok(slug),
    }
}

fn org_plan(
    settings: &Settings,
    slug: &OrgSlug,
    me: &Whoami,
    secret: &Secret,
    keys: &OrgKeys,
) -> OrgPlan {
    let all = OrgSettings {
        mode: MountMode::All,
        repos: std::collections::BTreeMap::new(),
    };
    let org = settings.orgs.get(slug).unwrap_or(&all);
    let mut plan = OrgPlan::new(slug, org, settings.writes, Some(secret), &keys.repos);
    plan.expires_at_s = me
        .expires_at
        .as_deref()
        .and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok())
        .map(OffsetDateTime::unix_timestamp);
    plan
}

impl OrgKeys {
    fn none() -> Self {
        Self {
            org: None,
            repos: Vec::new(),
        }
    }
}
