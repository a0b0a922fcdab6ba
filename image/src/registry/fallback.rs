//! What servers that are asked in turn say.

use super::endpoint::Endpoint;
use super::error::RegistryError;
use crate::error::Error;

/// What those said that did not help.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(String, Error)>);

impl Failures {
    /// Notes a failure. A mirror that is not there is not asked again.
    pub(super) fn add(&mut self, server: &Endpoint, error: Error) {
        if matches!(&error, Error::Registry(RegistryError::Unreachable { .. })) {
            server.give_up();
        }
        self.0.push((server.name.clone(), error));
    }

    /// What to report: what the last one said, which is the registry itself, and that there were others.
    pub(super) fn into_error(mut self) -> Error {
        let Some((_, last)) = self.0.pop() else {
            return Error::Interrupted;
        };
        if self.0.is_empty() {
            return last;
        }
        Error::Mirrors {
            mirrors: self.0,
            registry: Box::new(last),
        }
    }
}
