//! `SOURCE_DATE_EPOCH` where it is not a number but something that has a time.

use frontend::TimeSource;
use frontend::remote::RemoteSource;

use super::operation::blocking;
use super::prepare::Dockerfile;
use super::request::{BuildRequest, ContextSource};
use crate::engine::Engine;
use crate::error::BuildError;
use crate::progress::Progress;
use crate::sources::{SourceError, newest_file};

/// The build argument.
const NAME: &str = "SOURCE_DATE_EPOCH";

/// A build argument: its name and value.
pub(super) type BuildArgument = (String, Option<String>);

/// The build argument with the time of `source`: empty for what has none.
pub(super) async fn resolved(
    engine: &Engine,
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    source: &TimeSource,
    progress: &Progress,
) -> Result<BuildArgument, BuildError> {
    let time = match source {
        TimeSource::Timeless => None,
        TimeSource::Remote(source) => remote(engine, request, source, progress).await?,
        TimeSource::Context => match &request.context {
            ContextSource::Directory(_) | ContextSource::Empty => None,
            ContextSource::Remote(source) => remote(engine, request, source, progress).await?,
            ContextSource::Archive(_) => {
                let files = dockerfile.files().cloned().unwrap_or_default();
                let found = blocking(move || newest_file(&files)).await;
                let found = found
                    .map_err(SourceError::from)
                    .and_then(|found| Ok(found?));
                found.map_err(|error| failed(&request.context.to_string(), error))?
            }
        },
    };
    Ok(given(time))
}

/// The build argument where nothing is to be found out.
pub(super) fn unknown() -> BuildArgument {
    given(None)
}

fn given(time: Option<i64>) -> BuildArgument {
    let value = time.map_or_else(String::new, |time| time.to_string());
    (NAME.to_owned(), Some(value))
}

async fn remote(
    engine: &Engine,
    request: &BuildRequest,
    source: &RemoteSource,
    progress: &Progress,
) -> Result<Option<i64>, BuildError> {
    let name = source.display();
    let row = progress.start(format!("[internal] resolve {NAME} of {name}"));
    let time = engine.source_time(source, request.access(), &row).await;
    row.finish(time).map_err(|error| failed(&name, error))
}

fn failed(context: &str, error: SourceError) -> BuildError {
    BuildError::Context {
        context: context.to_owned(),
        source: Box::new(error),
    }
}
