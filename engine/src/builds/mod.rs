//! What is remembered of builds: how each went, the output of its steps, and why they ran.
//!
//! [`recorder`] writes a build down while it goes, as a [`record`], a [`log`] and, of each step that was not found by its
//! definition, its [`inputs`]. [`explain`] compares these.

mod explain;
mod inputs;
mod log;
mod parts;
mod record;
mod recorder;

pub use self::explain::{Explanation, FileChange, Reason};
pub(crate) use self::inputs::Listing;
pub use self::log::LogPiece;
pub(crate) use self::parts::of as parts_of;
pub use self::record::{BuildRecord, Outcome, RowEnd, RowRecord, StepRecord};
pub(crate) use self::recorder::{Recorder, Recording};

use cache::BuildName;

use self::explain::History;
use crate::engine::Engine;

/// Something that is not known of builds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// No build is remembered.
    #[error("no build is remembered")]
    NoBuilds,
    /// Not this one.
    #[error("no such build: `{0}`")]
    NotFound(String),
    /// The beginning of several ids.
    #[error("`{0}` is the beginning of several builds' ids")]
    Ambiguous(String),
    /// No step of the build is called so.
    #[error("no step of the build is `{step}`; it has {}", names.join(", "))]
    NoStep {
        /// What was asked for.
        step: String,
        /// The names of those there are.
        names: Vec<String>,
    },
    /// Several steps are called so.
    #[error("`{step}` is the name of several steps: {}", names.join(", "))]
    SeveralSteps {
        /// What was asked for.
        step: String,
        /// Their names.
        names: Vec<String>,
    },
    /// The output cannot be read.
    #[error("cannot read the output of the build")]
    Log(#[source] std::io::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] cache::Error),
}

impl Engine {
    /// All builds that are remembered, the newest first.
    pub fn builds(&self) -> Result<Vec<BuildRecord>, RecordError> {
        let builds = self.store().builds();
        let mut records = Vec::new();
        for name in builds.names()? {
            records.extend(builds.get(&name)?);
        }
        Ok(records)
    }

    /// A build by its id or a unique beginning of it; `^N` is the one N before the last, and nothing is the last.
    pub fn build_record(&self, reference: Option<&str>) -> Result<BuildRecord, RecordError> {
        self.find_build(reference).map(|(_, record)| record)
    }

    /// Gives the output of a build's steps piece by piece, until there is no more or `each` says so with `false`.
    pub fn build_log(
        &self,
        reference: Option<&str>,
        each: impl FnMut(LogPiece) -> bool,
    ) -> Result<(), RecordError> {
        let (name, _) = self.find_build(reference)?;
        match self.store().builds().log(&name)? {
            Some(file) => log::read(file, each).map_err(RecordError::Log),
            None => Ok(()),
        }
    }

    /// Forgets a build.
    pub fn forget_build(&self, reference: &str) -> Result<(), RecordError> {
        let (name, _) = self.find_build(Some(reference))?;
        Ok(self.store().builds().remove(&name)?)
    }

    /// Why the steps of a build ran; all of them or one that is named as [`find_step`] says.
    pub fn explain_build(
        &self,
        reference: Option<&str>,
        step: Option<&str>,
    ) -> Result<Vec<Explanation>, RecordError> {
        let (name, build) = self.find_build(reference)?;
        let mut earlier = self.store().builds().names()?;
        earlier.retain(|other| *other < name);
        let wanted = step.map(|step| find_step(&build, step)).transpose()?;
        let mut history = History::new(self.store(), &build, earlier);
        let steps = build.steps();
        let steps = steps.filter(|(row, ..)| wanted.as_ref().is_none_or(|rows| rows.contains(row)));
        steps
            .map(|(_, row, step)| history.explain(row, step))
            .collect()
    }

    fn find_build(&self, reference: Option<&str>) -> Result<(BuildName, BuildRecord), RecordError> {
        let builds = self.store().builds();
        let names = builds.names()?;
        let reference = reference.unwrap_or("^0");
        let not_found = || RecordError::NotFound(reference.to_owned());
        let name = match reference.strip_prefix('^').map(str::parse::<usize>) {
            Some(Ok(number)) => names.get(number),
            Some(Err(_)) => None,
            None => {
                let mut fitting = names.iter().filter(|name| name.id().starts_with(reference));
                let first = fitting.next().filter(|_| !reference.is_empty());
                if fitting.next().is_some() && first.is_some() {
                    return Err(RecordError::Ambiguous(reference.to_owned()));
                }
                first
            }
        };
        let name = match name {
            Some(name) => name.clone(),
            None if names.is_empty() => return Err(RecordError::NoBuilds),
            None => return Err(not_found()),
        };
        let record = builds.get(&name)?.ok_or_else(not_found)?;
        Ok((name, record))
    }
}

/// The rows of the steps that a text names: the line of an instruction in the Dockerfile (`7`), a step's place as the
/// progress shows it (`build 2/5`), or a part of its name (`RUN make`).
pub fn find_step(build: &BuildRecord, text: &str) -> Result<Vec<usize>, RecordError> {
    let steps = || build.steps();
    let names: Vec<_> = steps()
        .map(|(_, row, step)| (row.name.as_str(), step.line))
        .collect();
    let rows: Vec<_> = steps().map(|(row, ..)| row).collect();
    let found = steps_named(&names, text)?;
    Ok(found.into_iter().map(|at| rows[at]).collect())
}

/// The places of the steps that a text names, among steps with these names and lines.
pub(crate) fn steps_named(
    steps: &[(&str, Option<usize>)],
    text: &str,
) -> Result<Vec<usize>, RecordError> {
    let line: Option<usize> = text.parse().ok();
    let place = format!("[{}]", text.trim_matches(['[', ']']));
    let fitting = |fits: &dyn Fn(&str, Option<usize>) -> bool| -> Vec<usize> {
        let steps = steps.iter().enumerate();
        let steps = steps.filter(|(_, (name, line))| fits(name, *line));
        steps.map(|(at, _)| at).collect()
    };
    let mut found = fitting(&|_, of| line.is_some() && of == line);
    if found.is_empty() {
        found = fitting(&|name, _| name.starts_with(&place));
    }
    if found.is_empty() && !text.is_empty() {
        found = fitting(&|name, _| name.contains(text));
    }
    if found.is_empty() {
        return Err(RecordError::NoStep {
            step: text.to_owned(),
            names: steps.iter().map(|(name, _)| format!("`{name}`")).collect(),
        });
    }
    Ok(found)
}
