//! Pages of lists: `limit`, `cursor`, `next_cursor`, `has_more`.
//!
//! A cursor is the place in the list's order after which the next page begins, never a number of
//! items to skip, so that rows inserted or deleted meanwhile neither repeat nor hide others.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Items in a page when the request does not say.
pub const PAGE_LIMIT_DEFAULT: usize = 50;
/// Most items in a page.
pub const PAGE_LIMIT_MAX: usize = 100;
/// Longest cursor a request may carry, in bytes of text.
pub const CURSOR_LEN_MAX: usize = 1024;

/// The version byte in front of a cursor's position.
const VERSION: u8 = 1;

/// The text of a cursor that continues after `position`.
pub fn encode_cursor(position: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(position.len() + 1);
    bytes.push(VERSION);
    bytes.extend_from_slice(position);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position in a cursor's text; `None` if no server of this version wrote it.
pub fn decode_cursor(text: &str) -> Option<Vec<u8>> {
    if text.len() > CURSOR_LEN_MAX {
        return None;
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    if bytes.first() != Some(&VERSION) {
        return None;
    }
    bytes.remove(0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_reject_the_rest() {
        let cursor = encode_cursor(b"a/b\xff");
        assert_eq!(decode_cursor(&cursor).as_deref(), Some(&b"a/b\xff"[..]));
        for bad in ["", "*", "AAAA", &"A".repeat(CURSOR_LEN_MAX + 1)] {
            assert_eq!(decode_cursor(bad), None, "{bad}");
        }
    }
}
