//! Why a step of a build ran: what it depends on, compared with what the nearest earlier result of the same step did.

use std::collections::{BTreeSet, VecDeque};

use cache::{BuildName, Store};
use serde::Serialize;

use super::RecordError;
use super::inputs::{Decoded, Entry, EntryKind, Inputs};
use super::parts::INSTRUCTION;
use super::record::{BuildRecord, RowEnd, RowRecord, StepRecord};
use crate::event::CacheMiss;

/// A step and why it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The step.
    pub row: RowRecord,
    /// The build that it is compared with.
    pub compared_with: Option<String>,
    /// Why it was not found by what it is and what leads to it. Empty for steps that were.
    pub reasons: Vec<Reason>,
}

/// One reason for a step to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing is known of an earlier result.
    New,
    /// `--no-cache`.
    Disabled,
    /// `RUN --no-cache`.
    Uncached,
    /// Its result is older than its `--cache-ttl`.
    Expired,
    /// Something that the instruction says, or that is handed to it.
    Part {
        /// What: `variable PATH`, `command`.
        what: String,
        /// What it was, if it was there.
        before: Option<String>,
        /// What it is, if it is there.
        after: Option<String>,
    },
    /// A file that it reads.
    File {
        /// Its path in the context, stage or image.
        path: String,
        /// What about it.
        change: FileChange,
    },
    /// A step that it builds on.
    Step {
        /// Its name.
        name: String,
    },
    /// Nothing is different: the earlier result is gone, or there was none.
    Lost,
    /// Something that is part of the step's key and that nothing more is known of.
    Unknown,
}

/// What changed about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileChange {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its bytes: the beginnings of its BLAKE3 digests.
    Content {
        /// Before.
        before: String,
        /// Now.
        after: String,
    },
    /// Its permissions.
    Mode {
        /// Before.
        before: u32,
        /// Now.
        after: u32,
    },
    /// Its owner or its extended attributes.
    Attributes,
    /// It is a file of another kind.
    Kind,
}

/// A build with those before it that can be compared with it, read when they are needed.
pub(super) struct History<'a> {
    store: &'a Store,
    build: &'a BuildRecord,
    earlier: VecDeque<BuildName>,
    read: Vec<BuildRecord>,
}

/// A step of an earlier build.
#[derive(Clone)]
struct Match {
    build: String,
    step: StepRecord,
    /// The definition keys of the steps it builds on.
    inputs: Vec<Option<String>>,
}

impl<'a> History<'a> {
    /// `earlier` are the builds before `build`, the newest first.
    pub(super) fn new(store: &'a Store, build: &'a BuildRecord, earlier: Vec<BuildName>) -> Self {
        Self {
            store,
            build,
            earlier: earlier.into(),
            read: Vec::new(),
        }
    }

    /// Explains a step.
    pub(super) fn explain(
        &mut self,
        row: &RowRecord,
        step: &StepRecord,
    ) -> Result<Explanation, RecordError> {
        let mut explanation = Explanation {
            row: row.clone(),
            compared_with: None,
            reasons: Vec::new(),
        };
        let was_found = match &row.end {
            RowEnd::Cached(how) => *how != crate::event::CacheHit::Content,
            RowEnd::Unreached => true,
            RowEnd::Done(Some(CacheMiss::Disabled)) => {
                explanation.reasons.push(Reason::Disabled);
                true
            }
            RowEnd::Done(Some(CacheMiss::Uncached)) => {
                explanation.reasons.push(Reason::Uncached);
                true
            }
            RowEnd::Done(Some(CacheMiss::Expired)) => {
                explanation.reasons.push(Reason::Expired);
                true
            }
            _ => false,
        };
        let Some(definition) = step.definition.as_deref().filter(|_| !was_found) else {
            return Ok(explanation);
        };
        let Some(earlier) = self.nearest(row, step)? else {
            explanation.reasons.push(Reason::New);
            return Ok(explanation);
        };
        explanation.reasons = self.compare(definition, step, &earlier)?;
        explanation.compared_with = Some(earlier.build);
        Ok(explanation)
    }

    /// The newest earlier result of the same step: in a build of the same Dockerfile and context, else in any, since the
    /// same files may lie elsewhere.
    fn nearest(
        &mut self,
        row: &RowRecord,
        step: &StepRecord,
    ) -> Result<Option<Match>, RecordError> {
        for elsewhere in [false, true] {
            let mut number = 0;
            while self.read_until(number)? {
                let build = &self.read[number];
                let here = build.context == self.build.context
                    && build.dockerfile == self.build.dockerfile;
                if here != elsewhere
                    && let Some(found) = same_step(build, row, step, elsewhere)
                {
                    return Ok(Some(Match {
                        build: build.id.clone(),
                        inputs: definitions(build, found),
                        step: found.clone(),
                    }));
                }
                number += 1;
            }
        }
        Ok(None)
    }

