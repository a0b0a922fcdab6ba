//! What is remembered of builds: a record of each, the output of its steps, and what the steps that ran depended on.
//!
//! What a record says is its writer's business: here it has a name, a time and a place. As with BuildKit a record is kept
//! while it is young or among the newest; and there is a number that nothing exceeds.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext as _, optional};
use crate::record::{self, Record};
use crate::store::entries;
use crate::{Bucket, Store, names};

/// How long each build is remembered.
const MAX_AGE: Duration = Duration::from_hours(48);
/// How many builds are remembered however old they are.
const ALWAYS: usize = 50;
/// How many are remembered at most.
const MOST: usize = 1000;

/// The builds of a store.
#[derive(Debug, Clone, Copy)]
pub struct Builds<'a> {
    store: &'a Store,
}

/// The name of a build: when it began, in milliseconds, and twelve random digits that people call it by. Ordered by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildName {
    millis: u64,
    id: String,
}

/// Whatever is known of a build.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Build<T>(T);

impl<T: Serialize + DeserializeOwned> Record for Build<T> {
    const KIND: &'static str = "build";
    const VERSION: u32 = 1;
}

/// What a step depended on, in its writer's encoding.
const INPUTS_KIND: &str = "inputs";
/// The version of that encoding.
const INPUTS_VERSION: u32 = 1;

/// Whether a file holds whole inputs.
pub(crate) fn are_inputs(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    record::unframe(INPUTS_KIND, INPUTS_VERSION, &bytes).is_some()
}

impl BuildName {
    /// A new name for a build that began at `time`.
    pub fn new(time: SystemTime) -> Result<Self, Error> {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .at("name a build for", Path::new("builds"))?;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            millis: since.as_millis() as u64,
            id: format!("{:012x}", u64::from_le_bytes(bytes) >> 16),
        })
    }

    /// What people call it by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it began.
    pub fn began(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.millis)
    }

    fn parse(file: &str) -> Option<Self> {
        let (millis, id) = file.split_once('.')?;
        Some(Self {
            millis: u64::from_str_radix(millis, 16).ok()?,
            id: id.to_owned(),
        })
    }

    fn file(&self) -> String {
        format!("{:012x}.{}", self.millis, self.id)
    }
}

