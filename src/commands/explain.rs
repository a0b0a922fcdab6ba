//! `rbuild explain`: why the steps of a build ran.

use clap::Args;
use engine::builds::{Explanation, FileChange, Reason, RowEnd};
use engine::event::CacheHit;
use serde_json::{Value, json};

use super::builds::{end, row_object, seconds};
use super::{Context, Format};
use crate::backend::Backend;
use crate::display::single_line;
use crate::error::Error;
use crate::table::ellipsis;

/// Files of a step that are told before the rest is summed up.
const FILES: usize = 10;
/// Columns of a value before it is cut.
const VALUE_WIDTH: usize = 60;
/// Digits of a file's digest that are shown.
const DIGITS: usize = 12;

/// Flags of `rbuild explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Only this step: its line in the Dockerfile, its place (`2/5`), or a part of its name
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// The build: its ID or the beginning of it; `^1` is the one before the last [default: the last]
    #[arg(long, value_name = "BUILD")]
    pub build: Option<String>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// Says of each step whether it was cached, and where not, what had changed.
pub(crate) async fn run<B: Backend>(
    args: &ExplainArgs,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let explained = cx
        .backend
        .explain_build(args.build.as_deref(), args.step.as_deref());
    let explained = explained.await?;
    let text: String = match args.format {
        Format::Table => explained.iter().map(text).collect(),
        Format::Json => {
            let line = |explanation| format!("{}\n", object(explanation));
            explained.iter().map(line).collect()
        }
    };
    cx.printer.bytes(text.as_bytes())?;
    Ok(0)
}

/// A step and a line for each reason.
fn text(explanation: &Explanation) -> String {
    let row = &explanation.row;
    let end = match (&row.end, row.duration()) {
        (RowEnd::Done(_), Some(time)) => format!("ran for {}", seconds(time)),
        (RowEnd::Done(_), None) => "ran".to_owned(),
        (RowEnd::Cached(CacheHit::Content), _) => "cached, for it reads the same files".to_owned(),
        _ => end(row),
    };
    let mut text = format!("{}\n    {end}\n", single_line(&row.name));
    let is_file = |reason: &&Reason| matches!(reason, Reason::File { .. });
    let mut lines: Vec<String> = Vec::new();
    lines.extend(
        explanation
            .reasons
            .iter()
            .filter(|one| !is_file(one))
            .map(reason),
    );
    let files: Vec<_> = explanation
        .reasons
        .iter()
        .filter(is_file)
        .map(reason)
        .collect();
    let more = files.len().saturating_sub(FILES);
    lines.extend(files.into_iter().take(FILES));
    if more > 0 {
        lines.push(format!(
            "and {more} more files (`--format json` names them)"
        ));
    }
    for line in lines {
        text.extend(["    - ", &line, "\n"]);
    }
    text
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::New => "no earlier result of it is known".to_owned(),
        Reason::Disabled => "it was to run again (`--no-cache`)".to_owned(),
        Reason::Uncached => "it runs in every build (`RUN --no-cache`)".to_owned(),
        Reason::Expired => "its result is older than its `--cache-ttl`".to_owned(),
        Reason::Part {
            what,
            before,
            after,
        } => {
            let what = single_line(what);
            let [old, new] = [before, after].map(|text| value(text.as_deref().unwrap_or_default()));
            match (before, after) {
                (None, _) => format!("{what} is new: {new}"),
                (_, None) => format!("{what} is gone; it was {old}"),
                _ => format!("{what}: {old} -> {new}"),
            }
        }
        Reason::File { path, change } => format!("file `{}` {}", single_line(path), about(change)),
        Reason::Step { name } => format!("it builds on {}, which changed", single_line(name)),
        Reason::Lost => "nothing changed: its earlier result is no longer in the store".to_owned(),
        Reason::Unknown => "something changed that is not told apart".to_owned(),
    }
}

fn value(text: &str) -> String {
    format!("`{}`", ellipsis(&single_line(text), VALUE_WIDTH))
}

fn about(change: &FileChange) -> String {
    match change {
        FileChange::Added => "is new".to_owned(),
        FileChange::Removed => "is gone".to_owned(),
        FileChange::Content { before, after } => {
            let short = |digest: &str| digest.get(..DIGITS).unwrap_or(digest).to_owned();
            format!("changed: blake3 {} -> {}", short(before), short(after))
        }
        FileChange::Mode { before, after } => format!("has another mode: {before:o} -> {after:o}"),
        FileChange::Attributes => "has another owner or other extended attributes".to_owned(),
        FileChange::Kind => "is of another kind".to_owned(),
    }
}

fn object(explanation: &Explanation) -> Value {
    let mut object = row_object(&explanation.row);
    object["ComparedWith"] = json!(explanation.compared_with);
    object["Reasons"] = explanation.reasons.iter().map(reason_object).collect();
    object
}

fn reason_object(reason: &Reason) -> Value {
    match reason {
        Reason::New => json!({"Kind": "new"}),
        Reason::Disabled => json!({"Kind": "disabled"}),
        Reason::Uncached => json!({"Kind": "uncached"}),
        Reason::Expired => json!({"Kind": "expired"}),
        Reason::Part {
            what,
            before,
            after,
        } => json!({"Kind": "part", "Name": what, "Before": before, "After": after}),
        Reason::File { path, change } => {
            let (what, before, after) = match change {
                FileChange::Added => ("added", None, None),
                FileChange::Removed => ("removed", None, None),
                FileChange::Content { before, after } => {
                    ("content", Some(before.clone()), Some(after.clone()))
                }
                FileChange::Mode { before, after } => (
                    "mode",
                    Some(format!("{before:o}")),
                    Some(format!("{after:o}")),
                ),
                FileChange::Attributes => ("attributes", None, None),
                FileChange::Kind => ("kind", None, None),
            };
            json!({"Kind": "file", "Name": path, "Change": what, "Before": before, "After": after})
        }
        Reason::Step { name } => json!({"Kind": "step", "Name": name}),
        Reason::Lost => json!({"Kind": "lost"}),
        Reason::Unknown => json!({"Kind": "unknown"}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;

    #[test]
    fn each_reason_is_a_line() {
        let part = |before: Option<&str>, after: Option<&str>| Reason::Part {
            what: "variable A".to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let file = |number: usize, change| Reason::File {
            path: format!("src/{number}"),
            change,
        };
        let content = FileChange::Content {
            before: "0123456789abcdef".to_owned(),
            after: "fedcba9876543210".to_owned(),
        };
        let mut reasons = vec![
            file(0, content),
            part(None, Some("1")),
            part(Some("1"), Some("2\n")),
            Reason::Step {
                name: "[1/2] FROM busybox".to_owned(),
            },
        ];
        reasons.extend((1..FILES + 2).map(|number| file(number, FileChange::Added)));
        let mut row = fake::build_record().rows.remove(1);
        row.end = RowEnd::Done(None);
        let told = text(&Explanation {
            row,
            compared_with: None,
            reasons,
        });
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "[2/2] RUN make",
                "    ran for 0.0s",
                "    - variable A is new: `1`",
                "    - variable A: `1` -> `2 `",
                "    - it builds on [1/2] FROM busybox, which changed",
                "    - file `src/0` changed: blake3 0123456789ab -> fedcba987654",
            ]
        );
        assert_eq!(
            lines.last().copied(),
            Some("    - and 2 more files (`--format json` names them)")
        );
    }
}
