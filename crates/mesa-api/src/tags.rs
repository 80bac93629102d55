//! String labels of repos and keys. Keys are stored in lower case, have at most 64 characters and
//! do not begin with `$`; values have at most 256 characters.

use std::collections::BTreeMap;

/// Labels by key.
pub type Tags = BTreeMap<String, String>;

/// A change to labels: a text sets one, `null` removes it, others stay.
pub type TagPatch = BTreeMap<String, Option<String>>;
