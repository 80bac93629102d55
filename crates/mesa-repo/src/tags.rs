//! Labels of repos and API keys.

mod filter;

use std::collections::BTreeMap;

pub use filter::TagFilter;

use crate::error::Error;

/// Longest label key in characters.
pub const KEY_CHARS_MAX: usize = 64;
/// Longest label value in characters.
pub const VALUE_CHARS_MAX: usize = 256;
/// Labels on one thing.
pub const TAGS_MAX: usize = 64;

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid("INVALID_TAGS", message)
}

/// A label key as stored: lower-case, 1..=64 characters, not beginning with `$`.
pub fn checked_key(key: &str) -> Result<String, Error> {
    if key.is_empty() || key.chars().count() > KEY_CHARS_MAX {
        return Err(invalid(format!(
            "a tag's key must have 1 to {KEY_CHARS_MAX} characters"
        )));
    }
    if key.starts_with('$') {
        return Err(invalid("a tag's key must not begin with '$'"));
    }
    if key.chars().any(char::is_control) {
        return Err(invalid("a tag's key must not hold control characters"));
    }
    Ok(key.to_lowercase())
}

/// A label value: at most 256 characters.
pub fn checked_value(value: &str) -> Result<String, Error> {
    if value.chars().count() > VALUE_CHARS_MAX {
        return Err(invalid(format!(
            "a tag's value must have at most {VALUE_CHARS_MAX} characters"
        )));
    }
    Ok(value.to_owned())
}

/// Checks a whole set.
pub fn checked(tags: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    let mut out = BTreeMap::new();
    for (key, value) in tags {
        if out
            .insert(checked_key(key)?, checked_value(value)?)
            .is_some()
        {
            return Err(invalid("a tag's key occurs twice (keys have no case)"));
        }
    }
    bounded(&out)?;
    Ok(out)
}

/// Applies a patch: a value sets, `None` removes, absent keys stay.
pub fn patch(
    tags: &mut BTreeMap<String, String>,
    patch: &BTreeMap<String, Option<String>>,
) -> Result<(), Error> {
    for (key, value) in patch {
        let key = checked_key(key)?;
        match value {
            Some(value) => tags.insert(key, checked_value(value)?),
            None => tags.remove(&key),
        };
    }
    bounded(tags)
}

fn bounded(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    if tags.len() > TAGS_MAX {
        return Err(invalid(format!("at most {TAGS_MAX} tags")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn keys_are_lowered_and_checked() {
        assert_eq!(
            checked(&map(&[("Env", "Prod")])).unwrap(),
            map(&[("env", "Prod")])
        );
        for bad in [
            map(&[("", "x")]),
            map(&[("$a", "x")]),
            map(&[("a", "1"), ("A", "2")]),
        ] {
            assert_eq!(checked(&bad).unwrap_err().code, "INVALID_TAGS");
        }
        assert!(checked(&map(&[(&"k".repeat(65), "")])).is_err());
        assert!(checked(&map(&[("k", &"v".repeat(257))])).is_err());
    }

    #[test]
    fn patches_set_and_remove() {
        let mut tags = map(&[("a", "1"), ("b", "2")]);
        let change = BTreeMap::from([
            ("A".to_owned(), None),
            ("c".to_owned(), Some("3".to_owned())),
        ]);
        patch(&mut tags, &change).unwrap();
        assert_eq!(tags, map(&[("b", "2"), ("c", "3")]));
    }
}
