//! `rbuild builds`: the record of past builds.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use engine::builds::{BuildRecord, LogPiece, Outcome, RowEnd, RowRecord, find_step};
use engine::event::{CacheHit, CacheMiss};
use serde_json::{Value, json};

use super::{Context, Format, ago, inspect_time};
use crate::backend::Backend;
use crate::display::single_line;
use crate::error::Error;
use crate::table::{self, ellipsis};

/// Columns of a build's name before it is cut.
const NAME_WIDTH: usize = 40;

/// What is wanted of the record.
#[derive(Debug, Subcommand)]
pub(crate) enum BuildsCommand {
    /// List builds, the newest first
    Ls(ListArgs),
    /// Show how a build went, step by step
    Inspect(InspectArgs),
    /// Print the output of a build's steps, all of it
    Logs(LogsArgs),
    /// Forget builds
    Rm(RemoveArgs),
}

/// Flags of `rbuild builds ls`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print only IDs
    #[arg(short, long)]
    pub quiet: bool,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// Flags of `rbuild builds inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The build: its ID or the beginning of it; `^1` is the one before the last [default: the last]
    #[arg(value_name = "BUILD")]
    pub build: Option<String>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// Flags of `rbuild builds logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The build: its ID or the beginning of it; `^1` is the one before the last [default: the last]
    #[arg(value_name = "BUILD")]
    pub build: Option<String>,
    /// Only the output of one step, as it came: its line in the Dockerfile, its place (`2/5`), or a part of its name
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
}

/// Arguments of `rbuild builds rm`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The builds: their IDs or the beginnings of them
    #[arg(value_name = "BUILD", required_unless_present = "all")]
    pub builds: Vec<String>,
    /// All builds
    #[arg(long, conflicts_with = "builds")]
    pub all: bool,
}

/// Does what is asked of the record.
pub(crate) async fn run<B: Backend>(
    command: BuildsCommand,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    match command {
        BuildsCommand::Ls(args) => {
            let builds = cx.backend.builds().await?;
            cx.printer
                .bytes(list(&builds, &args, SystemTime::now()).as_bytes())?;
            Ok(0)
        }
        BuildsCommand::Inspect(args) => {
            let build = cx.backend.build_record(args.build.as_deref()).await?;
            let text = match args.format {
                Format::Table => report(&build),
                Format::Json => format!("{:#}\n", object(&build, true)),
            };
            cx.printer.bytes(text.as_bytes())?;
            Ok(0)
        }
        BuildsCommand::Logs(args) => logs(&args, cx).await,
        BuildsCommand::Rm(args) => {
            let names = if args.all {
                let builds = cx.backend.builds().await?;
                builds.into_iter().map(|build| build.id).collect()
            } else {
                args.builds
            };
            let forget = async |backend: &B, name: &str| {
                backend.forget_build(name).await?;
                Ok(name.to_owned())
            };
            cx.each("builds", names, forget).await
        }
    }
}

fn list(builds: &[BuildRecord], args: &ListArgs, now: SystemTime) -> String {
    if args.quiet {
        return super::lines(builds.iter().map(|build| build.id.as_str()));
    }
    if args.format == Format::Json {
        let line = |build| format!("{}\n", object(build, false));
        return builds.iter().map(line).collect();
    }
    let row = |build: &BuildRecord| {
        [
            build.id.clone(),
            ellipsis(&name(build), NAME_WIDTH),
            outcome(build).to_owned(),
            ago(build.began(), now),
            seconds(build.duration()),
            cached(build),
        ]
    };
    let rows: Vec<_> = builds.iter().map(row).collect();
    let heading = ["BUILD ID", "NAME", "OUTCOME", "BEGAN", "DURATION", "CACHED"];
    table::layout(heading, &rows)
}

/// What a build is known by: what it was to make, or of what.
fn name(build: &BuildRecord) -> String {
    let of = build.tags.first().unwrap_or(&build.context);
    match &build.target {
        Some(target) => single_line(&format!("{of} ({target})")),
        None => single_line(of),
    }
}

fn outcome(build: &BuildRecord) -> &'static str {
    match build.outcome {
        Outcome::Completed => "completed",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "cancelled",
    }
}

/// `3/5`: steps that were found in the cache, of all.
fn cached(build: &BuildRecord) -> String {
    let (cached, all) = build.cached_share();
    format!("{cached}/{all}")
}

