//! Build arguments: their values, and those that ask something of the builder itself.

use engine::build::is_built_in_frontend;

use crate::error::Error;
use crate::settings::{SOURCE_DATE_EPOCH, Settings};

/// Another frontend than the one of the `syntax` directive.
const SYNTAX: &str = "BUILDKIT_SYNTAX";
/// What BuildKit does when they are given, and rbuild does not.
const UNSUPPORTED: [(&str, &str); 2] = [
    (
        "BUILDKIT_MULTI_PLATFORM",
        "an index of one platform's image is not supported yet",
    ),
    (
        "BUILDKIT_SANDBOX_HOSTNAME",
        "another host name for steps is not supported yet",
    ),
];

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
