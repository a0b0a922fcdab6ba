//! Images as they lie on disk, read without the program: OCI layouts, OCI archives and skopeo's `dir:` form.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use serde_json::Value;

use crate::tree::Tree;

/// An image: what it says of itself and where its layers are.
#[derive(Debug)]
pub struct Image {
    /// The manifest.
    pub manifest: Value,
    /// The image configuration.
    pub config: Value,
    layers: Vec<PathBuf>,
    // Where an archive was unpacked to; gone with the image.
    unpacked: Option<Rc<tempfile::TempDir>>,
}

impl Image {
    /// The only image of an OCI archive.
    #[track_caller]
    pub fn from_archive(archive: &Path) -> Self {
        let directory = unpack(archive);
        let mut image = Self::from_layout(directory.path());
        image.unpacked = Some(Rc::new(directory));
        image
    }

    /// The images of the only index of an OCI archive, with their platforms.
    #[track_caller]
    pub fn all_of_archive(archive: &Path) -> Vec<(String, Self)> {
        let directory = Rc::new(unpack(archive));
        let blobs = directory.path().join("blobs/sha256");
        let outer = json(&directory.path().join("index.json"));
        assert_eq!(outer["manifests"].as_array().map(Vec::len), Some(1));
        let index = json(&blob(&blobs, &outer["manifests"][0]));
        let entries = index["manifests"].as_array().expect("an index of images");
        let images = entries.iter().map(|entry| {
            let part = |key: &str| entry["platform"][key].as_str().unwrap_or_default();
            let mut image = Self::from_manifest(json(&blob(&blobs, entry)), &blobs);
            image.unpacked = Some(Rc::clone(&directory));
            (format!("{}/{}", part("os"), part("architecture")), image)
        });
        images.collect()
    }

    /// The only image of an OCI layout.
    #[track_caller]
    pub fn from_layout(directory: &Path) -> Self {
        let index = json(&directory.join("index.json"));
        let manifests = index["manifests"]
            .as_array()
            .expect("an index lists manifests");
        assert_eq!(
            manifests.len(),
            1,
            "one image is expected in `{}`",
            directory.display()
        );
        let manifest = json(&blob(&directory.join("blobs/sha256"), &manifests[0]));
        Self::from_manifest(manifest, &directory.join("blobs/sha256"))
    }

    /// The image of a directory that skopeo or buildah wrote in their `dir:` form.
    #[track_caller]
    pub fn from_directory(directory: &Path) -> Self {
        Self::from_manifest(json(&directory.join("manifest.json")), directory)
    }

    fn from_manifest(manifest: Value, blobs: &Path) -> Self {
        let config = json(&blob(blobs, &manifest["config"]));
        let layers = manifest["layers"]
            .as_array()
            .expect("a manifest lists layers");
        let layers = layers.iter().map(|layer| blob(blobs, layer)).collect();
        Self {
            manifest,
            config,
            layers,
            unpacked: None,
        }
    }

    /// The number of layers.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// The file system that the layers make, one over the other.
    #[track_caller]
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        for layer in &self.layers {
            let applied = uncompressed(layer, |stream| tree.apply(stream));
            applied.unwrap_or_else(|error| {
                panic!("cannot read the layer `{}`: {error}", layer.display())
            });
        }
        tree
    }
}

/// Unpacks an archive of images.
#[track_caller]
fn unpack(archive: &Path) -> tempfile::TempDir {
    let directory = crate::scratch();
    crate::command::run(
        Command::new("tar")
            .arg("-xf")
            .arg(archive)
            .arg("-C")
            .arg(directory.path()),
    )
    .succeeded();
    directory
}

/// The file of a descriptor's content.
fn blob(blobs: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"]
        .as_str()
        .expect("a descriptor has a digest");
    blobs.join(digest.strip_prefix("sha256:").expect("digests are SHA-256"))
}

#[track_caller]
fn json(path: &Path) -> Value {
    let text = std::fs::read(path)
        .unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()));
    serde_json::from_slice(&text)
        .unwrap_or_else(|error| panic!("`{}` is not JSON: {error}", path.display()))
}

/// Opens a file that may be compressed. The decompressors are programs of their own: they check what rbuild wrote.
fn uncompressed<T>(path: &Path, read: impl FnOnce(&mut dyn Read) -> T) -> T {
    let mut magic = [0; 4];
    let mut file = File::open(path)
        .unwrap_or_else(|error| panic!("cannot open `{}`: {error}", path.display()));
    let count = file.read(&mut magic).expect("an opened blob can be read");
    let program = match &magic[..count] {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "zstd",
        _ => return read(&mut File::open(path).expect("the file was there a moment ago")),
    };
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(File::open(path).expect("the file was there a moment ago"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run `{program}`: {error}"));
    let result = read(child.stdout.as_mut().expect("the output is a pipe"));
    let status = child.wait().expect("a child can be waited for");
    assert!(
        status.success(),
        "`{program}` cannot decompress `{}`",
        path.display()
    );
    result
}
