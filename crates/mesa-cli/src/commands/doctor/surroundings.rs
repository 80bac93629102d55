//! What containers and sandboxes take away: the right to mount, memory, disk, a home, the network.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use mesa_config::Settings;

use super::Finding;
use crate::output::human_bytes;

/// Bit of `CAP_SYS_ADMIN`.
const SYS_ADMIN: u32 = 21;
const MEMORY_MIN: u64 = 128 << 20;
const DISK_MIN: u64 = 1 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether this process, or a set-uid helper it starts, can mount at all.
pub fn right_to_mount() -> Option<Finding> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = rustix::process::geteuid().is_root();
    let helper = std::fs::metadata("/usr/bin/fusermount3").ok();
    let set_uid = helper.is_none_or(|m| m.uid() == 0 && m.mode() & 0o4000 != 0);
    mounting(&status, root, mesa_fuse::mount::privileged(), set_uid)
}

fn mounting(status: &str, root: bool, privileged: bool, set_uid: bool) -> Option<Finding> {
    if privileged {
        return None;
    }
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("", |text| text.trim_start_matches(':').trim())
    };
    let bounding = u64::from_str_radix(field("CapBnd"), 16).unwrap_or(u64::MAX);
    if root || bounding >> SYS_ADMIN & 1 == 0 {
        return Some(Finding::fail(
            "mounting",
            "is not allowed in this container: the capability SYS_ADMIN is missing",
            "start it with --device /dev/fuse --cap-add SYS_ADMIN",
        ));
    }
    if field("NoNewPrivs") == "1" {
        return Some(Finding::fail(
            "mounting",
            "this process may gain no privileges (no_new_privs), so fusermount3 cannot help it",
            "start it without NoNewPrivileges or --security-opt no-new-privileges, or as root",
        ));
    }
    (!set_uid).then(|| {
        Finding::fail(
            "mounting",
            "/usr/bin/fusermount3 is not set-uid root, so it cannot mount",
            "as root: chown root /usr/bin/fusermount3 && chmod 4755 /usr/bin/fusermount3",
        )
    })
}

/// Home, memory and disk.
pub fn room(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if settings.paths.homeless {
        findings.push(Finding::warn(
            "home",
            format!(
                "there is none; everything is below {}",
                settings.paths.home.display()
            ),
            "set HOME: what is not sent yet may be lost with that directory",
        ));
    }
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let available = memory_available(
        &read("/proc/meminfo"),
        &read("/sys/fs/cgroup/memory.max"),
        &read("/sys/fs/cgroup/memory.current"),
    );
    findings.extend(available.map(|free| memory(free, settings.cache.memory_bytes_max)));
    findings.extend(disk(&settings.state_dir));
    findings
}

fn memory(free: u64, cache: u64) -> Finding {
    let message = format!("{} available", human_bytes(free));
    if free < MEMORY_MIN || cache > free {
        let message = format!("{message}; the cache may take {}", human_bytes(cache));
        return Finding::warn(
            "memory",
            message,
            "give it less: MESA_CACHE_MAX_MEMORY_SIZE=64MB, or more memory to the machine",
        );
    }
    Finding::pass("memory", message)
}

/// What this machine, or the control group around this container, still has.
fn memory_available(meminfo: &str, limit: &str, used: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let free = kib * 1024;
    // `max`, or no such file: no limit.
    let Ok(limit) = limit.trim().parse::<u64>() else {
        return Some(free);
    };
    let used = used.trim().parse().unwrap_or(0);
    Some(free.min(limit.saturating_sub(used)))
}

