//! The runtime of background work, and futures that may be polled outside it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// More threads than this help no mount: what they wait for is the network.
const THREADS_MAX: usize = 4;

/// The runtime all mounts of this process share, with the process it was started in: its threads
/// are not there any more after a fork.
static SHARED: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// The shared runtime, started when it is first needed.
pub fn shared() -> io::Result<Handle> {
    let process = std::process::id();
    let mut shared = SHARED.lock();
    if let Some((started_in, runtime)) = *shared
        && started_in == process
    {
        return Ok(runtime.handle().clone());
    }
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, THREADS_MAX));
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("mesa-fs")
        .enable_all()
        .build()?;
    // Never dropped: mounts use it until the process ends.
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    *shared = Some((process, runtime));
    Ok(runtime.handle().clone())
}

/// A future that finds the runtime's timers and tasks whoever polls it.
pub struct Inside<F> {
    runtime: Handle,
    future: Pin<Box<F>>,
}

impl<F> Inside<F> {
    pub fn new(runtime: &Handle, future: F) -> Self {
        Self {
            runtime: runtime.clone(),
            future: Box::pin(future),
        }
    }
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let inside = &mut *self;
        let _entered = inside.runtime.enter();
        inside.future.as_mut().poll(context)
    }
}
