//! The ids that the machine's administrator gave a user beside its own (`subuid(5)`, `subgid(5)`).

use std::fs;
use std::path::Path;

/// A range of ids of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) length: u32,
}

/// Both kinds of ids, neither of them empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subordinates {
    pub(super) users: Vec<Range>,
    pub(super) groups: Vec<Range>,
}

/// Why a user has no ids beside its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Shortfall {
    /// The administrator gave it none.
    #[error("`{file}` has no range for `{user}`")]
    NoRange {
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// The user's name, or its number if it has none.
        user: String,
    },
    /// What maps them is not installed.
    #[error("`{program}` is not installed (Debian's package `uidmap` has it)")]
    NoProgram {
        /// `newuidmap` or `newgidmap`.
        program: &'static str,
    },
    /// They are there, but what maps them would not.
    #[error("`newuidmap` or `newgidmap` would not map the ranges of `{user}`")]
    NotMapped {
        /// The user's name.
        user: String,
    },
}

const USERS: &str = "/etc/subuid";
const GROUPS: &str = "/etc/subgid";
/// The programs that map them, which are set-user-ID root or have a capability.
pub(super) const PROGRAMS: [&str; 2] = ["newuidmap", "newgidmap"];

/// The ids of a user.
pub(super) fn find(uid: u32) -> Result<Subordinates, Shortfall> {
    let name = name_of(uid);
    let ranges = |file| {
        // Without the file nobody has any.
        let found = ranges(&fs::read_to_string(file).unwrap_or_default(), &name, uid);
        if found.is_empty() {
            return Err(Shortfall::NoRange {
                file,
                user: name.clone(),
            });
        }
        Ok(found)
    };
    Ok(Subordinates {
        users: ranges(USERS)?,
        groups: ranges(GROUPS)?,
    })
}

/// Why a user who has but one id has no more.
pub(super) fn shortfall(uid: u32) -> Shortfall {
    if let Err(shortfall) = find(uid) {
        return shortfall;
    }
    match PROGRAMS.into_iter().find(|program| !is_installed(program)) {
        Some(program) => Shortfall::NoProgram { program },
        None => Shortfall::NotMapped { user: name_of(uid) },
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

fn ranges(text: &str, name: &str, uid: u32) -> Vec<Range> {
    let number = uid.to_string();
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let range = Range {
            start: fields.next()?.parse().ok()?,
            length: fields.next()?.trim_end().parse().ok()?,
        };
        (range.length > 0 && (owner == name || owner == number)).then_some(range)
    });
    ranges.collect()
}

/// The name of a user of the machine, or else its number: what is not in the file, such as a directory service's
/// users, can still be listed by number.
fn name_of(uid: u32) -> String {
    let accounts = fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_listed_by_name_or_number() {
        let text =
            "ann:100000:65536\nbob:165536:65536\n1001:300000:10\nbob:bad:1\nbob:5:0\n# bob:1:1\n";
        let range = |start, length| Range { start, length };
        assert_eq!(
            ranges(text, "bob", 1001),
            [range(165_536, 65536), range(300_000, 10)]
        );
        assert_eq!(ranges(text, "ann", 1000), [range(100_000, 65536)]);
        assert_eq!(ranges(text, "carl", 1002), []);
    }
}
