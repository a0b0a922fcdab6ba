//! `--output`: what a build writes, and where to.

use std::path::PathBuf;
use std::str::FromStr;

use super::{BadValue, csv};

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputArg {
    /// What is written.
    pub kind: OutputKind,
    /// Where to.
    pub dest: Dest,
    /// `name=`: names of the image, divided by commas.
    pub names: Vec<String>,
    /// `push=true` of `type=image`.
    pub push: bool,
    /// What else was given; the engine knows which of it a kind takes.
    pub attributes: Vec<(String, String)>,
}

/// The types of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputKind {
    /// An OCI layout, as a tar.
    Oci,
    /// What `docker load` reads, as a tar.
    Docker,
    /// The files of the image, as a tar.
    Tar,
    /// The files of the image, as a directory.
    Local,
    /// An image in the store.
    Image,
    /// An image in a registry.
    Registry,
    /// Nothing: the cache is all that is wanted.
    CacheOnly,
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dest {
    /// Nowhere on this machine's file system.
    None,
    /// Standard output.
    Stdout,
    /// A file, or for [`OutputKind::Local`] a directory.
    Path(PathBuf),
}

impl OutputArg {
    /// Whether a destination is one file: all but plain files and layouts are archives.
    pub(crate) fn is_file(&self) -> bool {
        let layout =
            |(key, value): &(String, String)| key == "tar" && matches!(&**value, "false" | "0");
        self.kind != OutputKind::Local && !self.attributes.iter().any(layout)
    }
}

impl FromStr for OutputArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if !text.contains('=') && !text.contains(',') {
            return Ok(Self::shorthand(text));
        }
        let mut kind = None;
        let mut dest = None;
        let mut output = Self::new(OutputKind::Image, Dest::None);
        for (key, value) in csv::pairs(text)? {
            match key.as_str() {
                "type" => kind = Some(OutputKind::named(&value)?),
                "dest" => dest = Some(value),
                "name" => {
                    output.names = value
                        .split(',')
                        .map(|name| name.trim().to_owned())
                        .collect();
                }
                "push" => output.push = boolean(&key, &value)?,
                _ => output.attributes.push((key, value)),
            }
        }
        output.kind = kind.ok_or_else(|| BadValue::new("`type=` is missing"))?;
        output.dest = output.kind.place(dest.as_deref())?;
        Ok(output)
    }
}

impl OutputArg {
    /// An output of which nothing else was said.
    pub(crate) fn new(kind: OutputKind, dest: Dest) -> Self {
        Self {
            kind,
            dest,
            names: Vec::new(),
            push: false,
            attributes: Vec::new(),
        }
    }

    /// `-o DIR` is the files in a directory, `-o -` a tar on standard output.
    fn shorthand(text: &str) -> Self {
        if text == "-" {
            Self::new(OutputKind::Tar, Dest::Stdout)
        } else {
            Self::new(OutputKind::Local, Dest::Path(text.into()))
        }
    }
}

impl OutputKind {
    fn named(name: &str) -> Result<Self, BadValue> {
        match name {
            "oci" => Ok(Self::Oci),
            "docker" => Ok(Self::Docker),
            "tar" => Ok(Self::Tar),
            "local" => Ok(Self::Local),
            "image" => Ok(Self::Image),
            "registry" => Ok(Self::Registry),
            "cacheonly" => Ok(Self::CacheOnly),
            _ => Err(BadValue::new(format!(
                "`{name}` is not an output type; use `oci`, `docker`, `tar`, `local`, `image`, `registry` or `cacheonly`"
            ))),
        }
    }

    /// Checks `dest=` against what the type needs. A `docker` output without one goes to the store, as Docker's goes to
    /// the daemon.
    fn place(self, dest: Option<&str>) -> Result<Dest, BadValue> {
        match (self, dest) {
            (Self::Image | Self::Registry | Self::CacheOnly | Self::Docker, None) => Ok(Dest::None),
            (Self::Image | Self::Registry | Self::CacheOnly, Some(_)) => {
                Err(BadValue::new("`dest=` has no meaning for this type"))
            }
            (Self::Oci | Self::Tar, None | Some("-")) | (Self::Docker, Some("-")) => {
                Ok(Dest::Stdout)
            }
            (_, None | Some("")) => Err(BadValue::new("`dest=` is missing")),
            (Self::Local, Some("-")) => Err(BadValue::new(
                "a directory cannot be written to standard output",
            )),
            (_, Some(path)) => Ok(Dest::Path(path.into())),
        }
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, BadValue> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(BadValue::new(format!(
            "`{key}` is `true` or `false`, not `{value}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_understood() {
        let path = |path: &str| Dest::Path(path.into());
        for (text, kind, dest) in [
            ("out", OutputKind::Local, path("out")),
            ("-", OutputKind::Tar, Dest::Stdout),
            ("type=local,dest=out", OutputKind::Local, path("out")),
            ("type=tar", OutputKind::Tar, Dest::Stdout),
            ("type=tar,dest=-", OutputKind::Tar, Dest::Stdout),
            ("type=oci,dest=a.tar", OutputKind::Oci, path("a.tar")),
            ("type=docker", OutputKind::Docker, Dest::None),
            ("type=docker,dest=-", OutputKind::Docker, Dest::Stdout),
            ("type=registry", OutputKind::Registry, Dest::None),
            ("type=cacheonly", OutputKind::CacheOnly, Dest::None),
        ] {
            let output: OutputArg = text.parse().expect(text);
            assert_eq!((output.kind, output.dest), (kind, dest), "{text}");
        }
        let image: OutputArg = "type=image,\"name=a:1,b:2\",push=true,compression=zstd"
            .parse()
            .expect("an image");
        assert_eq!(image.names, ["a:1", "b:2"]);
        assert!(image.push);
        assert_eq!(
            image.attributes,
            [("compression".to_owned(), "zstd".to_owned())]
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("dest=x", "`type=` is missing"),
            ("type=zip,dest=x", "`zip` is not an output type"),
            ("type=local", "`dest=` is missing"),
            ("type=local,dest=-", "a directory cannot be written"),
            ("type=registry,dest=x", "`dest=` has no meaning"),
            ("type=image,push=maybe", "`push` is `true` or `false`"),
            ("type=oci,x", "`x` must be written `key=value`"),
        ] {
            let error = text.parse::<OutputArg>().expect_err(text);
            assert!(error.0.starts_with(message), "{text}: {error}");
        }
    }
}
