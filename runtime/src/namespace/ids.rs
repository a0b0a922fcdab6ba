//! The ids that exist in the user namespace of this process.

use std::fs;
use std::io;

use super::subordinate::{self, Shortfall};

/// As many ids as there can be: the last number is none.
const ALL: u32 = u32::MAX;

/// The user and group ids that this process can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    users: Map,
    groups: Map,
    /// Whether supplementary groups can be changed.
    may_set_groups: bool,
}

/// An id that nothing can belong to in the user namespace of this process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MissingId {
    /// There is but one.
    #[error("there is no {kind} {id}, only the one id of the user who runs this: {reason}")]
    Single {
        /// `user` or `group`.
        kind: &'static str,
        /// Which.
        id: u32,
        /// Why there is but one.
        reason: Shortfall,
    },
    /// There are more, but not this one.
    #[error("there is no {kind} {id} in the user namespace")]
    Beyond {
        /// `user` or `group`.
        kind: &'static str,
        /// Which.
        id: u32,
    },
}

/// `/proc/self/uid_map` or `gid_map`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Map(Vec<Extent>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    inside: u32,
    outside: u32,
    length: u32,
}

impl Ids {
    /// Those of the namespace that the process is in now.
    pub fn current() -> io::Result<Self> {
        let users = Map::read("/proc/self/uid_map")?;
        if users.is_everything() {
            return Ok(Self::machine());
        }
        Ok(Self {
            users,
            groups: Map::read("/proc/self/gid_map")?,
            may_set_groups: fs::read_to_string("/proc/self/setgroups")?.trim() == "allow",
        })
    }

    /// Those of the machine itself, where no namespace is between.
    fn machine() -> Self {
        let all = Map(vec![Extent {
            inside: 0,
            outside: 0,
            length: ALL,
        }]);
        Self {
            users: all.clone(),
            groups: all,
            may_set_groups: true,
        }
    }

    /// Whether the ids are those of the machine, so that no user namespace limits what the superuser may do.
    pub fn are_the_machines(&self) -> bool {
        self.users.is_everything()
    }

    /// Whether a file or process can belong to this user.
    pub fn has_user(&self, uid: u32) -> bool {
        self.users.outside(uid).is_some()
    }

    /// Whether a file or process can belong to this group.
    pub fn has_group(&self, gid: u32) -> bool {
        self.groups.outside(gid).is_some()
    }

    /// Finds out whether something can belong to this owner.
    pub fn require(&self, uid: u32, gid: u32) -> Result<(), MissingId> {
        let (kind, id) = if !self.has_user(uid) {
            ("user", uid)
        } else if !self.has_group(gid) {
            ("group", gid)
        } else {
            return Ok(());
        };
        Err(match self.shortfall() {
            Some(reason) => MissingId::Single { kind, id, reason },
            None => MissingId::Beyond { kind, id },
        })
    }

    pub(crate) fn may_set_groups(&self) -> bool {
        self.may_set_groups
    }

    /// Why there is no id but the user's own, where that is so.
    pub fn shortfall(&self) -> Option<Shortfall> {
        let [
            Extent {
                inside: 0,
                outside,
                length: 1,
            },
        ] = self.users.0[..]
        else {
            return None;
        };
        Some(subordinate::shortfall(outside))
    }
}

impl Map {
    fn read(path: &str) -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string(path)?))
    }

    fn parse(text: &str) -> Self {
        let extents = text.lines().filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some(Extent {
                inside: next()?,
                outside: next()?,
                length: next()?,
            })
        });
        Self(extents.collect())
    }

    fn is_everything(&self) -> bool {
        matches!(
            self.0[..],
            [Extent {
                inside: 0,
                outside: 0,
                length: ALL
            }]
        )
    }

    fn outside(&self, id: u32) -> Option<u32> {
        self.0.iter().find_map(|extent| {
            let offset = id.checked_sub(extent.inside)?;
            (offset < extent.length).then(|| extent.outside.wrapping_add(offset))
        })
    }
}

/// Whether this process is the superuser outside of any user namespace that it made or was put in by an ordinary user.
pub fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
        && Map::read("/proc/self/uid_map").is_ok_and(|map| map.outside(0) == Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_ids_are_told_apart() {
        let machine = Map::parse("         0          0 4294967295\n");
        assert!(machine.is_everything());
        assert_eq!(machine.outside(65534), Some(65534));
        let mapped = Map::parse("0 1000 1\n1 100000 65536\n");
        assert!(!mapped.is_everything());
        for (id, outside) in [
            (0, Some(1000)),
            (1, Some(100_000)),
            (65536, Some(165_535)),
            (65537, None),
        ] {
            assert_eq!(mapped.outside(id), outside, "{id}");
        }
        assert_eq!(Map::parse(""), Map(vec![]));
    }

    #[test]
    fn only_a_single_id_is_a_shortfall() {
        let ids = |text| Ids {
            users: Map::parse(text),
            groups: Map::parse(text),
            may_set_groups: false,
        };
        assert!(ids("0 4000000000 1\n").shortfall().is_some());
        assert!(ids("0 1000 1\n1 100000 65536\n").shortfall().is_none());
        assert!(Ids::machine().shortfall().is_none());
    }
}
