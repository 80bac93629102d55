//! The server's address from either way of giving it.

/// The server when nothing says otherwise.
pub const DEFAULT: &str = "http://127.0.0.1:7117";

/// Checks an `api-url`: the origin with or without `/v1` and a trailing slash.
pub fn from_url(text: &str) -> Result<String, String> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let Some(rest) = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"))
    else {
        return Err("must begin with http:// or https://".to_owned());
    };
    let host = rest.trim_end_matches('/');
    let host = host.strip_suffix("/v1").unwrap_or(host);
    if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        return Err("must be scheme, host and port, e.g. https://mesa.example.com".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The address a `service-domain` stands for.
pub fn from_domain(domain: &str) -> Result<String, String> {
    let domain = domain.trim();
    let good = !domain.is_empty()
        && domain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
    if good {
        Ok(format!("https://api.{domain}"))
    } else {
        Err("must be a domain name, e.g. mesa.example.com".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(from_url("http://h:1/").as_deref(), Ok("http://h:1"));
        assert_eq!(from_url("http://h:1/v1/").as_deref(), Ok("http://h:1/v1"));
        assert!(from_url("h:1").is_err());
        assert!(from_url("http://h/x").is_err());
        assert_eq!(
            from_domain("example.com").as_deref(),
            Ok("https://api.example.com")
        );
        assert!(from_domain("https://example.com").is_err());
    }
}
