//! From what `--output` says to what is to be written.
//!
//! The attributes are those of BuildKit's exporters, as far as they are supported; any other is an error that names it.

use std::path::PathBuf;

use image::archive::ArchiveFormat;
use image::{Compression, Encoding, MediaTypes, Reference};

use super::destination::Destination;
use crate::error::ImageError;

/// The `type=` of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// An image in the store.
    Image,
    /// An image in a registry, and only there.
    Registry,
    /// An archive or directory with an OCI layout.
    Oci,
    /// The same that `docker load` reads too; without a destination, an image in the store.
    Docker,
    /// The files of the image as a tar.
    Tar,
    /// The files of the image in a directory.
    Local,
    /// Nothing.
    CacheOnly,
}

/// An output as the user describes it.
#[derive(Debug, Clone)]
pub struct OutputSpec {
    /// `type=`.
    pub kind: OutputKind,
    /// `dest=`, for the kinds that need one.
    pub dest: Option<Destination>,
    /// `name=`; none for the names of the build.
    pub names: Vec<Reference>,
    /// `push=`.
    pub push: bool,
    /// Everything else.
    pub attributes: Vec<(String, String)>,
}

/// What is to be written.
#[derive(Debug, Clone)]
pub enum Output {
    /// An image in the store, in registries, or both.
    Image {
        /// Its names; none for those of the build.
        names: Vec<Reference>,
        /// Whether it goes into the store.
        store: bool,
        /// How it is sent to the registries in its names; `None` if it is not.
        push: Option<Form>,
    },
    /// An image in an archive.
    Archive {
        /// Its names; none for those of the build.
        names: Vec<Reference>,
        /// For whom.
        format: ArchiveFormat,
        /// Where to.
        to: ArchivePlace,
        /// How it is written.
        form: Form,
    },
    /// The files of the image as a tar.
    Tar {
        /// Where to.
        to: Destination,
        /// Whose directories they are in.
        split: Split,
    },
    /// The files of the image in a directory.
    Local {
        /// Which.
        to: PathBuf,
        /// Whose directories they are in.
        split: Split,
    },
    /// Nothing: the build's cache is all that is wanted.
    CacheOnly,
}

/// Whether the files of each platform go to a directory of their own, such as `linux_arm64` (`platform-split=`). `None`:
/// where the build makes an index.
pub type Split = Option<bool>;

/// How an image is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// How its layers are compressed.
    pub encoding: Encoding,
    /// Which media types it has.
    pub media_types: MediaTypes,
}

/// Where an archive goes.
#[derive(Debug, Clone)]
pub enum ArchivePlace {
    /// As a tar.
    Tar(Destination),
    /// As a directory (`tar=false`).
    Directory(PathBuf),
}

impl OutputKind {
    /// As it is written after `type=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Registry => "registry",
            Self::Oci => "oci",
            Self::Docker => "docker",
            Self::Tar => "tar",
            Self::Local => "local",
            Self::CacheOnly => "cacheonly",
        }
    }
}

/// The attributes that were given, understood.
#[derive(Debug, Default)]
struct Given {
    compression: Option<Compression>,
    level: Option<i32>,
    oci_media_types: Option<bool>,
    tar: Option<bool>,
    split: Split,
}

impl Output {
    /// What `spec` asks for.
    pub fn new(spec: OutputSpec) -> Result<Self, ImageError> {
        let kind = spec.kind;
        let sends = spec.push || kind == OutputKind::Registry;
        let archives =
            kind == OutputKind::Oci || (kind == OutputKind::Docker && spec.dest.is_some());
        let given = Given::read(kind, sends || archives, archives, spec.attributes)?;
        if spec.push && !matches!(kind, OutputKind::Image | OutputKind::Registry) {
            return Err(attribute("push", kind));
        }
        let names = spec.names;
        match (kind, spec.dest) {
            (OutputKind::CacheOnly, _) => Ok(Self::CacheOnly),
            (OutputKind::Image | OutputKind::Registry, _) | (OutputKind::Docker, None) => {
                let push = sends.then(|| given.form(Compression::Gzip, MediaTypes::Oci));
                Ok(Self::Image {
                    names,
                    store: kind != OutputKind::Registry,
                    push: push.transpose()?,
                })
            }
            (OutputKind::Oci, Some(dest)) => archive(names, ArchiveFormat::Oci, dest, &given),
            (OutputKind::Docker, Some(dest)) => archive(names, ArchiveFormat::Docker, dest, &given),
            (OutputKind::Tar, Some(to)) => Ok(Self::Tar {
                to,
                split: given.split,
            }),
            (OutputKind::Local, Some(Destination::Path(to))) => Ok(Self::Local {
                to,
                split: given.split,
            }),
            (OutputKind::Local, Some(Destination::Stream(_))) => Err(NOT_A_STREAM),
            (OutputKind::Oci | OutputKind::Tar | OutputKind::Local, None) => {
                Err(ImageError::Destination("`dest=` is missing"))
            }
        }
    }
}

