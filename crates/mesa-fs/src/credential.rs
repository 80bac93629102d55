//! What a mount calls the server with, and keeping it good.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mesa_client::{Credentials, Secret, SyncError, SyncErrorKind, credential::Place};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A token is renewed this long before its end, or after four fifths of its life if that is later.
const MARGIN: Duration = Duration::from_mins(1);
/// Pauses between attempts to renew.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// What a mount calls the server with.
#[derive(Clone)]
pub enum Credential {
    /// An API key or access token that outlives the mount.
    Fixed(Secret),
    /// Asked for a token at the first use, before each one ends, and when the server refuses one:
    /// the mount outlives its tokens.
    Provider(Arc<dyn TokenProvider>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Credential::Fixed(..)",
            Self::Provider(_) => "Credential::Provider(..)",
        })
    }
}

/// A token that ends.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its text.
    pub secret: Secret,
    /// When it ends. Absent: what the token itself says, if it is a JWT.
    pub expires_at: Option<SystemTime>,
}

/// Why there is no token.
pub type ProviderError = Box<dyn std::error::Error + Send + Sync>;

/// Makes tokens.
#[async_trait]
pub trait TokenProvider: Send + Sync + 'static {
    /// A token for the repos of `org` that the mount shows. An error makes calls that need the
    /// server fail with `EACCES` and the server code `TOKEN_PROVIDER`; it is asked again.
    async fn token(&self, org: &str) -> Result<Token, ProviderError>;
}

/// One org's credential.
pub struct Keeper {
    org: String,
    /// Where the calls of the mount protocol find it.
    shared: Credentials,
    present: Mutex<Present>,
    /// Only one asks the provider at a time.
    asking: tokio::sync::Mutex<()>,
    changed: Notify,
}

struct Present {
    credential: Credential,
    secret: Option<Secret>,
    renew_at: Option<SystemTime>,
    /// Counts the secrets there have been.
    generation: u64,
}

impl Keeper {
    pub fn new(org: &str, shared: Credentials, credential: Credential) -> Self {
        let keeper = Self {
            org: org.to_owned(),
            shared,
            present: Mutex::new(Present {
                credential: credential.clone(),
                secret: None,
                renew_at: None,
                generation: 0,
            }),
            asking: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        };
        keeper.replace(credential);
        keeper
    }

    pub fn org(&self) -> &str {
        &self.org
    }

    /// Another credential from now on.
    pub fn replace(&self, credential: Credential) {
        let mut present = self.present.lock();
        present.generation += 1;
        present.renew_at = None;
        present.secret = match &credential {
            Credential::Fixed(secret) => {
                self.shared
                    .put(Place::Org(self.org.clone()), secret.clone());
                Some(secret.clone())
            }
            Credential::Provider(_) => None,
        };
        present.credential = credential;
        drop(present);
        self.changed.notify_one();
    }

    /// The credential now; a token that is about to end is replaced first. Its number says which
    /// one it is to [`Keeper::refused`].
    pub async fn secret(&self) -> Result<(Secret, u64), SyncError> {
        if let Some(good) = self.good() {
            return Ok(good);
        }
        let _asking = self.asking.lock().await;
        match self.good() {
            Some(good) => Ok(good),
            None => self.ask().await,
        }
    }

    /// The server refused the secret of this number. Whether there is another one now.
    pub async fn refused(&self, number: u64) -> bool {
        let _asking = self.asking.lock().await;
        {
            let present = self.present.lock();
            if present.generation != number {
                return present.secret.is_some();
            }
            if matches!(present.credential, Credential::Fixed(_)) {
                return false;
            }
        }
        self.ask().await.is_ok()
    }

    fn good(&self) -> Option<(Secret, u64)> {
        let present = self.present.lock();
        let ending = present.renew_at.is_some_and(|at| at <= SystemTime::now());
        let secret = present.secret.clone().filter(|_| !ending)?;
        Some((secret, present.generation))
    }

    async fn ask(&self) -> Result<(Secret, u64), SyncError> {
        let provider = match &self.present.lock().credential {
            Credential::Fixed(secret) => return Ok((secret.clone(), 0)),
            Credential::Provider(provider) => Arc::clone(provider),
        };
        let token = provider.token(&self.org).await.map_err(|error| SyncError {
            kind: SyncErrorKind::Unauthenticated,
            code: "TOKEN_PROVIDER".to_owned(),
            message: format!("there is no token for '{}': {error}", self.org),
            retry_after_ms: None,
        })?;
        let now = SystemTime::now();
        let ends = token.expires_at.or_else(|| expiry(token.secret.expose()));
        let mut present = self.present.lock();
        present.generation += 1;
        present.secret = Some(token.secret.clone());
        present.renew_at = ends.map(|ends| {
            let life = ends.duration_since(now).unwrap_or_default();
            now + life.saturating_sub(MARGIN.min(life / 5))
        });
        self.shared
            .put(Place::Org(self.org.clone()), token.secret.clone());
        let number = present.generation;
        drop(present);
        self.changed.notify_one();
        Ok((token.secret, number))
    }

