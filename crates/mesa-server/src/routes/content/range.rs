//! The `Range` header.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use mesa_api::ErrorCode;

use crate::error::ApiError;

/// What a request wants of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: no range, several ranges, or one that is not understood.
    Whole,
    /// A part, not empty and within the content.
    Part(Range<u64>),
    /// A part that is not there.
    Outside,
}

/// Reads the header for a content of `size` bytes.
pub fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    let text = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().strip_prefix("bytes="));
    let Some((first, last)) = text.and_then(|text| text.split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than fit stand for more bytes than there are.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (first, last) = (first.trim(), last.trim());
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return Wanted::Whole,
    };
    if range.is_empty() {
        Wanted::Outside
    } else {
        Wanted::Part(range)
    }
}

/// Status, part and headers of an answer that is a content of `size` bytes or a part of it.
pub fn answer(wanted: Wanted, size: u64) -> Result<(StatusCode, Range<u64>, HeaderMap), ApiError> {
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Outside => {
            let message = format!("the content has {size} bytes");
            let error = ApiError::new(ErrorCode::RangeNotSatisfiable, message);
            return Err(error.header(header::CONTENT_RANGE, value(&format!("bytes */{size}"))));
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(range.end - range.start),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, value(&part));
    }
    Ok((status, range, headers))
}

/// A header's value from text made here.
pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn ranges() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(text));
            wanted(&headers, 10)
        };
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
        assert_eq!(read("bytes=0-3"), Wanted::Part(0..4));
        assert_eq!(read("bytes=8-"), Wanted::Part(8..10));
        assert_eq!(read("bytes=5-99999999999999999999999"), Wanted::Part(5..10));
        assert_eq!(read("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(read("bytes=-30"), Wanted::Part(0..10));
        for outside in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(read(outside), Wanted::Outside, "{outside}");
        }
        for whole in [
            "bytes=3-1",
            "bytes=-",
            "bytes=a-b",
            "lines=1-2",
            "bytes=0-1,3-4",
            "0-1",
        ] {
            assert_eq!(read(whole), Wanted::Whole, "{whole}");
        }
    }
}
