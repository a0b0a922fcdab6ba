//! `rbuild push`.

use std::sync::Arc;

use clap::Args;
use engine::images::Compression;

use super::Context;
use crate::backend::Backend;
use crate::display::Mode;
use crate::error::Error;
use crate::signals::interruptible;

/// Flags of `rbuild push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The image: `registry/name[:tag]`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How layers are compressed that the registry does not have: gzip, zstd or uncompressed
    #[arg(long, value_name = "TYPE", default_value_t)]
    pub compression: Compression,
    /// Print only the image's name
    #[arg(short, long)]
    pub quiet: bool,
    /// What is shown of the transfer [env: BUILDKIT_PROGRESS]
    #[arg(long, value_name = "MODE", conflicts_with = "quiet")]
    pub progress: Option<Mode>,
}

/// Sends an image.
pub(crate) async fn run<B: Backend>(args: PushArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let mode = if args.quiet {
        Some(Mode::None)
    } else {
        args.progress
    };
    let (display, _) = cx.display(mode, "Pushing")?;
    let display = Arc::new(display);
    let listener = Arc::clone(&display);
    let result = interruptible(async {
        Ok(cx
            .backend
            .push(&args.name, args.compression, listener)
            .await?)
    })
    .await;
    display.finish();
    let pushed = result?;
    if args.quiet {
        cx.printer.line(&pushed.name)?;
    } else {
        let (name, digest, size) = (&pushed.name, &pushed.digest, pushed.size);
        cx.printer
            .line(&format!("{name}: digest: {digest} size: {size}"))?;
    }
    Ok(0)
}