/// `1.2s`.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

/// All about a build, for people.
fn report(build: &BuildRecord) -> String {
    let error = match &build.outcome {
        Outcome::Failed(error) => single_line(error),
        Outcome::Completed | Outcome::Cancelled => String::new(),
    };
    let lines = [
        ("ID", build.id.clone()),
        ("Outcome", outcome(build).to_owned()),
        ("Error", error),
        ("Began", inspect_time(build.began())),
        ("Duration", seconds(build.duration())),
        ("Cached", cached(build)),
        ("Context", single_line(&build.context)),
        ("Dockerfile", single_line(&build.dockerfile)),
        (
            "Target",
            single_line(build.target.as_deref().unwrap_or_default()),
        ),
        ("Platform", build.platform.clone()),
        ("Tags", build.tags.join(", ")),
        ("Image", build.image.clone().unwrap_or_default()),
    ];
    let lines = lines.iter().filter(|(_, value)| !value.is_empty());
    let mut text = String::new();
    for (name, value) in lines {
        text.extend([&*format!("{:<12}", format!("{name}:")), value, "\n"]);
    }
    let row = |row: &RowRecord| {
        let time = row.duration().map_or_else(String::new, seconds);
        [time, end(row), single_line(&row.name)]
    };
    let rows: Vec<_> = build.rows.iter().map(row).collect();
    text.push('\n');
    text + &table::layout(["TIME", "RESULT", "STEP"], &rows)
}

/// What became of a row, in a few words.
pub(super) fn end(row: &RowRecord) -> String {
    match &row.end {
        RowEnd::Unreached => "not reached".to_owned(),
        RowEnd::Cached(CacheHit::Definition) => "cached".to_owned(),
        RowEnd::Cached(CacheHit::Content) => "cached: it reads the same files".to_owned(),
        RowEnd::Cached(CacheHit::NotNeeded) => "not needed".to_owned(),
        RowEnd::Done(None) => "done".to_owned(),
        RowEnd::Done(Some(CacheMiss::New)) => "ran: it was new".to_owned(),
        RowEnd::Done(Some(CacheMiss::InputsChanged)) => "ran: what it reads changed".to_owned(),
        RowEnd::Done(Some(CacheMiss::Disabled)) => "ran: without cache".to_owned(),
        RowEnd::Done(Some(CacheMiss::Uncached)) => "ran: it runs in every build".to_owned(),
        RowEnd::Done(Some(CacheMiss::Expired)) => "ran: its result was too old".to_owned(),
        RowEnd::Failed(error) => format!("failed: {}", single_line(error)),
        RowEnd::Cancelled => "cancelled".to_owned(),
    }
}

/// A build for machines; its rows only where they are wanted.
fn object(build: &BuildRecord, rows: bool) -> Value {
    let (cached, steps) = build.cached_share();
    let error = match &build.outcome {
        Outcome::Failed(error) => Some(error),
        Outcome::Completed | Outcome::Cancelled => None,
    };
    let mut object = json!({
        "ID": build.id,
        "Outcome": outcome(build),
        "Error": error,
        "BeganAt": inspect_time(build.began()),
        "Seconds": build.duration().as_secs_f64(),
        "CachedSteps": cached,
        "Steps": steps,
        "Context": build.context,
        "Dockerfile": build.dockerfile,
        "Target": build.target,
        "Platform": build.platform,
        "Tags": build.tags,
        "Image": build.image,
    });
    if rows {
        object["Rows"] = build.rows.iter().map(row_object).collect();
    }
    object
}

/// A row for machines.
pub(super) fn row_object(row: &RowRecord) -> Value {
    let step = row.step.as_ref();
    json!({
        "Name": row.name,
        "Result": match &row.end {
            RowEnd::Unreached => "unreached",
            RowEnd::Cached(_) => "cached",
            RowEnd::Done(_) => "done",
            RowEnd::Failed(_) => "failed",
            RowEnd::Cancelled => "cancelled",
        },
        "Detail": end(row),
        "Began": row.began().map(|time| time.as_secs_f64()),
        "Seconds": row.duration().map(|time| time.as_secs_f64()),
        "Stage": step.map(|step| &step.stage),
        "Line": step.and_then(|step| step.line),
        "Key": step.and_then(|step| step.definition.as_ref()),
    })
}

