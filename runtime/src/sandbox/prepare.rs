//! From a specification to a plan.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid, openat};
use rustix::io::Errno;

use super::init::DEVICE_NODES;
use super::paths;
use super::plan::{Credentials, FileSystem, Operation, Plan, Program, Surroundings, c_string};
use super::spec::{Isolation, Mount, Network, Process, Source, Spec};
use super::stdio::Theirs;
use super::terminal;
use crate::capability::Capabilities;
use crate::cgroup::Membership;
use crate::error::Error;
use crate::mount::{MountSpace, Overlay, OverlayUpper, bind, file_system};
use crate::namespace::Ids;
use crate::runtime::Shared;
use crate::sys::MountAttributes;

const NO_SUID: MountAttributes = MountAttributes::NO_SUID;
const NO_EXEC: MountAttributes = MountAttributes::NO_EXEC;
const NO_DEVICES: MountAttributes = MountAttributes::NO_DEVICES;
const READ_ONLY: MountAttributes = MountAttributes::READ_ONLY;
const HARMLESS: MountAttributes = NO_SUID.union(NO_EXEC).union(NO_DEVICES);

static PROC: FileSystem = FileSystem {
    kind: c"proc",
    options: &[],
    attributes: HARMLESS,
};
static SYSFS: FileSystem = FileSystem {
    kind: c"sysfs",
    options: &[],
    attributes: HARMLESS.union(READ_ONLY),
};
static OPEN_SYSFS: FileSystem = FileSystem {
    kind: c"sysfs",
    options: &[],
    attributes: HARMLESS,
};
static OPEN_CGROUPS: FileSystem = FileSystem {
    kind: c"cgroup2",
    options: &[],
    attributes: HARMLESS,
};
static CGROUPS: FileSystem = FileSystem {
    kind: c"cgroup2",
    options: &[],
    attributes: HARMLESS.union(READ_ONLY),
};
static DEVICES: FileSystem = FileSystem {
    kind: c"tmpfs",
    options: &[(c"mode", c"0755"), (c"size", c"65536k")],
    attributes: NO_SUID,
};
static QUEUES: FileSystem = FileSystem {
    kind: c"mqueue",
    options: &[],
    attributes: HARMLESS,
};
static SHARED_MEMORY: FileSystem = FileSystem {
    kind: c"tmpfs",
    options: &[(c"mode", c"1777"), (c"size", c"65536k")],
    attributes: HARMLESS,
};

/// What the machine, and the caller, allow.
#[derive(Debug, Clone)]
pub(crate) struct Possible {
    /// The capabilities that can be given on.
    pub(crate) capabilities: Capabilities,
    /// The capabilities that programs could gain if nothing were done.
    pub(crate) bounding: Capabilities,
    /// The users and groups that there are.
    pub(crate) ids: Ids,
}

/// The root file system and mounts of a specification.
pub(super) fn surroundings(
    shared: &Shared,
    spec: &Spec,
    terminals: Option<OwnedFd>,
    membership: &Membership,
) -> Result<Surroundings, Error> {
    // Where no policy says which devices may be used, none may but the few in `/dev`.
    let is_open = spec.isolation == Isolation::Open;
    let attributes = if membership.confines_devices || is_open {
        MountAttributes::empty()
    } else {
        NO_DEVICES
    };
    let root = &spec.root;
    let mut lowers = root.lowers.clone();
    lowers.extend(root.stubs.clone().map(crate::Lower::Directory));
    let overlay = shared.space.overlay(Overlay {
        lowers,
        upper: root
            .upper
            .clone()
            .map_or(OverlayUpper::None, OverlayUpper::Directory),
        attributes,
    })?;
    let mut mounts = Mounts {
        space: &shared.space,
        ids: &shared.possible.ids,
        attributes,
        files: None,
        sources: vec![],
        operations: vec![],
        covered: vec![b"dev".to_vec()],
    };
    let network = network(shared, spec.network)?;
    let owns_network = network.is_some() || spec.network == Network::None;
    mounts.add_system(spec, terminals, owns_network, membership.unified.is_some())?;
    for mount in &spec.mounts {
        mounts.add(mount)?;
    }
    Ok(Surroundings {
        host_name: spec.host_name.clone(),
        loopback: spec.network == Network::None,
        network,
        cgroup_namespace: true,
        root: overlay,
        sources: mounts.sources,
        operations: mounts.operations,
    })
}

