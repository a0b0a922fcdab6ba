//! `rbuild prune`.

use clap::Args;
use engine::retention::{Limits, Prune};

use super::filter::{self, Filters};
use super::{Context, Format, du};
use crate::args::quantity;
use crate::backend::Backend;
use crate::error::Error;
use crate::units;

/// Flags of `rbuild prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Also what is only remembered: what registries have, and downloads that were cut off
    #[arg(short, long)]
    pub all: bool,
    #[arg(long, value_name = "FILTER", help = filter::HELP)]
    pub filter: Vec<String>,
    /// Remove as much as leaves at most this
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub max_used_space: Option<u64>,
    /// Keep this much whatever else is asked for
    #[arg(long, value_name = "SIZE", alias = "keep-storage", value_parser = quantity::size)]
    pub reserved_space: Option<u64>,
    /// Remove as much as leaves this much of the disk free
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub min_free_space: Option<u64>,
    /// Only tell what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// All about each
    #[arg(long)]
    pub verbose: bool,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// Removes what nothing needs.
pub(crate) async fn run<B: Backend>(args: PruneArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let prune = request(&args)?;
    if !args.force && !args.dry_run && !agreed(cx)? {
        return Err(Error::Usage(
            "nothing was removed: say `y`, or use `--force` not to be asked".to_owned(),
        ));
    }
    let items = cx.backend.prune(prune, args.dry_run).await?;
    let total: u64 = items.iter().map(|item| item.size).sum();
    let text = match args.format {
        Format::Table if args.verbose => {
            let all: String = items.iter().map(du::verbose).collect();
            format!("{all}Total: {}\n", units::size(total))
        }
        Format::Table => format!("{}Total: {}\n", du::table(&items), units::size(total)),
        Format::Json => items.iter().map(du::json).collect(),
    };
    cx.printer.bytes(text.as_bytes())?;
    Ok(0)
}

fn agreed<B>(cx: &mut Context<'_, B>) -> Result<bool, Error> {
    cx.printer.say(
        "Everything that no image, container or running command needs is removed from the cache. Continue? [y/N] ",
    );
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|source| Error::Io {
            action: "read the answer",
            source,
        })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn request(args: &PruneArgs) -> Result<Prune, Error> {
    let filters = Filters::parse(&args.filter)?;
    Ok(Prune {
        unused_for: filters.unused_for,
        limits: Limits {
            max_used: args.max_used_space.unwrap_or(0),
            reserved: args.reserved_space.unwrap_or(0),
            min_free: args.min_free_space.unwrap_or(0),
        },
        filters: filters.all,
        memories: args.all,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, run_command};
    use std::time::Duration;

    use engine::retention::{Comparison, Filter};

    use super::*;

    #[test]
    fn flags_become_a_request() {
        let args = PruneArgs {
            all: true,
            filter: vec!["until=24h".to_owned(), "type!=exec.cachemount".to_owned()],
            max_used_space: Some(5),
            reserved_space: None,
            min_free_space: None,
            dry_run: false,
            force: true,
            verbose: false,
            format: Format::Table,
        };
        let prune = request(&args).expect("flags that make sense");
        assert_eq!(prune.unused_for, Duration::from_hours(24));
        assert_eq!(prune.limits.max_used, 5);
        let no_mount = Comparison::NotEqual("exec.cachemount".to_owned());
        assert_eq!(prune.filters, [Filter::Kind(no_mount)]);
        assert!(prune.memories);
    }

    #[test]
    fn what_was_removed_is_listed() {
        let fake = Fake::default();
        let done = run_command(&fake, &["prune", "--force", "--keep-storage", "1k"]);
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(
            done.out.contains("go") && done.out.ends_with("Total: 7kB\n"),
            "{}",
            done.out
        );
        let verbose = run_command(&Fake::default(), &["prune", "--force", "--verbose"]).out;
        assert!(
            verbose.contains("Type:        exec.cachemount\n") && verbose.ends_with("Total: 7kB\n"),
            "{verbose}"
        );
        let call = "prune false Limits { max_used: 0, reserved: 1024, min_free: 0 }";
        assert_eq!(*fake.calls.lock().expect("no panic"), [call]);
    }
}
