//! Requests over io_uring instead of read and write of the device.

/// Whether the kernel will offer it: the module parameter is on.
pub(crate) fn offered() -> bool {
    std::fs::read_to_string("/sys/module/fuse/parameters/enable_uring")
        .is_ok_and(|value| value.trim() == "Y")
}
