//! Whether two builds of the same inputs give the same image, and if not, where they differ first.

use std::collections::BTreeMap;
use std::sync::Arc;

use layer::{EntryKind, LayerTree, Timestamp, View, ViewNode};
use serde_json::Value;

use super::assemble::{Finished, FinishedImage};
use super::request::{BuildRequest, Built};
use super::{Seals, blocking};
use crate::engine::Engine;
use crate::error::{BuildError, ImageError};
use crate::event::Listener;
use crate::progress::Progress;
use crate::rootfs::Sealed;

/// What came of building twice.
#[derive(Debug, Clone)]
pub enum Verified {
    /// The same image, which went to the outputs.
    Same(Built),
    /// Two images.
    Differs(Difference),
}

/// The first difference of two images: of paths that differ in more than their times, if there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What made the layer that differs; empty if it is the config that does.
    pub made_by: String,
    /// The path in the layer or in the config's JSON.
    pub path: String,
    /// What about it, and what it is in the first and in the second image.
    pub aspects: Vec<(&'static str, String, String)>,
    /// Whether only times differ.
    pub only_times: bool,
}

impl Engine {
    /// Builds twice without the cache and compares the images. Nothing goes to the outputs if they differ.
    pub async fn verify(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Verified, BuildError> {
        self.sweep();
        let _collecting = self.collecting();
        let request = Arc::new(BuildRequest {
            no_cache: true,
            ..request
        });
        let attempt = || {
            let make = async |progress: &Progress, recorder: &_| {
                self.make_image(&request, Seals::Own, progress, recorder)
                    .await
            };
            // Of an index no id is known before it is written.
            self.recorded(&request, Arc::clone(&listener), make, |made| match made {
                Finished::Image(image) => Some(image.id),
                Finished::Index(_) => None,
            })
        };
        let (first, second) = (attempt().await?, attempt().await?);
        let (one, other) = (first.clone(), second);
        let compared = move || {
            let pairs = one.images().iter().zip(other.images());
            let mut found = pairs.map(|(one, other)| difference(one, other));
            found.find_map(Result::transpose).transpose()
        };
        let difference = blocking(compared).await;
        let difference = difference.map_err(|_| BuildError::Cancelled)?;
        if let Some(difference) = difference.map_err(ImageError::Layer)? {
            return Ok(Verified::Differs(difference));
        }
        let progress = Progress::new(listener);
        let built = self.write_outputs(&request, &first, &progress).await;
        built.map(Verified::Same)
    }
}

/// Where two images differ first.
fn difference(one: &FinishedImage, other: &FinishedImage) -> layer::Result<Option<Difference>> {
    let mut in_times = None;
    let makers = one
        .config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer)
        .map(|entry| entry.created_by.as_str());
    let makers: Vec<_> = makers.collect();
    for (number, (left, right)) in one.layers.iter().zip(&other.layers).enumerate() {
        if left.diff_id == right.diff_id {
            continue;
        }
        let made_by = makers.get(number).copied().unwrap_or_default();
        let found = in_layer(made_by, left, right)?;
        if !found.only_times {
            return Ok(Some(found));
        }
        in_times.get_or_insert(found);
    }
    if in_times.is_some() {
        return Ok(in_times);
    }
    let [left, right] = [one, other].map(|image| serde_json::from_slice(&image.bytes));
    let (Ok(left), Ok(right)) = (left, right) else {
        return Ok(None);
    };
    Ok(in_config(String::new(), &left, &right))
}