    /// Renews tokens in good time for as long as it is polled, and tells `renewed` of each new one.
    pub async fn keep(&self, renewed: impl Fn()) {
        let mut pause = AGAIN_MIN;
        loop {
            let renew_at = self.present.lock().renew_at;
            let Some(renew_at) = renew_at else {
                self.changed.notified().await;
                continue;
            };
            let left = renew_at.duration_since(SystemTime::now());
            if let Ok(left) = left
                && !left.is_zero()
            {
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    () = self.changed.notified() => {}
                }
                continue;
            }
            match self.secret().await {
                Ok(_) => {
                    pause = AGAIN_MIN;
                    renewed();
                    // A token that ends at once is no reason to ask without a pause.
                    tokio::time::sleep(AGAIN_MIN).await;
                }
                Err(error) => {
                    tracing::warn!(%error, org = self.org, "no new token");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_MAX);
                }
            }
        }
    }
}

/// When a JWT says that it ends.
fn expiry(token: &str) -> Option<SystemTime> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims["exp"].as_u64()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Counting {
        asked: AtomicU32,
        life: Duration,
    }

    #[async_trait]
    impl TokenProvider for Counting {
        async fn token(&self, org: &str) -> Result<Token, ProviderError> {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(Token {
                secret: Secret::new(&format!("{org}-{number}")),
                expires_at: Some(SystemTime::now() + self.life),
            })
        }
    }

    fn counting(life: Duration) -> (Arc<Counting>, Keeper) {
        let provider = Arc::new(Counting {
            asked: AtomicU32::new(0),
            life,
        });
        let credential = Credential::Provider(Arc::clone(&provider) as Arc<dyn TokenProvider>);
        let keeper = Keeper::new("acme", Credentials::default(), credential);
        (provider, keeper)
    }

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_token() {
        let (provider, keeper) = counting(Duration::from_hours(1));
        let all = futures::future::join_all((0..10).map(|_| keeper.secret())).await;
        for got in all {
            assert_eq!(got.unwrap().0.expose(), "acme-0");
        }
        assert_eq!(provider.asked.load(Ordering::Relaxed), 1);
        assert_eq!(keeper.shared.get("acme", "r").unwrap().expose(), "acme-0");
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_once() {
        let (provider, keeper) = counting(Duration::from_hours(1));
        let (_, number) = keeper.secret().await.unwrap();
        let refusals = futures::future::join_all((0..5).map(|_| keeper.refused(number))).await;
        assert!(refusals.into_iter().all(|another| another));
        assert_eq!(provider.asked.load(Ordering::Relaxed), 2);
        assert_eq!(keeper.secret().await.unwrap().0.expose(), "acme-1");
    }

    #[tokio::test]
    async fn an_ended_token_is_not_used() {
        let (provider, keeper) = counting(Duration::ZERO);
        keeper.secret().await.unwrap();
        keeper.secret().await.unwrap();
        assert_eq!(provider.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_fixed_key_is_not_replaced() {
        let fixed = Credential::Fixed(Secret::new("mesa_k"));
        let keeper = Keeper::new("acme", Credentials::default(), fixed);
        let (secret, number) = keeper.secret().await.unwrap();
        assert_eq!(secret.expose(), "mesa_k");
        assert!(!keeper.refused(number).await);
        keeper.replace(Credential::Fixed(Secret::new("mesa_l")));
        assert!(keeper.refused(number).await, "there is another one");
        assert_eq!(keeper.shared.get("acme", "").unwrap().expose(), "mesa_l");
    }

    #[test]
    fn a_jwt_says_when_it_ends() {
        let claims = URL_SAFE_NO_PAD.encode(br#"{"exp":1700003600,"iss":"k"}"#);
        let ends = expiry(&format!("e30.{claims}.c2ln")).unwrap();
        let seconds = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(seconds.as_secs(), 1_700_003_600);
        for text in ["mesa_key", "a.b", "a.b.c", "e30.e30.e30"] {
            assert_eq!(expiry(text), None, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", Credential::Fixed(Secret::new("mesa_secret")));
        assert!(!shown.contains("mesa_secret"), "{shown}");
    }
}
