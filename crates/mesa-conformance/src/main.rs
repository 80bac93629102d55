//! `mesa-conformance DIR [FILTER]`: runs the cases in DIR; exit 1 when one fails.

use std::process::ExitCode;

#[allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool's output
fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(dir) = args.next() else {
        eprintln!("usage: mesa-conformance DIR [FILTER]");
        return ExitCode::from(2);
    };
    match mesa_conformance::run(dir.as_ref(), &args.next().unwrap_or_default()) {
        Ok(report) => {
            println!("{report}");
            if report.failed().next().is_some() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(error) => {
            eprintln!("error: {dir}: {error}");
            ExitCode::FAILURE
        }
    }
}
