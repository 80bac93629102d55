//! Failing on purpose: what callers do when storage does not do what it says.

use std::ops::Range;

use bytes::Bytes;

use crate::{ObjectInfo, ObjectName, ObjectStore, StoreError, StoreErrorKind};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing unusual.
    None,
    /// It fails without effect.
    Fail(StoreErrorKind),
    /// A write takes effect, but the answer is [`StoreErrorKind::Unavailable`].
    LoseAnswer,
    /// A write is answered as done but is gone after the crash: a disk that lies about syncing.
    DropWrite,
}

/// A call as shown to the fault plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// [`ObjectStore::put`].
    Put,
    /// [`ObjectStore::get_range`].
    Get,
    /// [`ObjectStore::size`].
    Size,
    /// [`ObjectStore::list`].
    List,
    /// [`ObjectStore::delete`].
    Delete,
}

type Plan = dyn Fn(Call, &str) -> Fault + Send + Sync;

/// Passes calls to `S` except where the plan says otherwise.
pub struct Faulty<S> {
    inner: S,
    plan: Box<Plan>,
}

impl<S> Faulty<S> {
    /// `plan` is asked before every call, with the name or prefix concerned.
    pub fn new(inner: S, plan: impl Fn(Call, &str) -> Fault + Send + Sync + 'static) -> Self {
        Self {
            inner,
            plan: Box::new(plan),
        }
    }

    /// Whether the call goes through, and whether its answer is lost.
    fn decide(&self, call: Call, name: &str) -> Result<(bool, bool), StoreError> {
        match (self.plan)(call, name) {
            Fault::None => Ok((true, false)),
            Fault::LoseAnswer => Ok((true, true)),
            Fault::DropWrite => Ok((false, false)),
            Fault::Fail(kind) => Err(StoreError::new(
                kind,
                format!("injected fault in {name}"),
                None,
            )),
        }
    }
}

fn lost() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "injected loss of the answer",
        None,
    )
}

#[async_trait::async_trait]
impl<S: ObjectStore> ObjectStore for Faulty<S> {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let (goes, loses) = self.decide(Call::Put, name.as_str())?;
        if goes {
            self.inner.put(name, bytes).await?;
        }
        if loses { Err(lost()) } else { Ok(()) }
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.decide(Call::Get, name.as_str())?;
        self.inner.get_range(name, range).await
    }

    async fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.decide(Call::Size, name.as_str())?;
        self.inner.size(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        self.decide(Call::List, prefix)?;
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let (goes, loses) = self.decide(Call::Delete, name.as_str())?;
        if goes {
            self.inner.delete(name).await?;
        }
        if loses { Err(lost()) } else { Ok(()) }
    }
}
