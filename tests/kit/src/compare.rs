//! How two images differ: one line for each thing that is not the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde_json::Value;

use crate::image::Image;
use crate::tree::{Kind, Node, Tree};

/// The times of builds: from 2020 on, and before 2035. A time outside of them was copied from a source, and must agree.
const BUILD_TIMES: Range<i64> = 1_577_836_800..2_051_222_400;

/// The members of an image's configuration that must agree.
const CONFIG: [&str; 12] = [
    "Env",
    "Cmd",
    "Entrypoint",
    "User",
    "WorkingDir",
    "Labels",
    "Volumes",
    "ExposedPorts",
    "StopSignal",
    "Shell",
    "Healthcheck",
    "OnBuild",
];

/// One thing that two images disagree about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// A path, with bytes other than printable ASCII escaped as in Rust and spaces as `\x20`; or `config.NAME`.
    pub place: String,
    /// The property: `present`, `type`, `mode`, `uid`, `gid`, `size`, `content`, `target`, `device`, `mtime`,
    /// `links`, `xattr:NAME`, or `value` for a member of the configuration.
    pub property: String,
    /// What the first image has, in one word or as JSON.
    pub ours: String,
    /// What the second image has.
    pub theirs: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            property,
            ours,
            theirs,
        } = self;
        write!(
            formatter,
            "{place} {property} {ours}   (the other: {theirs})"
        )
    }
}

/// Everything that two images disagree about, in order.
#[track_caller]
pub fn images(ours: &Image, theirs: &Image) -> Vec<Difference> {
    let mut differences = trees(&ours.tree(), &theirs.tree());
    differences.extend(configs(&ours.config, &theirs.config));
    differences
}

/// Everything that two file systems disagree about, in order.
pub fn trees(ours: &Tree, theirs: &Tree) -> Vec<Difference> {
    let mut differences = Vec::new();
    let names: BTreeSet<&[u8]> = ours
        .iter()
        .chain(theirs.iter())
        .map(|(name, _)| name)
        .collect();
    let (our_links, their_links) = (ours.links(), theirs.links());
    for name in names {
        let mut note = |property: &str, ours: String, theirs: String| {
            if ours != theirs {
                differences.push(Difference {
                    place: place(name),
                    property: property.to_owned(),
                    ours,
                    theirs,
                });
            }
        };
        let (Some(our), Some(their)) = (ours.get(name), theirs.get(name)) else {
            note(
                "present",
                ours.get(name).is_some().to_string(),
                theirs.get(name).is_some().to_string(),
            );
            continue;
        };
        let (our_facts, their_facts) = (facts(our), facts(their));
        for property in our_facts
            .keys()
            .chain(their_facts.keys())
            .collect::<BTreeSet<_>>()
        {
            note(
                property,
                value_of(&our_facts, property),
                value_of(&their_facts, property),
            );
        }
        if our.kind != Kind::Directory
            && [our, their]
                .iter()
                .any(|node| !BUILD_TIMES.contains(&node.mtime))
        {
            note("mtime", our.mtime.to_string(), their.mtime.to_string());
        }
        let group = |links: &BTreeMap<Vec<u8>, Vec<u8>>| {
            links.get(name).map_or("-".to_owned(), |first| place(first))
        };
        note("links", group(&our_links), group(&their_links));
    }
    differences
}

/// Everything that two configurations disagree about. Nothing, `null` and what is empty are the same.
pub fn configs(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let pairs = CONFIG
        .iter()
        .map(|name| (*name, &ours["config"][name], &theirs["config"][name]));
    let outer = ["author", "os", "architecture"].map(|name| (name, &ours[name], &theirs[name]));
    let pairs = pairs
        .chain(outer)
        .map(|(name, ours, theirs)| (name, plain(ours), plain(theirs)));
    let differing = pairs.filter(|(_, ours, theirs)| ours != theirs);
    let difference = |(name, ours, theirs)| Difference {
        place: format!("config.{name}"),
        property: "value".to_owned(),
        ours,
        theirs,
    };
    differing.map(difference).collect()
}

fn facts(node: &Node) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut fact = |name: &str, value: String| drop(facts.insert(name.to_owned(), value));
    let kind = match &node.kind {
        Kind::File { size, content } => {
            fact("size", size.to_string());
            fact("content", format!("{content:016x}"));
            "file"
        }
        Kind::Directory => "directory",
        Kind::Symlink(target) => {
            fact("target", escape(target));
            "symlink"
        }
        Kind::CharDevice(major, minor) => {
            fact("device", format!("{major}:{minor}"));
            "character-device"
        }
        Kind::BlockDevice(major, minor) => {
            fact("device", format!("{major}:{minor}"));
            "block-device"
        }
        Kind::Fifo => "fifo",
    };
    fact("type", kind.to_owned());
    fact("uid", node.uid.to_string());
    fact("gid", node.gid.to_string());
    // The kernel keeps no mode for a symbolic link.
    if !matches!(node.kind, Kind::Symlink(_)) {
        fact("mode", format!("{:04o}", node.mode));
    }
    for (name, value) in &node.xattrs {
        fact(&format!("xattr:{}", escape(name)), escape(value));
    }
    facts
}

fn value_of(facts: &BTreeMap<String, String>, property: &str) -> String {
    facts.get(property).map_or("-", String::as_str).to_owned()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Object(members) if members.is_empty() => "-".to_owned(),
        other => other.to_string(),
    }
}

fn place(name: &[u8]) -> String {
    format!("/{}", escape(name))
}

fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace(' ', "\\x20")
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
