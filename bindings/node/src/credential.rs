//! Tokens from a function of JavaScript's.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mesa_fs::{ProviderError, Secret, Token, TokenProvider};
use napi::{
    Result, Status,
    bindgen_prelude::{Function, Promise},
    threadsafe_function::ThreadsafeFunction,
};
use napi_derive::napi;

/// A token.
#[napi(object)]
pub struct AccessToken {
    /// Its text.
    pub token: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<f64>,
}

/// Does not keep the process alive by itself: what waits for a token does.
type Ask = ThreadsafeFunction<String, Promise<AccessToken>, String, Status, false, true>;

/// Asks JavaScript.
pub struct JsProvider(Ask);

impl JsProvider {
    pub fn new(ask: &Function<'_, String, Promise<AccessToken>>) -> Result<Self> {
        let ask = ask.build_threadsafe_function().weak::<true>().build()?;
        Ok(Self(ask))
    }
}

#[async_trait]
impl TokenProvider for JsProvider {
    async fn token(&self, org: &str) -> std::result::Result<Token, ProviderError> {
        let told = |error: napi::Error| -> ProviderError { error.reason.clone().into() };
        let asked = self.0.call_async_catch(org.to_owned()).await;
        let token = asked.map_err(told)?.await.map_err(told)?;
        let ends = token.expires_at.and_then(|millis| {
            let since = Duration::try_from_secs_f64(millis / 1000.0).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(since)
        });
        Ok(Token {
            secret: Secret::new(&token.token),
            expires_at: ends,
        })
    }
}
