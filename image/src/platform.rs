//! Platforms of images, and the choice of one from an index.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::manifest::Descriptor;

/// What an image runs on, by the OCI image specification ("Image Index", `platform`). Names are those of Go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Windows only.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Windows only.
    #[serde(
        rename = "os.features",
        deserialize_with = "crate::config::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// `v7` of `arm`; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// Operating systems that Go knows: a platform can be their name alone.
const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];
/// Architectures that Go knows, for the same.
const ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: os/architecture[/variant]")]
pub struct PlatformError(pub String);

impl Platform {
    /// The platform that this program runs on.
    pub fn host() -> Self {
        let variant = if cfg!(target_arch = "arm") { "v7" } else { "" };
        Self::new("linux", std::env::consts::ARCH, variant)
    }

    /// A platform by the parts of its name; other common names of an architecture give Go's.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64" | "amd64", "v1" | "") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("i386" | "i686" | "x86", _) => ("386", ""),
            ("powerpc64le", _) => ("ppc64le", ""),
            other => other,
        };
        Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.to_owned(),
            ..Self::default()
        }
    }

    /// Whether an image for this platform serves one who wants `wanted`.
    pub fn serves(&self, wanted: &Self) -> bool {
        self.distance(wanted).is_some()
    }

    fn normalised(&self) -> Self {
        Self::new(&self.os, &self.architecture, &self.variant)
    }

    /// How well an image for `self` serves one who wants `wanted`: 0 is exact, `None` not at all. Of older variants
    /// the newest is best.
    fn distance(&self, wanted: &Self) -> Option<u32> {
        let (mine, wanted) = (self.normalised(), wanted.normalised());
        if (&mine.os, &mine.architecture) != (&wanted.os, &wanted.architecture) {
            return None;
        }
        if mine.variant == wanted.variant {
            return Some(0);
        }
        let first = match wanted.architecture.as_str() {
            "amd64" => 1,
            "arm64" => 8,
            _ => return level(&wanted.variant)?.checked_sub(level(&mine.variant)?),
        };
        let level_or_first = |variant: &str| level(variant).or(variant.is_empty().then_some(first));
        level_or_first(&wanted.variant)?.checked_sub(level_or_first(&mine.variant)?)
    }
}

/// The number in `v7`.
fn level(variant: &str) -> Option<u32> {
    variant.strip_prefix('v')?.parse().ok()
}

/// The manifest that serves `wanted` best; of equals, the first. One that says no platform is taken where it is the
/// only one.
pub(crate) fn choose<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
    let distance = |descriptor: &Descriptor| descriptor.platform.as_ref()?.distance(wanted);
    manifests
        .iter()
        .filter_map(|descriptor| Some((distance(descriptor)?, descriptor)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, descriptor)| descriptor)
        .or(match manifests {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        })
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// As containerd's `platforms.Parse`: an operating system alone is meant for this machine's architecture, an
    /// architecture alone for Linux.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = || PlatformError(text.chars().take(80).collect());
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let plain = |part: &&str| {
            let word =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            !part.is_empty() && part.bytes().all(word)
        };
        if !parts.iter().all(plain) {
            return Err(error());
        }
        let system = |os| if os == "macos" { "darwin" } else { os };
        match parts[..] {
            [os] if SYSTEMS.contains(&system(os)) => Ok(Self {
                os: system(os).to_owned(),
                ..Self::host()
            }),
            [architecture] => {
                let platform = Self::new("linux", architecture, "");
                let is_known = ARCHITECTURES.contains(&&*platform.architecture);
                is_known.then_some(platform).ok_or_else(error)
            }
            [os, architecture] => Ok(Self::new(system(os), architecture, "")),
            [os, architecture, variant] => Ok(Self::new(system(os), architecture, variant)),
            _ => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use layer::Digest;

    use super::*;
    use crate::media_type::OCI_MANIFEST;

    fn manifest(platform: Option<&str>) -> Descriptor {
        let name = platform.unwrap_or("none");
        let mut descriptor = Descriptor::new(OCI_MANIFEST, Digest::of(name.as_bytes()), 1);
        descriptor.platform = platform.map(|platform| platform.parse().unwrap());
        descriptor
    }

    #[test]
    fn names_are_gos() {
        let cases = [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("linux/riscv64", "linux/riscv64"),
            ("arm64", "linux/arm64"),
            ("armhf", "linux/arm/v7"),
            ("x86_64", "linux/amd64"),
            ("macos/arm64", "darwin/arm64"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
        }
        for text in [
            "",
            "lynux",
            "local",
            "linux/",
            "a/b/c/d",
            "li nux/amd64",
            "linux,arm",
        ] {
            text.parse::<Platform>().unwrap_err();
        }
    }

    #[test]
    fn a_system_alone_is_meant_for_this_architecture() {
        let host = Platform::host();
        assert_eq!("linux".parse(), Ok(host.clone()));
        let darwin: Platform = "MacOS".parse().unwrap();
        assert_eq!(
            (darwin.os.as_str(), darwin.architecture),
            ("darwin", host.architecture)
        );
    }

    #[test]
    fn the_nearest_platform_is_chosen() {
        let available = [
            "unknown/unknown",
            "linux/arm/v5",
            "linux/arm/v6",
            "linux/arm64/v8",
            "linux/amd64",
            "linux/amd64/v3",
            "windows/amd64",
        ];
        let cases = [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/amd64/v2", Some("linux/amd64")),
            ("linux/amd64/v4", Some("linux/amd64/v3")),
            ("linux/arm/v7", Some("linux/arm/v6")),
            ("linux/arm/v5", Some("linux/arm/v5")),
            ("linux/arm64", Some("linux/arm64")),
            ("linux/s390x", None),
            ("darwin/amd64", None),
        ];
        let manifests: Vec<_> = available.iter().map(|name| manifest(Some(name))).collect();
        for (wanted, expected) in cases {
            let chosen = choose(&manifests, &wanted.parse().unwrap());
            let chosen = chosen.map(|chosen| chosen.platform.as_ref().unwrap().to_string());
            assert_eq!(chosen.as_deref(), expected, "{wanted}");
        }
    }

    #[test]
    fn a_lone_manifest_needs_no_platform() {
        let wanted = Platform::new("linux", "amd64", "");
        assert!(choose(&[manifest(None)], &wanted).is_some());
        assert!(choose(&[manifest(None), manifest(None)], &wanted).is_none());
        assert!(choose(&[], &wanted).is_none());
    }
}
