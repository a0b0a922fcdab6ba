//! Finding the user of `USER`, `--user` and `--chown` in an image's own `passwd` and `group`.
//!
//! The rules are Docker's (moby/sys, `user.GetExecUser`): a number is an id and never a name; a name must be listed; the
//! groups that list the user are its supplementary groups unless a group was asked for.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups, the primary one among them.
    pub groups: Vec<u32>,
    /// The home directory, `/` when `passwd` has none.
    pub home: PathBuf,
}

impl User {
    /// The superuser of a root file system without a `passwd`.
    pub fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            groups: vec![0],
            home: PathBuf::from("/"),
        }
    }
}

/// A user or group that can't be found.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserError {
    /// A name that `passwd` does not list.
    #[error("unable to find user {name}: no matching entries in passwd file")]
    NoSuchUser {
        /// As asked for.
        name: String,
    },
    /// A name that `group` does not list.
    #[error("unable to find group {name}: no matching entries in group file")]
    NoSuchGroup {
        /// As asked for.
        name: String,
    },
    /// A number that is no id.
    #[error("`{id}`: uids and gids must be in range 0-2147483647")]
    OutOfRange {
        /// As asked for.
        id: String,
    },
}

/// The largest id that Docker takes.
const LARGEST_ID: u32 = i32::MAX as u32;

/// Resolves `spec`, which is `user`, `user:group`, `:group` or empty (user 0), with the contents of `/etc/passwd` and
/// `/etc/group` of the root file system; pass empty contents for files that do not exist.
pub fn resolve_user(spec: &str, passwd: &[u8], group: &[u8]) -> Result<User, UserError> {
    let (user_name, group_name) = spec.split_once(':').unwrap_or((spec, ""));
    let wanted = if user_name.is_empty() {
        Name::Id(0)
    } else {
        Name::parse(user_name)?
    };
    let entry = entries(passwd)
        .filter_map(|fields| Account::parse(&fields))
        .find(|account| wanted.names(account.name, account.uid));
    let mut user = match (&entry, &wanted) {
        (Some(account), _) => User {
            uid: account.uid,
            gid: account.gid,
            groups: vec![],
            home: account.home(),
        },
        (None, Name::Id(uid)) => User {
            uid: *uid,
            ..User::root()
        },
        (None, Name::Text(name)) => {
            return Err(UserError::NoSuchUser {
                name: (*name).to_owned(),
            });
        }
    };
    user.groups.clear();
    if group_name.is_empty() {
        if let Some(account) = &entry {
            user.groups = groups_of(account.name, group);
        }
    } else {
        user.gid = resolve_group(group_name, group)?;
    }
    if !user.groups.contains(&user.gid) {
        user.groups.insert(0, user.gid);
    }
    Ok(user)
}

/// Resolves the name or number of a group with the content of `/etc/group`.
pub fn resolve_group(name: &str, group: &[u8]) -> Result<u32, UserError> {
    match Name::parse(name)? {
        // A number stands for itself whether it is listed or not.
        Name::Id(gid) => Ok(gid),
        Name::Text(name) => entries(group)
            .filter_map(|fields| Some((*fields.first()?, number(fields.get(2)?)?)))
            .find(|(listed, _)| *listed == name.as_bytes())
            .map(|(_, gid)| gid)
            .ok_or_else(|| UserError::NoSuchGroup {
                name: name.to_owned(),
            }),
    }
}

/// How a user or group was written.
enum Name<'a> {
    Id(u32),
    Text(&'a str),
}

impl<'a> Name<'a> {
    fn parse(text: &'a str) -> Result<Self, UserError> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Text(text));
        }
        text.parse()
            .ok()
            .filter(|id| *id <= LARGEST_ID)
            .map(Self::Id)
            .ok_or_else(|| UserError::OutOfRange {
                id: text.to_owned(),
            })
    }

    fn names(&self, name: &[u8], id: u32) -> bool {
        match self {
            Self::Id(wanted) => *wanted == id,
            Self::Text(wanted) => wanted.as_bytes() == name,
        }
    }
}

/// A line of `passwd`.
struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

impl<'a> Account<'a> {
    fn parse(fields: &[&'a [u8]]) -> Option<Self> {
        Some(Self {
            name: fields.first()?,
            uid: number(fields.get(2)?)?,
            gid: number(fields.get(3)?)?,
            home: fields.get(5).copied().unwrap_or_default(),
        })
    }

    fn home(&self) -> PathBuf {
        if self.home.is_empty() {
            return PathBuf::from("/");
        }
        OsString::from_vec(self.home.to_vec()).into()
    }
}

/// The groups that list this user among their members.
fn groups_of(user: &[u8], group: &[u8]) -> Vec<u32> {
    let mut groups = vec![];
    for fields in entries(group) {
        let (Some(gid), Some(members)) =
            (fields.get(2).and_then(|field| number(field)), fields.get(3))
        else {
            continue;
        };
        if members.split(|byte| *byte == b',').any(|name| name == user) && !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    groups
}

/// The lines of a colon-separated file, in fields.
fn entries(file: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    file.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(|line| line.split(|byte| *byte == b':').collect())
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field)
        .ok()?
        .parse()
        .ok()
        .filter(|id| *id <= LARGEST_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\n\n# comment\nbroken\nworse:x:many:few::/:\n\
        app:x:1000:1001:App:/home/app:/bin/sh\n1234:x:77:77::/odd:/bin/sh\nlast:x:5:6";
    const GROUP: &[u8] =
        b"root:x:0:\nwheel:x:10:root,app\nvideo:x:44:app\napp:x:1001:\nbad:x::app\n";

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> User {
        User {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.into(),
        }
    }

    #[test]
    fn users_resolve_as_dockers() {
        for (spec, expected) in [
            ("", user(0, 0, &[0, 10], "/root")),
            ("root", user(0, 0, &[0, 10], "/root")),
            ("app", user(1000, 1001, &[1001, 10, 44], "/home/app")),
            ("1000", user(1000, 1001, &[1001, 10, 44], "/home/app")),
            ("app:video", user(1000, 44, &[44], "/home/app")),
            ("app:7", user(1000, 7, &[7], "/home/app")),
            ("4711", user(4711, 0, &[0], "/")),
            ("4711:4712", user(4711, 4712, &[4712], "/")),
            ("1234", user(1234, 0, &[0], "/")),
            (":video", user(0, 44, &[44], "/root")),
            ("last", user(5, 6, &[6], "/")),
        ] {
            assert_eq!(resolve_user(spec, PASSWD, GROUP), Ok(expected), "{spec}");
        }
    }

    #[test]
    fn without_files_numbers_still_resolve() {
        assert_eq!(resolve_user("", b"", b""), Ok(User::root()));
        assert_eq!(resolve_user("7:8", b"", b""), Ok(user(7, 8, &[8], "/")));
    }

    #[test]
    fn errors_read_as_dockers() {
        for (spec, message) in [
            (
                "foo",
                "unable to find user foo: no matching entries in passwd file",
            ),
            (
                "app:foo",
                "unable to find group foo: no matching entries in group file",
            ),
            (
                "2147483648",
                "`2147483648`: uids and gids must be in range 0-2147483647",
            ),
            (
                "0:99999999999",
                "`99999999999`: uids and gids must be in range 0-2147483647",
            ),
            ("-1", "`-1`: uids and gids must be in range 0-2147483647"),
        ] {
            let error = resolve_user(spec, PASSWD, GROUP).expect_err(spec);
            assert_eq!(error.to_string(), message);
        }
    }
}
