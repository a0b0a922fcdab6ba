//! The build context: a directory, seen through its ignore file.
//!
//! Only what a step names is read. Digests of files are remembered from build to build by (device, inode, size, times),
//! so a file that did not change costs one `statx`.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use cache::{ContextMemory, FileStamp};
use frontend::ignore::Ignore;
use layer::{ContentDigest, FileVersion, MAX_PATH, Metadata, Timestamp};
use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};

use super::filter::{Filter, Verdict};
use super::node::{Child, File, HostDirectory, Kind, LinkId, Node, Origin};
use super::select::{Names, Tree, join};
use super::{STACK_SIZE, xattrs};
use crate::error::FileError;

/// A directory of the host whose files a build may read.
pub(crate) struct Context {
    root: Arc<OwnedFd>,
    path: PathBuf,
    ignore: Ignore,
    /// The ignore file's name for messages; empty where there is none.
    ignore_file: String,
    /// Digests of files that have no extended attributes: one that is known needs no further look.
    memory: ContextMemory,
    /// Nanoseconds that all threads together spent on digests.
    hashing: AtomicU64,
}

/// What a walk takes of the directory that it began at.
#[derive(Clone, Copy)]
struct Walk<'a> {
    filter: &'a Filter,
    /// How much of a path leads to that directory.
    prefix: usize,
}

/// A directory whose entries are read.
#[derive(Clone, Copy)]
struct Parent<'a> {
    open: BorrowedFd<'a>,
    shared: &'a Arc<HostDirectory>,
}

impl<'a> Walk<'a> {
    fn from(top: &[u8], filter: &'a Filter) -> Self {
        let prefix = if top.is_empty() { 0 } else { top.len() + 1 };
        Self { filter, prefix }
    }

    fn verdict(self, path: &[u8], is_directory: bool) -> Verdict {
        let relative = path.get(self.prefix..).unwrap_or_default();
        self.filter.verdict(relative, is_directory)
    }
}

