//! Which version of the protocol a request speaks.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::message::{Failure, INVALID_PARAMS};

/// Versions that are served, newest first.
pub const ALL: &[&str] = &[
    "2026-07-28",
    "2025-11-25",
    "2025-06-18",
    "2025-03-26",
    "2024-11-05",
];
/// Those in which each request says everything itself.
const MODERN: usize = 1;

const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// What differs between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Versions that begin with `initialize`.
    Legacy,
    /// Versions in which each request is complete.
    Modern,
}

fn modern(version: &str) -> bool {
    ALL[..MODERN].contains(&version)
}

fn legacy(version: &str) -> bool {
    ALL[MODERN..].contains(&version)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// The version `initialize` is answered with: the client's, or the newest that begins like this.
pub fn negotiated(params: &Map<String, Value>) -> &str {
    let wanted = params.get("protocolVersion").and_then(Value::as_str);
    wanted
        .filter(|wanted| legacy(wanted))
        .unwrap_or(ALL[MODERN])
}

/// Whether bodies may be batches: only in 2025-03-26, which has no version header.
pub fn takes_batches(headers: &HeaderMap) -> bool {
    matches!(
        header(headers, "mcp-protocol-version"),
        None | Some("2025-03-26")
    )
}

/// Checks what a request says about itself, and that headers and body agree.
pub fn era(headers: &HeaderMap, method: &str, params: &Map<String, Value>) -> Result<Era, Failure> {
    let meta = params.get("_meta");
    let in_body = meta.and_then(|meta| meta.get(META_VERSION));
    let in_header = header(headers, "mcp-protocol-version");
    let bad = |failure: Failure| Err(failure.at(StatusCode::BAD_REQUEST));
    let Some(in_body) = in_body else {
        return match in_header {
            Some(version) if modern(version) => bad(Failure::new(
                INVALID_PARAMS,
                format!("the request lacks _meta.\"{META_VERSION}\""),
            )),
            Some(version) if !legacy(version) => bad(unsupported(version)),
            _ => Ok(Era::Legacy),
        };
    };
    let Some(version) = in_body.as_str() else {
        let why = format!("_meta.\"{META_VERSION}\" must be a string");
        return bad(Failure::new(INVALID_PARAMS, why));
    };
    if in_header != Some(version) {
        return bad(mismatch("MCP-Protocol-Version", in_header, version));
    }
    if !modern(version) {
        return bad(unsupported(version));
    }
    let capabilities = meta.and_then(|meta| meta.get(META_CAPABILITIES));
    if !capabilities.is_some_and(Value::is_object) {
        let why = format!("the request lacks _meta.\"{META_CAPABILITIES}\"");
        return bad(Failure::new(INVALID_PARAMS, why));
    }
    let in_header = header(headers, "mcp-method");
    if in_header != Some(method) {
        return bad(mismatch("Mcp-Method", in_header, method));
    }
    if method == "tools/call" {
        let name = params.get("name").and_then(Value::as_str).unwrap_or("");
        let in_header = header(headers, "mcp-name");
        if in_header.and_then(plain).as_deref() != Some(name) {
            return bad(mismatch("Mcp-Name", in_header, name));
        }
    }
    Ok(Era::Modern)
}

/// The value of a header that may be encoded as `=?base64?...?=`.
fn plain(value: &str) -> Option<String> {
    let coded = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    match coded {
        None => Some(value.to_owned()),
        Some(coded) => String::from_utf8(STANDARD.decode(coded).ok()?).ok(),
    }
}

fn mismatch(name: &str, header: Option<&str>, body: &str) -> Failure {
    let header = header.map_or_else(
        || "is missing".to_owned(),
        |value| format!("is '{}'", value.escape_debug()),
    );
    Failure::new(
        HEADER_MISMATCH,
        format!(
            "Header mismatch: the header {name} {header}, the body says '{}'",
            body.escape_debug()
        ),
    )
}

fn unsupported(version: &str) -> Failure {
    Failure::new(UNSUPPORTED_VERSION, "Unsupported protocol version")
        .with(json!({"supported": ALL, "requested": version}))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    fn meta(version: &str) -> Map<String, Value> {
        let params = json!({"name": "t", "_meta": {META_VERSION: version, META_CAPABILITIES: {}}});
        params.as_object().unwrap().clone()
    }

    #[test]
    fn eras() {
        let now = ALL[0];
        let none = Map::new();
        let version = |v: &'static str| ("mcp-protocol-version", v);
        assert_eq!(era(&headers(&[]), "ping", &none), Ok(Era::Legacy));
        for &old in &ALL[MODERN..] {
            assert_eq!(era(&headers(&[version(old)]), "x", &none), Ok(Era::Legacy));
        }
        let list = [version(now), ("mcp-method", "tools/list")];
        assert_eq!(
            era(&headers(&list), "tools/list", &meta(now)),
            Ok(Era::Modern)
        );
        let call = [version(now), ("mcp-method", "tools/call")];
        for name in ["t", "=?base64?dA==?="] {
            let with_name = [call[0], call[1], ("mcp-name", name)];
            let era = era(&headers(&with_name), "tools/call", &meta(now));
            assert_eq!(era, Ok(Era::Modern));
        }
        for (pairs, params, code) in [
            (
                &[version("1900-01-01")][..],
                none.clone(),
                UNSUPPORTED_VERSION,
            ),
            (
                &[version("1900-01-01")],
                meta("1900-01-01"),
                UNSUPPORTED_VERSION,
            ),
            (&[version(now)], none.clone(), INVALID_PARAMS),
            (&[], meta(now), HEADER_MISMATCH),
            (&[version(ALL[1])], meta(now), HEADER_MISMATCH),
            (&[version(now)], meta(now), HEADER_MISMATCH),
            (&call, meta(now), HEADER_MISMATCH),
            (
                &[call[0], call[1], ("mcp-name", "u")],
                meta(now),
                HEADER_MISMATCH,
            ),
        ] {
            let failure = era(&headers(pairs), "tools/call", &params).unwrap_err();
            let same = Failure::new(code, "").at(StatusCode::BAD_REQUEST);
            let shown = format!("{failure:?}");
            assert!(shown.contains(&code.to_string()), "{shown} {same:?}");
        }
    }

    #[test]
    fn initialize_gets_a_version_that_has_it() {
        let wants = |version: &str| {
            let params = json!({"protocolVersion": version});
            negotiated(params.as_object().unwrap()).to_owned()
        };
        assert_eq!(wants("2025-06-18"), "2025-06-18");
        assert_eq!(wants("2026-07-28"), "2025-11-25");
        assert_eq!(wants("1900-01-01"), "2025-11-25");
        assert_eq!(negotiated(&Map::new()), "2025-11-25");
    }
}
