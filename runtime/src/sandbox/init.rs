//! What a new process does between its birth and its program.
//!
//! Only system calls: see [`super::plan`]. Descriptors that are opened here stay open until all are closed at once:
//! closing one goes through the C library.

use std::convert::Infallible;
use std::ffi::{CStr, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsOpenFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_set_string, fsopen,
    move_mount, open_tree, unmount,
};
use rustix::process::{Rlimit, Signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, LinkNameSpaceType, UnshareFlags, move_into_link_name_space,
};

use super::execute::execute;
use super::plan::{Credentials, Failure, FileSystem, Operation, Plan, Surroundings};
use crate::capability::Capabilities;
use crate::error::Stage;
use crate::mount::finish;
use crate::sys::{self, MountAttributes};

/// Where the launcher's namespace takes the new root.
pub(super) const NEW_ROOT: &CStr = c"/root";
/// Where it takes what parts are mounted from.
pub(super) const SOURCES: &CStr = c"/sources";

/// Sets the process up and executes its program, or reports why not and ends.
///
/// # Safety
/// `plan` must point to a [`Plan`] that stays as it is until the process has executed its program or ended.
pub(super) unsafe extern "C" fn run(plan: *const c_void) -> ! {
    // SAFETY: the caller's promise.
    let plan = unsafe { &*plan.cast::<Plan>() };
    let Err(failure) = set_up(plan);
    // There is nobody else to tell.
    let _ = rustix::io::write(plan.status.as_fd(), &failure.to_bytes());
    sys::exit(127)
}

fn set_up(plan: &Plan) -> Result<Infallible, Failure> {
    start_session(plan).at(Stage::Session)?;
    for file in &plan.join {
        rustix::io::write(file.as_fd(), b"0").at(Stage::Cgroup)?;
    }
    if let Some(surroundings) = &plan.surroundings {
        surround(surroundings)?;
    }
    for (index, (resource, soft, hard)) in plan.limits.iter().enumerate() {
        limit(*resource, *soft, *hard).at_index(Stage::Limit, index)?;
    }
    take_streams(plan).at(Stage::Session)?;
    close_others(plan).at(Stage::Descriptors)?;
    become_user(&plan.credentials)?;
    rustix::process::chdir(plan.cwd.as_c_str()).at(Stage::WorkingDirectory)?;
    die_with_parent(plan).at(Stage::Session)?;
    if plan.credentials.no_new_privileges {
        rustix::thread::set_no_new_privs(true).at(Stage::Seccomp)?;
        filter_calls(&plan.credentials)?;
    }
    sys::set_signal_mask(0).at(Stage::Session)?;
    execute(&plan.program).at(Stage::Exec)
}

fn start_session(plan: &Plan) -> Result<(), Errno> {
    if plan.surroundings.is_none() {
        // This process will be seen by those inside while it still has what is outside in its memory.
        sys::set_dumpable(false)?;
    }
    sys::reset_signals()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::setsid()?;
    Ok(())
}

/// A change of user takes the signal at the parent's death back, so it is set again; and the parent may be dead already.
fn die_with_parent(plan: &Plan) -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut status = [PollFd::new(&plan.status, PollFlags::empty())];
    rustix::event::poll(&mut status, Some(&now))?;
    // Nobody can read what is written there any more.
    if status[0].revents().contains(PollFlags::ERR) {
        sys::exit(127);
    }
    Ok(())
}

fn take_streams(plan: &Plan) -> Result<(), Errno> {
    let [stdin, stdout, stderr] = plan.streams();
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    if plan.terminal {
        rustix::process::ioctl_tiocsctty(stdin)?;
    }
    Ok(())
}

/// Closes everything but the standard streams and the report's pipe, which closes itself. What the image says comes
/// after it: a working directory or a program called `/proc/self/fd/N` must find nothing of the host (CVE-2024-21626).
fn close_others(plan: &Plan) -> Result<(), Errno> {
    let status = plan.status.as_raw_fd();
    sys::close_range(3, status - 1)?;
    sys::close_range(status + 1, i32::MAX)
}

