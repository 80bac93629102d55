//! `mesa-torture`: kills the server, the mount's daemon, or both, at random points of a running
//! workload, starts them again, and checks that everything that must have survived is there, whole
//! and once.
//!
//! `mesa-torture --mesa PATH --dir DIR --rounds N --seed S [--lose-client]`
//!
//! With `--lose-client` the client's whole local state is deleted at each kill, as when a sandbox
//! is destroyed: then only what was fsynced, or closed for longer than the stated lag, must be
//! there. Exit status 0 = every round held.

mod check;
mod model;
mod random;
mod rig;
mod worker;

use std::{path::PathBuf, process::ExitCode};

use random::Random;
use rig::{Error, Rig, Victim};

struct Options {
    mesa: PathBuf,
    dir: PathBuf,
    rounds: u64,
    seed: u64,
    lose_client: bool,
}

fn options() -> Option<Options> {
    let mut options = Options {
        mesa: "mesa".into(),
        dir: PathBuf::new(),
        rounds: 20,
        seed: 1,
        lose_client: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--mesa" => options.mesa = args.next()?.into(),
            "--dir" => options.dir = args.next()?.into(),
            "--rounds" => options.rounds = args.next()?.parse().ok()?,
            "--seed" => options.seed = args.next()?.parse().ok()?,
            "--lose-client" => options.lose_client = true,
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
            "usage: mesa-torture --mesa PATH --dir DIR [--rounds N] [--seed S] [--lose-client]"
        );
        return ExitCode::from(2);
    };
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

#[allow(clippy::print_stderr)] // progress of a command-line tool
fn run(options: &Options) -> Result<u64, Error> {
    let mut random = Random::new(options.seed);
    let mut rig = Rig::new(&options.mesa, &options.dir)?;
    rig.start_server()?;
    rig.create_repo()?;
    rig.mount()?;
    let mut model = model::Model::default();
    let mut checked = 0;
    for round in 0..options.rounds {
        let mut worker = rig.start_worker(random.next(), round)?;
        // The head of a machine that is gone is free again after its lease's deadline.
        worker.wait_for_a_step(60)?;
        std::thread::sleep(std::time::Duration::from_millis(50 + random.below(1500)));
        let victim = match random.below(3) {
            _ if options.lose_client => Victim::Client,
            0 => Victim::Daemon,
            1 => Victim::Server,
            _ => Victim::Both,
        };
        let killed = rig.kill(victim)?;
        worker.stop();
        model.absorb(&worker.log, killed)?;
        if options.lose_client {
            rig.delete_client_state()?;
        }
        rig.ensure_running()?;
        let found = check::check(&rig.repo_dir(), &mut model, options.lose_client);
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
    rig.stop()?;
    Ok(checked)
}
