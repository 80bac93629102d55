//! Immutable, uniquely named objects on durable storage.

use std::{fmt, ops::Range};

use bytes::Bytes;

/// Name of a stored object: `/`-separated parts of `[A-Za-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(String);

impl ObjectName {
    /// Checks a name: 1 to 512 bytes, no empty, `.` or `..` parts.
    pub fn new(name: impl Into<String>) -> Result<Self, StoreError> {
        let name = name.into();
        let good_part = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        if name.len() <= 512 && name.split('/').all(good_part) {
            Ok(Self(name))
        } else {
            Err(StoreError::new(StoreErrorKind::Usage, "name", None))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such object.
    NotFound,
    /// An object of this name exists; objects are never replaced.
    Exists,
    /// Try again later; a write may or may not have happened.
    Unavailable,
    /// No room (disk full, quota).
    Full,
    /// Stored bytes are damaged; an operator must look.
    Corrupt,
    /// The call was wrong.
    Usage,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("object store: {step}")]
pub struct StoreError {
    /// What the caller can do.
    pub kind: StoreErrorKind,
    /// The step that failed, with the object concerned if known.
    pub step: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// An error of `kind` in `step`.
    pub fn new(
        kind: StoreErrorKind,
        step: impl Into<String>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            step: step.into(),
            source,
        }
    }
}

/// A listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub bytes: u64,
}

impl From<mesa_meta::MetaError> for StoreError {
    fn from(error: mesa_meta::MetaError) -> Self {
        use mesa_meta::MetaErrorKind as Meta;
        let kind = match error.kind {
            Meta::Full => StoreErrorKind::Full,
            Meta::Corrupt => StoreErrorKind::Corrupt,
            Meta::Usage => StoreErrorKind::Usage,
            _ => StoreErrorKind::Unavailable,
        };
        Self::new(kind, "index", Some(Box::new(error)))
    }
}

/// Storage of immutable objects.
#[async_trait::async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores a new object; when this returns the object and its name survive a power cut.
    /// [`StoreErrorKind::Exists`] if there is one. Never visible half-written.
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError>;

    /// Reads a range, which must not be empty and lies within the object: a shorter object is
    /// [`StoreErrorKind::Corrupt`].
    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Size of an object in bytes.
    async fn size(&self, name: &ObjectName) -> Result<u64, StoreError>;

    /// Up to `limit` objects whose name begins with `prefix` and is greater than `after`, in
    /// order of name.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError>;

    /// Removes an object; absent ones count as removed.
    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError>;
}
