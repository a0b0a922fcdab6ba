//! `rbuild images`, `tag` and `rmi`.

use std::time::SystemTime;

use clap::Args;
use serde_json::json;

use super::{Context, Format, ago, list_time};
use crate::backend::{Backend, ImageSummary, Removal};
use crate::error::Error;
use crate::table::{self, short_id};
use crate::units;

const NONE: &str = "<none>";

/// Flags of `rbuild images`.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Only images of this name: `name[:tag]`
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print only IDs
    #[arg(short, long)]
    pub quiet: bool,
    /// Print IDs in full
    #[arg(long)]
    pub no_trunc: bool,
    /// Print the digests that the images have in registries
    #[arg(long)]
    pub digests: bool,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// Arguments of `rbuild tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// The image: a name or an ID
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Its other name
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Flags of `rbuild rmi`.
#[derive(Debug, Args)]
pub(crate) struct RmiArgs {
    /// Names or IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// Also when containers use it
    #[arg(short, long)]
    pub force: bool,
}

/// A line of the list: an image under one of its names.
#[derive(Debug, Clone)]
struct Entry<'a> {
    image: &'a ImageSummary,
    repository: &'a str,
    tag: &'a str,
    digest: &'a str,
}

/// Lists images.
pub(crate) async fn list<B: Backend>(
    args: &ImagesArgs,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let images = cx.backend.images().await?;
    let mut entries: Vec<Entry<'_>> = images.iter().flat_map(entries).collect();
    if let Some(name) = &args.name {
        entries.retain(|entry| entry.matches(name));
    }
    let text = if args.quiet {
        quiet(&entries, args)
    } else {
        match args.format {
            Format::Table => table_of(&entries, args, SystemTime::now()),
            Format::Json => entries
                .iter()
                .map(|entry| entry.json(args, SystemTime::now()))
                .collect(),
        }
    };
    cx.printer.bytes(text.as_bytes())?;
    Ok(0)
}

/// Gives an image another name.
pub(crate) async fn tag<B: Backend>(args: &TagArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    cx.backend.tag(&args.image, &args.name).await?;
    Ok(0)
}

/// Removes images.
pub(crate) async fn remove<B: Backend>(
    args: RmiArgs,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let force = args.force;
    cx.each("rmi", args.images, async |backend, name| {
        let removals = backend.remove_image(name, force).await?;
        let lines: Vec<String> = removals
            .iter()
            .map(|removal| match removal {
                Removal::Untagged(name) => format!("Untagged: {name}"),
                Removal::Deleted(digest) => format!("Deleted: {digest}"),
            })
            .collect();
        Ok(lines.join("\n"))
    })
    .await
}

/// One entry per name; images without one have an entry of their own.
fn entries(image: &ImageSummary) -> Vec<Entry<'_>> {
    let entry = |repository, tag| Entry {
        image,
        repository,
        tag,
        digest: digest_of(image, repository),
    };
    if image.names.is_empty() {
        let repository = image.digests.first().and_then(|name| name.split_once('@'));
        return vec![entry(
            repository.map_or(NONE, |(repository, _)| repository),
            NONE,
        )];
    }
    image
        .names
        .iter()
        .map(|name| match name.rsplit_once(':') {
            // A colon before a slash belongs to the registry's port.
            Some((repository, tag)) if !tag.contains('/') => entry(repository, tag),
            _ => entry(name, NONE),
        })
        .collect()
}

fn digest_of<'a>(image: &'a ImageSummary, repository: &str) -> &'a str {
    image
        .digests
        .iter()
        .filter_map(|name| name.split_once('@'))
        .find(|(name, _)| *name == repository)
        .map_or(NONE, |(_, digest)| digest)
}

fn quiet(entries: &[Entry<'_>], args: &ImagesArgs) -> String {
    let mut text = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for entry in entries {
        if !seen.contains(&entry.image.id.as_str()) {
            seen.push(&entry.image.id);
            text += entry.id(args);
            text.push('\n');
        }
    }
    text
}

fn table_of(entries: &[Entry<'_>], args: &ImagesArgs, now: SystemTime) -> String {
    let cells = |entry: &Entry<'_>| entry.cells(args, now);
    if args.digests {
        let rows: Vec<_> = entries
            .iter()
            .map(|entry| {
                let [repository, tag, id, created, size] = cells(entry);
                [repository, tag, entry.digest.to_owned(), id, created, size]
            })
            .collect();
        table::layout(
            ["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"],
            &rows,
        )
    } else {
        let rows: Vec<_> = entries.iter().map(cells).collect();
        table::layout(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &rows)
    }
}

impl Entry<'_> {
    fn id(&self, args: &ImagesArgs) -> &str {
        if args.no_trunc {
            &self.image.id
        } else {
            short_id(&self.image.id)
        }
    }

    fn cells(&self, args: &ImagesArgs, now: SystemTime) -> [String; 5] {
        [
            self.repository.to_owned(),
            self.tag.to_owned(),
            self.id(args).to_owned(),
            self.image
                .created
                .map_or_else(|| "N/A".to_owned(), |time| ago(time, now)),
            units::size(self.image.size),
        ]
    }

    fn json(&self, args: &ImagesArgs, now: SystemTime) -> String {
        let [repository, tag, id, since, size] = self.cells(args, now);
        let object = json!({
            "Containers": "N/A",
            "CreatedAt": self.image.created.map_or_else(|| "N/A".to_owned(), list_time),
            "CreatedSince": since,
            "Digest": self.digest,
            "ID": id,
            "Repository": repository,
            "SharedSize": "N/A",
            "Size": size,
            "Tag": tag,
            "UniqueSize": "N/A",
        });
        format!("{object}\n")
    }

    /// Whether `name` is the repository, or the repository with the tag.
    fn matches(&self, name: &str) -> bool {
        self.repository == name
            || name
                .strip_prefix(self.repository)
                .and_then(|rest| rest.strip_prefix(':'))
                .is_some_and(|tag| tag == self.tag)
    }
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
