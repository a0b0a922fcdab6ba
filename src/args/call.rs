//! `--call`: what is done with a Dockerfile instead of building it.

use std::str::FromStr;

use super::{BadValue, csv};

/// One `--call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallArg {
    /// What is done; `None` for building.
    pub method: Option<Method>,
    pub format: Format,
    /// The exit code is 0 also when something was found.
    pub ignore_status: bool,
}

/// What is done instead of building.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Tell what rules find.
    Check,
    /// Tell what can be given to the build.
    Outline,
    /// Tell what can be built.
    Targets,
    /// Tell which methods there are.
    Describe,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
    Sarif,
}

impl CallArg {
    /// That of `--check`.
    pub(crate) const CHECK: Self = Self {
        method: Some(Method::Check),
        format: Format::Text,
        ignore_status: false,
    };
}

impl FromStr for CallArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let mut call = Self {
            method: None,
            format: Format::Text,
            ignore_status: false,
        };
        let mut named = false;
        for field in csv::fields(text)? {
            match field.split_once('=') {
                None if named => {
                    return Err(BadValue::new(format!("`{field}` is a second method")));
                }
                None => {
                    named = true;
                    call.method = method(&field)?;
                }
                Some(("format", value)) => call.format = format(value)?,
                Some(("ignorestatus", "true" | "1")) => call.ignore_status = true,
                Some(("ignorestatus", "false" | "0")) => call.ignore_status = false,
                Some(_) => {
                    return Err(BadValue::new(format!(
                        "`{field}` is not known; use `format=` and `ignorestatus=true`"
                    )));
                }
            }
        }
        if call.format == Format::Sarif && call.method != Some(Method::Check) {
            return Err(BadValue::new("`format=sarif` is for `check` only"));
        }
        Ok(call)
    }
}

fn method(name: &str) -> Result<Option<Method>, BadValue> {
    match name {
        "build" | "" => Ok(None),
        "check" | "lint" => Ok(Some(Method::Check)),
        "outline" => Ok(Some(Method::Outline)),
        "targets" => Ok(Some(Method::Targets)),
        "subrequests.describe" => Ok(Some(Method::Describe)),
        _ => Err(BadValue::new(format!(
            "`{name}` is not a method; use `build`, `check`, `outline`, `targets` or `subrequests.describe`"
        ))),
    }
}

fn format(name: &str) -> Result<Format, BadValue> {
    match name {
        "text" | "" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "sarif" => Ok(Format::Sarif),
        _ => Err(BadValue::new(format!(
            "`{name}` is not a format; use `text`, `json` or `sarif`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read() {
        for (text, method, format, ignore_status) in [
            ("build", None, Format::Text, false),
            ("check", Some(Method::Check), Format::Text, false),
            ("lint,format=json", Some(Method::Check), Format::Json, false),
            (
                "check,format=sarif,ignorestatus=true",
                Some(Method::Check),
                Format::Sarif,
                true,
            ),
            (
                "format=json,targets",
                Some(Method::Targets),
                Format::Json,
                false,
            ),
            ("outline", Some(Method::Outline), Format::Text, false),
            (
                "subrequests.describe",
                Some(Method::Describe),
                Format::Text,
                false,
            ),
        ] {
            let expected = CallArg {
                method,
                format,
                ignore_status,
            };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn wrong_calls_are_refused() {
        for (text, message) in [
            (
                "chekc",
                "`chekc` is not a method; use `build`, `check`, `outline`, `targets` or `subrequests.describe`",
            ),
            ("check,outline", "`outline` is a second method"),
            (
                "check,format=xml",
                "`xml` is not a format; use `text`, `json` or `sarif`",
            ),
            ("outline,format=sarif", "`format=sarif` is for `check` only"),
            (
                "check,x=1",
                "`x=1` is not known; use `format=` and `ignorestatus=true`",
            ),
        ] {
            let error = text.parse::<CallArg>().map_err(|error| error.0);
            assert_eq!(error, Err(message.to_owned()));
        }
    }
}
