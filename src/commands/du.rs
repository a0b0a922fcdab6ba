//! `rbuild du`.

use std::collections::BTreeSet;
use std::time::SystemTime;

use clap::Args;
use engine::retention::{Item, Kept};
use serde_json::json;

use super::filter::{self, Filters};
use super::{Context, Format, ago, inspect_time};
use crate::backend::Backend;
use crate::error::Error;
use crate::table::{self, short_id};
use crate::units;

/// Flags of `rbuild du`.
#[derive(Debug, Args)]
pub(crate) struct DuArgs {
    #[arg(long, value_name = "FILTER", help = filter::HELP)]
    pub filter: Vec<String>,
    /// All about each
    #[arg(long)]
    pub verbose: bool,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// Shows what takes space.
pub(crate) async fn run<B: Backend>(args: &DuArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let filters = Filters::parse(&args.filter)?;
    let usage = cx.backend.usage().await?;
    let mut items = usage.items;
    let now = SystemTime::now();
    items.retain(|item| filters.fit(item, now));
    items.sort_by(|one, other| {
        other
            .size
            .cmp(&one.size)
            .then_with(|| one.id.cmp(&other.id))
    });
    let text = match args.format {
        Format::Json => items.iter().map(json).collect(),
        Format::Table if args.verbose => items.iter().map(verbose).collect(),
        Format::Table => table(&items),
    };
    cx.printer.bytes(text.as_bytes())?;
    if args.format == Format::Table && filters.is_empty() {
        let summary = summary(&items, usage.records, usage.transient);
        cx.printer.bytes(summary.as_bytes())?;
    }
    Ok(0)
}

/// Sums as BuildKit has them: what images share, and what may be removed.
fn summary(items: &[Item], records: u64, transient: u64) -> String {
    let sum = |wanted: &dyn Fn(&Item) -> bool| -> String {
        units::size(
            items
                .iter()
                .filter(|item| wanted(item))
                .map(|item| item.size)
                .sum(),
        )
    };
    let all: u64 = items.iter().map(|item| item.size).sum();
    format!(
        "Shared:      {}\nPrivate:     {}\nReclaimable: {}\nRecords:     {}\nTransient:   {}\nTotal:       {}\n",
        sum(&|item| item.is_shared()),
        sum(&|item| !item.is_shared()),
        sum(&|item| !item.is_needed()),
        units::size(records),
        units::size(transient),
        units::size(all + records + transient),
    )
}

/// A line for each.
pub(super) fn table(items: &[Item]) -> String {
    let now = SystemTime::now();
    let row = |item: &Item| {
        [
            short_id(&item.id).to_owned(),
            item.kind.name().to_owned(),
            units::size(item.size),
            ago(item.used, now),
            reasons(item).join(", "),
        ]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    table::layout(["ID", "TYPE", "SIZE", "LAST USED", "KEPT BY"], &rows)
}

/// All about one.
pub(super) fn verbose(item: &Item) -> String {
    format!(
        "ID:          {}\nType:        {}\nSize:        {}\nCreated:     {}\nLast used:   {}\nReclaimable: {}\nShared:      {}\nKept by:     {}\n\n",
        item.id,
        item.kind.name(),
        units::size(item.size),
        inspect_time(item.created),
        inspect_time(item.used),
        !item.is_needed(),
        item.is_shared(),
        reasons(item).join(", "),
    )
}

/// One as an object on a line.
pub(super) fn json(item: &Item) -> String {
    let object = json!({
        "ID": item.id,
        "Type": item.kind.name(),
        "Size": item.size,
        "CreatedAt": inspect_time(item.created),
        "LastUsedAt": inspect_time(item.used),
        "Reclaimable": !item.is_needed(),
        "Shared": item.is_shared(),
        "KeptBy": reasons(item),
    });
    format!("{object}\n")
}

/// Why it is kept, each reason once.
fn reasons(item: &Item) -> Vec<String> {
    let reasons: BTreeSet<_> = item.kept.iter().map(reason).collect();
    reasons.into_iter().collect()
}

fn reason(kept: &Kept) -> String {
    match kept {
        Kept::Image(name) => format!("image {name}"),
        Kept::Container(name) => format!("container {name}"),
        Kept::InUse => "in use".to_owned(),
        Kept::Pinned => "pinned".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, run_command};

    #[test]
    fn the_list_says_why_things_are_kept() {
        let done = run_command(&Fake::default(), &["du"]);
        let lines: Vec<&str> = done.out.lines().collect();
        assert!(lines[0].starts_with("ID"), "{}", done.out);
        assert!(
            lines[1].starts_with("0123456789ab")
                && lines[1].ends_with("image docker.io/library/busybox:latest"),
            "{}",
            done.out
        );
        assert!(lines[2].starts_with("go") && lines[2].contains("exec.cachemount"));
        assert!(
            done.out.contains("Reclaimable: 7kB\n") && done.out.ends_with("Total:       4.01MB\n")
        );
    }

    #[test]
    fn objects_are_one_a_line_and_filters_choose() {
        let done = run_command(
            &Fake::default(),
            &["du", "--format", "json", "--filter", "type=exec.cachemount"],
        );
        let object: serde_json::Value = serde_json::from_str(&done.out).expect("one object");
        assert_eq!(object["ID"], "go");
        assert_eq!(object["Reclaimable"], true);
        let verbose = run_command(&Fake::default(), &["du", "--verbose"]).out;
        assert!(verbose.contains("Kept by:     image docker.io/library/busybox:latest\n"));
        assert_eq!(
            run_command(&Fake::default(), &["du", "--filter", "x"]).code,
            1
        );
    }
}
