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

/// The owner that `--chown` or `WORKDIR` gives. A number stands for itself, and alone also for the group; a name alone
/// has its primary group (BuildKit's `readUser`).
pub(crate) fn resolve_owner(spec: &str, view: &View) -> Result<(u32, u32), StepError> {
    let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
    let (uid, own_group) = if let Ok(uid) = user.parse() {
        (uid, uid)
    } else {
        let passwd = read(view, b"etc/passwd")?;
        let found = runtime::resolve_user(user, &passwd, b"")?;
        (found.uid, found.gid)
    };
    let gid = match (group, group.parse()) {
        ("", _) => own_group,
        (_, Ok(gid)) => gid,
        (name, Err(_)) => runtime::resolve_group(name, &read(view, b"etc/group")?)?,
    };
    Ok((uid, gid))
}

fn read(view: &View, path: &[u8]) -> Result<Vec<u8>, StepError> {
    let path = resolve(path, |path| standing(view, path))?;
    match view.lookup(&layer_path(&path)?)? {
        Some(found) if found.kind() == layer::EntryKind::File => Ok(found.read(MAX_FILE)?),
        _ => Ok(Vec::new()),
    }
}
