//! Build arguments and their values.

use crate::error::Error;
use crate::settings::{SOURCE_DATE_EPOCH, Settings};

/// Whether the result is an index, be it of one image.
const MULTI_PLATFORM: &str = "BUILDKIT_MULTI_PLATFORM";

/// Arguments without a value are taken from the environment, as is the time that everything built bears.
pub(super) fn build_arguments(
    given: Vec<(String, Option<String>)>,
    settings: &Settings,
) -> Vec<(String, Option<String>)> {
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
    list
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
