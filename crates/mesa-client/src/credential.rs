//! Bearer credentials: API keys and access tokens, chosen by org and repo, replaceable while in
//! use.

use std::{collections::HashMap, sync::Arc};

pub use mesa_types::Secret;
use parking_lot::RwLock;

/// The credentials of one client. Clones share the same set: a replacement is used by the next
/// call of everybody.
#[derive(Debug, Clone, Default)]
pub struct Credentials(Arc<RwLock<HashMap<Place, Secret>>>);

/// Where a credential applies; the most specific one wins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Everywhere nothing else applies.
    Global,
    /// One org.
    Org(String),
    /// One repo: org, repo.
    Repo(String, String),
}

impl Credentials {
    /// Only this credential, for everything.
    pub fn single(secret: Secret) -> Self {
        let set = Self::default();
        set.put(Place::Global, secret);
        set
    }

    /// Sets or replaces a credential.
    pub fn put(&self, place: Place, secret: Secret) {
        self.0.write().insert(place, secret);
    }

    /// Forgets a credential.
    pub fn remove(&self, place: &Place) {
        self.0.write().remove(place);
    }

    /// The credential for a repo (or, with an empty `repo`, for the org itself).
    pub fn get(&self, org: &str, repo: &str) -> Option<Secret> {
        let set = self.0.read();
        if !repo.is_empty()
            && let Some(found) = set.get(&Place::Repo(org.to_owned(), repo.to_owned()))
        {
            return Some(found.clone());
        }
        set.get(&Place::Org(org.to_owned()))
            .or_else(|| set.get(&Place::Global))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_wins_and_can_be_replaced() {
        let set = Credentials::default();
        assert!(set.get("a", "r").is_none());
        set.put(Place::Global, Secret::new("g"));
        set.put(Place::Org("a".into()), Secret::new("o\n"));
        set.put(Place::Repo("a".into(), "r".into()), Secret::new("r"));
        let shared = set.clone();
        assert_eq!(shared.get("a", "r").unwrap().expose(), "r");
        assert_eq!(shared.get("a", "x").unwrap().expose(), "o");
        assert_eq!(shared.get("a", "").unwrap().expose(), "o");
        assert_eq!(shared.get("b", "r").unwrap().expose(), "g");
        set.put(Place::Org("a".into()), Secret::new("o2"));
        assert_eq!(shared.get("a", "").unwrap().expose(), "o2");
    }

    #[test]
    fn debug_hides_the_text() {
        let set = Credentials::single(Secret::new("mesa_secret"));
        assert!(!format!("{set:?}").contains("mesa_secret"));
    }
}