impl Context {
    /// Opens the directory. `ignore` hides files of it, as the file of that name says; `memory` knows digests of
    /// earlier builds.
    pub(crate) fn open(
        path: &Path,
        ignore_file: String,
        ignore: Ignore,
        memory: ContextMemory,
    ) -> Result<Self, FileError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || {
            let root = rustix::fs::open(path, flags, Mode::empty())?;
            let real = real_path(root.as_fd())?;
            Ok((root, real))
        };
        let (root, path) =
            open().map_err(|error| FileError::io("open the context", path, error))?;
        Ok(Self {
            root: Arc::new(root),
            path,
            ignore,
            ignore_file,
            memory,
            hashing: AtomicU64::new(0),
        })
    }

    /// Keeps what was learnt about the files for the next build.
    pub(crate) fn remember(&self) -> Result<(), cache::Error> {
        self.memory.save().map(drop)
    }

    /// How long all threads together read files for their digests since this was last asked.
    pub(crate) fn take_hashing_time(&self) -> Duration {
        Duration::from_nanos(self.hashing.swap(0, Ordering::Relaxed))
    }

    /// What hides files of it.
    pub(crate) fn ignore(&self) -> &Ignore {
        &self.ignore
    }

    /// The ignore file, if it is what hides the file at `path`.
    pub(crate) fn ignore_file_hiding(&self, path: &str) -> Option<String> {
        let path = path.trim_matches('/');
        let found = self.open_beneath(path.as_bytes());
        (matches!(found, Ok(Some(_))) && self.ignore.excluded(path.as_bytes()))
            .then(|| self.ignore_file.clone())
    }

    /// Whether there is a socket at `path`.
    pub(crate) fn is_socket(&self, path: &str) -> bool {
        let opened = self.open_beneath(path.trim_matches('/').as_bytes());
        let stat = opened
            .ok()
            .flatten()
            .and_then(|(file, _)| rustix::fs::fstat(file).ok());
        stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
    }

    /// Opens what is at `path`, links followed beneath the root, and says where it really is.
    fn open_beneath(&self, path: &[u8]) -> Result<Option<(OwnedFd, Vec<u8>)>, FileError> {
        let relative = if path.is_empty() {
            b".".as_slice()
        } else {
            path
        };
        let opened = rustix::fs::openat2(
            &self.root,
            relative,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        );
        let failed = |error| FileError::io("open", &self.host_path(path), error);
        match opened {
            Ok(file) => {
                let real = real_path(file.as_fd()).map_err(failed)?;
                let within = real
                    .strip_prefix(&self.path)
                    .map_err(|_| FileError::BadPath(String::from_utf8_lossy(path).into_owned()))?;
                Ok(Some((file, within.as_os_str().as_bytes().to_vec())))
            }
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn host_path(&self, path: &[u8]) -> PathBuf {
        self.path.join(std::ffi::OsStr::from_bytes(path))
    }

    /// Reads the entry called `name` in `directory`; `path` is its path from the root. `None`: it is hidden, gone, of a
    /// kind that is not copied (a socket), or not what the walk takes.
    fn read(
        &self,
        parent: Parent<'_>,
        name: &CStr,
        path: &[u8],
        walk: Walk<'_>,
    ) -> Result<Option<Child>, FileError> {
        let directory = parent.open;
        let failed = |error| FileError::io("read", &self.host_path(path), error);
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            other => other.map_err(failed)?,
        };
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let excluded = self.ignore.excluded(path);
        if excluded && !(file_type.is_dir() && self.ignore.may_include_below(path)) {
            return Ok(None);
        }
        let verdict = walk.verdict(path, file_type.is_dir());
        if verdict == Verdict::Left {
            return Ok(None);
        }
        let passed = verdict == Verdict::Passed;
        let own_name: Arc<[u8]> = name.to_bytes().into();
        let mut known = false;
        let kind = match file_type {
            FileType::Directory => {
                let children = self.read_directory(directory, name, path, walk)?;
                if (excluded || passed) && children.is_empty() {
                    return Ok(None);
                }
                Kind::Directory(children)
            }
            FileType::RegularFile => {
                let stamp = FileStamp::new(path, &stat);
                let remembered = self.memory.get(&stamp);
                known = remembered.is_some();
                self.regular_file(path, (parent.shared, &own_name), &stat, &stamp, remembered)?
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(directory, name, Vec::new()).map_err(failed)?;
                Kind::Symlink(target.into_bytes().into())
            }
            FileType::CharacterDevice => device(&stat, Kind::Character),
            FileType::BlockDevice => device(&stat, Kind::Block),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket | FileType::Unknown => return Ok(None),
        };
        let xattrs = if known || matches!(kind, Kind::Symlink(_)) {
            Vec::new()
        } else {
            xattrs::read(directory, name).map_err(failed)?
        };
        if let Kind::File(file) = &kind
            && !known
            && xattrs.is_empty()
        {
            self.memory.learn(FileStamp::new(path, &stat), file.digest);
        }
        let metadata = Metadata {
            mode: stat.st_mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: Timestamp {
                seconds: stat.st_mtime,
                nanos: stat.st_mtime_nsec as u32,
            },
            xattrs,
        };
        let node = Node {
            metadata,
            kind,
            passed,
        };
        Ok(Some((own_name, node)))
    }

    fn shared(&self, path: &[u8]) -> Arc<HostDirectory> {
        Arc::new(HostDirectory {
            root: Arc::clone(&self.root),
            path: path.into(),
        })
    }

    fn read_directory(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        path: &[u8],
        walk: Walk<'_>,
    ) -> Result<Vec<Child>, FileError> {
        if path.len() > MAX_PATH {
            let top = path.split(|byte| *byte == b'/').next().unwrap_or_default();
            return Err(FileError::TooDeep(
                String::from_utf8_lossy(top).into_owned(),
            ));
        }
        let (directory, names) = self.list(parent, name, path)?;
        let shared = self.shared(path);
        let parent = Parent {
            open: directory.as_fd(),
            shared: &shared,
        };
        let child = |(name, _): (CString, FileType)| {
            self.read(parent, &name, &join(path, name.to_bytes()), walk)
        };
        // A directory may be worth a thread of its own, unless there is nothing else; a few files are not. Handing out
        // takes stack at every level of a deep tree.
        let has_directories = names.iter().any(|(_, kind)| kind.is_dir());
        let together = if has_directories { 1 } else { 64 };
        let children: Vec<Option<Child>> = if names.len() <= together {
            names
                .into_iter()
                .map(child)
                .collect::<Result<_, FileError>>()?
        } else {
            let names = names.into_par_iter().with_min_len(together);
            names.map(child).collect::<Result<_, FileError>>()?
        };
        Ok(children.into_iter().flatten().collect())
    }

    /// Opens a directory and lists its names with their types, sorted by name.
    fn list(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        path: &[u8],
    ) -> Result<(OwnedFd, Vec<(CString, FileType)>), FileError> {
        let list = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            let mut names = Vec::new();
            for entry in Dir::read_from(&directory)? {
                let entry = entry?;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    names.push((entry.file_name().to_owned(), entry.file_type()));
                }
            }
            names.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
            Ok((directory, names))
        };
        list().map_err(|error| FileError::io("list", &self.host_path(path), error))
    }

    fn regular_file(
        &self,
        path: &[u8],
        (directory, name): (&Arc<HostDirectory>, &Arc<[u8]>),
        stat: &Stat,
        stamp: &FileStamp,
        remembered: Option<ContentDigest>,
    ) -> Result<Kind, FileError> {
        let digest = if let Some(digest) = remembered {
            digest
        } else {
            let began = Instant::now();
            let digest = layer::digest_file(&self.root, path)?;
            // A build of centuries is cut.
            let spent = began.elapsed().as_nanos() as u64;
            self.hashing.fetch_add(spent, Ordering::Relaxed);
            digest
        };
        let origin = Origin::Host {
            directory: Arc::clone(directory),
            name: Arc::clone(name),
            version: self.memory.trusts(stamp).then(|| FileVersion::of(stat)),
        };
        Ok(Kind::File(File {
            size: stat.st_size as u64,
            digest,
            origin,
            link: (stat.st_nlink > 1).then(|| LinkId(stat.st_dev, stat.st_ino).into()),
        }))
    }
}