fn surround(surroundings: &Surroundings) -> Result<(), Failure> {
    if surroundings.cgroup_namespace {
        // SAFETY: only the view of cgroups changes.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) }.at(Stage::Cgroup)?;
    }
    rustix::system::sethostname(surroundings.host_name.as_bytes()).at(Stage::HostName)?;
    if let Some(network) = &surroundings.network {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(network.as_fd(), kind).at(Stage::Network)?;
    }
    if surroundings.loopback {
        bring_loopback_up().at(Stage::Loopback)?;
    }
    let root = surroundings.root.as_fd();
    attach_here(root, NEW_ROOT).at(Stage::Root)?;
    for source in &surroundings.sources {
        attach_here(source.as_fd(), SOURCES).at(Stage::Root)?;
    }
    let mut mounter = Mounter {
        root,
        sources: &surroundings.sources,
        empty: None,
        null: None,
    };
    for (index, operation) in surroundings.operations.iter().enumerate() {
        mounter
            .perform(operation)
            .map_err(|(stage, error)| Failure {
                stage,
                error,
                index: index as u32,
            })?;
    }
    enter_root(root).at(Stage::PivotRoot)
}

fn bring_loopback_up() -> Result<(), Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::CLOEXEC;
    let socket = keep(socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        flags,
        None,
    )?);
    sys::set_socket_interface_up(socket, c"lo")
}

fn attach_here(mount: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(mount, c"", CWD, path, flags)
}

/// Makes `root` the root, and leaves nothing of the old one.
fn enter_root(root: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::process::fchdir(root)?;
    sys::pivot_root(c".", c".")?;
    // The old root lies on the new one now.
    unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

/// Mounts things beneath a root.
struct Mounter<'a> {
    root: BorrowedFd<'a>,
    sources: &'a [OwnedFd],
    /// An empty directory to mask others with, once there is one.
    empty: Option<BorrowedFd<'static>>,
    /// The null device to mask files with, once it was needed.
    null: Option<BorrowedFd<'static>>,
}

/// What failed in mounting, and how.
type MountFailure = (Stage, Errno);