/// The network to join, if there is one that was made for sandboxes.
fn network(shared: &Shared, wanted: Network) -> Result<Option<OwnedFd>, Error> {
    match wanted {
        Network::Own => {}
        Network::Of(process) => return process.network().map(Some),
        Network::Host | Network::None => return Ok(None),
    }
    let namespace = shared.own_network().ok().map(|own| own.namespace());
    let copy = namespace.map(|namespace| rustix::io::fcntl_dupfd_cloexec(namespace, 3));
    copy.transpose().map_err(Error::system("copy a descriptor"))
}

/// The mounts of a sandbox, being gathered.
struct Mounts<'a> {
    space: &'a MountSpace,
    ids: &'a Ids,
    attributes: MountAttributes,
    /// The number of the source that files are in, and how many there are.
    files: Option<(usize, usize)>,
    sources: Vec<OwnedFd>,
    operations: Vec<Operation>,
    /// What has been mounted on, relative to the root.
    covered: Vec<Vec<u8>>,
}

impl Mounts<'_> {
    /// The system's own, whole before anything else: what is mounted later could stand in for its parts, as a `null` on
    /// a mount over `/dev` would for what files are hidden behind (CVE-2025-31133).
    fn add_system(
        &mut self,
        spec: &Spec,
        terminals: Option<OwnedFd>,
        owns_network: bool,
        unified: bool,
    ) -> Result<(), Error> {
        let console = terminals.is_some();
        let terminals = match terminals {
            Some(terminals) => terminals,
            None => terminal::terminals().map_err(Error::system("make terminals"))?,
        };
        let make = |file_system, target| Operation::Make {
            file_system,
            target,
        };
        let is_open = spec.isolation == Isolation::Open;
        let (sysfs, cgroups) = if is_open {
            (&OPEN_SYSFS, &OPEN_CGROUPS)
        } else {
            (&SYSFS, &CGROUPS)
        };
        self.operations.push(make(&PROC, c"proc"));
        // A user namespace gives no view of a network that it does not own.
        let namespaced = !self.ids.are_the_machines();
        if namespaced && !owns_network {
            self.attach_from_host(Path::new("/sys"), HARMLESS | READ_ONLY)?;
            self.operations.push(Operation::Mask(c"sys/fs/cgroup"));
        } else {
            self.operations.push(make(sysfs, c"sys"));
        }
        if unified {
            self.operations.push(make(cgroups, c"sys/fs/cgroup"));
        }
        self.operations.push(make(&DEVICES, c"dev"));
        self.operations
            .push(Operation::FillDevices { nodes: !namespaced });
        if namespaced {
            self.attach_devices()?;
        }
        self.operations.push(Operation::Attach {
            mount: terminals,
            target: c"dev/pts".to_owned(),
        });
        self.operations.push(make(&QUEUES, c"dev/mqueue"));
        self.operations.push(match spec.shared_memory {
            None => make(&SHARED_MEMORY, c"dev/shm"),
            Some(size) => Operation::Attach {
                mount: tmpfs(Some(size), 0o1777, NO_EXEC)
                    .map_err(Error::path("mount memory on", Path::new("/dev/shm")))?,
                target: c"dev/shm".to_owned(),
            },
        });
        self.operations
            .extend(console.then_some(Operation::Console));
        if is_open {
            return Ok(());
        }
        let masked = paths::masked().iter().map(|path| Operation::Mask(path));
        self.operations.extend(masked);
        self.operations
            .extend(paths::READ_ONLY.map(Operation::ReadOnly));
        Ok(())
    }

    /// Mounts the host's device nodes where no others can be made.
    fn attach_devices(&mut self) -> Result<(), Error> {
        for (name, ..) in DEVICE_NODES {
            self.operations.push(Operation::Place {
                parent: c"dev".to_owned(),
                name: name.to_owned(),
                directory: false,
            });
            let path = Path::new("/dev").join(OsStr::from_bytes(name.to_bytes()));
            self.attach_from_host(&path, NO_SUID | NO_EXEC)?;
        }
        Ok(())
    }

    /// Mounts something of the kernel's at its usual place, as the host has it.
    fn attach_from_host(&mut self, path: &Path, attributes: MountAttributes) -> Result<(), Error> {
        self.operations.push(Operation::AttachItself {
            mount: bind(None, path, true, attributes).map_err(Error::path("mount", path))?,
            target: target(path)?,
        });
        Ok(())
    }

    fn add(&mut self, mount: &Mount) -> Result<(), Error> {
        let target = target(&mount.target)?;
        self.places(&target, mount)?;
        self.covered.push(target.to_bytes().to_vec());
        let own = if mount.read_only {
            READ_ONLY
        } else {
            MountAttributes::empty()
        };
        let operation = match &mount.source {
            Source::Bind { path, recursive } => Operation::Attach {
                mount: bind(None, path, *recursive, self.attributes | own)
                    .map_err(Error::path("mount", path))?,
                target,
            },
            Source::Open(file) => Operation::Attach {
                mount: bind(
                    Some(file.as_fd()),
                    Path::new(""),
                    false,
                    self.attributes | own,
                )
                .map_err(Error::path("mount on", &mount.target))?,
                target,
            },
            Source::Tmpfs { size, mode } => Operation::Attach {
                mount: tmpfs(*size, *mode, own)
                    .map_err(Error::path("mount memory on", &mount.target))?,
                target,
            },
            Source::File {
                content,
                mode,
                uid,
                gid,
            } => {
                self.ids.require(*uid, *gid)?;
                let (source, path) = self
                    .file(content, *mode, (*uid, *gid))
                    .map_err(Error::path("make the file", &mount.target))?;
                Operation::AttachPart {
                    source,
                    path,
                    attributes: own | HARMLESS.difference(NO_EXEC),
                    target,
                }
            }
            Source::View { lowers, path, .. } => self.view(lowers, path, own, target)?,
        };
        self.operations.push(operation);
        Ok(())
    }

    /// Has places to mount on made below an earlier mount, such as the sandbox's own `/dev`: what is in the layers is
    /// hidden there.
    fn places(&mut self, target: &CStr, mount: &Mount) -> Result<(), Error> {
        let bytes = target.to_bytes();
        let above = |covered: &&Vec<u8>| {
            bytes
                .strip_prefix(covered.as_slice())
                .is_some_and(|rest| rest.starts_with(b"/"))
        };
        let Some(covered) = self.covered.iter().filter(above).map(Vec::len).max() else {
            return Ok(());
        };
        if bytes.split(|byte| *byte == b'/').any(|name| name == b"..") {
            return Ok(());
        }
        let directory = match &mount.source {
            Source::File { .. } => false,
            Source::Bind { path, .. } => path.is_dir(),
            Source::Open(file) => rustix::fs::fstat(file)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()),
            Source::View { directory, .. } => *directory,
            Source::Tmpfs { .. } => true,
        };
        let ends = bytes.iter().enumerate().skip(covered + 1);
        let ends = ends.filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        for end in ends.chain([bytes.len()]) {
            let path = &bytes[..end];
            let (parent, name) = path.split_at(path.iter().rposition(|b| *b == b'/').unwrap_or(0));
            self.operations.push(Operation::Place {
                parent: c_string(parent, "a path")?,
                name: c_string(&name[1..], "a path")?,
                directory: directory || end < bytes.len(),
            });
        }
        Ok(())
    }

    fn view(
        &mut self,
        lowers: &[crate::Lower],
        path: &Path,
        own: MountAttributes,
        target: CString,
    ) -> Result<Operation, Error> {
        let read_only = own.contains(READ_ONLY);
        let mount = self.space.overlay(Overlay {
            lowers: lowers.to_vec(),
            upper: if read_only {
                OverlayUpper::None
            } else {
                OverlayUpper::Temporary
            },
            attributes: self.attributes | own,
        })?;
        let path = relative(path)?;
        if path.is_empty() {
            return Ok(Operation::Attach { mount, target });
        }
        self.sources.push(mount);
        Ok(Operation::AttachPart {
            source: self.sources.len() - 1,
            path,
            attributes: MountAttributes::empty(),
            target,
        })
    }

    /// Makes a file in memory, and gives the source it is in and its path there.
    fn file(
        &mut self,
        content: &[u8],
        mode: u32,
        owner: (u32, u32),
    ) -> Result<(usize, CString), Errno> {
        let (source, count) = if let Some(files) = self.files {
            files
        } else {
            let options = [(c"mode", c"0700")];
            let memory = file_system(c"tmpfs", &options, MountAttributes::empty())?;
            self.sources.push(memory);
            (self.sources.len() - 1, 0)
        };
        let name = CString::new(count.to_string()).map_err(|_| Errno::INVAL)?;
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&self.sources[source], &name, flags, Mode::RUSR)?;
        let mut rest = content;
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&file, rest)?..];
        }
        let (uid, gid) = owner;
        rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        self.files = Some((source, count + 1));
        Ok((source, name))
    }
}

