//! Request ids.

use std::fmt;

use http::{HeaderMap, HeaderValue};

/// The id of a request: the client's `x-request-id` when that is harmless, else a new one. It is
/// in the answer's header, in error envelopes and in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    const LEN_MAX: usize = 64;

    /// The id for a request with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        headers
            .get("x-request-id")
            .and_then(|value| value.to_str().ok())
            .filter(|text| Self::harmless(text))
            .map_or_else(
                || Self(ulid::Ulid::new().to_string()),
                |t| Self(t.to_owned()),
            )
    }

    /// Only characters that mean nothing to logs, shells and headers.
    fn harmless(text: &str) -> bool {
        (1..=Self::LEN_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a header's value.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("-"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_harmless_ids_only() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_static(text));
            RequestId::of(&headers)
        };
        assert_eq!(of("abc-1").as_str(), "abc-1");
        for bad in ["", "a b", "a\"b", "{}"] {
            assert_eq!(of(bad).as_str().len(), 26, "{bad}");
        }
        assert_ne!(
            RequestId::of(&HeaderMap::new()),
            RequestId::of(&HeaderMap::new())
        );
    }
}
