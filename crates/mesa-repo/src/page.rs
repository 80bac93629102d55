//! Pages of listings.
//!
//! A cursor is base64url of `01` and the last row's key below the listing's prefix, so that a page
//! starts right after the last one whatever was inserted or deleted since.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mesa_meta::{Key, Range};

use crate::error::Error;

/// Largest page.
pub const LIMIT_MAX: usize = 100;
/// Page size when none is asked for.
pub const LIMIT_DEFAULT: usize = 50;

const VERSION: u8 = 1;
const CURSOR_LEN_MAX: usize = 1024;

/// Which page is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The cursor of the page before; `None` = the first page.
    pub cursor: Option<String>,
    /// 1..=[`LIMIT_MAX`]; `None` = [`LIMIT_DEFAULT`].
    pub limit: Option<usize>,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The same page with other items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next: self.next,
        }
    }
}

impl PageRequest {
    /// The checked limit.
    pub(crate) fn limit(&self) -> Result<usize, Error> {
        match self.limit {
            None => Ok(LIMIT_DEFAULT),
            Some(n) if (1..=LIMIT_MAX).contains(&n) => Ok(n),
            Some(_) => Err(Error::invalid(
                "INVALID_LIMIT",
                format!("limit must be from 1 to {LIMIT_MAX}"),
            )),
        }
    }

    /// The rows of the listing under `prefix` that the page can hold.
    pub(crate) fn range(&self, prefix: &Key) -> Result<Range, Error> {
        let mut range = Range::prefix(prefix.clone());
        if let Some(cursor) = &self.cursor {
            let mut start = prefix.0.to_vec();
            start.extend_from_slice(&decode(cursor)?);
            start.push(0);
            range.start = Key(start.into());
        }
        Ok(range)
    }

    /// The same for a listing whose last row comes first.
    pub(crate) fn range_before(&self, prefix: &Key) -> Result<Range, Error> {
        let mut range = Range::prefix(prefix.clone());
        if let Some(cursor) = &self.cursor {
            let mut end = prefix.0.to_vec();
            end.extend_from_slice(&decode(cursor)?);
            range.end = Some(Key(end.into()));
        }
        Ok(range)
    }
}

/// The cursor after the row `key` of the listing under `prefix`.
pub(crate) fn cursor_after(prefix: &Key, key: &Key) -> String {
    let tail = key.0.get(prefix.0.len()..).unwrap_or_default();
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(tail);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(cursor: &str) -> Result<Vec<u8>, Error> {
    let wrong = || Error::invalid("INVALID_CURSOR", "the cursor is not one of this listing");
    if cursor.len() > CURSOR_LEN_MAX {
        return Err(wrong());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    match bytes.split_first() {
        Some((&VERSION, tail)) => Ok(tail.to_vec()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use mesa_meta::KeyBuf;

    use super::*;

    #[test]
    fn a_cursor_starts_right_after_its_row_and_stays_below_the_prefix() {
        let prefix: Key = KeyBuf::new("org_1").text("r").into();
        let key: Key = KeyBuf::new("org_1").text("r").text("b").into();
        let next: Key = KeyBuf::new("org_1").text("r").text("b2").into();
        let request = PageRequest {
            cursor: Some(cursor_after(&prefix, &key)),
            limit: None,
        };
        let range = request.range(&prefix).unwrap();
        assert!(range.start > key && range.start < next);
        assert_eq!(range.end, prefix.successor_of_prefix());
        let foreign = PageRequest {
            cursor: Some(URL_SAFE_NO_PAD.encode(b"\x01\xff\xff\xff")),
            limit: None,
        };
        assert!(
            foreign
                .range(&prefix)
                .unwrap()
                .start
                .0
                .starts_with(&prefix.0)
        );
    }

    #[test]
    fn wrong_cursors_and_limits_are_refused() {
        let prefix: Key = KeyBuf::new("org_1").into();
        for bad in ["", "!", "AA", &"A".repeat(2000)] {
            let request = PageRequest {
                cursor: Some(bad.to_owned()),
                limit: None,
            };
            assert_eq!(request.range(&prefix).unwrap_err().code, "INVALID_CURSOR");
        }
        for bad in [0, 101] {
            let request = PageRequest {
                cursor: None,
                limit: Some(bad),
            };
            assert_eq!(request.limit().unwrap_err().code, "INVALID_LIMIT");
        }
    }
}
