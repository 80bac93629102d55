//! The allocator, and giving back what nothing needs any more.
//!
//! musl's allocator is slow under threads. This one is configured in `.cargo/config.toml`; it gives
//! free memory back as it is used, so a process that has become idle needs somebody to remind it
//! (its own thread for that does not run in a static program).

use std::time::Duration;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Between looks at what is free.
const LOOK: Duration = Duration::from_secs(5);

/// Gives back what was free for some seconds, for as long as the process lives. Call it in processes
/// that stay.
pub fn give_back_when_idle() {
    let look = || {
        loop {
            std::thread::sleep(LOOK);
            decay();
        }
    };
    let thread = std::thread::Builder::new().name("memory".to_owned());
    // Without it the process only stays as large as it was once.
    if let Err(error) = thread.stack_size(64 << 10).spawn(look) {
        tracing::warn!(%error, "free memory is not given back");
    }
}

/// Lets all arenas return what they kept for long enough.
fn decay() {
    #[allow(unsafe_code)]
    // SAFETY: a command without input and output; the name ends with a zero byte.
    let failed = unsafe {
        tikv_jemalloc_sys::mallctl(
            c"arena.4096.decay".as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        )
    };
    debug_assert_eq!(failed, 0, "the allocator does not know the command");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_allocator_knows_the_command() {
        super::decay();
    }
}
