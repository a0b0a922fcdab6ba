//! What an overlay is made of, and making it.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{
    FsOpenFlags, MountFlags, UnmountFlags, fsconfig_set_flag, fsconfig_set_string, fsopen, mount,
    unmount,
};

use super::tree;
use crate::error::Error;
use crate::sys::MountAttributes;

/// As many layers as one overlay takes (`OVL_MAX_STACK` of the kernel).
pub const MAX_LOWERS: usize = 500;

/// A layer that can be mounted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lower {
    /// A directory that has the layer's files, with deletions in the form of overlayfs. It needs no mount of its own.
    Directory(PathBuf),
    /// An EROFS image.
    Erofs {
        /// The image, or an index that has only metadata.
        index: PathBuf,
        /// The file with the data that the index points into: the layer's tar.
        tar: Option<PathBuf>,
    },
}

impl Lower {
    /// The same with paths that do not depend on the current directory.
    pub(super) fn absolute(self) -> Result<Self, Error> {
        Ok(match self {
            Self::Directory(directory) => Self::Directory(absolute(&directory)?),
            Self::Erofs { index, tar } => Self::Erofs {
                index: absolute(&index)?,
                tar: tar.as_deref().map(absolute).transpose()?,
            },
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Path {
        action: "find",
        path: path.to_owned(),
        source,
    })
}

/// Where the changes to a root file system go. Both directories must be on one file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upper {
    /// The changes. What this directory itself looks like is what the root directory looks like.
    pub directory: PathBuf,
    /// An empty directory for the kernel's use.
    pub work: PathBuf,
    /// Whether the changes must survive a crash of the machine. If not, ending the sandbox does not wait for the disk.
    pub durable: bool,
}

/// The top of an overlay.
#[derive(Debug, Clone)]
pub(crate) enum OverlayUpper {
    /// None: it is read-only.
    None,
    /// A directory.
    Directory(Upper),
    /// Memory, gone with the mount.
    Temporary,
}

/// An overlay to make.
#[derive(Debug, Clone)]
pub(crate) struct Overlay {
    /// Layers, lowest first.
    pub(crate) lowers: Vec<Lower>,
    /// The top.
    pub(crate) upper: OverlayUpper,
    /// Attributes of the mount.
    pub(crate) attributes: MountAttributes,
}

impl Overlay {
    /// The same with paths that do not depend on the current directory.
    pub(super) fn absolute(self) -> Result<Self, Error> {
        let lowers = self.lowers.into_iter().map(Lower::absolute);
        let upper = match self.upper {
            OverlayUpper::Directory(upper) => OverlayUpper::Directory(Upper {
                directory: absolute(&upper.directory)?,
                work: absolute(&upper.work)?,
                durable: upper.durable,
            }),
            other => other,
        };
        Ok(Self {
            lowers: lowers.collect::<Result<_, _>>()?,
            upper,
            attributes: self.attributes,
        })
    }
}

/// Names, relative to the current directory, for what an overlay is made of.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The layers, topmost first.
    pub(super) lowers: Vec<String>,
    /// Upper and work directory, and whether to sync them.
    pub(super) upper: Option<(String, String, bool)>,
}

impl Parts {
    /// Adds empty layers at the bottom up to the number that the kernel asks for.
    pub(super) fn fill(&mut self, needed: usize) {
        let missing = needed.saturating_sub(self.lowers.len());
        let empty = EMPTY.into_iter().take(missing);
        self.lowers.extend(empty.map(str::to_owned));
    }
}

/// How layers are named to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// One option a layer (Linux 6.5 and later).
    Separate,
    /// All in one option, which `fsconfig` would cut at 256 bytes, so through the old call.
    Joined,
}

/// Options that keep an overlay's upper directory a plain layer, whatever the kernel was configured for: nothing in it
/// refers to what is below or tells where it was, and what a layer brings of that kind has no effect.
const PLAIN: [(&str, &str); 5] = [
    ("index", "off"),
    ("redirect_dir", "nofollow"),
    ("metacopy", "off"),
    ("xino", "off"),
    ("uuid", "off"),
];

