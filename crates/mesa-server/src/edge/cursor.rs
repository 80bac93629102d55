//! Cursors of lists that are not a range of rows.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::error::ApiError;

/// Longest cursor looked at, in bytes of text.
const LEN_MAX: usize = 1024;
const VERSION: u8 = 2;

/// The text of a cursor that continues at `position`.
pub fn encode(position: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(position.len() + 1);
    bytes.push(VERSION);
    bytes.extend_from_slice(position);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position in a cursor's text.
pub fn decode(text: &str) -> Result<Vec<u8>, ApiError> {
    let wrong =
        || ApiError::bad_request("the cursor is not one of this list's").narrowed("INVALID_CURSOR");
    if text.len() > LEN_MAX {
        return Err(wrong());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    match bytes.split_first() {
        Some((&VERSION, position)) => Ok(position.to_vec()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_reject_the_rest() {
        assert_eq!(decode(&encode(b"a/b\xff")).unwrap(), b"a/b\xff");
        for bad in ["", "*", "AAAA", &"A".repeat(LEN_MAX + 1)] {
            assert_eq!(decode(bad).unwrap_err().wire_code(), "INVALID_CURSOR");
        }
    }
}