impl Mounter<'_> {
    fn perform(&mut self, operation: &Operation) -> Result<(), MountFailure> {
        match operation {
            Operation::Make {
                file_system,
                target,
            } => {
                let mount = make(file_system).during(Stage::MakeMount)?;
                let target = self.find_itself(target).during(Stage::MountTarget)?;
                attach_to(mount, target).during(Stage::Mount)
            }
            Operation::FillDevices { nodes } => {
                let devices = self.find_itself(c"dev").during(Stage::MountTarget)?;
                fill_devices(devices, *nodes).during(Stage::MakeMount)
            }
            Operation::Place {
                parent,
                name,
                directory,
            } => {
                let parent = self.find(parent).during(Stage::Place)?;
                place(parent, name, *directory).during(Stage::Place)
            }
            Operation::Attach { mount, target } => self.attach(mount.as_fd(), target),
            Operation::AttachItself { mount, target } => {
                let target = self.find_itself(target).during(Stage::MountTarget)?;
                attach_to(mount.as_fd(), target).during(Stage::Mount)
            }
            Operation::AttachPart {
                source,
                path,
                attributes,
                target,
            } => {
                let source = self.sources[*source].as_fd();
                let part = find(source, path, ResolveFlags::IN_ROOT);
                let part = part.and_then(|part| copy(part, *attributes, false));
                self.attach(part.during(Stage::MakeMount)?, target)
            }
            Operation::Console => {
                let terminal = self.console().during(Stage::MakeMount)?;
                self.attach(terminal, c"dev/console")
            }
            Operation::Mask(path) => self.mask(path).during(Stage::Mask),
            Operation::ReadOnly(path) => self.make_read_only(path).during(Stage::ReadOnly),
        }
    }

    fn attach(&self, mount: BorrowedFd<'_>, target: &CStr) -> Result<(), MountFailure> {
        let target = self.find(target).during(Stage::MountTarget)?;
        attach_to(mount, target).during(Stage::Mount)
    }

    fn find(&self, path: &CStr) -> Result<BorrowedFd<'static>, Errno> {
        find(self.root, path, ResolveFlags::IN_ROOT)
    }

    /// Finds a place of the system's own, on the way to which no link is followed: it would let an image say what is
    /// hidden and made read-only in place of the kernel's files (CVE-2023-27561).
    fn find_itself(&self, path: &CStr) -> Result<BorrowedFd<'static>, Errno> {
        find(
            self.root,
            path,
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        )
    }

    /// A copy of the terminal's mount, and a file to mount it on.
    fn console(&self) -> Result<BorrowedFd<'static>, Errno> {
        let devices = self.find_itself(c"dev")?;
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(devices, c"console", FileType::RegularFile, mode, 0)?;
        let terminal = find(devices, c"pts/0", ResolveFlags::BENEATH)?;
        copy(terminal, MountAttributes::empty(), false)
    }

    fn mask(&mut self, path: &CStr) -> Result<(), Errno> {
        let target = match self.find_itself(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            target => target?,
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(target)?.st_mode);
        let cover = if kind == FileType::Directory {
            match self.empty {
                Some(empty) => copy(empty, MountAttributes::empty(), false)?,
                None => *self.empty.insert(make(&EMPTY)?),
            }
        } else {
            let null = match self.null {
                Some(null) => null,
                None => *self.null.insert(self.find_itself(c"dev/null")?),
            };
            copy(null, MountAttributes::empty(), false)?
        };
        attach_to(cover, target)
    }

    fn make_read_only(&self, path: &CStr) -> Result<(), Errno> {
        let target = match self.find(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            target => target?,
        };
        attach_to(copy(target, MountAttributes::READ_ONLY, true)?, target)
    }
}

/// What directories are masked with.
const EMPTY: FileSystem = FileSystem {
    kind: c"tmpfs",
    options: &[(c"mode", c"0555"), (c"nr_inodes", c"1")],
    attributes: MountAttributes::READ_ONLY
        .union(MountAttributes::NO_SUID)
        .union(MountAttributes::NO_DEVICES)
        .union(MountAttributes::NO_EXEC),
};

fn make(file_system: &FileSystem) -> Result<BorrowedFd<'static>, Errno> {
    let context = keep(fsopen(file_system.kind, FsOpenFlags::FSOPEN_CLOEXEC)?);
    for (key, value) in file_system.options {
        fsconfig_set_string(context, *key, *value)?;
    }
    finish(context, file_system.attributes).map(keep)
}

/// Finds a path beneath a root; no link leads out of it, whatever `links` says of those that stay inside.
fn find(
    root: BorrowedFd<'_>,
    path: &CStr,
    links: ResolveFlags,
) -> Result<BorrowedFd<'static>, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = links | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // Something was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            found => return found.map(keep),
        }
    }
}

fn copy(
    of: BorrowedFd<'_>,
    attributes: MountAttributes,
    recursive: bool,
) -> Result<BorrowedFd<'static>, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = keep(open_tree(of, c"", flags)?);
    if !attributes.is_empty() {
        sys::set_mount_attributes(mount, attributes, recursive)?;
    }
    Ok(mount)
}

fn attach_to(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// Makes a place to mount on, unless there is one.
fn place(parent: BorrowedFd<'_>, name: &CStr, directory: bool) -> Result<(), Errno> {
    let made = if directory {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))
    } else {
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(parent, name, FileType::RegularFile, mode, 0)
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// The nodes that every program may count on, with their numbers.
pub(super) const DEVICE_NODES: [(&CStr, u32, u32); 6] = [
    (c"null", 1, 3),
    (c"zero", 1, 5),
    (c"full", 1, 7),
    (c"random", 1, 8),
    (c"urandom", 1, 9),
    (c"tty", 5, 0),
];

const DEVICE_LINKS: [(&CStr, &CStr); 6] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
    (c"core", c"/proc/kcore"),
];

