//! JSON-RPC 2.0 messages.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::edge::OwnBody;

pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
pub const INTERNAL_ERROR: i64 = -32603;

/// What a client sent.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// To be answered under its id.
    Request {
        id: Value,
        method: String,
        params: Map<String, Value>,
    },
    /// A notification, or an answer to something that was never asked.
    Quiet,
    /// None of these.
    Wrong(Value, Failure),
}

impl Incoming {
    pub fn read(message: Value) -> Self {
        let Value::Object(mut message) = message else {
            return Self::wrong(Value::Null, "a message is an object");
        };
        let id = message.remove("id");
        let known = match &id {
            Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
            _ => Value::Null,
        };
        if message.get("jsonrpc") != Some(&json!("2.0")) {
            return Self::wrong(known, "jsonrpc must be \"2.0\"");
        }
        let method = match message.remove("method") {
            Some(Value::String(method)) => method,
            Some(_) => return Self::wrong(known, "method must be a string"),
            None if message.contains_key("result") || message.contains_key("error") => {
                return Self::Quiet;
            }
            None => return Self::wrong(known, "a message has a method"),
        };
        let params = match message.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Self::wrong(known, "params must be an object"),
        };
        match id {
            None => Self::Quiet,
            Some(_) if known.is_null() => {
                Self::wrong(Value::Null, "id must be a string or a number")
            }
            Some(id) => Self::Request { id, method, params },
        }
    }

    fn wrong(id: Value, why: &str) -> Self {
        let failure = Failure::new(INVALID_REQUEST, why).at(StatusCode::BAD_REQUEST);
        Self::Wrong(id, failure)
    }
}

/// A failure of the protocol, not of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    code: i64,
    message: String,
    data: Option<Value>,
    status: StatusCode,
}

impl Failure {
    /// One that is told with a good HTTP status, as clients of JSON-RPC expect.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
            status: StatusCode::OK,
        }
    }

    /// With the HTTP status that the transport wants for it.
    pub fn at(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub fn with(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    body: Value,
}

impl Reply {
    pub fn done(id: Value, result: Map<String, Value>) -> Self {
        let mut body = json!({"jsonrpc": "2.0"});
        body["id"] = id;
        body["result"] = result.into();
        Self {
            status: StatusCode::OK,
            body,
        }
    }

    pub fn failed(id: Value, failure: Failure) -> Self {
        let mut error = json!({"code": failure.code, "message": failure.message});
        if let Some(data) = failure.data {
            error["data"] = data;
        }
        let mut body = json!({"jsonrpc": "2.0", "error": error});
        body["id"] = id;
        Self {
            status: failure.status,
            body,
        }
    }

    pub fn into_value(self) -> Value {
        self.body
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let body = self.body.to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, json)], body).into_response();
        response.extensions_mut().insert(OwnBody);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let request = Incoming::read(json!({"jsonrpc": "2.0", "id": 1, "method": "m"}));
        assert!(
            matches!(request, Incoming::Request { id, method, .. } if id == 1 && method == "m")
        );
        for quiet in [
            json!({"jsonrpc": "2.0", "method": "notifications/x"}),
            json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}}),
        ] {
            assert_eq!(Incoming::read(quiet), Incoming::Quiet);
        }
        for wrong in [
            json!(1),
            json!({}),
            json!({"jsonrpc": "1.0", "id": 1, "method": "m"}),
            json!({"jsonrpc": "2.0", "id": null, "method": "m"}),
            json!({"jsonrpc": "2.0", "id": {}, "method": "m"}),
            json!({"jsonrpc": "2.0", "id": 1, "method": 2}),
            json!({"jsonrpc": "2.0", "id": 1, "method": "m", "params": []}),
            json!({"jsonrpc": "2.0", "id": 1}),
        ] {
            let read = Incoming::read(wrong.clone());
            assert!(matches!(read, Incoming::Wrong(..)), "{wrong}");
        }
    }
}
