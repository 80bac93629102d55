//! What every command works with: environment, global options, settings, printer.

use mesa_client::{Origin, RestClient, TransportOptions};
use mesa_config::{Environment, Layer, Loaded, Request, Settings};
use mesa_types::Secret;

use crate::{
    cli::Global,
    error::{CliError, CliResult},
    output::Printer,
};

/// One run of the command.
pub struct Context {
    pub environment: Environment,
    pub global: Global,
    pub printer: Printer,
}

#[allow(clippy::unused_self)] // all of them are methods of the run
impl Context {
    /// Of this process.
    pub fn new(global: Global) -> Self {
        Self {
            environment: Environment::of_process(),
            printer: Printer::new(&global),
            global,
        }
    }

    /// Settings of files and environment; prints the warnings.
    pub fn load(&self) -> CliResult<Loaded> {
        self.load_with(Layer::default(), false)
    }

    /// The same, with flags on top.
    pub fn load_with(&self, flags: Layer, may_be_missing: bool) -> CliResult<Loaded> {
        let config_path = match &self.global.config_path {
            Some(path) => {
                Some(std::path::absolute(path).map_err(|e| CliError::io("bad --config-path", &e))?)
            }
            None => None,
        };
        let loaded = mesa_config::load(
            &self.environment,
            Request {
                config_path,
                may_be_missing,
                flags,
            },
        )?;
        for warning in &loaded.warnings {
            self.printer.warning(warning.to_string());
        }
        if loaded.settings.paths.homeless {
            let home = loaded.settings.paths.home.display();
            self.printer
                .warning(format!("there is no home directory; using {home}"));
        }
        Ok(loaded)
    }

    /// Whether a person may be asked.
    pub fn interactive(&self) -> bool {
        !self.global.non_interactive && !self.global.json && crate::terminal::is_interactive()
    }

    /// A client of the control plane.
    pub fn rest(&self, settings: &Settings, secret: Option<Secret>) -> CliResult<RestClient> {
        Ok(RestClient::new(
            origin(settings)?,
            secret,
            &transport(settings),
        )?)
    }

    /// Runs a command that waits for the network.
    pub fn block_on<T>(&self, future: impl Future<Output = CliResult<T>>) -> CliResult<T> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| CliError::io("cannot start", &e))?
            .block_on(future)
    }
}

/// The server's address.
pub fn origin(settings: &Settings) -> CliResult<Origin> {
    settings
        .server
        .parse()
        .map_err(|e| CliError::usage(format!("bad server address: {e}")))
}

/// How to reach it.
pub fn transport(settings: &Settings) -> TransportOptions {
    TransportOptions {
        ca_file: settings.ca_file.clone(),
        user_agent: client_name(),
        ..TransportOptions::default()
    }
}

/// Name and version as servers log them.
pub fn client_name() -> String {
    format!("mesa/{} linux", env!("CARGO_PKG_VERSION"))
}
