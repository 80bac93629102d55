//! `mesa dump-default-mesaignore`

use clap::Args as ClapArgs;

use crate::{context::Context, error::CliResult};

/// Print the list of files that are to stay local
///
/// For ~/.config/mesa/.mesaignore. This version does not read that file yet: everything in a mount
/// is uploaded, whatever it lists.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa dump-default-mesaignore > ~/.config/mesa/.mesaignore")]
pub struct Args {}

/// Editor swap files and metadata of operating systems. Never `*.lock`, never below `.git`.
pub const DEFAULT: &str = "\
# Files that are to stay on this machine (gitignore syntax). This version does not read this
# list yet: everything in a mount is uploaded.
# Swap and undo files of editors
.*.sw[a-p]
.*.un~
.#*
\\#*#
*~
.*.kate-swp
.goutputstream-*
# Metadata of operating systems
.DS_Store
.AppleDouble
._*
.Spotlight-V100
.Trashes
.fseventsd
Thumbs.db
desktop.ini
.directory
.Trash-*
.nfs*
.fuse_hidden*
!.mesaignore
";

#[allow(clippy::unnecessary_wraps)]
pub fn run(context: &Context, _args: &Args) -> CliResult {
    context.printer.bytes(DEFAULT.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::DEFAULT;

    #[test]
    fn lock_files_and_git_are_never_ignored() {
        assert!(
            !DEFAULT
                .lines()
                .any(|l| l.contains("lock") || l.contains(".git"))
        );
        assert!(DEFAULT.ends_with("!.mesaignore\n"));
    }
}
