//! The record of builds.

use engine::Engine;
use engine::builds::{BuildRecord, Explanation, LogPiece, RecordError};

use crate::error::BackendError;

/// All builds.
pub(super) fn list(engine: &Engine) -> Result<Vec<BuildRecord>, BackendError> {
    engine.builds().map_err(failure)
}

/// One build.
pub(super) fn get(engine: &Engine, reference: Option<&str>) -> Result<BuildRecord, BackendError> {
    engine.build_record(reference).map_err(failure)
}

/// The output of a build's steps.
pub(super) fn log(
    engine: &Engine,
    reference: Option<&str>,
    each: &mut dyn FnMut(LogPiece) -> bool,
) -> Result<(), BackendError> {
    engine.build_log(reference, each).map_err(failure)
}

/// Forgets a build.
pub(super) fn forget(engine: &Engine, reference: &str) -> Result<(), BackendError> {
    engine.forget_build(reference).map_err(failure)
}

/// Why a build's steps ran.
pub(super) fn explain(
    engine: &Engine,
    reference: Option<&str>,
    step: Option<&str>,
) -> Result<Vec<Explanation>, BackendError> {
    engine.explain_build(reference, step).map_err(failure)
}

/// The class of an error.
fn failure(error: RecordError) -> BackendError {
    let is_missing = matches!(error, RecordError::NotFound(_) | RecordError::Ambiguous(_));
    let source = Box::new(error);
    if is_missing {
        BackendError::NotFound { source }
    } else {
        BackendError::Other { source }
    }
}
