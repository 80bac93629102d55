//! `mesa repo create`

use clap::Args as ClapArgs;
use mesa_types::{BookmarkName, OrgSlug, RepoName};

use crate::{context::Context, credentials::ControlPlane, error::CliResult};

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Its name
    name: RepoName,
    /// Its org; needed only when there are several
    #[arg(long, env = "MESA_ORG", hide_env = true)]
    org: Option<OrgSlug>,
    /// What mounts show unless told otherwise [default: main]
    #[arg(long, value_name = "NAME")]
    default_bookmark: Option<BookmarkName>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let plane = ControlPlane::open(context, &loaded.settings, args.org.as_ref(), None)?;
    context.block_on(async {
        let org = plane.org().await?;
        let bookmark = args.default_bookmark.as_ref().map(BookmarkName::as_str);
        let repo = plane
            .call(async |client| {
                client
                    .create_repo(org.as_str(), args.name.as_str(), bookmark)
                    .await
            })
            .await?;
        if context.printer.json {
            context.printer.value(&repo);
        } else {
            context
                .printer
                .note(format!("made repo {}/{}", repo.org, repo.name));
        }
        Ok(())
    })
}
