//! `rbuild pull`.

use std::sync::Arc;

use clap::Args;

use super::Context;
use crate::backend::Backend;
use crate::display::Mode;
use crate::error::Error;
use crate::signals::interruptible;

/// Flags of `rbuild pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The image: `name[:tag]` or `name@digest`
    #[arg(value_name = "IMAGE")]
    pub name: String,
    /// Print only the image's name
    #[arg(short, long)]
    pub quiet: bool,
    /// The image's platform: only this machine's own
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// What is shown of the transfer [env: BUILDKIT_PROGRESS]
    #[arg(long, value_name = "MODE", conflicts_with = "quiet")]
    pub progress: Option<Mode>,
}

/// Fetches an image.
pub(crate) async fn run<B: Backend>(args: PullArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    check_platform(args.platform.as_deref())?;
    let mode = if args.quiet {
        Some(Mode::None)
    } else {
        args.progress
    };
    let (display, _) = cx.display(mode, "Pulling")?;
    let display = Arc::new(display);
    let listener = Arc::clone(&display);
    let result = interruptible(async { Ok(cx.backend.pull(&args.name, listener).await?) }).await;
    display.finish();
    let pulled = result?;
    if !args.quiet {
        let status = if pulled.new {
            format!("Downloaded newer image for {}", args.name)
        } else {
            format!("Image is up to date for {}", args.name)
        };
        cx.printer
            .line(&format!("Digest: {}\nStatus: {status}", pulled.digest))?;
    }
    cx.printer.line(&pulled.name)?;
    Ok(0)
}

/// Only images for this machine's own platform can be asked for.
fn check_platform(platform: Option<&str>) -> Result<(), Error> {
    let host = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    match platform {
        None => Ok(()),
        Some(asked)
            if asked == format!("linux/{host}")
                || asked == format!("linux/{}", std::env::consts::ARCH) =>
        {
            Ok(())
        }
        Some(asked) => Err(Error::Usage(format!(
            "the platform `{asked}` is not supported yet: only `linux/{host}` is"
        ))),
    }
}
