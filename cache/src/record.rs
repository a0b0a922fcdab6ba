//! Small records: a line that says what follows and carries its checksum, then JSON.
//!
//! ```text
//! rbuild KIND VERSION BLAKE3-OF-BODY\n
//! {…}
//! ```
//!
//! A record whose line or checksum is not right counts as absent: it is of another version, or a power failure tore
//! it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, IoContext as _, optional};
use crate::store::entries;
use crate::{Bucket, Store};

/// Longer records are not read.
const LIMIT: u64 = 16 << 20;
/// How old the time of last use may become.
const GRAIN: Duration = Duration::from_hours(1);

/// Something that is kept as a record.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// What it is, in one word.
    const KIND: &'static str;
    /// The version of its fields.
    const VERSION: u32;

    /// The name of its file, where that follows from what it says.
    fn file_name(&self) -> Option<String> {
        None
    }
}

/// The bytes of a record.
pub(crate) fn encode<R: Record>(record: &R) -> Result<Vec<u8>, Error> {
    let body = serde_json::to_vec(record).map_err(|source| Error::Encode { source })?;
    Ok(frame(R::KIND, R::VERSION, &body))
}

/// A body with the line that says what it is.
pub(crate) fn frame(kind: &str, version: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = heading(kind, version, body).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a framed record; `None` if it is none of this kind and version, or is torn.
pub(crate) fn unframe<'a>(kind: &str, version: u32, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let (line, body) = bytes.split_at(end + 1);
    (line == heading(kind, version, body).as_bytes()).then_some(body)
}

/// Reads the bytes of a record; `None` if they are not one.
fn decode<R: Record>(bytes: &[u8]) -> Option<R> {
    serde_json::from_slice(unframe(R::KIND, R::VERSION, bytes)?).ok()
}

/// The line before a record's body.
fn heading(kind: &str, version: u32, body: &[u8]) -> String {
    format!("rbuild {kind} {version} {}\n", blake3::hash(body))
}

impl Store {
    /// Writes a record, in place of an earlier one.
    pub(crate) fn write_record<R: Record>(&self, path: &Path, record: &R) -> Result<(), Error> {
        self.write(path, &encode(record)?)
    }
}

impl Store {
    /// Removes the records of a bucket of two levels that can be read and lead to nothing any more. One that is renewed
    /// meanwhile stays: what was taken away is looked at again.
    pub(crate) fn forget_records<R: Record>(
        &self,
        bucket: Bucket,
        is_there: impl Fn(&R) -> bool,
    ) -> Result<(), Error> {
        let is_lost = |path: &Path| Ok::<_, Error>(read::<R>(path)?.is_some_and(|r| !is_there(&r)));
        for shard in entries(&self.directory(bucket))? {
            for path in entries(&shard)? {
                if !is_lost(&path)? {
                    continue;
                }
                let taken = self.take(&path)?;
                if read::<R>(&taken)?.is_some_and(|record| is_there(&record)) {
                    // If others have swept it by now it is lost, and made again.
                    self.publish(&taken, &path).ok();
                }
            }
        }
        Ok(())
    }
}

/// The bytes of a file, if it is there.
pub(crate) fn bytes(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    optional(std::fs::read(path)).at("read", path)
}

/// Reads a record. `None` if there is none, or none that can be understood.
pub(crate) fn read<R: Record>(path: &Path) -> Result<Option<R>, Error> {
    Ok(open(path)?.and_then(|(_, bytes)| decode(&bytes)))
}

/// Reads a record and keeps the time of its last use, its file's modification time, exact to an hour.
pub(crate) fn read_used<R: Record>(path: &Path) -> Result<Option<R>, Error> {
    let Some((file, bytes)) = open(path)? else {
        return Ok(None);
    };
    touch(&file);
    Ok(decode(&bytes))
}

/// A record's file and its bytes.
fn open(path: &Path) -> Result<Option<(File, Vec<u8>)>, Error> {
    let Some(file) = optional(File::open(path)).at("open", path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::with_capacity(1024);
    (&file)
        .take(LIMIT)
        .read_to_end(&mut bytes)
        .at("read", path)?;
    Ok(Some((file, bytes)))
}

/// How long ago a record was used last; none for one that is gone.
pub(crate) fn age(path: &Path, now: SystemTime) -> Duration {
    let used = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    used.map_or(Duration::ZERO, |used| {
        now.duration_since(used).unwrap_or_default()
    })
}

/// Sets a file's time to now if it is older than an hour. A store that cannot be written still serves, so failure is
/// no error.
pub(crate) fn touch(file: &File) {
    let now = SystemTime::now();
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    if modified.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > GRAIN)) {
        file.set_modified(now).ok();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Word(String);

    impl Record for Word {
        const KIND: &'static str = "word";
        const VERSION: u32 = 1;
    }

    #[test]
    fn every_torn_or_changed_record_is_absent() {
        let whole = encode(&Word("hello".to_owned())).unwrap();
        assert_eq!(decode(&whole), Some(Word("hello".to_owned())));
        for length in 0..whole.len() {
            assert_eq!(decode::<Word>(&whole[..length]), None, "cut at {length}");
            let mut changed = whole.clone();
            changed[length] ^= 1;
            assert_eq!(decode::<Word>(&changed), None, "changed at {length}");
            let mut zeroed = whole.clone();
            zeroed[length..].fill(0);
            assert_eq!(decode::<Word>(&zeroed), None, "zeroed from {length}");
        }
    }

    #[test]
    fn the_time_of_last_use_moves_by_hours() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let path = directory.path().join("word");
        store.write_record(&path, &Word("x".to_owned())).unwrap();
        let set = |age| {
            let time = SystemTime::now() - age;
            File::open(&path).unwrap().set_modified(time).unwrap();
            read_used::<Word>(&path).unwrap().unwrap();
            std::fs::metadata(&path).unwrap().modified().unwrap() != time
        };
        assert!(!set(Duration::from_mins(59)));
        assert!(set(Duration::from_mins(61)));
    }
}
