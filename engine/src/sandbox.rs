//! What every sandbox of the engine has around its process: the files that name hosts, and places to mount things on.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use layer::View;
use runtime::{Mount, Parent, Source, Stub, StubKind};

use crate::error::StepError;
use crate::files::resolve::{
    Standing, ends_of_components, layer_path, parent_of, resolve, standing,
};

const HOSTS: &str = "/etc/hosts";
const RESOLVER: &str = "/etc/resolv.conf";

/// `/etc/hosts` and `/etc/resolv.conf`: in memory, read-only, and so never part of a layer.
pub(crate) fn name_files(host_name: &str, hosts: &[String]) -> Result<Vec<Mount>, StepError> {
    let mut names =
        format!("127.0.0.1\tlocalhost {host_name}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for host in hosts {
        names.push_str(host);
        names.push('\n');
    }
    let resolver = match std::fs::read(RESOLVER) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => {
            return Err(StepError::Io {
                action: "read `/etc/resolv.conf` of the host",
                source,
            });
        }
    };
    Ok(vec![
        file(HOSTS, names.into_bytes()),
        file(RESOLVER, resolver),
    ])
}

fn file(target: &str, content: Vec<u8>) -> Mount {
    Mount {
        target: target.into(),
        source: Source::File {
            content,
            mode: 0o644,
            uid: 0,
            gid: 0,
        },
        read_only: true,
    }
}

/// Places that mounts need and the root file system lacks, to be laid between its layers and the changes.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    missing: BTreeMap<Vec<u8>, StubKind>,
}

impl Stubs {
    /// Finds which targets of `mounts`, and of the system's own, are missing in `view`.
    pub(crate) fn find(view: &View, mounts: &[Mount]) -> Result<Self, StepError> {
        let mut stubs = Self::default();
        for directory in runtime::SYSTEM_DIRECTORIES {
            stubs.need(view, Path::new(directory), StubKind::Directory)?;
        }
        // What lies below `/dev` gets its place in the sandbox's own.
        let outside = |(_, mount): &(usize, &Mount)| !mount.target.starts_with("/dev");
        for (at, mount) in mounts.iter().enumerate().filter(outside) {
            let kind = match &mount.source {
                Source::File { .. }
                | Source::View {
                    directory: false, ..
                } => StubKind::File,
                Source::Bind { path, .. } if !path.is_dir() => StubKind::File,
                _ => StubKind::Directory,
            };
            let mut earlier = mounts[..at].iter();
            let covered = earlier.any(|other| mount.target.starts_with(&other.target));
            let stands = stubs.need(view, &mount.target, kind)?;
            match (stands, kind) {
                // What is there is what the earlier mount shows.
                _ if covered => {}
                (Standing::Directory, StubKind::File) => {
                    return Err(StepError::FileOnDirectory(mount.target.clone()));
                }
                (Standing::Other, StubKind::Directory) => {
                    return Err(StepError::DirectoryOnFile(mount.target.clone()));
                }
                _ => {}
            }
        }
        Ok(stubs)
    }

    /// Adds a target, and the directories above it, where they are missing. Gives what was there before.
    fn need(&mut self, view: &View, target: &Path, kind: StubKind) -> Result<Standing, StepError> {
        let standing_at = |path: &[u8]| match self.missing.get(path) {
            Some(StubKind::Directory) => Ok(Standing::Directory),
            Some(StubKind::File) => Ok(Standing::Other),
            None => standing(view, path),
        };
        let path = resolve(target.as_os_str().as_bytes(), standing_at)?;
        let stands = standing_at(&path)?;
        if matches!(stands, Standing::Nothing) {
            for end in ends_of_components(parent_of(&path)) {
                if let Standing::Nothing = standing(view, &path[..end])? {
                    self.missing
                        .insert(path[..end].to_vec(), StubKind::Directory);
                }
            }
            self.missing.insert(path, kind);
        }
        Ok(stands)
    }

    /// Makes the places in `directory`; nothing when none is missing.
    pub(crate) fn make(
        self,
        view: &View,
        directory: PathBuf,
    ) -> Result<Option<PathBuf>, StepError> {
        if self.missing.is_empty() {
            return Ok(None);
        }
        let stubs = self.missing.iter().map(|(path, kind)| {
            Ok(Stub {
                path: Path::new("/").join(OsStr::from_bytes(path)),
                kind: *kind,
                parents: parents(view, path)?,
            })
        });
        let stubs = stubs.collect::<Result<Vec<_>, StepError>>()?;
        let top = parent(view, b"")?.unwrap_or(Parent {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
        });
        std::fs::create_dir(&directory).map_err(|source| StepError::Io {
            action: "make a directory for mount points",
            source,
        })?;
        runtime::prepare_stubs(&directory, &top, &stubs)?;
        Ok(Some(directory))
    }
}

/// Gives the directory of a root file system's changes what the root itself has below it: the mount shows its own.
pub(crate) fn imitate_root(view: &View, upper: &Path) -> Result<(), StepError> {
    let root = view.root()?.metadata()?;
    let imitate = || {
        own_root(upper, root.uid, root.gid)?;
        rustix::fs::chmod(upper, rustix::fs::Mode::from_raw_mode(root.mode))?;
        for (name, value) in &root.xattrs {
            rustix::fs::setxattr(
                upper,
                name.as_slice(),
                value,
                rustix::fs::XattrFlags::empty(),
            )?;
        }
        let time = rustix::fs::Timespec {
            tv_sec: root.mtime.seconds,
            tv_nsec: root.mtime.nanos.into(),
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(rustix::fs::CWD, upper, &times, rustix::fs::AtFlags::empty())
    };
    imitate().map_err(|source: rustix::io::Errno| StepError::Io {
        action: "prepare the root directory",
        source: source.into(),
    })
}

/// Gives the directory of a root file system's changes its owner. Where a user namespace has no id for that it stays the
/// caller's, as layers do not hold the root directory itself.
pub(crate) fn own_root(upper: &Path, uid: u32, gid: u32) -> Result<(), rustix::io::Errno> {
    let owner = (
        rustix::fs::Uid::from_raw(uid),
        rustix::fs::Gid::from_raw(gid),
    );
    match rustix::fs::chown(upper, Some(owner.0), Some(owner.1)) {
        Err(rustix::io::Errno::INVAL) => Ok(()),
        result => result,
    }
}

/// The directories above `path` that exist, from the first below the root on.
fn parents(view: &View, path: &[u8]) -> Result<Vec<Parent>, StepError> {
    let mut parents = Vec::new();
    for end in ends_of_components(parent_of(path)) {
        match parent(view, &path[..end])? {
            Some(parent) => parents.push(parent),
            None => break,
        }
    }
    Ok(parents)
}

fn parent(view: &View, path: &[u8]) -> Result<Option<Parent>, StepError> {
    let Some(found) = view.lookup(&layer_path(path)?)? else {
        return Ok(None);
    };
    let metadata = found.metadata()?;
    Ok(Some(Parent {
        mode: metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        mtime: (metadata.mtime.seconds, metadata.mtime.nanos),
    }))
}
