//! `--volume`: a directory or file of the host inside a container.

use std::path::PathBuf;
use std::str::FromStr;

use super::BadValue;

/// `SOURCE:TARGET[:OPTIONS]`, both absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeArg {
    /// The path on the host.
    pub source: PathBuf,
    /// The path in the container.
    pub target: String,
    /// `ro`.
    pub read_only: bool,
}

impl FromStr for VolumeArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts[..] {
            [_] => {
                return Err(BadValue::new(
                    "anonymous volumes are not supported yet: write `SOURCE:TARGET`",
                ));
            }
            [source, target] => (source, target, ""),
            [source, target, options] => (source, target, options),
            _ => {
                return Err(BadValue::new(format!(
                    "`{text}` must be written `SOURCE:TARGET[:ro]`"
                )));
            }
        };
        if !target.starts_with('/') {
            return Err(BadValue::new(format!(
                "the target `{target}` is not an absolute path"
            )));
        }
        let read_only = match options {
            "" | "rw" => false,
            "ro" => true,
            _ => {
                return Err(BadValue::new(format!(
                    "`{options}` is not an option of a volume; use `ro` or `rw`"
                )));
            }
        };
        Ok(Self {
            source: host_path(source)?,
            target: target.to_owned(),
            read_only,
        })
    }
}

/// A path of the host: absolute, or relative and written with a leading `./` or `../`, which tells it from a volume's
/// name.
fn host_path(source: &str) -> Result<PathBuf, BadValue> {
    if source.starts_with('/') {
        return Ok(source.into());
    }
    if source.starts_with("./") || source.starts_with("../") || matches!(source, "." | "..") {
        return std::path::absolute(source)
            .map_err(|error| BadValue::new(format!("cannot resolve `{source}`: {error}")));
    }
    Err(BadValue::new(format!(
        "named volumes are not supported yet: for a directory write `./{source}` or an absolute path"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_understood() {
        let volume: VolumeArg = "/a:/b:ro".parse().expect("a volume");
        assert_eq!(
            (volume.source, volume.target.as_str(), volume.read_only),
            ("/a".into(), "/b", true)
        );
        let volume: VolumeArg = "./a:/b".parse().expect("a volume");
        assert!(volume.source.is_absolute() && volume.source.ends_with("a") && !volume.read_only);
        for text in ["/b", "name:/b", "/a:b", "/a:/b:zz", "/a:/b:ro:x", ":/b"] {
            assert!(text.parse::<VolumeArg>().is_err(), "{text}");
        }
    }
}
