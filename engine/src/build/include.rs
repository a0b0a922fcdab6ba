//! Reads the files that a Dockerfile includes: from where it is itself, and from nowhere above that.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use frontend::Included;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::main_context;
use super::prepare::{MAX_DOCKERFILE, read_view};
use crate::rootfs::Rootfs;

/// Where a Dockerfile includes files from.
#[derive(Debug)]
pub(super) enum Place {
    /// A directory of the host.
    Host(PathBuf),
    /// The files of a context that is no directory.
    Fetched(Rootfs),
    /// It is alone.
    Nowhere,
}

/// The directory that a file is in.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl Place {
    /// Reads the file at a path below the directory of the Dockerfile, which is called `dockerfile` in reports.
    pub(super) fn read(&self, dockerfile: &str, path: &str) -> Result<Included, String> {
        let name = match dockerfile.rsplit_once('/') {
            Some((directory, _)) => format!("{directory}/{path}"),
            None => path.to_owned(),
        };
        let bytes = match self {
            Self::Host(directory) => read_beneath(directory, Path::new(path)),
            Self::Fetched(files) => main_context::view(files)
                .map_err(io::Error::other)
                .and_then(|view| read_view(view, &name)),
            Self::Nowhere => return Err("the Dockerfile is not in a directory".to_owned()),
        };
        let bytes = bytes.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "it is not there".to_owned(),
            io::ErrorKind::CrossesDevices => {
                "it is a link that leads out of the directory of the Dockerfile".to_owned()
            }
            _ => error.to_string(),
        })?;
        Ok(Included { name, bytes })
    }
}

/// Reads a regular file. Links are followed as long as they stay in the directory.
fn read_beneath(directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat2(CWD, directory, flags, Mode::empty(), ResolveFlags::empty())?;
    // It may be a pipe that nobody writes to.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(root, path, flags, Mode::empty(), resolve)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_DOCKERFILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_of_the_directory_is_read() -> io::Result<()> {
        let scratch = tempfile::tempdir()?;
        let inside = scratch.path().join("inside");
        std::fs::create_dir_all(inside.join("d"))?;
        std::fs::write(scratch.path().join("secret"), "secret")?;
        std::fs::write(inside.join("d/file"), "RUN x")?;
        symlink("d/file", inside.join("link"))?;
        symlink("../secret", inside.join("up"))?;
        symlink(scratch.path().join("secret"), inside.join("absolute"))?;
        let place = Place::Host(inside);
        let read = |path| place.read("docker/Dockerfile", path);
        for path in ["d/file", "link"] {
            let included = read(path).expect("it can be read");
            assert_eq!(included.name, format!("docker/{path}"));
            assert_eq!(included.bytes, b"RUN x");
        }
        for (path, why) in [
            ("up", "leads out of the directory"),
            ("absolute", "leads out of the directory"),
            ("../secret", "leads out of the directory"),
            ("none", "it is not there"),
            ("d", "it is not a regular file"),
        ] {
            let error = read(path).expect_err("it cannot be read");
            assert!(error.contains(why), "{path}: {error}");
        }
        Ok(())
    }
}
