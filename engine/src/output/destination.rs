//! Where a stream of bytes goes: a file that is whole or not there, or a stream that the caller has open.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::ImageError;

/// How many partial files this process began.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Where a stream of bytes goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A file, which takes the place of an earlier one once it is whole. Directories above it are made.
    Path(PathBuf),
    /// Something that is open, such as standard output.
    Stream(Arc<File>),
}

/// A destination that is being written. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Target {
    file: Arc<File>,
    /// The name of what is written so far, and the one it shall have.
    names: Option<(PathBuf, PathBuf)>,
}

impl Destination {
    /// Begins to write.
    pub(crate) fn create(&self) -> Result<Target, ImageError> {
        let path = match self {
            Self::Path(path) => path,
            Self::Stream(file) => {
                return Ok(Target {
                    file: Arc::clone(file),
                    names: None,
                });
            }
        };
        create(path).map_err(|source| ImageError::Io {
            action: "write",
            path: path.clone(),
            source,
        })
    }
}

fn create(path: &Path) -> io::Result<Target> {
    // A link stays, and what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            // A device or pipe takes bytes as they come.
            return Ok(Target {
                file: Arc::new(File::options().write(true).open(&path)?),
                names: None,
            });
        }
        _ => {}
    }
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let parent = path.parent().unwrap_or(Path::new(""));
    if !parent.as_os_str().is_empty() {
        fs::create_dir_all(parent)?;
    }
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut part = std::ffi::OsString::from(".");
        part.push(name);
        part.push(format!(".{}-{number}.part", std::process::id()));
        let part = parent.join(part);
        match File::options().write(true).create_new(true).open(&part) {
            Ok(file) => {
                return Ok(Target {
                    file: Arc::new(file),
                    names: Some((part, path)),
                });
            }
            // Of a process with the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

impl Target {
    /// What is to be written to.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Gives what was written its name.
    pub(crate) fn finish(mut self) -> Result<(), ImageError> {
        let Some((part, path)) = &self.names else {
            return Ok(());
        };
        fs::rename(part, path).map_err(|source| ImageError::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
        self.names = None;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.names {
            // What cannot be removed is at least not taken for whole.
            fs::remove_file(part).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn listed(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .map(|name| name.into_string().expect("UTF-8"))
            .collect()
    }

    #[test]
    fn a_file_is_whole_or_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sub/out");
        let to = Destination::Path(path.clone());
        let target = to.create().expect("a target");
        (&*target.file()).write_all(b"one").expect("written");
        assert!(!path.exists());
        target.finish().expect("finished");
        assert_eq!(fs::read(&path).expect("read"), b"one");
        let target = to.create().expect("a target");
        (&*target.file()).write_all(b"two").expect("written");
        drop(target);
        assert_eq!(fs::read(&path).expect("read"), b"one");
        assert_eq!(listed(&directory.path().join("sub")), ["out"]);
    }

    #[test]
    fn links_are_followed_and_directories_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&real, "old").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        let target = Destination::Path(link.clone()).create().expect("a target");
        (&*target.file()).write_all(b"new").expect("written");
        target.finish().expect("finished");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read(&real).expect("read"), b"new");
        let error = Destination::Path(directory.path().to_owned()).create();
        let error = error.expect_err("a directory is no file");
        assert!(error.to_string().starts_with("cannot write `"), "{error}");
        let null = Destination::Path("/dev/null".into())
            .create()
            .expect("a target");
        null.finish().expect("finished");
        assert!(Path::new("/dev/null").exists());
    }
}
