//! `mesa-torture`: kills the server, the mount's daemon, or both, at random points of a running
//! workload, starts them again, and checks that everything that must have survived is there, whole
//! and once.
//!
//! `mesa-torture --dir DIR --rounds N --seed S [--lose-client | --power-cut]`, with the program
//! under test in `MESA_BIN` or beside this one.
//!
//! With `--lose-client` the client's whole local state is deleted at each kill, as when a sandbox
//! is destroyed: then only what was fsynced, or closed for longer than the stated lag, must be
//! there. With `--power-cut` the client's home and the server's data are on disks of their own,
//! and a cut of either or both takes what was not synced below the programs; the client's machine
//! then has another boot id, as after any start. For that the run has a mount namespace of its own.
//! Exit status 0 = every round held.

mod check;
mod model;
mod random;
mod rig;
mod worker;

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

use random::Random;
use rig::{Error, Rig, Victim};

struct Options {
    dir: PathBuf,
    rounds: u64,
    seed: u64,
    lose_client: bool,
    power_cut: bool,
}

impl Options {
    fn victim(&self, random: &mut Random) -> Victim {
        let kills = [Victim::Daemon, Victim::Server, Victim::Both];
        let cuts = [Victim::ClientPower, Victim::ServerPower, Victim::BothPower];
        let n = random.below(3) as usize;
        match (self.lose_client, self.power_cut) {
            (true, _) => Victim::Client,
            (_, true) => cuts[n],
            _ => kills[n],
        }
    }
}

fn options() -> Option<Options> {
    let mut options = Options {
        dir: PathBuf::new(),
        rounds: 20,
        seed: 1,
        lose_client: false,
        power_cut: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--dir" => options.dir = args.next()?.into(),
            "--rounds" => options.rounds = args.next()?.parse().ok()?,
            "--seed" => options.seed = args.next()?.parse().ok()?,
            "--lose-client" => options.lose_client = true,
            "--power-cut" => options.power_cut = true,
            _ => return None,
        }
    }
    (options.dir.as_os_str() != "").then_some(options)
}

#[allow(clippy::print_stderr)] // a command-line tool's output
fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    if first.as_deref() == Some("worker") {
        return worker::main();
    }
    let Some(options) = options() else {
        eprintln!(
            "usage: mesa-torture --dir DIR [--rounds N] [--seed S] [--lose-client | --power-cut]"
        );
        return ExitCode::from(2);
    };
    if options.power_cut && std::env::var_os(INSIDE).is_none() {
        let error = enter_namespace();
        eprintln!("torture: no mount namespace of its own: {error}");
        return ExitCode::FAILURE;
    }
    match run(&options) {
        Ok(checked) => {
            eprintln!(
                "torture: {} rounds held (seed {}), {checked} files checked",
                options.rounds, options.seed
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("torture: seed {}: {error}", options.seed);
            ExitCode::FAILURE
        }
    }
}

/// Set where the run has a mount namespace of its own.
const INSIDE: &str = "MESA_TORTURE_NAMESPACE";

/// Starts this program again in a mount namespace of its own; returns only if that fails.
fn enter_namespace() -> std::io::Error {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => return error,
    };
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec()
}

#[allow(clippy::print_stderr)] // progress of a command-line tool
fn run(options: &Options) -> Result<u64, Error> {
    let mut random = Random::new(options.seed);
    let mut rig = Rig::start(&options.dir, options.power_cut)?;
    let mut model = model::Model::default();
    let mut checked = 0;
    for round in 0..options.rounds {
        let mut worker = rig.start_worker(random.next(), round)?;
        // The head of a machine that is gone is free again after its lease's deadline.
        worker.wait_for_a_step(60)?;
        std::thread::sleep(std::time::Duration::from_millis(50 + random.below(1500)));
        let victim = options.victim(&mut random);
        let killed = rig.kill(victim, &mut worker)?;
        model.absorb(&worker.log, killed)?;
        rig.ensure_running()?;
        worker.wait_until_gone()?;
        if options.power_cut {
            // What is only in the journal's unsynced tail would be lost by the next cut.
            rig.sync();
        }
        let found = check::check(&rig.repo_dir(), &mut model, victim.loses_client_state());
        checked += found.map_err(|e| Error::Check {
            round,
            victim,
            message: e,
        })?;
        eprintln!(
            "round {round}: {victim:?} killed, {} files hold",
            model.len()
        );
    }
    rig.stop();
    Ok(checked)
}
