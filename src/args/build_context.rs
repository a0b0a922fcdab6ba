//! `--build-context`: what stands for a stage or an image.

use std::str::FromStr;

use engine::build::NamedContext;

use super::BadValue;

/// One context, from `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildContextArg {
    /// The full name.
    pub name: String,
    /// What it is.
    pub context: NamedContext,
}

impl FromStr for BuildContextArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (name, value) = text
            .split_once('=')
            .filter(|(_, value)| !value.is_empty())
            .ok_or_else(|| BadValue::new(format!("`{text}` must be written `NAME=VALUE`")))?;
        let (name, context) =
            NamedContext::parse(name, value).map_err(|error| BadValue::new(error.to_string()))?;
        Ok(Self { name, context })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_understood() {
        let arg: BuildContextArg = "a=b=c".parse().expect("a context");
        assert_eq!(arg.name, "docker.io/library/a:latest");
        assert_eq!(arg.context, NamedContext::Directory("b=c".into()));
        for text in ["a", "a=", "=b", "scratch=."] {
            assert!(text.parse::<BuildContextArg>().is_err(), "{text}");
        }
    }
}
