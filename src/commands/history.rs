//! `rbuild history`.

use std::time::SystemTime;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Context, Format, ago, lines};
use crate::backend::{Backend, ImageDetail};
use crate::display::single_line;
use crate::error::Error;
use crate::table::{self, ellipsis, short_id};
use crate::units;

/// Columns of an instruction before it is cut.
const CREATED_BY_WIDTH: usize = 45;

/// Flags of `rbuild history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The image: a name or an ID
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Print instructions and IDs in full
    #[arg(long)]
    pub no_trunc: bool,
    /// Print only IDs
    #[arg(short, long)]
    pub quiet: bool,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// A step of an image's past.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: String,
    created: Option<SystemTime>,
    created_by: String,
    size: u64,
    comment: String,
}

/// Shows how an image was made, the newest step first.
pub(crate) async fn run<B: Backend>(
    args: &HistoryArgs,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let image = cx.backend.image(&args.image).await?;
    let text = list(&entries(&image), args, SystemTime::now());
    cx.printer.bytes(text.as_bytes())?;
    Ok(0)
}

/// Joins the history with the sizes of the layers: those entries that are not empty have one each, in order.
fn entries(image: &ImageDetail) -> Vec<Entry> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut sizes = image.layer_sizes.iter().copied();
    let history = image.config["history"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let mut entries: Vec<Entry> = history
        .iter()
        .map(|step| {
            let empty = step["empty_layer"].as_bool().unwrap_or(false);
            let created: Option<Timestamp> =
                step["created"].as_str().and_then(|time| time.parse().ok());
            Entry {
                id: "<missing>".to_owned(),
                created: created.map(SystemTime::from),
                created_by: text(step, "created_by"),
                size: if empty { 0 } else { sizes.next().unwrap_or(0) },
                comment: text(step, "comment"),
            }
        })
        .collect();
    entries.reverse();
    if let Some(newest) = entries.first_mut() {
        newest.id.clone_from(&image.summary.id);
    }
    entries
}

fn list(entries: &[Entry], args: &HistoryArgs, now: SystemTime) -> String {
    if args.quiet {
        return lines(entries.iter().map(|entry| entry.id(args)));
    }
    match args.format {
        Format::Json => entries.iter().map(|entry| entry.json(args, now)).collect(),
        Format::Table => {
            let rows: Vec<_> = entries
                .iter()
                .map(|entry| {
                    [
                        entry.id(args).to_owned(),
                        entry.since(now),
                        entry.created_by(args),
                        units::size(entry.size),
                        entry.comment.clone(),
                    ]
                })
                .collect();
            table::layout(["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], &rows)
        }
    }
}

impl Entry {
    fn id(&self, args: &HistoryArgs) -> &str {
        if args.no_trunc {
            &self.id
        } else {
            short_id(&self.id)
        }
    }

    fn since(&self, now: SystemTime) -> String {
        self.created
            .map_or_else(|| "N/A".to_owned(), |time| ago(time, now))
    }

    fn created_by(&self, args: &HistoryArgs) -> String {
        let text = single_line(&self.created_by);
        if args.no_trunc {
            text
        } else {
            ellipsis(&text, CREATED_BY_WIDTH)
        }
    }

    fn json(&self, args: &HistoryArgs, now: SystemTime) -> String {
        let object = json!({
            "Comment": self.comment,
            "CreatedAt": self.created.map_or_else(String::new, super::inspect_time),
            "CreatedBy": self.created_by(args),
            "CreatedSince": self.since(now),
            "ID": self.id(args),
            "Size": units::size(self.size),
        });
        format!("{object}\n")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::commands::fake;

    #[test]
    fn layers_belong_to_steps_that_are_not_empty() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let args = HistoryArgs {
            image: String::new(),
            no_trunc: false,
            quiet: false,
            format: Format::Table,
        };
        insta::assert_snapshot!(list(&entries(&fake::image()), &args, now), @"
        IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT
        0123456789ab   2 hours ago   CMD [\"sh\"]                                      0B        buildkit.dockerfile.v0
        <missing>      2 hours ago   RUN /bin/sh -c make install # buildkit and s…   5MB       buildkit.dockerfile.v0
        <missing>      2 weeks ago   base                                            72.8MB    
        ");
    }
}