/// In which extended attributes an overlay keeps what it has to remember of files, opaque directories above all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// `trusted.overlay.*`, which only the machine's superuser may set.
    Trusted,
    /// `user.overlay.*`.
    User,
}

/// The option for [`Marks::User`].
const USER_MARKS: &str = "userxattr";

/// Makes an overlay as a detached mount from names relative to the current directory.
pub(super) fn make(
    parts: &Parts,
    attributes: MountAttributes,
    (syntax, marks): (Syntax, Marks),
) -> Result<OwnedFd, Errno> {
    match syntax {
        Syntax::Separate => separate(parts, attributes, marks),
        Syntax::Joined => joined(parts, attributes, marks),
    }
}

fn separate(parts: &Parts, attributes: MountAttributes, marks: Marks) -> Result<OwnedFd, Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", "overlay")?;
    for (key, value) in PLAIN {
        fsconfig_set_string(context, key, value)?;
    }
    if marks == Marks::User {
        fsconfig_set_flag(context, USER_MARKS)?;
    }
    for lower in &parts.lowers {
        fsconfig_set_string(context, "lowerdir+", lower.as_str())?;
    }
    if let Some((upper, work, durable)) = &parts.upper {
        fsconfig_set_string(context, "upperdir", upper.as_str())?;
        fsconfig_set_string(context, "workdir", work.as_str())?;
        if !durable {
            fsconfig_set_flag(context, "volatile")?;
        }
    }
    tree::finish(context, attributes)
}

fn joined(parts: &Parts, attributes: MountAttributes, marks: Marks) -> Result<OwnedFd, Errno> {
    let mut options = vec![format!("lowerdir={}", parts.lowers.join(":"))];
    options.extend(PLAIN.map(|(key, value)| format!("{key}={value}")));
    options.extend((marks == Marks::User).then(|| USER_MARKS.to_owned()));
    if let Some((upper, work, durable)) = &parts.upper {
        options.push(format!("upperdir={upper},workdir={work}"));
        options.extend((!durable).then(|| "volatile".to_owned()));
    }
    let options = CString::new(options.join(",")).map_err(|_| Errno::INVAL)?;
    mount(
        "overlay",
        ATTACHED,
        "overlay",
        MountFlags::empty(),
        Some(options.as_c_str()),
    )?;
    let copy = tree::bind(None, ATTACHED.as_ref(), false, attributes);
    unmount(ATTACHED, UnmountFlags::DETACH)?;
    copy
}

/// The directory that an overlay made by the old call is attached to for a moment.
pub(super) const ATTACHED: &str = "attached";

/// Directories that stand in for missing layers.
pub(super) const EMPTY: [&str; 2] = ["empty", "void"];

/// Clears what a volatile overlay left in its work directory, which would make the kernel refuse it.
pub(super) fn clear_volatile_mark(work: &Path) {
    for (name, flags) in [
        ("work/incompat/volatile/dirty", AtFlags::empty()),
        ("work/incompat/volatile", AtFlags::REMOVEDIR),
        ("work/incompat", AtFlags::REMOVEDIR),
    ] {
        // An absent mark is the rule, and the mount reports what matters.
        if rustix::fs::unlinkat(CWD, work.join(name), flags).is_err() {
            return;
        }
    }
}

/// Makes upper and work directories in a temporary file system mounted on `name`.
pub(super) fn temporary_upper(root: BorrowedFd<'_>, name: &str) -> Result<(String, String), Errno> {
    let upper = format!("{name}/upper");
    let work = format!("{name}/work");
    rustix::fs::mkdirat(root, &upper, Mode::from_raw_mode(0o755))?;
    rustix::fs::mkdirat(root, &work, Mode::from_raw_mode(0o755))?;
    Ok((upper, work))
}

/// Whether the kernel takes this path as an option's value without reading anything into it.
pub(super) fn is_plain(path: &OsStr) -> bool {
    let bytes = path.as_bytes();
    bytes.first() == Some(&b'/')
        && bytes.len() < 200
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.+@".contains(byte))
}
