//! The `Accept` header.

use http::{HeaderMap, header};

use crate::error::ApiError;
use mesa_api::ErrorCode;

/// How much a client wants a media type: 0 = not at all, 1000 = most. No header means everything.
fn quality(headers: &HeaderMap, media_type: &str) -> u16 {
    let family = media_type.split('/').next().unwrap_or_default();
    let mut best: Option<(u8, u16)> = None;
    let mut any = false;
    for value in headers.get_all(header::ACCEPT) {
        let Ok(text) = value.to_str() else { continue };
        for item in text.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default().to_ascii_lowercase();
            if range.is_empty() {
                continue;
            }
            any = true;
            let q = parts
                .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
                .and_then(|q| q.trim().parse::<f32>().ok())
                .map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16);
            let specific = match range.as_str() {
                "*/*" => 0,
                r if r.strip_suffix("/*") == Some(family) => 1,
                r if r == media_type => 2,
                _ => continue,
            };
            if best.is_none_or(|(s, _)| specific >= s) {
                best = Some((specific, q));
            }
        }
    }
    match best {
        Some((_, q)) => q,
        None if any => 0,
        None => 1000,
    }
}

/// Picks what to answer with, in the server's order of preference at equal wishes.
pub fn negotiate<'a>(headers: &HeaderMap, offers: &[&'a str]) -> Result<&'a str, ApiError> {
    let mut best: Option<(&str, u16)> = None;
    for &offer in offers {
        let q = quality(headers, offer);
        if q > 0 && best.is_none_or(|(_, b)| q > b) {
            best = Some((offer, q));
        }
    }
    best.map(|(offer, _)| offer).ok_or_else(|| {
        ApiError::new(
            ErrorCode::NotAcceptable,
            format!("this answers with {}", offers.join(" or ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const JSON: &str = "application/json";
    const BYTES: &str = "application/octet-stream";

    fn pick(accept: Option<&'static str>) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        if let Some(text) = accept {
            headers.insert(header::ACCEPT, HeaderValue::from_static(text));
        }
        negotiate(&headers, &[JSON, BYTES]).ok()
    }

    #[test]
    fn json_unless_bytes_are_wanted_more() {
        assert_eq!(pick(None), Some(JSON));
        assert_eq!(pick(Some("*/*")), Some(JSON));
        assert_eq!(pick(Some("application/*")), Some(JSON));
        assert_eq!(pick(Some("application/octet-stream")), Some(BYTES));
        assert_eq!(
            pick(Some("application/octet-stream, */*;q=0.1")),
            Some(BYTES)
        );
        assert_eq!(
            pick(Some(
                "application/json;q=0.2, application/octet-stream;q=0.5"
            )),
            Some(BYTES)
        );
        assert_eq!(pick(Some("APPLICATION/JSON")), Some(JSON));
        assert_eq!(pick(Some("text/html, */*;q=0")), None);
        assert_eq!(pick(Some("text/html")), None);
        assert_eq!(pick(Some("application/json;q=0, */*")), Some(BYTES));
    }
}
