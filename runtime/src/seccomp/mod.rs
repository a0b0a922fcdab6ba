//! The default filter of system calls: Docker's profile, as data, compiled to a short program.

mod compile;
mod profile;
mod table;

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::capability::Capabilities;
use crate::sys::SeccompInstruction;

/// A compiled filter.
pub(crate) type Filter = Arc<[SeccompInstruction]>;

/// The filter for a process with these capabilities; compiled once for each set.
pub(crate) fn filter(capabilities: Capabilities) -> Filter {
    static COMPILED: LazyLock<Mutex<Vec<(Capabilities, Filter)>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, filter)) = compiled.iter().find(|(set, _)| *set == capabilities) {
        return Arc::clone(filter);
    }
    let filter: Filter = compile::program(capabilities).into();
    compiled.push((capabilities, Arc::clone(&filter)));
    filter
}
