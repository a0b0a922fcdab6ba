//! What servers that are asked in turn say.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::Client;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use crate::error::Error;

/// What those said that did not help.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(String, Error)>);

/// A server that failed where another one could help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its name.
    pub server: String,
    /// What became of it, the first time.
    pub reason: String,
}

/// The servers that were passed over, each once.
#[derive(Debug, Default)]
pub(super) struct AllPassedOver(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    servers: HashSet<String>,
    pending: Vec<PassedOver>,
}

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

impl AllPassedOver {
    /// Notes what failed before something helped. That a mirror has not all that its registry has is no failure.
    pub(super) fn add(&self, failures: Failures) {
        let lacking =
            |error: &Error| matches!(error, Error::Registry(RegistryError::NotFound { .. }));
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (server, error) in failures.0 {
            if !lacking(&error) && told.servers.insert(server.clone()) {
                let reason = error.to_string();
                told.pending.push(PassedOver { server, reason });
            }
        }
    }
}

impl Client {
    /// The servers that failed since this was last asked, where another one could help.
    pub fn take_passed_over(&self) -> Vec<PassedOver> {
        let told = &self.inner.passed_over.0;
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut told.pending)
    }
}
