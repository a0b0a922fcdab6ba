//! Results of earlier steps.
//!
//! A step's definition key leads to the whole chain of layers that it gave; an operation's content key to the layers
//! that it put on top of its inputs. A record whose layers are not all in the store counts as absent.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use layer::DiffId;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::{self, Record};
use crate::{Bucket, Store, names};

/// The action records of a store. Keys are the bytes of the solver's keys.
#[derive(Debug, Clone, Copy)]
pub struct Actions<'a> {
    store: &'a Store,
}

/// A record of layers, base first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Chain {
    layers: Vec<DiffId>,
    /// When they were made, in nanoseconds since 1970. Records of earlier versions do not say.
    #[serde(default)]
    made: Option<u64>,
}

impl Chain {
    /// Whether they were made less than `limit` ago. What comes from the future does not count.
    fn is_within(&self, limit: Option<Duration>) -> bool {
        let Some(limit) = limit else { return true };
        let made = self
            .made
            .map(|made| UNIX_EPOCH + Duration::from_nanos(made));
        let age = made.and_then(|made| SystemTime::now().duration_since(made).ok());
        age.is_some_and(|age| age < limit)
    }
}

impl Record for Chain {
    const KIND: &'static str = "layers";
    const VERSION: u32 = 1;
}

impl<'a> Actions<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// The chain of layers, base first, that the step with this definition key gave. Notes that it is in use.
    pub fn by_definition(self, key: &[u8; 32]) -> Result<Option<Vec<DiffId>>, Error> {
        self.by_definition_within(key, None)
    }

    /// The same, unless it was made longer ago than `limit`.
    pub fn by_definition_within(
        self,
        key: &[u8; 32],
        limit: Option<Duration>,
    ) -> Result<Option<Vec<DiffId>>, Error> {
        self.read(Bucket::Actions, key, limit)
    }

    /// The layers, lowest first, that the operation with this content key put on top of its inputs. Notes that
    /// they are in use.
    pub fn by_content(self, key: &[u8; 32]) -> Result<Option<Vec<DiffId>>, Error> {
        self.by_content_within(key, None)
    }

    /// The same, unless they were made longer ago than `limit`.
    pub fn by_content_within(
        self,
        key: &[u8; 32],
        limit: Option<Duration>,
    ) -> Result<Option<Vec<DiffId>>, Error> {
        self.read(Bucket::Contents, key, limit)
    }

    /// Whether this operation has ever had a record by content.
    pub fn knows_operation(self, operation: &[u8; 32]) -> bool {
        self.path(Bucket::Operations, operation).exists()
    }

    /// Keeps the chain of layers of the step with this definition key.
    pub fn record_definition(self, key: &[u8; 32], chain: &[DiffId]) -> Result<(), Error> {
        self.write(Bucket::Actions, key, chain, now())
    }

    /// Keeps the chain of layers of the step with this definition key, which was found under this content key: it is as
    /// old as what is recorded there.
    pub fn record_found(
        self,
        key: &[u8; 32],
        chain: &[DiffId],
        content: &[u8; 32],
    ) -> Result<(), Error> {
        let found = record::read::<Chain>(&self.path(Bucket::Contents, content))?;
        let made = found.and_then(|found| found.made);
        self.write(Bucket::Actions, key, chain, made)
    }

    /// Keeps the layers that an operation put on top of its inputs, by its content key.
    pub fn record_content(
        self,
        operation: &[u8; 32],
        key: &[u8; 32],
        added: &[DiffId],
    ) -> Result<(), Error> {
        self.write(Bucket::Contents, key, added, now())?;
        if !self.knows_operation(operation) {
            self.store
                .write(&self.path(Bucket::Operations, operation), b"")?;
        }
        Ok(())
    }

    /// Removes the records of steps and operations whose layers are gone.
    pub(crate) fn forget_lost(self) -> Result<(), Error> {
        let layers = self.store.layers();
        for bucket in [Bucket::Actions, Bucket::Contents] {
            let is_there = |chain: &Chain| chain.layers.iter().all(|layer| layers.contains(layer));
            self.store.forget_records(bucket, is_there)?;
        }
        Ok(())
    }

    fn read(
        self,
        bucket: Bucket,
        key: &[u8; 32],
        limit: Option<Duration>,
    ) -> Result<Option<Vec<DiffId>>, Error> {
        let found = record::read_used::<Chain>(&self.path(bucket, key))?;
        let layers = self.store.layers();
        Ok(found
            .filter(|found| found.is_within(limit))
            .map(|found| found.layers)
            .filter(|chain| chain.iter().all(|layer| layers.contains(layer))))
    }

    fn write(
        self,
        bucket: Bucket,
        key: &[u8; 32],
        layers: &[DiffId],
        made: Option<u64>,
    ) -> Result<(), Error> {
        let record = Chain {
            layers: layers.to_vec(),
            made,
        };
        self.store.write_record(&self.path(bucket, key), &record)
    }

    fn path(self, bucket: Bucket, key: &[u8; 32]) -> PathBuf {
        self.store.sharded(bucket, &names::hex(key))
    }
}

/// The time, as records have it.
fn now() -> Option<u64> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(time.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Option<Duration> = Some(Duration::from_hours(1));
    const MOMENT: Option<Duration> = Some(Duration::from_nanos(1));

    #[test]
    fn results_are_as_old_as_when_they_were_made() -> Result<(), Error> {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let store = Store::open(directory.path().join("store"))?;
        let (actions, chain) = (store.actions(), Some(Vec::new()));
        actions.record_definition(&[1; 32], &[])?;
        actions.record_content(&[2; 32], &[3; 32], &[])?;
        actions.record_found(&[4; 32], &[], &[3; 32])?;
        // Nothing is known of what it was found as.
        actions.record_found(&[5; 32], &[], &[6; 32])?;
        std::thread::sleep(Duration::from_millis(1));
        for (key, within) in [([1; 32], &chain), ([4; 32], &chain), ([5; 32], &None)] {
            assert_eq!(&actions.by_definition_within(&key, HOUR)?, within);
            assert_eq!(actions.by_definition_within(&key, MOMENT)?, None);
            assert_eq!(actions.by_definition(&key)?, chain);
        }
        assert_eq!(actions.by_content_within(&[3; 32], HOUR)?, chain);
        assert_eq!(actions.by_content_within(&[3; 32], MOMENT)?, None);
        Ok(())
    }

    #[test]
    fn what_is_of_the_future_or_of_no_time_is_not_young() {
        let aged = |made| Chain {
            layers: Vec::new(),
            made,
        };
        let hours = |hours: u64| now().map(|now| now + hours * 3_600_000_000_000);
        assert!(!aged(hours(2)).is_within(HOUR));
        assert!(!aged(None).is_within(HOUR));
        assert!(aged(None).is_within(None));
        assert!(aged(now()).is_within(HOUR));
    }
}
