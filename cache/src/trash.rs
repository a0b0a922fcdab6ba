//! The trash: removal at once, deletion whenever there is time.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;

use crate::error::{Error, IoContext as _, optional};
use crate::store::entries;
use crate::{Bucket, Store, tree};

/// What [`Store::sweep`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// How many entries of the trash were deleted.
    pub deleted: usize,
    /// How many could not be, and stay for the next time.
    pub left: usize,
}

impl Store {
    /// Removes a file or directory of the store at once, by moving it to the trash. What is absent already is no
    /// error.
    pub fn discard(&self, path: &Path) -> Result<(), Error> {
        self.take(path).map(drop)
    }

    /// The same, and gives the place in the trash, where there may be nothing.
    pub(crate) fn take(&self, path: &Path) -> Result<PathBuf, Error> {
        let trash = self.fresh_name(Bucket::Trash);
        let rename = || fs::rename(path, &trash);
        let renamed = match rename() {
            // What is absent may be the file or the trash.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::symlink_metadata(path).and_then(|_| self.with_parents(&trash, rename))
            }
            renamed => renamed,
        };
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(trash),
            result => result.at("remove", path).map(|()| trash),
        }
    }

    /// Deletes what is in the trash, and what processes that have ended left behind. May take long: it is meant
    /// for a thread of its own.
    pub fn sweep(&self) -> Result<Swept, Error> {
        for bucket in [Bucket::Temporary, Bucket::Uppers] {
            for path in entries(&self.directory(bucket))? {
                if !self.is_owned(&path) {
                    self.discard(&path)?;
                }
            }
        }
        let mut swept = Swept::default();
        for path in entries(&self.directory(Bucket::Trash))? {
            match self.delete(path) {
                Ok(()) => swept.deleted += 1,
                Err(_) => swept.left += 1,
            }
        }
        Ok(swept)
    }

    /// Deletes a file or a whole directory. What is absent is deleted. What lies too deep in it becomes an entry of the
    /// trash first, so that it is not lost should this end early.
    fn delete(&self, path: PathBuf) -> io::Result<()> {
        let mut left = vec![path];
        while let Some(path) = left.pop() {
            let mut put_aside = |directory: BorrowedFd<'_>, name: &CStr| {
                let place = self.fresh_name(Bucket::Trash);
                rustix::fs::renameat(directory, name, CWD, &place)?;
                left.push(place);
                Ok(())
            };
            optional(tree::remove(&path, &mut put_aside))?;
        }
        Ok(())
    }
}
