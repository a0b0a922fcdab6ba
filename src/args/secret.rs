//! `--secret`: where a step's secret comes from.

use std::path::PathBuf;
use std::str::FromStr;

use super::{BadValue, csv};

/// One `--secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretArg {
    /// By what steps ask for it.
    pub id: String,
    /// Where it is.
    pub place: SecretPlace,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretPlace {
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// The variable of the secret's name if there is one, else the file of that name.
    Either,
}

impl FromStr for SecretArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (mut id, mut file, mut env, mut kind) = (None, None, None, None);
        for (key, value) in csv::pairs(text)? {
            match key.as_str() {
                "id" => id = Some(value),
                "src" | "source" => file = Some(value),
                "env" => env = Some(value),
                "type" if value == "file" || value == "env" => kind = Some(value),
                "type" => {
                    return Err(BadValue::new(format!(
                        "`{value}` is not a type of secret; use `file` or `env`"
                    )));
                }
                _ => {
                    return Err(BadValue::new(format!(
                        "`{key}` is not known; use `id`, `src`, `env` and `type`"
                    )));
                }
            }
        }
        let id = id
            .filter(|id| !id.is_empty())
            .ok_or_else(|| BadValue::new("`id=` is missing"))?;
        if kind.as_deref() == Some("env") && env.is_none() {
            env = Some(file.take().unwrap_or_else(|| id.clone()));
        }
        let place = match (env, file) {
            (Some(_), Some(_)) => {
                return Err(BadValue::new("`src=` and `env=` exclude each other"));
            }
            (Some(name), None) => SecretPlace::Env(name),
            (None, Some(path)) => SecretPlace::File(path.into()),
            (None, None) if kind.is_some() => SecretPlace::File(id.clone().into()),
            (None, None) => SecretPlace::Either,
        };
        Ok(Self { id, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_understood() {
        let env = |name: &str| SecretPlace::Env(name.to_owned());
        let file = |path: &str| SecretPlace::File(path.into());
        for (text, place) in [
            ("id=k,src=/a,type=file", file("/a")),
            ("id=k,source=/a", file("/a")),
            ("id=k,env=K", env("K")),
            ("type=env,id=k,src=K", env("K")),
            ("type=env,id=k", env("k")),
            ("type=file,id=k", file("k")),
            ("id=k", SecretPlace::Either),
        ] {
            assert_eq!(
                text.parse::<SecretArg>().expect(text).place,
                place,
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        for text in [
            "src=/a",
            "id=",
            "id=k,type=vault",
            "id=k,src=a,env=b",
            "id=k,mode=1",
            "k",
        ] {
            assert!(text.parse::<SecretArg>().is_err(), "{text}");
        }
    }
}
