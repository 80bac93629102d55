//! Which credential a command uses: the environment, `MESA_ORGS`, the secret store, and for the
//! control plane on the server's own host its admin key.

use std::path::PathBuf;

use mesa_client::{RestClient, RestError, RestErrorKind};
use mesa_config::{Backend, SecretStore, Secrets, Settings};
use mesa_types::{OrgSlug, RepoName, Secret};

use crate::{
    context::{self, Context},
    error::{CliError, CliResult, Exit},
    terminal,
};

/// The secret store that is configured, or that a first run would choose.
pub fn store(context: &Context, settings: &Settings) -> SecretStore {
    let passphrase = settings.vault_passphrase.clone();
    let make = |backend| SecretStore::new(backend, &settings.paths, passphrase.clone());
    if let Some(backend) = settings.secrets_backend {
        return make(backend);
    }
    let vault = make(Backend::EncryptedFile);
    let plaintext = make(Backend::PlaintextFile);
    if plaintext.exists() && !vault.exists() {
        plaintext
    } else if passphrase.is_some() || vault.exists() || context.interactive() {
        vault
    } else {
        plaintext
    }
}

/// The store with its passphrase asked for when it needs one.
pub fn unlocked(context: &Context, settings: &Settings) -> CliResult<SecretStore> {
    let store = store(context, settings);
    let needs = store.backend() == Backend::EncryptedFile && settings.vault_passphrase.is_none();
    if !needs || !context.interactive() {
        return Ok(store);
    }
    let question = if store.exists() {
        "Passphrase of the secret vault:"
    } else {
        "New passphrase for the secret vault (empty: store keys unencrypted):"
    };
    let passphrase = terminal::ask_secret(question)?;
    if passphrase.expose().is_empty() && !store.exists() {
        return Ok(SecretStore::new(
            Backend::PlaintextFile,
            &settings.paths,
            None,
        ));
    }
    Ok(store.with_passphrase(passphrase))
}

/// All stored credentials. A store that needs a passphrase nobody gave counts as an error only
/// when it exists.
pub fn stored(context: &Context, settings: &Settings) -> CliResult<Secrets> {
    let configured = store(context, settings);
    if !configured.exists() {
        return Ok(Secrets::default());
    }
    Ok(unlocked(context, settings)?.load()?)
}

/// The missing credential of an org.
pub fn missing(org: &OrgSlug) -> CliError {
    CliError::new(
        Exit::NotAuthenticated,
        format!("no API key found in the secret store for organization '{org}'"),
    )
    .hint(format!(
        "store one with `mesa auth set-key --org {org}`, or set MESA_ORGS={org}:KEY"
    ))
}

/// Clients of the control plane to try one after the other.
pub struct ControlPlane {
    clients: Vec<RestClient>,
    org: Option<OrgSlug>,
}

impl ControlPlane {
    /// Collects the credentials for `org` (or the one the configuration implies).
    pub fn open(
        context: &Context,
        settings: &Settings,
        org: Option<&OrgSlug>,
        data_dir: Option<PathBuf>,
    ) -> CliResult<Self> {
        let org = org.cloned().or_else(|| implied(settings));
        let mut secrets: Vec<Secret> = Vec::new();
        if let Some(credential) = &settings.credential {
            secrets.push(credential.secret().clone());
        } else {
            let fresh = settings
                .new_orgs
                .iter()
                .filter(|(slug, _)| org.as_ref() == Some(slug));
            secrets.extend(fresh.map(|(_, secret)| secret.clone()));
            if let Some(org) = &org {
                secrets.extend(stored(context, settings)?.lookup(org, None).cloned());
            } else {
                let stored = stored(context, settings)?;
                secrets.extend(stored.iter().map(|(_, secret)| secret.clone()));
            }
            secrets.extend(admin_key(settings, data_dir)?);
        }
        Self::with(context, settings, org, secrets)
    }

