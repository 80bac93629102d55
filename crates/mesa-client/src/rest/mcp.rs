//! Messages of the Model Context Protocol.

use serde_json::Value;

use super::{RestClient, RestError};

impl RestClient {
    /// Sends a message to the server's `/mcp`. Answers with what came back, also if that is a
    /// failure of the protocol; nothing after a notification. Not sent again when the answer is
    /// lost: only its sender knows whether it may be done twice.
    pub async fn mcp(
        &self,
        headers: &[(&str, String)],
        message: String,
    ) -> Result<Option<Vec<u8>>, RestError> {
        let mut request = self
            .http
            .post(format!("{}/mcp", self.origin))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(message);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(secret) = &self.secret {
            request = request.bearer_auth(secret.expose());
        }
        let response = request
            .send()
            .await
            .map_err(|source| RestError::transport(&self.origin, &source))?;
        let status = response.status();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let trace = header("x-request-id");
        let retry_after = header("retry-after").and_then(|value| value.parse().ok());
        let body = self.body(response).await?;
        if status.is_success() && body.is_empty() {
            return Ok(None);
        }
        match serde_json::from_slice::<Value>(&body) {
            Ok(Value::Array(_)) => Ok(Some(body)),
            Ok(answer) if answer["jsonrpc"] == "2.0" => Ok(Some(body)),
            Err(source) if status.is_success() => Err(RestError::malformed(&self.origin, source)),
            _ => Err(RestError::answered(
                &self.origin,
                status.as_u16(),
                trace,
                retry_after,
                &body,
            )),
        }
    }
}