    /// Reads earlier builds until there are more than `number`; whether there are.
    fn read_until(&mut self, number: usize) -> Result<bool, RecordError> {
        while self.read.len() <= number {
            let Some(name) = self.earlier.pop_front() else {
                return Ok(false);
            };
            self.read.extend(self.store.builds().get(&name)?);
        }
        Ok(true)
    }

    fn compare(
        &self,
        definition: &str,
        step: &StepRecord,
        earlier: &Match,
    ) -> Result<Vec<Reason>, RecordError> {
        let before = earlier.step.definition.as_deref().unwrap_or_default();
        if before == definition {
            return Ok(vec![Reason::Lost]);
        }
        let mut reasons = Vec::new();
        let (before, after) = (self.inputs(before)?, self.inputs(definition)?);
        let known = before.is_some() && after.is_some();
        if let (Some(before), Some(after)) = (before, after) {
            reasons.extend(changed_parts(&before, &after));
            if before.parts.get(INSTRUCTION) == after.parts.get(INSTRUCTION) {
                reasons.extend(changed_files(&before, &after));
            }
        }
        let mut named = BTreeSet::new();
        for (number, key) in definitions(self.build, step).iter().enumerate() {
            let row = step.inputs[number].and_then(|row| self.build.rows.get(row));
            if earlier.inputs.get(number) != Some(key)
                && let Some(row) = row
                && named.insert(&row.name)
            {
                let name = row.name.clone();
                reasons.push(Reason::Step { name });
            }
        }
        if reasons.is_empty() || !known && named.is_empty() {
            reasons.push(Reason::Unknown);
        }
        Ok(reasons)
    }

    /// What the step with this definition key depended on.
    fn inputs(&self, definition: &str) -> Result<Option<Decoded>, RecordError> {
        let Ok(key) = definition.parse::<solver::DefinitionKey>() else {
            return Ok(None);
        };
        let bytes = self.store.builds().inputs(key.as_bytes())?;
        Ok(bytes.and_then(|bytes| Inputs::decode(&bytes)))
    }
}

/// A step of a build with the number of its row.
type Candidate<'a> = (usize, &'a RowRecord, &'a StepRecord);

/// The result of the same step in another build: of the same instruction in the same stage, else, unless the build is of
/// something else, of the one in its place.
fn same_step<'a>(
    build: &'a BuildRecord,
    row: &RowRecord,
    step: &StepRecord,
    elsewhere: bool,
) -> Option<&'a StepRecord> {
    let candidates = || {
        build.steps().filter(|(_, earlier, known)| {
            known.stage == step.stage && earlier.has_result() && known.definition.is_some()
        })
    };
    let same = |(_, earlier, _): &Candidate<'_>| earlier.instruction() == row.instruction();
    let at_its_place = |(_, _, known): &Candidate<'_>| known.position == step.position;
    let found = candidates().find(|found| same(found) && at_its_place(found));
    let found = found.or_else(|| candidates().find(same));
    let found = found.or_else(|| candidates().find(|found| !elsewhere && at_its_place(found)));
    found.map(|(_, _, found)| found)
}

/// The definition keys of the steps that one builds on.
fn definitions(build: &BuildRecord, step: &StepRecord) -> Vec<Option<String>> {
    let of = |row: &Option<usize>| build.rows.get((*row)?)?.step.as_ref()?.definition.clone();
    step.inputs.iter().map(of).collect()
}

fn changed_parts(before: &Decoded, after: &Decoded) -> Vec<Reason> {
    let part = |name: &str| Reason::Part {
        what: name.to_owned(),
        before: before.parts.get(name).cloned(),
        after: after.parts.get(name).cloned(),
    };
    if before.parts.get(INSTRUCTION) != after.parts.get(INSTRUCTION) {
        return vec![part(INSTRUCTION)];
    }
    let names: BTreeSet<_> = before.parts.keys().chain(after.parts.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| before.parts.get(*name) != after.parts.get(*name));
    changed.map(|name| part(name)).collect()
}

fn changed_files(before: &Decoded, after: &Decoded) -> Vec<Reason> {
    let paths: BTreeSet<_> = before.files.keys().chain(after.files.keys()).collect();
    let change = |path: &String| {
        let change = match (before.files.get(path), after.files.get(path)) {
            (None, _) => FileChange::Added,
            (_, None) => FileChange::Removed,
            (Some(before), Some(after)) => difference(before, after)?,
        };
        let path = path.clone();
        Some(Reason::File { path, change })
    };
    paths.into_iter().filter_map(change).collect()
}

fn difference(before: &Entry, after: &Entry) -> Option<FileChange> {
    let digest = |entry: &Entry| format!("{:032x}", u128::from_be_bytes(entry.digest));
    if before.kind != after.kind {
        return Some(FileChange::Kind);
    }
    if before.digest != after.digest && before.kind != EntryKind::Directory {
        return Some(FileChange::Content {
            before: digest(before),
            after: digest(after),
        });
    }
    if before.mode != after.mode {
        return Some(FileChange::Mode {
            before: before.mode,
            after: after.mode,
        });
    }
    (before.attributes != after.attributes).then_some(FileChange::Attributes)
}
