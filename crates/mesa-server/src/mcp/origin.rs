//! The `Origin` header: web pages of others must not reach a server on the reader's machine, whose
//! name they may have pointed at it (DNS rebinding).

use http::{HeaderMap, Uri, header};
use mesa_api::ErrorCode;

use crate::error::ApiError;

/// Programs send no `Origin`. A browser's must be the server's own address, if the operator named
/// one, or this machine, which no page of others can claim to be from.
pub fn check(headers: &HeaderMap, public_url: Option<&str>) -> Result<(), ApiError> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let allowed = origins.all(|origin| origin.to_str().is_ok_and(|text| good(text, public_url)));
    if allowed {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::Forbidden,
        "requests from this origin are not taken",
    )
    .narrowed("ORIGIN_NOT_ALLOWED"))
}

fn good(origin: &str, public_url: Option<&str>) -> bool {
    let Some(origin) = parts(origin) else {
        return false;
    };
    let is_local = matches!(origin.1.as_str(), "localhost" | "127.0.0.1" | "[::1]");
    is_local || public_url.and_then(parts).is_some_and(|own| own == origin)
}

/// Scheme, host and port.
fn parts(url: &str) -> Option<(String, String, u16)> {
    let uri = url.parse::<Uri>().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = match (uri.port_u16(), scheme.as_str()) {
        (Some(port), _) => port,
        (None, "https") => 443,
        (None, "http") => 80,
        (None, _) => return None,
    };
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_this_machine_and_the_servers_own_address() {
        let own = Some("https://mesa.example.com");
        let taken = |origin: &'static str, own| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            check(&headers, own).is_ok()
        };
        for good in [
            "https://mesa.example.com",
            "https://MESA.example.com:443",
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://[::1]:7117",
        ] {
            assert!(taken(good, own), "{good}");
        }
        for bad in [
            "null",
            "",
            "http://mesa.example.com",
            "https://mesa.example.com:8443",
            "https://mesa.example.com.evil.example",
            "https://localhost.evil.example",
            "https://evil.example",
            "file://",
        ] {
            assert!(!taken(bad, own), "{bad}");
        }
        assert!(!taken("https://mesa.example.com", None));
        assert!(check(&HeaderMap::new(), None).is_ok());
    }
}