fn disk(dir: &Path) -> Option<Finding> {
    let existing = dir.ancestors().find(|d| d.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    let free = stat.f_bavail * stat.f_frsize;
    let message = format!("{} free at {}", human_bytes(free), existing.display());
    Some(if free < DISK_MIN {
        let fix = "make room, or set MESA_STATE_DIR and MESA_CACHE_PATH to another disk";
        Finding::warn("disk", message, fix)
    } else {
        Finding::pass("disk", message)
    })
}

/// Why a server does not answer, as far as the network tells; asked when it did not.
pub fn network(settings: &Settings) -> Finding {
    let proxy = [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
    ]
    .into_iter()
    .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if let Some(name) = proxy {
        return Finding::warn(
            "network",
            format!("goes through the proxy of {name}"),
            "check that the proxy may reach the server, or name the server in NO_PROXY",
        );
    }
    let place = host_and_port(&settings.server);
    let addresses: Vec<SocketAddr> = match place.to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(error) => {
            return Finding::fail(
                "network",
                format!("{place} has no address here: {error}"),
                "check name and DNS; where a sandbox reaches listed hosts only, list this one",
            );
        }
    };
    let mut failure = String::new();
    for address in addresses.iter().take(4) {
        match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
            Ok(_) => {
                return Finding::warn(
                    "network",
                    format!("{address} takes connections, but what answers is no mesa server"),
                    "check port and scheme of the server's address (http or https)",
                );
            }
            Err(error) => failure = format!("{address}: {error}"),
        }
    }
    Finding::fail(
        "network",
        format!("no connection to {failure}"),
        "is the server running, and listening there? Where a sandbox reaches listed hosts only, \
         list this one: it is all that mesa needs",
    )
}

/// Of an address like `https://mesa.example.com`.
fn host_and_port(server: &str) -> String {
    let (default, rest) = match server.split_once("://") {
        Some(("https", rest)) => (443, rest),
        Some((_, rest)) => (80, rest),
        None => (80, server),
    };
    let host = rest.split('/').next().unwrap_or(rest);
    let named = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if named {
        host.to_owned()
    } else {
        format!("{host}:{default}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Outcome;

    #[test]
    fn who_can_mount() {
        let status = "CapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\n";
        let denied = "CapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\n";
        let bound = "CapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\n";
        let told = |status, root, privileged, set_uid| {
            mounting(status, root, privileged, set_uid).map(|finding| finding.message)
        };
        assert_eq!(told(denied, true, true, true), None);
        assert_eq!(told(status, false, false, true), None);
        assert!(
            told(denied, true, false, true)
                .unwrap()
                .contains("SYS_ADMIN")
        );
        assert!(
            told(denied, false, false, true)
                .unwrap()
                .contains("SYS_ADMIN")
        );
        assert!(
            told(bound, false, false, true)
                .unwrap()
                .contains("no_new_privs")
        );
        assert!(
            told(status, false, false, false)
                .unwrap()
                .contains("set-uid")
        );
    }

    #[test]
    fn memory_of_machines_and_containers() {
        let meminfo = "MemTotal: 9 kB\nMemAvailable:    1048576 kB\n";
        assert_eq!(memory_available(meminfo, "max\n", "5\n"), Some(1 << 30));
        assert_eq!(memory_available(meminfo, "", ""), Some(1 << 30));
        assert_eq!(
            memory_available(meminfo, "200000000\n", "50000000\n"),
            Some(150_000_000)
        );
        assert_eq!(memory_available("", "", ""), None);
        assert_eq!(memory(1 << 30, 320 << 20).outcome, Outcome::Pass);
        assert_eq!(memory(200 << 20, 320 << 20).outcome, Outcome::Warn);
        assert_eq!(memory(100 << 20, 64 << 20).outcome, Outcome::Warn);
    }

    #[test]
    fn places_of_servers() {
        for (server, place) in [
            ("https://mesa.example.com", "mesa.example.com:443"),
            ("http://127.0.0.1:7117", "127.0.0.1:7117"),
            ("http://h/v1", "h:80"),
            ("https://[::1]", "[::1]:443"),
            ("https://[::1]:8443/", "[::1]:8443"),
        ] {
            assert_eq!(host_and_port(server), place);
        }
    }
}