impl Tree for Context {
    fn node_at(&self, path: &[u8], filter: &Filter) -> Result<Option<Node>, FileError> {
        prepare_threads();
        let Some((_, real)) = self.open_beneath(path)? else {
            return Ok(None);
        };
        let walk = Walk::from(&real, filter);
        if real.is_empty() {
            let root = self.root.try_clone().map_err(|error| FileError::Io {
                action: "open",
                path: self.path.clone(),
                source: error,
            })?;
            let children = self.read_directory(root.as_fd(), c".", b"", walk)?;
            return Ok(Some(Node {
                metadata: Metadata {
                    mode: 0o755,
                    ..Metadata::default()
                },
                kind: Kind::Directory(children),
                passed: false,
            }));
        }
        let (parent_path, name) = match real.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&real[..slash], &real[slash + 1..]),
            None => (b"".as_slice(), real.as_slice()),
        };
        let Some((directory, _)) = self.open_beneath(parent_path)? else {
            return Ok(None);
        };
        let parent = Parent {
            open: directory.as_fd(),
            shared: &self.shared(parent_path),
        };
        let name = CString::new(name)
            .map_err(|_| FileError::BadPath(String::from_utf8_lossy(path).into_owned()))?;
        let found = self.read(parent, &name, &real, walk)?;
        Ok(found.map(|(_, node)| node))
    }

    fn names_in(&self, path: &[u8], follow: bool) -> Result<Names, FileError> {
        let Some((file, real)) = self.open_beneath(path)? else {
            return Ok(Vec::new());
        };
        let stat = rustix::fs::fstat(&file)
            .map_err(|error| FileError::io("read", &self.host_path(path), error))?;
        if !FileType::from_raw_mode(stat.st_mode).is_dir() || (!follow && real != path) {
            return Ok(Vec::new());
        }
        let (_, names) = self.list(file.as_fd(), c".", &real)?;
        Ok(names
            .into_iter()
            .filter(|(name, kind)| {
                let path = join(&real, name.to_bytes());
                !self.ignore.excluded(&path)
                    || (kind.is_dir() && self.ignore.may_include_below(&path))
            })
            .map(|(name, kind)| (name.into_bytes().into_boxed_slice(), kind.is_dir()))
            .collect())
    }
}

/// Gives the threads that read directories together the stack that the deepest tree needs.
fn prepare_threads() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let threads = rayon::ThreadPoolBuilder::new().stack_size(STACK_SIZE);
        // Where a caller of the library has made them already, they are as that caller wants them.
        threads.build_global().ok();
    });
}

fn device(stat: &Stat, kind: fn(u32, u32) -> Kind) -> Kind {
    kind(
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    )
}

/// Where an open file really is, by the kernel's word.
fn real_path(file: BorrowedFd<'_>) -> rustix::io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(
        path.into_bytes(),
    )))
}