fn fill_devices(devices: BorrowedFd<'_>, nodes: bool) -> Result<(), Errno> {
    let usual = rustix::process::umask(Mode::empty());
    for (name, major, minor) in DEVICE_NODES.iter().filter(|_| nodes).copied() {
        let number = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(devices, name, FileType::CharacterDevice, mode, number)?;
    }
    for (name, target) in DEVICE_LINKS {
        rustix::fs::symlinkat(target, devices, name)?;
    }
    for name in [c"pts", c"shm", c"mqueue"] {
        rustix::fs::mkdirat(devices, name, Mode::from_raw_mode(0o755))?;
    }
    rustix::process::umask(usual);
    Ok(())
}

/// Sets a limit, cut to what this process may have.
fn limit(
    resource: rustix::process::Resource,
    soft: Option<u64>,
    hard: Option<u64>,
) -> Result<(), Errno> {
    let wanted = Rlimit {
        current: soft,
        maximum: hard,
    };
    match rustix::process::setrlimit(resource, wanted) {
        Err(Errno::PERM) => {
            let maximum = rustix::process::getrlimit(resource).maximum;
            let cut = |value: Option<u64>| match (value, maximum) {
                (Some(value), Some(maximum)) => Some(value.min(maximum)),
                (value, maximum) => value.or(maximum),
            };
            let possible = Rlimit {
                current: cut(soft),
                maximum: cut(hard),
            };
            rustix::process::setrlimit(resource, possible)
        }
        result => result,
    }
}

fn become_user(credentials: &Credentials) -> Result<(), Failure> {
    if !credentials.no_new_privileges {
        // Needs a power that is gone afterwards.
        filter_calls(credentials)?;
    }
    for number in 0..64 {
        let one = Capabilities::from_bits(1 << number);
        if credentials.unbound.intersection(one) == one {
            let one = CapabilitySet::from_bits_retain(one.bits());
            rustix::thread::remove_capability_from_bounding_set(one).at(Stage::Capabilities)?;
        }
    }
    rustix::thread::set_keep_capabilities(true).at(Stage::Capabilities)?;
    if let Some(groups) = &credentials.groups {
        rustix::thread::set_thread_groups(groups).at(Stage::User)?;
    }
    let (uid, gid) = (credentials.uid, credentials.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).at(Stage::User)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).at(Stage::User)?;
    rustix::thread::set_keep_capabilities(false).at(Stage::Capabilities)?;
    rustix::thread::clear_ambient_capability_set().at(Stage::Capabilities)?;
    let kept = CapabilitySet::from_bits_retain(credentials.capabilities.bits());
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).at(Stage::Capabilities)
}

fn filter_calls(credentials: &Credentials) -> Result<(), Failure> {
    match &credentials.filter {
        Some(filter) => sys::install_seccomp_filter(filter).at(Stage::Seccomp),
        None => Ok(()),
    }
}

/// Keeps a descriptor open for the rest of this process.
pub(super) fn keep(fd: OwnedFd) -> BorrowedFd<'static> {
    // SAFETY: ownership was just given up, and nothing here closes descriptors.
    unsafe { BorrowedFd::borrow_raw(fd.into_raw_fd()) }
}

/// Adds where an error happened.
trait At<T> {
    fn at(self, stage: Stage) -> Result<T, Failure>;
    fn at_index(self, stage: Stage, index: usize) -> Result<T, Failure>;
    fn during(self, stage: Stage) -> Result<T, MountFailure>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, stage: Stage) -> Result<T, Failure> {
        self.at_index(stage, 0)
    }

    fn at_index(self, stage: Stage, index: usize) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            stage,
            error,
            index: index as u32,
        })
    }

    fn during(self, stage: Stage) -> Result<T, MountFailure> {
        self.map_err(|error| (stage, error))
    }
}
