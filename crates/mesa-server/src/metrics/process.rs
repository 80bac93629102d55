//! What the kernel knows about this process.

use super::Sample;

/// Resident memory and open descriptors; empty where `/proc` is not mounted.
pub fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    if let Some(bytes) = resident_bytes() {
        samples.push(Sample {
            name: "process_resident_bytes",
            help: "Resident memory.",
            kind: "gauge",
            value: bytes as f64,
        });
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        samples.push(Sample {
            name: "process_open_fds",
            help: "Open file descriptors.",
            kind: "gauge",
            value: entries.count() as f64,
        });
    }
    samples
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