impl Output {
    /// Refuses what it cannot take: an index, or the files of so many images.
    pub(super) fn check(&self, index: bool, images: usize) -> Result<(), ImageError> {
        match self {
            Self::Archive {
                format: ArchiveFormat::Docker,
                ..
            } if index => Err(ImageError::NoIndexInDockerArchive),
            Self::Tar {
                split: Some(false), ..
            } if images > 1 => Err(ImageError::AttributeValue {
                key: "platform-split",
                expected: "`true` for a tar of several platforms",
                value: "false".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

const NOT_A_STREAM: ImageError =
    ImageError::Destination("a directory cannot be written to standard output");

fn archive(
    names: Vec<Reference>,
    format: ArchiveFormat,
    dest: Destination,
    given: &Given,
) -> Result<Output, ImageError> {
    let form = match format {
        ArchiveFormat::Oci => given.form(Compression::Gzip, MediaTypes::Oci)?,
        ArchiveFormat::Docker => given.form(Compression::None, MediaTypes::Docker)?,
    };
    let to = match (given.tar.unwrap_or(true), dest) {
        (true, dest) => ArchivePlace::Tar(dest),
        (false, Destination::Path(path)) => ArchivePlace::Directory(path),
        (false, Destination::Stream(_)) => return Err(NOT_A_STREAM),
    };
    Ok(Output::Archive {
        names,
        format,
        to,
        form,
    })
}

fn attribute(key: &str, kind: OutputKind) -> ImageError {
    ImageError::Attribute {
        key: key.to_owned(),
        kind: kind.name(),
    }
}

impl Given {
    /// Understands attributes. Only what leaves the store as an image is `compressed`; only an archive is a `tar`.
    fn read(
        kind: OutputKind,
        compressed: bool,
        tar: bool,
        attributes: Vec<(String, String)>,
    ) -> Result<Self, ImageError> {
        let mut given = Self::default();
        for (key, value) in attributes {
            match key.as_str() {
                "compression" if compressed => given.compression = Some(compression(value)?),
                "compression-level" if compressed => given.level = Some(level(value)?),
                "oci-mediatypes" if compressed => {
                    given.oci_media_types = Some(truth("oci-mediatypes", value)?);
                }
                "tar" if tar => given.tar = Some(truth("tar", value)?),
                "platform-split" if matches!(kind, OutputKind::Tar | OutputKind::Local) => {
                    given.split = Some(truth("platform-split", value)?);
                }
                // What is always so can be asked for.
                "force-compression" if compressed => always("force-compression", value)?,
                "rewrite-timestamp" if compressed => always("rewrite-timestamp", value)?,
                _ => return Err(attribute(&key, kind)),
            }
        }
        Ok(given)
    }

    /// The form, with these where nothing else was given.
    fn form(&self, compression: Compression, types: MediaTypes) -> Result<Form, ImageError> {
        Ok(Form {
            encoding: Encoding::new(self.compression.unwrap_or(compression), self.level)?,
            media_types: match self.oci_media_types {
                None => types,
                Some(true) => MediaTypes::Oci,
                Some(false) => MediaTypes::Docker,
            },
        })
    }
}

fn compression(value: String) -> Result<Compression, ImageError> {
    value.parse().map_err(|_| ImageError::AttributeValue {
        key: "compression",
        expected: "`gzip`, `zstd` or `uncompressed`",
        value,
    })
}

fn level(value: String) -> Result<i32, ImageError> {
    value.parse().map_err(|_| ImageError::AttributeValue {
        key: "compression-level",
        expected: "a number",
        value,
    })
}

fn truth(key: &'static str, value: String) -> Result<bool, ImageError> {
    match value.as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(ImageError::AttributeValue {
            key,
            expected: "`true` or `false`",
            value,
        }),
    }
}

fn always(key: &'static str, value: String) -> Result<(), ImageError> {
    if truth(key, value.clone())? {
        return Ok(());
    }
    Err(ImageError::AttributeValue {
        key,
        expected: "always `true`",
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(
        kind: OutputKind,
        dest: Option<&str>,
        attributes: &str,
    ) -> Result<Output, ImageError> {
        let pairs = attributes
            .split(',')
            .filter_map(|pair| pair.split_once('='));
        let mut pairs: Vec<(String, String)> = pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let push = pairs.iter().any(|(key, _)| key == "push");
        pairs.retain(|(key, _)| key != "push");
        Output::new(OutputSpec {
            kind,
            dest: dest.map(|path| Destination::Path(path.into())),
            names: Vec::new(),
            push,
            attributes: pairs,
        })
    }

    fn form_of(output: &Output) -> Form {
        match output {
            Output::Image {
                push: Some(form), ..
            }
            | Output::Archive { form, .. } => *form,
            other => panic!("{other:?} has no form"),
        }
    }

    #[test]
    fn forms_are_what_the_kinds_users_expect_or_what_was_asked() {
        use Compression::{Gzip, None as Plain, Zstd};
        use MediaTypes::{Docker, Oci};
        for (kind, attributes, compression, level, types) in [
            (OutputKind::Oci, "", Gzip, 6, Oci),
            (OutputKind::Docker, "", Plain, 0, Docker),
            (
                OutputKind::Docker,
                "oci-mediatypes=true,compression=gzip",
                Gzip,
                6,
                Oci,
            ),
            (
                OutputKind::Oci,
                "compression=zstd,compression-level=19",
                Zstd,
                19,
                Oci,
            ),
            (
                OutputKind::Oci,
                "oci-mediatypes=false,compression=uncompressed",
                Plain,
                0,
                Docker,
            ),
            (
                OutputKind::Image,
                "push=true,compression-level=9,rewrite-timestamp=true",
                Gzip,
                9,
                Oci,
            ),
            (OutputKind::Registry, "force-compression=true", Gzip, 6, Oci),
        ] {
            let output = output(kind, Some("x"), attributes).expect(attributes);
            let form = form_of(&output);
            let found = (
                form.encoding.compression(),
                form.encoding.level(),
                form.media_types,
            );
            assert_eq!(found, (compression, level, types), "{kind:?} {attributes}");
        }
    }

    #[test]
    fn kinds_lead_to_outputs() {
        let archive = output(OutputKind::Oci, Some("d"), "tar=false").expect("an output");
        assert!(matches!(
            archive,
            Output::Archive { to: ArchivePlace::Directory(path), .. } if *path == *"d"
        ));
        let docker = output(OutputKind::Docker, None, "").expect("an output");
        assert!(matches!(
            docker,
            Output::Image {
                store: true,
                push: None,
                ..
            }
        ));
        let registry = output(OutputKind::Registry, None, "").expect("an output");
        assert!(matches!(
            registry,
            Output::Image {
                store: false,
                push: Some(_),
                ..
            }
        ));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (kind, dest, attributes, message) in [
            (
                OutputKind::Oci,
                Some("x"),
                "unpack=true",
                "`unpack` is not an attribute of `type=oci`",
            ),
            (
                OutputKind::Tar,
                Some("x"),
                "compression=gzip",
                "`compression` is not an attribute of `type=tar`",
            ),
            (
                OutputKind::Image,
                None,
                "compression=gzip",
                "`compression` is not an attribute of `type=image`",
            ),
            (
                OutputKind::Image,
                None,
                "tar=false",
                "`tar` is not an attribute of `type=image`",
            ),
            (
                OutputKind::Oci,
                Some("x"),
                "push=true",
                "`push` is not an attribute of `type=oci`",
            ),
            (
                OutputKind::Oci,
                Some("x"),
                "compression=lz4",
                "`compression` is `gzip`, `zstd` or `uncompressed`, not `lz4`",
            ),
            (
                OutputKind::Oci,
                Some("x"),
                "compression-level=high",
                "`compression-level` is a number, not `high`",
            ),
            (
                OutputKind::Oci,
                Some("x"),
                "compression-level=13",
                "gzip has no level 13; it goes from 0 to 12",
            ),
            (
                OutputKind::Oci,
                Some("x"),
                "tar=maybe",
                "`tar` is `true` or `false`, not `maybe`",
            ),
            (
                OutputKind::Oci,
                Some("x"),
                "rewrite-timestamp=false",
                "`rewrite-timestamp` is always `true`, not `false`",
            ),
            (OutputKind::Local, None, "", "`dest=` is missing"),
        ] {
            let error = output(kind, dest, attributes).expect_err(attributes);
            assert_eq!(error.to_string(), message);
        }
    }
}
