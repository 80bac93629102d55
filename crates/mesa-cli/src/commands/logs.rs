//! `mesa logs`

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    time::Duration,
};

use clap::Args as ClapArgs;
use mesa_config::LogTarget;

use crate::{
    context::Context,
    daemon::runtime_dir::RuntimeDir,
    error::{CliError, CliResult, Exit},
};

/// Show the daemon's log
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa logs -n 50 --follow")]
pub struct Args {
    /// Last lines to show
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    lines: usize,
    /// Go on with new lines until Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

/// Bytes looked at from the end of the file.
const TAIL_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let path = match &loaded.settings.daemon.log_target {
        Some(LogTarget::File(path)) => path.clone(),
        Some(_) => {
            return Err(CliError::failure("the daemon does not log to a file")
                .hint("set daemon.log.target to { file = \"...\" }"));
        }
        None => RuntimeDir::find(&loaded.settings).log(),
    };
    let mut file = File::open(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => CliError::new(
            Exit::NotFound,
            format!("there is no log at {}", path.display()),
        )
        .hint("mount first: `mesa mount -d`"),
        _ => CliError::io(format!("cannot read {}", path.display()), &e),
    })?;
    let failed = |e| CliError::io(format!("cannot read {}", path.display()), &e);
    let length = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))
        .map_err(failed)?;
    let mut reader = BufReader::new(file);
    let mut last: VecDeque<String> = VecDeque::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        last.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
        if last.len() > args.lines {
            last.pop_front();
        }
    }
    for line in last {
        context.printer.line(line);
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        let mut more = Vec::new();
        reader.read_to_end(&mut more).map_err(failed)?;
        context.printer.bytes(&more);
        std::thread::sleep(Duration::from_millis(200));
    }
}
