//! Where cgroups are mounted.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    pub(super) mount_point: PathBuf,
}

/// Which kind of hierarchy is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// The one of version 2.
    Unified,
    /// The one of version 1 that controls devices.
    Devices,
}

impl Hierarchy {
    /// The best that this process sees mounted.
    pub(super) fn find() -> Option<Self> {
        Self::among(&std::fs::read("/proc/self/mountinfo").ok()?)
    }

    fn among(mountinfo: &[u8]) -> Option<Self> {
        let mut old = None;
        for line in mountinfo.split(|byte| *byte == b'\n') {
            let fields: Vec<_> = line.split(|byte| *byte == b' ').collect();
            let Some(dash) = fields.iter().position(|field| *field == b"-") else {
                continue;
            };
            let (Some(mount_point), Some(kind)) = (fields.get(4), fields.get(dash + 1)) else {
                continue;
            };
            let options = fields.get(dash + 3).copied().unwrap_or_default();
            let found = |version| Self {
                version,
                mount_point: unescape(mount_point),
            };
            match *kind {
                b"cgroup2" => return Some(found(Version::Unified)),
                b"cgroup" if options.split(|byte| *byte == b',').any(|o| o == b"devices") => {
                    old = Some(found(Version::Devices));
                }
                _ => {}
            }
        }
        old
    }

    /// The cgroup that this process is in.
    pub(super) fn own(&self) -> Option<PathBuf> {
        self.member(&std::fs::read("/proc/self/cgroup").ok()?)
    }

    /// The cgroup that a process is in.
    pub(super) fn of(&self, pid: u32) -> Option<PathBuf> {
        let cgroups = std::fs::read(format!("/proc/{pid}/cgroup")).ok()?;
        self.member(&cgroups)
    }

    /// The cgroup in the contents of `/proc/PID/cgroup`: lines of number, controllers and path.
    fn member(&self, cgroups: &[u8]) -> Option<PathBuf> {
        let path = cgroups.split(|byte| *byte == b'\n').find_map(|line| {
            let mut fields = line.splitn(3, |byte| *byte == b':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let ours = match self.version {
                Version::Unified => number == b"0",
                Version::Devices => controllers
                    .split(|byte| *byte == b',')
                    .any(|name| name == b"devices"),
            };
            ours.then_some(path)
        })?;
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        let inside = path.strip_prefix("/").ok()?;
        // A cgroup outside of what is mounted shows as a way up.
        let plain = |path: &Path| {
            path.components()
                .all(|component| matches!(component, std::path::Component::Normal(_)))
        };
        plain(inside).then(|| self.mount_point.join(inside))
    }
}

/// Whether a cgroup can have processes in it, and not only threads, by its type, which the old hierarchies have not.
pub(super) fn holds_processes(cgroup: &Path) -> bool {
    std::fs::read_to_string(cgroup.join("cgroup.type")).map_or(true, |kind| kind.trim() == "domain")
}

/// Undoes the octal escapes of `mountinfo`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escape = after.get(..3).filter(|digits| {
            byte == b'\\' && digits.iter().all(|digit| (b'0'..b'8').contains(digit))
        });
        if let Some(digits) = escape {
            let value = digits
                .iter()
                .fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            path.push(value as u8);
            rest = &after[3..];
        } else {
            path.push(byte);
            rest = after;
        }
    }
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        31 30 0:27 / /sys/fs/cgroup/devices rw shared:5 - cgroup cgroup rw,devices\n\
        32 30 0:28 / /sys/fs/cgroup/a\\040b rw - cgroup2 cgroup2 rw,nsdelegate\n";

    fn hierarchy(version: Version, mount_point: &str) -> Hierarchy {
        Hierarchy {
            version,
            mount_point: mount_point.into(),
        }
    }

    #[test]
    fn unified_is_preferred() {
        let found = Hierarchy::among(HYBRID);
        assert_eq!(
            found,
            Some(hierarchy(Version::Unified, "/sys/fs/cgroup/a b"))
        );
    }

    #[test]
    fn devices_serve_without_it() {
        let old = HYBRID.rsplitn(3, |byte| *byte == b'\n').last();
        assert_eq!(
            Hierarchy::among(old.expect("has lines")),
            Some(hierarchy(Version::Devices, "/sys/fs/cgroup/devices"))
        );
        assert_eq!(Hierarchy::among(b"broken\n1 2 3 - \n"), None);
    }

    #[test]
    fn membership_is_read() {
        let cgroups = b"4:cpu,devices:/a/b\n0::/rbuild/1-0/3\n";
        let unified = hierarchy(Version::Unified, "/u");
        assert_eq!(unified.member(cgroups), Some("/u/rbuild/1-0/3".into()));
        let devices = hierarchy(Version::Devices, "/d");
        assert_eq!(devices.member(cgroups), Some("/d/a/b".into()));
        assert_eq!(unified.member(b"0::/../outside\n"), None);
        assert_eq!(unified.member(b"nonsense"), None);
    }
}
