//! Places that are needed below volumes: those of other mounts and of the working directory. The image's own files get
//! theirs in the sandbox's stubs, but a volume hides them; so, as with Docker, they are made in the volume.

use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use runtime::{Mount, Source};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;

use super::error::ContainerError;
use super::state::Volume;

/// Makes the places of `mounts` and of the working directory that are missing below `volumes`. Nothing is made below one
/// that is read-only, and no link is followed.
pub(super) fn make(
    volumes: &[Volume],
    mounts: &[Mount],
    working_dir: &str,
) -> Result<(), ContainerError> {
    let wanted = mounts.iter().map(|mount| {
        let is_file = match &mount.source {
            Source::File { .. } => true,
            Source::Bind { path, .. } => !path.is_dir(),
            _ => false,
        };
        (mount.target.as_path(), is_file)
    });
    for (target, is_file) in wanted.chain([(Path::new(working_dir), false)]) {
        let below = volumes.iter().filter_map(|volume| {
            let rest = target.strip_prefix(&volume.target).ok()?;
            (!rest.as_os_str().is_empty()).then_some((volume, rest))
        });
        let nearest = below.min_by_key(|(_, rest)| rest.components().count());
        if let Some((volume, rest)) = nearest
            && !volume.readonly
            && volume.source.is_dir()
        {
            make_place(&volume.source, rest, is_file)
                .map_err(|error| ContainerError::io("make", target.display(), error.into()))?;
        }
    }
    Ok(())
}

fn make_place(volume: &Path, rest: &Path, is_file: bool) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(CWD, volume, flags, Mode::empty())?;
    let mut names = rest.components().peekable();
    while let Some(name) = names.next() {
        let Component::Normal(name) = name else {
            return Err(Errno::INVAL);
        };
        if is_file && names.peek().is_none() {
            return make_file(&directory, Path::new(name));
        }
        match mkdirat(&directory, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        directory = match openat2(
            &directory,
            name,
            flags,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        ) {
            // Where a link leads is only known inside the container. What lacks its place is told when it is mounted.
            Err(Errno::LOOP | Errno::NOTDIR) => return Ok(()),
            opened => opened?,
        };
    }
    Ok(())
}

fn make_file(directory: &OwnedFd, name: &Path) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(directory, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn places_are_made_in_the_volume_around_them() {
        let host = tempfile::tempdir().expect("a temporary directory");
        let [outer, inner, fixed] = ["outer", "inner", "fixed"].map(|name| {
            let path = host.path().join(name);
            std::fs::create_dir(&path).expect("a new directory");
            path
        });
        std::os::unix::fs::symlink("/", outer.join("link")).expect("a new link");
        let volume = |source: &PathBuf, target: &str, readonly| Volume {
            source: source.clone(),
            target: target.to_owned(),
            readonly,
        };
        let volumes = [
            volume(&outer, "/data", false),
            volume(&inner, "/data/a/b", false),
            volume(&fixed, "/fixed", true),
        ];
        let mount = |target: &str, source| Mount {
            target: target.into(),
            source,
            read_only: false,
        };
        let directory = || Source::Tmpfs {
            size: None,
            mode: 0o755,
        };
        let file = || Source::File {
            content: Vec::new(),
            mode: 0o644,
            uid: 0,
            gid: 0,
        };
        let mounts = [
            mount("/data/a/b", directory()),
            mount("/data/a/b/etc/hosts", file()),
            mount("/data/link/made", directory()),
            mount("/fixed/made", directory()),
            mount("/elsewhere", directory()),
        ];
        make(&volumes, &mounts, "/data/work").expect("places");
        assert!(outer.join("a/b").is_dir() && outer.join("work").is_dir());
        assert!(inner.join("etc/hosts").is_file());
        assert!(!Path::new("/made").exists(), "links are not followed");
        assert_eq!(fixed.read_dir().expect("a directory").count(), 0);
        make(&volumes, &mounts, "/data/work").expect("what is there already stays");
    }
}
