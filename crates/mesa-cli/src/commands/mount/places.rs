//! Directories that may turn out not to be writable.

use std::path::{Path, PathBuf};

use crate::{
    context::Context,
    error::{CliError, CliResult},
};

/// `wanted` if it can be made and written, else one in the private temporary directory.
pub fn usable(context: &Context, wanted: &Path, name: &str) -> CliResult<PathBuf> {
    let Err(error) = try_write(wanted) else {
        return Ok(wanted.to_owned());
    };
    let fallback = mesa_config::paths::private_temp(&context.environment).join(name);
    try_write(&fallback)
        .map_err(|e| CliError::io(format!("no directory for {name} can be written"), &e))?;
    context.printer.warning(format!(
        "{} cannot be written ({error}); using {}, which may not survive a restart of this machine",
        wanted.display(),
        fallback.display()
    ));
    Ok(fallback)
}

fn try_write(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    // The way to the mount stays open to others; what is in these directories does not.
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    std::fs::File::create(&probe)?;
    std::fs::remove_file(probe)
}
