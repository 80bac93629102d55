//! The names of events.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a webhook target can be told of.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum EventName {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl EventName {
            /// Every event.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        impl FromStr for EventName {
            type Err = UnknownEvent;

            fn from_str(text: &str) -> Result<Self, UnknownEvent> {
                match text {
                    $($text => Ok(Self::$name),)*
                    _ => Err(UnknownEvent),
                }
            }
        }
    };
}

/// A text that names no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such event")]
pub struct UnknownEvent;

events! {
    /// A repo was created.
    RepoCreated = "repo.created",
    /// A repo's name, default bookmark or labels changed.
    RepoUpdated = "repo.updated",
    /// A repo was deleted.
    RepoDeleted = "repo.deleted",
    /// A bookmark was created.
    BookmarkCreated = "bookmark.created",
    /// A bookmark was deleted.
    BookmarkDeleted = "bookmark.deleted",
    /// A bookmark names another change.
    BookmarkMoved = "bookmark.moved",
    /// Another bookmark was merged into this one.
    BookmarkMerged = "bookmark.merged",
    /// A change was created.
    ChangeCreated = "change.created",
    /// A change has a new commit.
    ChangeEvolved = "change.evolved",
    /// Somebody pushed with git.
    Push = "push",
    /// A sync with an upstream waits.
    SyncQueued = "sync.queued",
    /// A sync began.
    SyncInProgress = "sync.in_progress",
    /// A sync ended well.
    SyncCompleted = "sync.completed",
    /// A sync failed.
    SyncFailed = "sync.failed",
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for &event in EventName::ALL {
            assert_eq!(event.as_str().parse(), Ok(event));
            let json = serde_json::to_string(&event).unwrap();
            assert_eq!(json, format!("\"{event}\""));
        }
        assert_eq!("repo.exploded".parse::<EventName>(), Err(UnknownEvent));
    }
}
