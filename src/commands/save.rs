//! `rbuild save` and `load`: images as archives.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use super::Context;
use crate::backend::Backend;
use crate::error::Error;
use crate::signals::interruptible;

/// Flags of `rbuild save`.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Names or IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// The archive [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Flags of `rbuild load`.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The archive [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
}

/// Writes images to an archive.
pub(crate) async fn save<B: Backend>(args: SaveArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    if args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::Usage(
            "an archive is not for a terminal: use `-o FILE` or redirect standard output"
                .to_owned(),
        ));
    }
    interruptible(async { Ok(cx.backend.save(&args.images, args.output).await?) }).await?;
    Ok(0)
}

/// Reads the images of an archive.
pub(crate) async fn load<B: Backend>(args: LoadArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    if args.input.is_none() && std::io::stdin().is_terminal() {
        return Err(Error::Usage(
            "an archive is expected on standard input: use `-i FILE` or redirect it".to_owned(),
        ));
    }
    let loaded = interruptible(async { Ok(cx.backend.load(args.input).await?) }).await?;
    if !args.quiet {
        for name in loaded {
            let what = if name.starts_with("sha256:") {
                "Loaded image ID"
            } else {
                "Loaded image"
            };
            cx.printer.line(&format!("{what}: {name}"))?;
        }
    }
    Ok(0)
}
