//! Time under a test's control.

use std::sync::atomic::{AtomicI64, Ordering};

use mesa_types::{Nanos, time::Clock};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::SeqCst))
    }
}
