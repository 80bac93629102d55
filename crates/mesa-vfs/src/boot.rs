//! Telling one start of the machine from another: what was written before and never synced may be
//! gone.

/// What the kernel calls this start of the machine; empty where it does not tell.
pub(crate) fn id() -> Vec<u8> {
    std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
