//! Users and groups by the files of a root file system.

use layer::View;
use runtime::User;

use crate::error::StepError;
use crate::files::resolve::{layer_path, resolve, standing};

/// `passwd` and `group` beyond this are cut: Docker reads them whole, but a root file system is not to be trusted.
const MAX_FILE: u64 = 16 << 20;

/// The user of `USER` or `--user`, with its groups and home.
pub(crate) fn resolve_user(spec: &str, view: &View) -> Result<User, StepError> {
    let passwd = read(view, b"etc/passwd")?;
    let group = read(view, b"etc/group")?;
    Ok(runtime::resolve_user(spec, &passwd, &group)?)
}

/// The owner that `--chown` or `WORKDIR` gives: without a group, the group of the same number as the user has.
pub(crate) fn resolve_owner(spec: &str, view: &View) -> Result<(u32, u32), StepError> {
    let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
    let passwd = read(view, b"etc/passwd")?;
    let groups = read(view, b"etc/group")?;
    let found = runtime::resolve_user(user, &passwd, &groups)?;
    let numeric = user.parse::<u32>().is_ok();
    let gid = match group {
        "" if numeric => found.uid,
        "" => found.gid,
        group => runtime::resolve_group(group, &groups)?,
    };
    Ok((found.uid, gid))
}

fn read(view: &View, path: &[u8]) -> Result<Vec<u8>, StepError> {
    let path = resolve(path, |path| standing(view, path))?;
    match view.lookup(&layer_path(&path)?)? {
        Some(found) if found.kind() == layer::EntryKind::File => Ok(found.read(MAX_FILE)?),
        _ => Ok(Vec::new()),
    }
}

