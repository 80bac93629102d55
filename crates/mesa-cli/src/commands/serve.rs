//! `mesa serve`

use std::{
    io::IsTerminal,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use clap::{Args as ClapArgs, ValueEnum};
use mesa_server::{DownloadOptions, Server, ServerOptions, downloads::address, logging};
use mesa_types::OrgSlug;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    context::Context,
    duration,
    error::{CliError, CliResult},
    support,
};

/// Run the whole service on one port
///
/// REST, mount protocol and metrics, with SQLite and local objects in the data directory. On the
/// first start it makes an org and its admin key, prints the key when this is a terminal and
/// writes it to DIR/admin.key. SIGTERM and Ctrl-C stop it in good order.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  mesa serve --data-dir /var/lib/mesa --listen 0.0.0.0:7117 \\\n      --tls-cert cert.pem --tls-key key.pem"
)]
pub struct Args {
    /// Where everything is kept [default: ~/.local/share/mesa/server]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:7117", value_name = "ADDR")]
    listen: String,
    /// The address clients reach this server at
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Static programs and other files to hand out to machines that install mesa, beside this one
    #[arg(long, value_name = "DIR")]
    dist_dir: Option<PathBuf>,
    /// Certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The org made on the first start
    #[arg(long, default_value = "my-org", value_name = "SLUG")]
    bootstrap_org: OrgSlug,
    /// REST requests per second one credential may make in the long run; 0 = no limit
    #[arg(long, default_value_t = 500, value_name = "N")]
    rate_per_second: u32,
    /// REST requests one credential may make in a burst
    #[arg(long, default_value_t = 2000, value_name = "N")]
    rate_burst: u32,
    /// Let webhooks go to addresses that are not public (this machine, private networks)
    #[arg(long)]
    webhooks_allow_private: bool,
    /// How long audit records are kept
    #[arg(long, default_value = "365d", value_parser = duration::parse, value_name = "TIME")]
    audit_kept: Duration,
    /// How long single operations are kept, for the operation log, undo and restore
    #[arg(long, default_value = "24h", value_parser = duration::parse, value_name = "TIME")]
    operations_kept: Duration,
    /// How long states by time are kept, for restore
    #[arg(long, default_value = "30d", value_parser = duration::parse, value_name = "TIME")]
    commits_kept: Duration,
    /// Form of log lines
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(context: &Context, args: Args) -> CliResult {
    let level = match (context.global.quiet, context.global.verbose) {
        (true, _) => "warn",
        (false, 0) => "info",
        (false, _) => "debug,h2=info,hyper=info,rustls=info",
    };
    let filter = std::env::var("MESA_LOG").unwrap_or_else(|_| level.to_owned());
    let format = match args.log_format {
        Format::Text => logging::LogFormat::Text,
        Format::Json => logging::LogFormat::Json,
    };
    logging::init(format, &filter);
    let data_dir = match args.data_dir {
        Some(dir) => std::path::absolute(dir).map_err(|e| CliError::io("bad --data-dir", &e))?,
        None => context.load()?.settings.paths.data.join("server"),
    };
    let mut options = ServerOptions::new(&data_dir, args.bootstrap_org);
    options.listen = resolve(&args.listen)?;
    options.public_url = args.public_url.as_deref().map(public_url).transpose()?;
    options.downloads = DownloadOptions {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        program: Some("/proc/self/exe".into()),
        dir: args.dist_dir,
        support: support::files()?,
    };
    if let (Some(cert), Some(key)) = (args.tls_cert, args.tls_key) {
        options.tls = Some(mesa_server::TlsOptions { cert, key });
    }
    options.limits.rate_per_second = args.rate_per_second;
    options.limits.rate_burst = args.rate_burst;
    options.webhooks_allow_private = args.webhooks_allow_private;
    options.audit_kept = args.audit_kept;
    options.operations_kept = args.operations_kept;
    options.commits_kept = args.commits_kept;
    #[cfg(debug_assertions)]
    {
        options.failing = std::env::var_os("MESA_TEST_FAILING").is_some();
    }
    raise_open_files();
    small_pages();
    crate::memory::give_back_when_idle();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::io("cannot start", &e))?
        .block_on(serve(context, options, data_dir))
}

async fn serve(context: &Context, options: ServerOptions, data_dir: PathBuf) -> CliResult {
    let failed = |e| CliError::io("cannot listen for signals", &e);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let key_file = data_dir.join("admin.key");
    let first_start = !key_file.exists();
    let server = Server::start(options).await?;
    if first_start && let Ok(key) = std::fs::read_to_string(&key_file) {
        // Only where a person sees it; logs of services keep everything they are given.
        if std::io::stderr().is_terminal() {
            context
                .printer
                .note(format!("admin key, shown only now: {}", key.trim()));
        }
        context
            .printer
            .note(format!("the admin key is in {}", key_file.display()));
    }
    context
        .printer
        .note(format!("serving {}", server.public_url()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    context.printer.note("stopping");
    // A second signal ends the process at once.
    tokio::select! {
        () = server.shutdown() => Ok(()),
        _ = terminate.recv() => Err(CliError::failure("stopped by a second signal")),
        _ = interrupt.recv() => Err(CliError::failure("stopped by a second signal")),
    }
}

/// The address clients use, fit to be written into scripts and packages.
fn public_url(text: &str) -> CliResult<String> {
    let origin = text.trim_end_matches('/');
    if address::is_plain(origin) {
        return Ok(origin.to_owned());
    }
    Err(
        CliError::usage(format!("'{text}' is not an address of a server")).hint(
            "write http:// or https://, a name and perhaps a port, e.g. https://mesa.example.com",
        ),
    )
}

fn resolve(listen: &str) -> CliResult<SocketAddr> {
    let wrong = || {
        CliError::usage(format!("'{listen}' is not an address to listen on"))
            .hint("write host:port, e.g. 127.0.0.1:7117")
    };
    listen
        .to_socket_addrs()
        .map_err(|_| wrong())?
        .next()
        .ok_or_else(wrong)
}

/// Memory in small pages only: of huge ones, where the kernel gives them unasked, every arena would
/// keep some that are nearly empty.
pub fn small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// As many open files as this process may have.
pub fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
