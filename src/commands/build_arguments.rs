//! Build arguments: their values, and those that ask something of the builder itself.

use engine::build::is_built_in_frontend;

use crate::error::Error;
use crate::settings::{SOURCE_DATE_EPOCH, Settings};

/// Another frontend than the one of the `syntax` directive.
const SYNTAX: &str = "BUILDKIT_SYNTAX";
/// What BuildKit does when they are given, and rbuild does not.
const UNSUPPORTED: [(&str, &str); 1] = [(
    "BUILDKIT_SANDBOX_HOSTNAME",
    "another host name for steps is not supported yet",
)];
/// Whether the result is an index, be it of one image.
const MULTI_PLATFORM: &str = "BUILDKIT_MULTI_PLATFORM";

/// Arguments without a value are taken from the environment, as is the time that everything built bears.
pub(super) fn build_arguments(
    given: Vec<(String, Option<String>)>,
    settings: &Settings,
) -> Result<Vec<(String, Option<String>)>, Error> {
    let lookup = |name: &str| {
        settings
            .lookup(name)
            .and_then(|value| value.into_string().ok())
    };
    let mut list: Vec<(String, Option<String>)> = given
        .into_iter()
        .map(|(name, value)| {
            let value = value.or_else(|| lookup(&name));
            (name, value)
        })
        .collect();
    if !list.iter().any(|(name, _)| name == SOURCE_DATE_EPOCH)
        && let Some(time) = lookup(SOURCE_DATE_EPOCH)
    {
        list.push((SOURCE_DATE_EPOCH.to_owned(), Some(time)));
    }
    for (name, value) in &list {
        check(name, value.as_deref().unwrap_or_default())?;
    }
    Ok(list)
}

/// Refuses what would be of no effect.
fn check(name: &str, value: &str) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::Usage(format!("`--build-arg {name}={value}`: {why}")));
    if value.is_empty() {
        return Ok(());
    }
    if name == SYNTAX && !is_built_in_frontend(value) {
        return refuse("only the frontend `docker/dockerfile` is supported, and it is built in");
    }
    match UNSUPPORTED.iter().find(|(known, _)| *known == name) {
        Some((_, why)) => refuse(why),
        None => Ok(()),
    }
}

/// Whether one image is to make an index. With several platforms the result can be nothing else.
pub(super) fn makes_index(
    arguments: &[(String, Option<String>)],
    platforms: usize,
) -> Result<bool, Error> {
    let given = arguments
        .iter()
        .rev()
        .find(|(name, _)| name == MULTI_PLATFORM);
    let value = given.and_then(|(_, value)| value.as_deref());
    // As Go's `ParseBool`.
    match value.unwrap_or_default() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" if platforms > 1 => {
            Err(Error::Usage(format!(
                "`--build-arg {MULTI_PLATFORM}`: returning multiple target platforms is not allowed"
            )))
        }
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(Error::Usage(format!(
            "`--build-arg {MULTI_PLATFORM}={other}`: it is `true` or `false`"
        ))),
    }
}
