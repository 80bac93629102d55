//! The single checks.

use std::{
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mesa_config::Settings;
use mesa_fuse::MountState;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Finding, Outcome};
use crate::{context::Context, credentials, duration, error::CliError};

/// Clock differences beyond this break signed tokens.
const SKEW_MAX: Duration = Duration::from_mins(1);
/// A key that ends sooner is worth a warning.
const LIFE_MIN: Duration = Duration::from_mins(10);

/// The kernel's side.
pub fn machine() -> Vec<Finding> {
    let root = mesa_fuse::mount::privileged();
    let mut findings = vec![device()];
    if !root {
        findings.push(helper());
        findings.push(if mesa_fuse::mount::allow_other_permitted() {
            Finding::pass("allow_other", "/etc/fuse.conf has user_allow_other")
        } else {
            Finding::warn(
                "allow_other",
                "mounts of this user are for this user only",
                "as root: echo user_allow_other >> /etc/fuse.conf",
            )
        });
    }
    findings.push(kernel());
    findings
}

fn device() -> Finding {
    device_at(Path::new("/dev/fuse"))
}

/// Major and minor number of the kernel's end of FUSE.
const FUSE_DEVICE: (u32, u32) = (10, 229);

fn device_at(device: &Path) -> Finding {
    let Ok(found) = std::fs::metadata(device) else {
        return Finding::fail(
            "/dev/fuse",
            "is missing",
            "modprobe fuse, or start the container with --device /dev/fuse --cap-add SYS_ADMIN",
        );
    };
    let number = (
        rustix::fs::major(found.rdev()),
        rustix::fs::minor(found.rdev()),
    );
    if !found.file_type().is_char_device() || number != FUSE_DEVICE {
        return Finding::fail(
            "/dev/fuse",
            "is not the FUSE device",
            "as root: rm /dev/fuse && mknod -m 666 /dev/fuse c 10 229",
        );
    }
    match std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(device)
    {
        Ok(_) => Finding::pass("/dev/fuse", "can be opened"),
        Err(error) => Finding::fail(
            "/dev/fuse",
            format!("cannot be opened: {error}"),
            "as root: chmod 666 /dev/fuse",
        ),
    }
}

fn helper() -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("fusermount3"))
        .find(|f| f.exists());
    match found {
        Some(found) => Finding::pass("fusermount3", found.display().to_string()),
        None => Finding::fail(
            "fusermount3",
            "is not installed, and this user is not root",
            "install the package fuse3",
        ),
    }
}

fn kernel() -> Finding {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|n| n.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (5, 17) {
        Finding::fail(
            "kernel",
            format!("Linux {release} is too old"),
            "Linux 5.17 or newer",
        )
    } else if version < (6, 9) {
        Finding::warn(
            "kernel",
            format!("Linux {release} has no FUSE passthrough; large files are slower"),
            "Linux 6.9 or newer",
        )
    } else {
        Finding::pass("kernel", format!("Linux {release}"))
    }
}

/// Cache and state.
pub fn directories(settings: &Settings) -> Vec<Finding> {
    let places = [
        ("cache", &settings.cache.path),
        ("state", &settings.state_dir),
        ("runtime", &settings.daemon.runtime_dir),
    ];
    places.map(|(name, dir)| directory(name, dir)).into()
}

fn directory(name: &'static str, dir: &Path) -> Finding {
    // The nearest directory that exists decides whether the rest can be made.
    let existing = dir.ancestors().find(|d| d.exists()).unwrap_or(dir);
    let writable = rustix::fs::access(existing, rustix::fs::Access::WRITE_OK).is_ok();
    if writable {
        Finding::pass(name, dir.display().to_string())
    } else {
        Finding::warn(
            name,
            format!(
                "{} cannot be written; a temporary directory is used",
                existing.display()
            ),
            "make it writable, or set another place in the configuration",
        )
    }
}

/// The mount point.
pub fn mount(settings: &Settings, fix: bool) -> Finding {
    let point = &settings.mount_point;
    match mesa_fuse::state(point) {
        MountState::NotMounted => Finding::pass("mount", format!("nothing at {}", point.display())),
        MountState::Live { ours: true } => {
            Finding::pass("mount", format!("{} is mounted", point.display()))
        }
        MountState::Live { ours: false } => Finding::fail(
            "mount",
            format!("another file system is mounted at {}", point.display()),
            "choose another mount-point",
        ),
        MountState::Dead if fix => match mesa_fuse::clean_stale(point) {
            Ok(()) => Finding::pass(
                "mount",
                format!("removed a dead mount at {}", point.display()),
            ),
            Err(error) => Finding::of_error("mount", &CliError::from(error)),
        },
        MountState::Dead => Finding::fail(
            "mount",
            format!("the daemon of the mount at {} is gone", point.display()),
            "mesa mount -d, or mesa doctor --fix",
        ),
    }
}