fn in_layer(made_by: &str, left: &Sealed, right: &Sealed) -> layer::Result<Difference> {
    let (left_files, right_files) = (files(left)?, files(right)?);
    let mut paths: Vec<_> = left_files.keys().chain(right_files.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut in_times = None;
    for path in paths {
        let aspects = compare(left_files.get(path), right_files.get(path));
        if aspects.is_empty() {
            continue;
        }
        let found = Difference {
            made_by: made_by.to_owned(),
            path: format!("/{}", path.trim_start_matches('/')),
            only_times: aspects.iter().all(|(what, ..)| *what == MODIFIED),
            aspects,
        };
        if !found.only_times {
            return Ok(found);
        }
        in_times.get_or_insert(found);
    }
    Ok(in_times.unwrap_or_else(|| Difference {
        made_by: made_by.to_owned(),
        path: "/".to_owned(),
        aspects: vec![(
            "the layer's digest",
            left.diff_id.to_string(),
            right.diff_id.to_string(),
        )],
        only_times: false,
    }))
}

/// The aspect of time.
const MODIFIED: &str = "modified";

/// What there is to compare of a file, by aspect.
type Aspects = BTreeMap<&'static str, String>;

fn files(layer: &Sealed) -> layer::Result<BTreeMap<String, Aspects>> {
    let view = View::new(vec![Arc::clone(&layer.index) as Arc<dyn LayerTree>]);
    let mut files = BTreeMap::new();
    view.walk(&view.root()?, |path, node| {
        let path = path.as_path().to_string_lossy().into_owned();
        files.insert(path, aspects(node)?);
        Ok(())
    })?;
    Ok(files)
}

fn aspects(node: &ViewNode<'_>) -> layer::Result<Aspects> {
    let metadata = node.metadata()?;
    let mut aspects = Aspects::from([
        ("kind", format!("{:?}", node.kind()).to_lowercase()),
        ("mode", format!("{:o}", metadata.mode)),
        ("owner", format!("{}:{}", metadata.uid, metadata.gid)),
        (MODIFIED, time(metadata.mtime)),
    ]);
    for (name, value) in &metadata.xattrs {
        let name = String::from_utf8_lossy(name);
        let value = String::from_utf8_lossy(value);
        let all = aspects.entry("extended attributes").or_default();
        all.extend([&*name, "=", &*value, " "]);
    }
    match node.kind() {
        EntryKind::File => {
            let file = node.file()?;
            let digest = file.digest()?;
            aspects.insert("bytes", format!("{} bytes, blake3 {digest}", file.size()));
        }
        EntryKind::Symlink => {
            let target = String::from_utf8_lossy(&node.link_target()?).into_owned();
            aspects.insert("target", target);
        }
        _ => {}
    }
    Ok(aspects)
}

fn time(time: Timestamp) -> String {
    let known = jiff::Timestamp::new(time.seconds, time.nanos.cast_signed());
    known.map_or_else(|_| time.seconds.to_string(), |time| time.to_string())
}

/// What differs of two files; all of one that the other layer lacks.
fn compare(left: Option<&Aspects>, right: Option<&Aspects>) -> Vec<(&'static str, String, String)> {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (Some(_), None) => return vec![("presence", "there".into(), "absent".into())],
        (None, Some(_)) => return vec![("presence", "absent".into(), "there".into())],
        (None, None) => return Vec::new(),
    };
    let mut names: Vec<_> = left.keys().chain(right.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let value = |of: &Aspects, name| of.get(name).cloned().unwrap_or_default();
    let different = names.into_iter().filter_map(|name| {
        let (left, right) = (value(left, name), value(right, name));
        (left != right).then_some((*name, left, right))
    });
    different.collect()
}

/// The first value that differs in two configs.
fn in_config(path: String, left: &Value, right: &Value) -> Option<Difference> {
    let child = |name: &str| format!("{path}/{name}");
    match (left, right) {
        (Value::Object(one), Value::Object(other)) => {
            let mut names: Vec<_> = one.keys().chain(other.keys()).collect();
            names.sort_unstable();
            names.dedup();
            let value =
                |of: &serde_json::Map<_, _>, name| of.get(name).cloned().unwrap_or_default();
            names
                .into_iter()
                .find_map(|name| in_config(child(name), &value(one, name), &value(other, name)))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs
                .map(|(at, pair)| (child(&at.to_string()), pair))
                .find_map(|(path, (one, other))| in_config(path, one, other))
        }
        _ if left == right => None,
        _ => Some(Difference {
            made_by: String::new(),
            only_times: path.ends_with("/created"),
            path,
            aspects: vec![("value", left.to_string(), right.to_string())],
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_value_that_differs_is_named_by_its_path() {
        let left = json!({"a": 1, "history": [{"created": "x"}, {"created": "y"}]});
        let right = json!({"a": 1, "history": [{"created": "x"}, {"created": "z"}]});
        let found = in_config(String::new(), &left, &right).expect("a difference");
        assert_eq!(found.path, "/history/1/created");
        assert!(found.only_times);
        assert_eq!(found.aspects, [("value", "\"y\"".into(), "\"z\"".into())]);
        assert_eq!(in_config(String::new(), &left, &left), None);
        let lacking = in_config(String::new(), &left, &json!({"a": 1})).expect("a difference");
        assert_eq!(lacking.path, "/history");
    }

    #[test]
    fn files_differ_by_aspect() {
        let file = |mode: &str, time: &str| {
            Aspects::from([("mode", mode.to_owned()), (MODIFIED, time.to_owned())])
        };
        let (one, other) = (file("644", "1"), file("755", "1"));
        assert_eq!(compare(Some(&one), Some(&one)), []);
        assert_eq!(
            compare(Some(&one), Some(&other)),
            [("mode", "644".into(), "755".into())]
        );
        assert_eq!(compare(None, Some(&other))[0].0, "presence");
    }
}
