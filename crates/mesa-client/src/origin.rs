//! The address of a server.

use std::{fmt, str::FromStr};

/// Scheme, host and port of a server, e.g. `http://127.0.0.1:7117`. Parsed from an address with
/// or without `/v1` and a trailing slash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin(String);

/// Why an address is not a server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// Neither `http://` nor `https://`.
    #[error("'{0}' does not begin with http:// or https://")]
    Scheme(String),
    /// No host, or characters a host cannot have.
    #[error("'{0}' has no valid host")]
    Host(String),
    /// User, path, query or fragment where none can be.
    #[error("'{0}' has more than scheme, host, port and an optional /v1")]
    Trailing(String),
}

impl Origin {
    /// The text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether the host is this machine itself; such a server is never reached through a proxy.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    }

    /// Host name or address literal, without the port.
    pub fn host(&self) -> &str {
        let authority = self.0.split_once("://").map_or("", |(_, a)| a);
        match authority.rfind(':') {
            Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
            _ => authority,
        }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let trimmed = text.trim();
        let lower = trimmed.to_ascii_lowercase();
        let (scheme, skip) = if lower.starts_with("https://") {
            ("https", 8)
        } else if lower.starts_with("http://") {
            ("http", 7)
        } else {
            return Err(OriginError::Scheme(text.to_owned()));
        };
        let rest = trimmed[skip..].trim_end_matches('/');
        let authority = rest
            .strip_suffix("/v1")
            .unwrap_or(rest)
            .trim_end_matches('/');
        if authority.contains(['/', '?', '#', '@']) {
            return Err(OriginError::Trailing(text.to_owned()));
        }
        let parsed: http::uri::Authority = authority
            .parse()
            .map_err(|_| OriginError::Host(text.to_owned()))?;
        if parsed.host().is_empty() {
            return Err(OriginError::Host(text.to_owned()));
        }
        Ok(Self(format!(
            "{scheme}://{}",
            parsed.as_str().to_ascii_lowercase()
        )))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_people_write() {
        for text in [
            "http://127.0.0.1:7117",
            "http://127.0.0.1:7117/",
            "http://127.0.0.1:7117/v1",
            "HTTP://127.0.0.1:7117/v1/",
        ] {
            assert_eq!(
                text.parse::<Origin>().unwrap().as_str(),
                "http://127.0.0.1:7117"
            );
        }
        assert_eq!(
            "https://API.example.com".parse::<Origin>().unwrap().host(),
            "api.example.com"
        );
        assert_eq!(
            "http://[::1]:7117".parse::<Origin>().unwrap().host(),
            "[::1]"
        );
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "127.0.0.1:7117",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://u:p@a",
            "http://a b",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    #[test]
    fn knows_loopback() {
        for text in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            assert!(text.parse::<Origin>().unwrap().is_loopback(), "{text}");
        }
        assert!(!"http://10.0.2.2:1".parse::<Origin>().unwrap().is_loopback());
    }
}