/// The server and the keys for it.
pub fn server(context: &Context, settings: &Settings) -> Vec<Finding> {
    let client = match context.rest(settings, None) {
        Ok(client) => client,
        Err(error) => return vec![Finding::of_error("server", &error)],
    };
    let probe = context.block_on(async { Ok(client.probe().await?) });
    let mut findings = match probe {
        Ok(date) => vec![
            Finding::pass("server", format!("{} answers", client.origin())),
            clock(date),
        ],
        Err(error) => return vec![Finding::of_error("server", &error)],
    };
    findings.extend(keys(context, settings));
    findings
}

fn clock(date: Option<String>) -> Finding {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let server = date
        .and_then(|text| time::PrimitiveDateTime::parse(&text, format).ok())
        .map(time::PrimitiveDateTime::assume_utc);
    let Some(server) = server else {
        return Finding::pass("clock", "the server does not tell its time");
    };
    let skew = (OffsetDateTime::now_utc() - server).unsigned_abs();
    if skew > SKEW_MAX {
        let message = format!("differs from the server's by {}", duration::human(skew));
        Finding::warn(
            "clock",
            message,
            "set the clock (ntp); tokens need it within a minute",
        )
    } else {
        Finding::pass("clock", "agrees with the server's")
    }
}

fn keys(context: &Context, settings: &Settings) -> Vec<Finding> {
    let mut candidates = Vec::new();
    if let Some(credential) = &settings.credential {
        candidates.push(("environment".to_owned(), credential.secret().clone()));
    }
    let secrets = match credentials::stored(context, settings) {
        Ok(secrets) => secrets,
        Err(error) => return vec![Finding::of_error("key", &error)],
    };
    candidates.extend(
        secrets
            .iter()
            .map(|(name, secret)| (name.to_string(), secret.clone())),
    );
    let fresh = settings.new_orgs.iter();
    candidates.extend(fresh.map(|(org, secret)| (format!("MESA_ORGS {org}"), secret.clone())));
    if candidates.is_empty() {
        let fix = "mesa auth set-key --org ORG, or MESA_ORGS=ORG:KEY";
        return vec![Finding::warn("key", "there is none", fix)];
    }
    candidates
        .into_iter()
        .map(|(name, secret)| {
            let asked = context
                .rest(settings, Some(secret))
                .and_then(|client| context.block_on(async { Ok(client.whoami().await?) }));
            match asked {
                Ok(me) => key(&name, &me),
                Err(error) => {
                    let mut finding = Finding::of_error("key", &error);
                    finding.message = format!("{name}: {}", finding.message);
                    finding
                }
            }
        })
        .collect()
}

fn key(name: &str, me: &mesa_client::rest::model::Whoami) -> Finding {
    let message = format!("{name}: org '{}', {}", me.org.slug, me.scopes.join("+"));
    let Some(at) = me
        .expires_at
        .as_deref()
        .and_then(|t| OffsetDateTime::parse(t, &Rfc3339).ok())
    else {
        return Finding::pass("key", message);
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64);
    let left = Duration::from_secs(u64::try_from(at.unix_timestamp() - now).unwrap_or(0));
    let message = format!("{message}, expires in {}", duration::human(left));
    let outcome = if left < LIFE_MIN {
        Outcome::Warn
    } else {
        Outcome::Pass
    };
    let fix = (outcome == Outcome::Warn).then(|| "make a new key: mesa key create".to_owned());
    Finding {
        check: "key",
        outcome,
        message,
        fix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fuse_device_passes_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fuse");
        std::fs::write(&file, b"").unwrap();
        for path in [&file, Path::new("/dev/null"), &dir.path().join("none")] {
            let finding = device_at(path);
            assert_eq!(finding.outcome, Outcome::Fail, "{}", path.display());
            assert!(finding.fix.is_some());
        }
        assert_eq!(
            device_at(Path::new("/dev/null")).message,
            "is not the FUSE device"
        );
    }
}
