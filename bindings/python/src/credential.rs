//! Tokens that Python signs.

use std::time::{Duration, UNIX_EPOCH};

use mesa_fs::{Credential, Secret, Token, TokenProvider};
use pyo3::{exceptions::PyRuntimeError, prelude::*};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Asks a function for tokens: `(token, when it expires in seconds since 1970)`.
struct Signer {
    function: Py<PyAny>,
}

#[async_trait::async_trait]
impl TokenProvider for Signer {
    async fn token(&self, org: &str) -> Result<Token, Failed> {
        let function = Python::try_attach(|py| self.function.clone_ref(py)).ok_or(ENDED)?;
        let org = org.to_owned();
        // It may wait for the interpreter, and may ask a server.
        let asked = tokio::task::spawn_blocking(move || {
            Python::try_attach(|py| {
                let answer = function.bind(py).call1((org,))?;
                answer.extract::<(String, Option<f64>)>()
            })
            .unwrap_or_else(|| Err(PyRuntimeError::new_err(ENDED)))
            .map_err(|error| error.to_string())
        });
        let (token, expires_at) = asked.await??;
        let expires_at = expires_at.and_then(|seconds| {
            let since = Duration::try_from_secs_f64(seconds).ok()?;
            UNIX_EPOCH.checked_add(since)
        });
        Ok(Token {
            secret: Secret::new(&token),
            expires_at,
        })
    }
}

const ENDED: &str = "the interpreter has ended";

/// A token as it is, or a function that signs them.
pub(crate) fn credential(given: &Bound<'_, PyAny>) -> PyResult<Credential> {
    if given.is_callable() {
        let function = given.clone().unbind();
        return Ok(Credential::Provider(std::sync::Arc::new(Signer {
            function,
        })));
    }
    Ok(Credential::Fixed(Secret::new(&given.extract::<String>()?)))
}
