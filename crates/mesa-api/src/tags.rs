//! String labels of repos and keys.

use std::collections::BTreeMap;

/// Labels by key.
pub type Tags = BTreeMap<String, String>;

/// A change to labels: a text sets one, `null` removes it, others stay.
pub type TagPatch = BTreeMap<String, Option<String>>;

/// Longest tag key in characters.
pub const TAG_KEY_MAX: usize = 64;
/// Longest tag value in characters.
pub const TAG_VALUE_MAX: usize = 256;
/// Most tags on one thing.
pub const TAGS_MAX: usize = 64;

/// Why a tag was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The key is empty, too long, has control characters or begins with `$`.
    #[error("tag key {0:?} must be 1 to 64 characters and must not begin with `$`")]
    Key(String),
    /// The value is too long.
    #[error("the value of tag {0:?} is longer than 256 characters")]
    Value(String),
    /// More than [`TAGS_MAX`] tags.
    #[error("more than 64 tags")]
    TooMany,
}

/// Checks a key and gives its stored form, lower case.
pub fn normal_key(key: &str) -> Result<String, TagError> {
    let key = key.to_lowercase();
    let wrong = key.is_empty()
        || key.starts_with('$')
        || key.chars().count() > TAG_KEY_MAX
        || key.chars().any(char::is_control);
    if wrong {
        Err(TagError::Key(key.chars().take(TAG_KEY_MAX).collect()))
    } else {
        Ok(key)
    }
}

/// Checks a value.
pub fn check_value(key: &str, value: &str) -> Result<(), TagError> {
    if value.chars().count() > TAG_VALUE_MAX {
        Err(TagError::Value(key.to_owned()))
    } else {
        Ok(())
    }
}

/// Checks all tags of a new thing and gives their stored form.
pub fn normal(tags: Tags) -> Result<Tags, TagError> {
    apply(Tags::new(), tags.into_iter().map(|(k, v)| (k, Some(v))))
}

/// The tags after a patch.
pub fn apply(
    mut tags: Tags,
    patch: impl IntoIterator<Item = (String, Option<String>)>,
) -> Result<Tags, TagError> {
    for (key, value) in patch {
        let key = normal_key(&key)?;
        match value {
            Some(value) => {
                check_value(&key, &value)?;
                tags.insert(key, value);
            }
            None => {
                tags.remove(&key);
            }
        }
    }
    if tags.len() > TAGS_MAX {
        Err(TagError::TooMany)
    } else {
        Ok(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn patch_sets_and_removes() {
        let before = tags(&[("env", "prod"), ("team", "x")]);
        let patch = [
            ("ENV".to_owned(), None),
            ("New".to_owned(), Some("1".to_owned())),
        ];
        assert_eq!(
            apply(before, patch),
            Ok(tags(&[("new", "1"), ("team", "x")]))
        );
    }

    #[test]
    fn refusals() {
        assert!(normal(tags(&[("", "v")])).is_err());
        assert!(normal(tags(&[("$and", "v")])).is_err());
        assert!(normal(tags(&[("a\n", "v")])).is_err());
        assert!(normal(tags(&[(&"k".repeat(65), "v")])).is_err());
        assert!(normal(tags(&[("k", &"v".repeat(257))])).is_err());
        let many: Tags = (0..65).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(normal(many), Err(TagError::TooMany));
    }
}
