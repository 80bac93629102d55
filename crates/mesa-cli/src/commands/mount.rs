//! `mesa mount`

mod identity;
mod live;
mod places;

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, ValueEnum};
use mesa_config::{Layer, Loaded, Writes};
use mesa_fuse::MountState;

use crate::{
    context::Context,
    daemon::{launch, plan::Plan, runtime_dir::RuntimeDir, worker},
    duration,
    error::{CliError, CliResult, Exit},
};

/// Mount the configured orgs at ~/.local/share/mesa/mnt/<org>/<repo>
///
/// In the foreground until Ctrl-C, which sends everything and unmounts. With -d it returns when
/// the mount answers. Over a live mount it checks connection and key and hands over new keys of
/// MESA_ORGS; over a dead one it cleans up and mounts again.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  MESA_ORGS=my-org:$KEY mesa mount -d -y\n  mesa mount --daemonize --read-only"
)]
pub struct Args {
    /// Run in the background; return when the mount answers
    #[arg(short = 'd', long)]
    daemonize: bool,
    /// Write to changes of this mount's own; bookmarks stay where they are
    #[arg(long)]
    isolate: bool,
    /// When calls return: fsync, close, write or local
    #[arg(long, value_enum, value_name = "CLASS")]
    durability: Option<Class>,
    /// Refuse every write
    #[arg(long)]
    read_only: bool,
    /// Fail if other users cannot be let in
    #[arg(long)]
    allow_other: bool,
    /// Where to mount
    #[arg(long, value_name = "DIR")]
    mount_point: Option<PathBuf>,
    /// Give up after this long
    #[arg(long, value_parser = duration::parse, default_value = "20s", value_name = "TIME")]
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Class {
    Fsync,
    Close,
    Write,
    Local,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load_with(flags(args)?, context.global.non_interactive)?;
    let mut plan = plan(context, args, &loaded)?;
    let runtime = RuntimeDir::at(&plan.runtime_dir);
    let lock = runtime
        .start_lock()
        .map_err(|e| CliError::io("cannot lock", &e))?;
    let known = identity::orgs(context, &loaded, &plan, args.timeout)?;
    plan.orgs.clone_from(&known.orgs);
    plan.global_token.clone_from(&known.global_token);
    if live::adopt(context, &runtime, &plan, args.timeout)? {
        if args.daemonize {
            live::supervise(context, &runtime, &mut plan);
        }
        report(context, &plan, &known, true);
        return Ok(());
    }
    prepare_mount_point(context, &plan)?;
    if args.daemonize {
        plan.log.get_or_insert_with(|| runtime.log());
        launch::launch(&plan)?;
        report(context, &plan, &known, false);
        return Ok(());
    }
    drop(lock);
    let printer = context.printer;
    let (point, life) = (plan.mount_point.clone(), known.life());
    worker::foreground(plan, move || {
        printer.note(format!("mounted at {}; Ctrl-C unmounts", point.display()));
        printer.note(life);
    })
}

fn flags(args: &Args) -> CliResult<Layer> {
    let mount_point = match &args.mount_point {
        Some(path) => {
            Some(std::path::absolute(path).map_err(|e| CliError::io("bad --mount-point", &e))?)
        }
        None => None,
    };
    Ok(Layer {
        mount_point,
        writes: args.isolate.then_some(Writes::Isolate),
        durability: args.durability.map(|class| match class {
            Class::Fsync => mesa_config::Durability::Fsync,
            Class::Close => mesa_config::Durability::Close,
            Class::Write => mesa_config::Durability::Write,
            Class::Local => mesa_config::Durability::Local,
        }),
        ..Layer::default()
    })
}

/// Everything but orgs and credentials.
fn plan(context: &Context, args: &Args, loaded: &Loaded) -> CliResult<Plan> {
    let settings = &loaded.settings;
    let (runtime, warning) = RuntimeDir::make(settings)
        .map_err(|e| CliError::io("no directory for the daemon's files can be made", &e))?;
    if let Some(warning) = warning {
        context.printer.warning(warning);
    }
    let mut plan = Plan::new(settings, runtime.path().to_owned());
    plan.state_dir = places::usable(context, &plan.state_dir, "state")?;
    plan.cache.path = places::usable(context, &plan.cache.path, "cache")?;
    plan.isolate = settings.writes == Writes::Isolate;
    plan.read_only = args.read_only;
    plan.start_timeout_ms = u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX);
    plan.log_filter = std::env::var("MESA_LOG").unwrap_or_else(|_| match context.global.verbose {
        0 => "info".to_owned(),
        _ => "debug,h2=info,hyper=info,tower=info,rustls=info".to_owned(),
    });
    plan.log = match &settings.daemon.log_target {
        Some(mesa_config::LogTarget::File(path)) => Some(path.clone()),
        _ => None,
    };
    plan.allow_other = if mesa_fuse::mount::allow_other_permitted() {
        true
    } else if args.allow_other {
        return Err(mesa_fuse::MountError::AllowOtherForbidden.into());
    } else {
        context.printer.warning(
            "only this user can use the mount; to let others in, add the line \
             user_allow_other to /etc/fuse.conf as root and mount again",
        );
        false
    };
    Ok(plan)
}

/// Removes a dead mount and makes the directory.
fn prepare_mount_point(context: &Context, plan: &Plan) -> CliResult {
    let point = &plan.mount_point;
    match mesa_fuse::state(point) {
        MountState::Dead => {
            mesa_fuse::clean_stale(point)?;
            context
                .printer
                .note("removed the mount of a daemon that was gone");
        }
        MountState::Live { ours: true } => {
            // Its daemon did not answer on its socket in this runtime directory.
            let message = format!("{} is already mounted by another daemon", point.display());
            return Err(CliError::new(Exit::Conflict, message)
                .hint("unmount it with the MESA_RUNTIME_DIR it was mounted with"));
        }
        _ => {}
    }
    std::fs::create_dir_all(point).map_err(|e| {
        CliError::io(
            format!("cannot make the mount point {}", point.display()),
            &e,
        )
        .hint("choose another with MESA_MOUNT_POINT or mount-point in the configuration")
    })
}

fn report(context: &Context, plan: &Plan, known: &identity::Known, live: bool) {
    if context.printer.json {
        context.printer.value(&serde_json::json!({
            "mount_point": plan.mount_point,
            "already_mounted": live,
            "orgs": known.orgs.iter().map(|o| o.slug.clone()).collect::<Vec<_>>(),
            "key_expires_in_s": known.expires_in().map(|d| d.as_secs()),
        }));
        return;
    }
    let how = if live { "already mounted" } else { "mounted" };
    context
        .printer
        .note(format!("{how} at {}", plan.mount_point.display()));
    context.printer.note(known.life());
}
