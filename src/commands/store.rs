//! `rbuild store`: checking the store, pinning cache mounts.

use clap::{Args, Subcommand};
use engine::retention::{Checked, Problem};
use serde_json::json;

use super::{Context, Format};
use crate::backend::Backend;
use crate::error::Error;

/// What is to be done with the store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Compare everything in the store with its digests and references
    Check(CheckArgs),
    /// Have a cache mount never be collected
    Pin(PinArgs),
    /// Have a cache mount be collected as others are
    Unpin(PinArgs),
}

/// Flags of `rbuild store check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Drop what is damaged, so that it is built or pulled again
    #[arg(long)]
    pub repair: bool,
    /// How the problems are written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// Arguments of `rbuild store pin` and `unpin`.
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// The id of the cache mount: that of `--mount=type=cache,id=…`, or as `rbuild du` shows it
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Does what is asked of the store. A store that is not sound is exit code 1.
pub(crate) async fn run<B: Backend>(
    command: StoreCommand,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    match command {
        StoreCommand::Check(args) => {
            let checked = cx.backend.check_store(args.repair).await?;
            let text = match args.format {
                Format::Table => report(&checked),
                Format::Json => checked.problems.iter().map(object).collect(),
            };
            cx.printer.bytes(text.as_bytes())?;
            Ok(u8::from(!checked.is_sound()))
        }
        StoreCommand::Pin(args) => {
            cx.backend.pin(&args.id, true).await?;
            Ok(0)
        }
        StoreCommand::Unpin(args) => {
            cx.backend.pin(&args.id, false).await?;
            Ok(0)
        }
    }
}

/// A line for each problem, and one for the whole.
fn report(checked: &Checked) -> String {
    let line = |problem: &Problem| {
        let dropped = if problem.repaired { " (dropped)" } else { "" };
        format!("{}: {}{dropped}\n", problem.object, problem.damage)
    };
    let problems: String = checked.problems.iter().map(line).collect();
    format!(
        "{problems}layers: {}, images: {}, problems: {}\n",
        checked.layers,
        checked.images,
        checked.problems.len()
    )
}

fn object(problem: &Problem) -> String {
    let object = json!({
        "Object": problem.object,
        "Problem": problem.damage.to_string(),
        "Repaired": problem.repaired,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, run_command};

    #[test]
    fn what_is_wrong_is_said_and_is_an_exit_code() {
        let done = run_command(&Fake::default(), &["store", "check"]);
        assert_eq!(done.code, 1);
        assert_eq!(
            done.out,
            "layer sha256:aa: its bytes have another digest\nlayers: 2, images: 1, problems: 1\n"
        );
        let repaired = run_command(
            &Fake::default(),
            &["store", "check", "--repair", "--format", "json"],
        );
        assert_eq!(repaired.code, 0);
        let object: serde_json::Value = serde_json::from_str(&repaired.out).expect("one object");
        assert_eq!(object["Repaired"], true);
    }

    #[test]
    fn cache_mounts_are_pinned_by_id() {
        let fake = Fake::default();
        assert_eq!(run_command(&fake, &["store", "pin", "go"]).code, 0);
        assert_eq!(run_command(&fake, &["store", "unpin", "go"]).code, 0);
        assert_eq!(
            *fake.calls.lock().expect("no panic"),
            ["pin go true", "pin go false"]
        );
    }
}
