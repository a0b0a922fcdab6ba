//! Results of earlier steps.
//!
//! A step's definition key leads to the whole chain of layers that it gave; an operation's content key to the layers
//! that it put on top of its inputs. A record whose layers are not all in the store counts as absent.

use std::path::PathBuf;

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
        self.read(Bucket::Actions, key)
    }

    /// The layers, lowest first, that the operation with this content key put on top of its inputs. Notes that
    /// they are in use.
    pub fn by_content(self, key: &[u8; 32]) -> Result<Option<Vec<DiffId>>, Error> {
        self.read(Bucket::Contents, key)
    }

    /// Whether this operation has ever had a record by content.
    pub fn knows_operation(self, operation: &[u8; 32]) -> bool {
        self.path(Bucket::Operations, operation).exists()
    }

    /// Keeps the chain of layers of the step with this definition key.
    pub fn record_definition(self, key: &[u8; 32], chain: &[DiffId]) -> Result<(), Error> {
        self.write(Bucket::Actions, key, chain)
    }

    /// Keeps the layers that an operation put on top of its inputs, by its content key.
    pub fn record_content(
        self,
        operation: &[u8; 32],
        key: &[u8; 32],
        added: &[DiffId],
    ) -> Result<(), Error> {
        self.write(Bucket::Contents, key, added)?;
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

    fn read(self, bucket: Bucket, key: &[u8; 32]) -> Result<Option<Vec<DiffId>>, Error> {
        let found = record::read_used::<Chain>(&self.path(bucket, key))?;
        let layers = self.store.layers();
        Ok(found
            .map(|found| found.layers)
            .filter(|chain| chain.iter().all(|layer| layers.contains(layer))))
    }

    fn write(self, bucket: Bucket, key: &[u8; 32], layers: &[DiffId]) -> Result<(), Error> {
        let record = Chain {
            layers: layers.to_vec(),
        };
        self.store.write_record(&self.path(bucket, key), &record)
    }

    fn path(self, bucket: Bucket, key: &[u8; 32]) -> PathBuf {
        self.store.sharded(bucket, &names::hex(key))
    }
}