async fn logs<B: Backend>(args: &LogsArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let build = cx.backend.build_record(args.build.as_deref()).await?;
    let wanted = match &args.step {
        Some(step) => {
            Some(find_step(&build, step).map_err(|error| Error::Usage(error.to_string()))?)
        }
        None => None,
    };
    let mut lines = Lines::new(&build.rows);
    let mut written = Ok(());
    let printer = &mut *cx.printer;
    let mut each = |piece: LogPiece| {
        written = match &wanted {
            Some(rows) if !rows.contains(&piece.row) => Ok(()),
            Some(_) => printer.bytes(&piece.bytes),
            None => printer.bytes(&lines.take(&piece)),
        };
        written.is_ok()
    };
    cx.backend.build_log(Some(&build.id), &mut each).await?;
    written.map(|()| 0)
}

/// Marks lines of output with the number of their step.
struct Lines<'a> {
    rows: &'a [RowRecord],
    /// The row whose lines come, and whether the last of them is open.
    current: Option<(usize, bool)>,
}

impl<'a> Lines<'a> {
    fn new(rows: &'a [RowRecord]) -> Self {
        Self {
            rows,
            current: None,
        }
    }

    fn take(&mut self, piece: &LogPiece) -> Vec<u8> {
        let mut text = Vec::with_capacity(piece.bytes.len() + 16);
        let mark = format!("#{} ", piece.row + 1);
        let mut open = match self.current {
            Some((row, open)) if row == piece.row => open,
            other => {
                match other {
                    Some((_, true)) => text.extend_from_slice(b"\n\n"),
                    Some((_, false)) => text.push(b'\n'),
                    None => {}
                }
                let name = self.rows.get(piece.row).map(|row| single_line(&row.name));
                text.extend_from_slice(mark.as_bytes());
                text.extend_from_slice(name.unwrap_or_default().as_bytes());
                text.push(b'\n');
                false
            }
        };
        for line in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            if !open {
                text.extend_from_slice(mark.as_bytes());
            }
            text.extend_from_slice(line);
            open = !line.ends_with(b"\n");
        }
        self.current = Some((piece.row, open));
        text
    }
}

#[cfg(test)]
mod tests {
    use engine::event::Stream;

    use super::super::fake::{self, Fake, run_command};
    use super::*;

    #[test]
    fn lines_bear_the_number_of_their_step() {
        let build = fake::build_record();
        let mut lines = Lines::new(&build.rows);
        let mut text = Vec::new();
        for (row, bytes) in [(0, "one\ntw"), (0, "o\n"), (1, "open"), (0, "three\n")] {
            text.extend(lines.take(&LogPiece {
                row,
                stream: Stream::Stdout,
                at: Duration::ZERO,
                bytes: bytes.as_bytes().to_vec(),
            }));
        }
        assert_eq!(
            String::from_utf8(text).expect("text"),
            "#1 [1/2] FROM busybox\n#1 one\n#1 two\n\n#2 [2/2] RUN make\n#2 open\n\n#1 [1/2] FROM busybox\n#1 three\n"
        );
    }

    #[test]
    fn builds_are_listed_and_told_of() {
        let listed = run_command(&Fake::default(), &["builds", "ls"]).out;
        let line = listed.lines().nth(1).expect("a build");
        for part in ["0123456789ab", "busybox", "failed", "1/2"] {
            assert!(line.contains(part), "{listed}");
        }
        let told = run_command(&Fake::default(), &["builds", "inspect"]).out;
        assert!(told.contains("Error:      no such target\n"), "{told}");
        assert!(
            told.contains("failed: exit code: 2   [2/2] RUN make"),
            "{told}"
        );
        let object: Value = serde_json::from_str(
            &run_command(&Fake::default(), &["builds", "inspect", "--format", "json"]).out,
        )
        .expect("an object");
        assert_eq!(object["Rows"][1]["Line"], 2);
    }

    #[test]
    fn builds_are_forgotten_one_by_one() {
        let fake = Fake::default();
        let done = run_command(&fake, &["builds", "rm", "--all"]);
        assert_eq!((done.code, done.out.as_str()), (0, "0123456789ab\n"));
        assert_eq!(run_command(&fake, &["builds", "rm", "missing"]).code, 1);
        assert_eq!(fake.calls(), ["forget_build 0123456789ab"]);
    }
}
