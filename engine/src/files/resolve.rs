//! Follows symbolic links beneath a root, by name.

use layer::View;

use super::select::join;
use crate::error::FileError;

/// Links followed in one path before it counts as a loop (containerd's `RootPath` allows as many).
const MAX_LINKS: usize = 255;

/// What stands at a path.
#[derive(Debug)]
pub(crate) enum Standing {
    Nothing,
    Directory,
    /// A link and its target.
    Symlink(Vec<u8>),
    Other,
}

/// What stands at a path of a merged root file system; the path has no links to follow on the way.
pub(crate) fn standing(view: &View, path: &[u8]) -> Result<Standing, FileError> {
    if path.is_empty() {
        return Ok(Standing::Directory);
    }
    let Some(found) = view.lookup(&layer_path(path)?)? else {
        return Ok(Standing::Nothing);
    };
    Ok(match found.kind() {
        layer::EntryKind::Directory => Standing::Directory,
        layer::EntryKind::Symlink => Standing::Symlink(found.link_target()?),
        _ => Standing::Other,
    })
}

/// Follows every link of `path`, the last one too; what does not exist stays as written. The result is relative to the
/// root and has no `..`.
pub(crate) fn resolve(
    path: &[u8],
    standing: impl Fn(&[u8]) -> Result<Standing, FileError>,
) -> Result<Vec<u8>, FileError> {
    let mut pending: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
    let mut resolved: Vec<u8> = Vec::new();
    let mut followed = 0;
    while let Some(component) = pending.pop() {
        if component == b".." {
            resolved.truncate(parent_of(&resolved).len());
            continue;
        }
        let candidate = join(&resolved, &component);
        let Standing::Symlink(target) = standing(&candidate)? else {
            resolved = candidate;
            continue;
        };
        followed += 1;
        if followed > MAX_LINKS {
            return Err(FileError::TooManyLinks(display(path)));
        }
        if target.starts_with(b"/") {
            resolved.clear();
        }
        pending.extend(components(&target).rev().map(<[u8]>::to_vec));
    }
    Ok(resolved)
}

/// The path without its last component.
pub(crate) fn parent_of(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(b"", |slash| &path[..slash])
}

/// The components of a path as written, without empty ones and `.`.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
}

/// Where each component of a normalised relative path ends: `a/b` gives 1 and 3.
pub(crate) fn ends_of_components(path: &[u8]) -> impl Iterator<Item = usize> {
    let last = (!path.is_empty()).then_some(path.len());
    path.iter()
        .enumerate()
        .filter_map(|(at, byte)| (*byte == b'/').then_some(at))
        .chain(last)
}

pub(crate) fn layer_path(path: &[u8]) -> Result<layer::LayerPath, FileError> {
    layer::LayerPath::new(path).map_err(|_| FileError::BadPath(display(path)))
}

/// A path of a root file system, for people.
pub(crate) fn display(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with `lib -> usr/lib`, `usr/lib/`, `abs -> /usr`, `up -> ../../usr`, `loop -> loop`.
    fn sample(path: &[u8]) -> Standing {
        match path {
            b"usr" | b"usr/lib" | b"" => Standing::Directory,
            b"lib" => Standing::Symlink(b"usr/lib".to_vec()),
            b"abs" => Standing::Symlink(b"/usr".to_vec()),
            b"up" => Standing::Symlink(b"../../usr".to_vec()),
            b"loop" => Standing::Symlink(b"loop".to_vec()),
            _ => Standing::Nothing,
        }
    }

    #[test]
    fn links_are_followed_beneath_the_root() {
        let cases: [(&[u8], &[u8]); 8] = [
            (b"/", b""),
            (b"/lib/x", b"usr/lib/x"),
            (b"abs/lib", b"usr/lib"),
            (b"/up/lib/", b"usr/lib"),
            (b"../../lib", b"usr/lib"),
            (b"/lib/../y", b"usr/y"),
            (b"/new/./dir", b"new/dir"),
            (b"new/../lib", b"usr/lib"),
        ];
        for (path, expected) in cases {
            assert_eq!(
                resolve(path, |path| Ok(sample(path))).expect("no loop"),
                expected
            );
        }
    }

    #[test]
    fn a_circle_of_links_is_an_error() {
        assert!(matches!(
            resolve(b"/loop/x", |path| Ok(sample(path))),
            Err(FileError::TooManyLinks(_))
        ));
    }

    #[test]
    fn components_end_where_they_end() {
        let ends = |path: &[u8]| ends_of_components(path).collect::<Vec<_>>();
        assert_eq!(ends(b""), [0; 0]);
        assert_eq!(ends(b"ab"), [2]);
        assert_eq!(ends(b"ab/c"), [2, 4]);
    }
}