    /// Collects the credentials for one repo: those of programs that work in it, not the server's
    /// admin key unless there is nothing else.
    pub fn for_repo(
        context: &Context,
        settings: &Settings,
        org: Option<&OrgSlug>,
        repo: &RepoName,
    ) -> CliResult<Self> {
        let org = org.cloned().or_else(|| implied(settings));
        let mut secrets: Vec<Secret> = Vec::new();
        if let Some(credential) = &settings.credential {
            secrets.push(credential.secret().clone());
        } else {
            let fresh = settings
                .new_orgs
                .iter()
                .filter(|(slug, _)| org.as_ref() == Some(slug));
            secrets.extend(fresh.map(|(_, secret)| secret.clone()));
            let stored = stored(context, settings)?;
            match &org {
                Some(org) => {
                    secrets.extend(stored.lookup(org, Some(repo)).cloned());
                    secrets.extend(stored.lookup(org, None).cloned());
                }
                None => secrets.extend(stored.iter().map(|(_, secret)| secret.clone())),
            }
            if secrets.is_empty() {
                secrets.extend(admin_key(settings, None)?);
            }
        }
        Self::with(context, settings, org, secrets)
    }

    fn with(
        context: &Context,
        settings: &Settings,
        org: Option<OrgSlug>,
        mut secrets: Vec<Secret>,
    ) -> CliResult<Self> {
        secrets.dedup();
        if secrets.is_empty() {
            return Err(org.as_ref().map_or_else(no_credential, missing));
        }
        let clients = secrets
            .into_iter()
            .map(|secret| context.rest(settings, Some(secret)))
            .collect::<CliResult<_>>()?;
        Ok(Self { clients, org })
    }

    /// Runs `action` with the first credential that is good for it; the error is the first one.
    pub async fn call<T>(
        &self,
        action: impl AsyncFn(&RestClient) -> Result<T, RestError>,
    ) -> CliResult<T> {
        let mut first = None;
        for client in &self.clients {
            match action(client).await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    let other_may_do = matches!(
                        error.kind,
                        RestErrorKind::Unauthenticated | RestErrorKind::Forbidden
                    );
                    let stop = !other_may_do;
                    first.get_or_insert(error);
                    if stop {
                        break;
                    }
                }
            }
        }
        Err(first.map_or_else(no_credential, CliError::from))
    }

    /// The client whose credential the server takes; the first while it cannot be asked.
    pub async fn client(&self) -> CliResult<RestClient> {
        let taken = self
            .call(async |client| client.whoami().await.map(|_| client.clone()))
            .await;
        match (taken, self.clients.first()) {
            (Err(error), Some(first)) if error.exit == Exit::Unreachable => Ok(first.clone()),
            (taken, _) => taken,
        }
    }

    /// The org the command works on, asking the server who we are when nothing names it.
    pub async fn org(&self) -> CliResult<OrgSlug> {
        if let Some(org) = &self.org {
            return Ok(org.clone());
        }
        let me = self.call(async |client| client.whoami().await).await?;
        me.org
            .slug
            .parse()
            .map_err(|_| CliError::failure("the server named an org this program cannot use"))
    }
}

/// The org when there is just one.
fn implied(settings: &Settings) -> Option<OrgSlug> {
    if settings.org.is_some() || settings.credential.is_some() {
        return settings.org.clone();
    }
    let mut all = settings.orgs.keys();
    match (all.next(), all.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    }
}

fn no_credential() -> CliError {
    CliError::new(Exit::NotAuthenticated, "there is no API key to use")
        .hint("set MESA_API_KEY, or store one with `mesa auth set-key --org ORG`")
}

/// The server's admin key, for a server on this machine or a directory named on the command line.
fn admin_key(settings: &Settings, data_dir: Option<PathBuf>) -> CliResult<Option<Secret>> {
    if data_dir.is_none() && !context::origin(settings)?.is_loopback() {
        return Ok(None);
    }
    let dir = data_dir.unwrap_or_else(|| settings.paths.data.join("server"));
    let text = std::fs::read_to_string(dir.join("admin.key")).ok();
    Ok(text.map(|t| Secret::new(&t)).filter(Secret::is_plausible))
}

/// Credentials of one org for a mount.
#[derive(Debug, Clone)]
pub struct OrgKeys {
    /// For everything in the org.
    pub org: Option<Secret>,
    /// For single repos.
    pub repos: Vec<(RepoName, Secret)>,
}

/// The stored credentials of an org.
pub fn of_org(secrets: &Secrets, org: &OrgSlug) -> OrgKeys {
    let repos = secrets.iter().filter_map(|(name, secret)| match name {
        mesa_config::SecretName::Repo(o, repo) if o == org => Some((repo.clone(), secret.clone())),
        _ => None,
    });
    OrgKeys {
        org: secrets.lookup(org, None).cloned(),
        repos: repos.collect(),
    }
}