fn tmpfs(size: Option<u64>, mode: u32, own: MountAttributes) -> Result<OwnedFd, Errno> {
    let number = |text: String| CString::new(text).map_err(|_| Errno::INVAL);
    let mode = number(format!("{:o}", mode & 0o7777))?;
    let size = size.map(|size| number(size.to_string())).transpose()?;
    let mut options = vec![(c"mode", mode.as_c_str())];
    options.extend(size.as_deref().map(|size| (c"size", size)));
    file_system(c"tmpfs", &options, own | NO_SUID | NO_DEVICES)
}

/// A path in the sandbox as one relative to its root.
fn relative(path: &Path) -> Result<CString, Error> {
    let bytes = path.as_os_str().as_bytes();
    let start = bytes.iter().position(|byte| *byte != b'/');
    c_string(start.map_or(b"", |start| &bytes[start..]), "a path")
}

fn target(path: &Path) -> Result<CString, Error> {
    let target = relative(path)?;
    if target.is_empty() {
        return Err(Error::path("mount on", path)(Errno::INVAL));
    }
    Ok(target)
}

/// The plan of a process with these standard streams, which reports to `status`.
pub(super) fn plan(
    process: &Process,
    possible: &Possible,
    streams: Theirs,
    status: BorrowedFd<'static>,
) -> Result<Plan, Error> {
    let cwd = process.cwd.as_os_str().as_bytes();
    let limits = process.limits.iter();
    Ok(Plan {
        status,
        stdio: streams.files,
        terminal: streams.terminal,
        join: vec![],
        surroundings: None,
        limits: limits
            .map(|limit| (limit.resource, limit.soft, limit.hard))
            .collect(),
        credentials: credentials(process, possible),
        cwd: c_string(
            if cwd.is_empty() { b"/" } else { cwd },
            "the working directory",
        )?,
        program: Program::new(&process.args, &process.env)?,
    })
}

fn credentials(process: &Process, possible: &Possible) -> Credentials {
    let user = &process.user;
    let capabilities = process.capabilities.intersection(possible.capabilities);
    Credentials {
        uid: Uid::from_raw(user.uid),
        gid: Gid::from_raw(user.gid),
        groups: possible
            .ids
            .may_set_groups()
            .then(|| user.groups.iter().copied().map(Gid::from_raw).collect()),
        capabilities,
        unbound: Capabilities::from_bits(possible.bounding.bits() & !process.capabilities.bits()),
        no_new_privileges: process.no_new_privileges,
        filter: process
            .filter_calls
            .then(|| crate::seccomp::filter(process.capabilities)),
    }
}
