//! The address that is written into what is handed out.

use http::{HeaderMap, Uri, header};

/// Whether a text can stand within quotes of a shell script and of a TOML file, and is an origin
/// (with a path at most).
pub fn is_plain(address: &str) -> bool {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%/".contains(&byte);
        is_host(host) && path.bytes().all(plain)
    })
}

/// The address this request was sent to, by its `Host`.
pub fn of_request(scheme: &str, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or(named)?;
    is_host(host).then(|| format!("{scheme}://{host}"))
}

/// `name`, `name:port`, `1.2.3.4:port` or `[address]:port`.
fn is_host(text: &str) -> bool {
    if text.is_empty() || text.len() > 255 {
        return false;
    }
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((inner, rest)) => {
                let address: Result<std::net::Ipv6Addr, _> = inner.parse();
                if address.is_err() {
                    return false;
                }
                (
                    "",
                    rest.strip_prefix(':').or((!rest.is_empty()).then_some("?")),
                )
            }
            None => return false,
        },
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let named = text.starts_with('[') || (!name.is_empty() && name.bytes().all(plain));
    named && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in [
            "localhost",
            "a-b.example.com:7117",
            "10.0.0.1:80",
            "[::1]",
            "[fe80::1]:7117",
        ] {
            assert!(is_host(good), "{good}");
            assert!(is_plain(&format!("https://{good}")), "{good}");
        }
        for bad in [
            "", ":1", "a:", "a:0", "a:70000", "a:b", "a b", "a'b", "a\"b", "a$b", "a/b", "[::1",
            "[x]", "[::1]x", "[::1]:", "ä", "a@b", "`id`", "a:1:2",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
        assert!(is_plain("http://h:1/mesa"));
        assert!(!is_plain("ftp://h") && !is_plain("http://h/'") && !is_plain("http://h/\n"));
    }
}