impl<'a> Builds<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// All builds, the newest first.
    pub fn names(self) -> Result<Vec<BuildName>, Error> {
        let paths = entries(&self.store.directory(Bucket::Builds))?;
        let mut names: Vec<_> = paths
            .iter()
            .filter_map(|path| BuildName::parse(path.file_name()?.to_str()?))
            .collect();
        names.sort_unstable_by(|one, other| other.cmp(one));
        Ok(names)
    }

    /// What is known of a build; `None` if that cannot be read any more.
    pub fn get<T: Serialize + DeserializeOwned>(
        self,
        name: &BuildName,
    ) -> Result<Option<T>, Error> {
        let found = record::read::<Build<T>>(&self.path(Bucket::Builds, name))?;
        Ok(found.map(|Build(found)| found))
    }

    /// A new file for the output of a build's steps, to be given to [`Builds::add`]. It is swept when this process has
    /// ended.
    pub fn new_log(self) -> Result<(PathBuf, File), Error> {
        let path = self.store.temporary_file(b"")?;
        let file = File::options().write(true).open(&path).at("open", &path)?;
        Ok((path, file))
    }

    /// Keeps what is known of a build and maybe its output, and forgets builds beyond those that are remembered.
    pub fn add<T: Serialize + DeserializeOwned>(
        self,
        name: &BuildName,
        build: T,
        log: Option<PathBuf>,
    ) -> Result<(), Error> {
        if let Some(log) = log {
            self.store
                .publish(&log, &self.path(Bucket::BuildLogs, name))?;
        }
        let path = self.path(Bucket::Builds, name);
        self.store.write_record(&path, &Build(build))?;
        self.limit()
    }

    /// The output of a build's steps, if there was any.
    pub fn log(self, name: &BuildName) -> Result<Option<File>, Error> {
        let path = self.path(Bucket::BuildLogs, name);
        optional(File::open(&path)).at("open", &path)
    }

    /// Forgets a build.
    pub fn remove(self, name: &BuildName) -> Result<(), Error> {
        for bucket in [Bucket::Builds, Bucket::BuildLogs] {
            self.store.discard(&self.path(bucket, name))?;
        }
        Ok(())
    }

    /// Forgets builds that are both old and not among the newest, and all that are too many.
    pub fn limit(self) -> Result<(), Error> {
        let now = SystemTime::now();
        for (number, name) in self.names()?.iter().enumerate().skip(ALWAYS) {
            let age = now.duration_since(name.began()).unwrap_or_default();
            if age > MAX_AGE || number >= MOST {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    /// Keeps what the step with this definition key depends on.
    pub fn record_inputs(self, definition: &[u8; 32], inputs: &[u8]) -> Result<(), Error> {
        let framed = record::frame(INPUTS_KIND, INPUTS_VERSION, inputs);
        self.store.write(&self.inputs_path(definition), &framed)
    }

    /// What the step with this definition key depended on when it ran, if that is known.
    pub fn inputs(self, definition: &[u8; 32]) -> Result<Option<Vec<u8>>, Error> {
        let Some(mut bytes) = record::bytes(&self.inputs_path(definition))? else {
            return Ok(None);
        };
        let body = record::unframe(INPUTS_KIND, INPUTS_VERSION, &bytes);
        let length = body.map(<[u8]>::len);
        Ok(length.map(|length| bytes.split_off(bytes.len() - length)))
    }

    /// Removes what is known of steps whose results are gone. Steps that failed have none, so it stays for a time.
    pub(crate) fn forget_lost(self) -> Result<(), Error> {
        self.limit()?;
        let is_old = |path: &Path| {
            let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
            written.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > MAX_AGE))
        };
        for shard in entries(&self.store.directory(Bucket::Inputs))? {
            for path in entries(&shard)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if is_old(&path) && !self.store.sharded(Bucket::Actions, &name).exists() {
                    self.store.discard(&path)?;
                }
            }
        }
        Ok(())
    }

    fn inputs_path(self, definition: &[u8; 32]) -> PathBuf {
        self.store.sharded(Bucket::Inputs, &names::hex(definition))
    }

    fn path(self, bucket: Bucket, name: &BuildName) -> PathBuf {
        self.store.directory(bucket).join(name.file())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::{Read as _, Write as _};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    fn name(age: Duration) -> BuildName {
        BuildName::new(SystemTime::now() - age).unwrap()
    }

    #[test]
    fn builds_are_found_with_their_output_newest_first() {
        let (_directory, store) = store();
        let (old, new) = (name(Duration::from_mins(2)), name(Duration::ZERO));
        let (path, mut file) = store.builds().new_log().unwrap();
        file.write_all(b"output").unwrap();
        store.builds().add(&new, 1, None).unwrap();
        store.builds().add(&old, 2, Some(path)).unwrap();
        assert_eq!(store.builds().names().unwrap(), [new.clone(), old.clone()]);
        assert_eq!(store.builds().get::<u32>(&old).unwrap(), Some(2));
        let mut output = String::new();
        let log = store.builds().log(&old).unwrap();
        log.unwrap().read_to_string(&mut output).unwrap();
        assert_eq!(output, "output");
        assert!(store.builds().log(&new).unwrap().is_none());
        store.builds().remove(&old).unwrap();
        assert_eq!(store.builds().names().unwrap(), [new]);
        assert!(store.builds().log(&old).unwrap().is_none());
    }

    #[test]
    fn the_old_are_forgotten_unless_they_are_among_the_newest() {
        let (_directory, store) = store();
        let old = |number: usize| name(MAX_AGE + Duration::from_mins(number as u64 + 1));
        let names: Vec<_> = (0..ALWAYS + 3).map(old).collect();
        for (number, name) in names.iter().enumerate() {
            store.builds().add(name, number, None).unwrap();
        }
        assert_eq!(store.builds().names().unwrap(), names[..ALWAYS]);
        let young: Vec<_> = (0..2).map(|_| name(Duration::ZERO)).collect();
        for name in &young {
            store.builds().add(name, 0, None).unwrap();
        }
        let left = store.builds().names().unwrap();
        assert_eq!(left.len(), ALWAYS);
        assert!(young.iter().all(|name| left.contains(name)));
    }

    #[test]
    fn inputs_are_whole_or_absent_and_go_with_their_results() {
        let (_directory, store) = store();
        let (kept, failed, lost) = ([1; 32], [2; 32], [3; 32]);
        store.actions().record_definition(&kept, &[]).unwrap();
        let old = SystemTime::now() - MAX_AGE - Duration::from_mins(1);
        for (key, time) in [(&kept, old), (&failed, SystemTime::now()), (&lost, old)] {
            store.builds().record_inputs(key, b"inputs").unwrap();
            assert_eq!(store.builds().inputs(key).unwrap().unwrap(), b"inputs");
            let file = File::options()
                .write(true)
                .open(store.builds().inputs_path(key));
            file.unwrap().set_modified(time).unwrap();
        }
        store.builds().forget_lost().unwrap();
        assert!(store.builds().inputs(&failed).unwrap().is_some());
        assert_eq!(store.builds().inputs(&lost).unwrap(), None);
        let path = store.builds().inputs_path(&kept);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(store.builds().inputs(&kept).unwrap(), None);
    }
}
