//! Paths inside a layer.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest name of one component (Linux: `NAME_MAX`).
pub const MAX_NAME: usize = 255;
/// The longest path: what one system call takes (Linux: `PATH_MAX` without its final NUL).
pub const MAX_PATH: usize = 4095;

/// A path relative to a layer's root: bytes, components parted by single `/`, none of them empty, `.` or `..`.
///
/// The root is the empty path. Paths order as a walk meets them that lists each directory by name: everything below
/// `a` comes before `a.b`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct LayerPath(Box<[u8]>);

/// Why a path cannot be one inside a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A component is `..`.
    #[error("the path leads out of its root by `..`")]
    Escapes,
    /// It has a NUL byte.
    #[error("the path has a NUL byte")]
    Nul,
    /// A component is longer than [`MAX_NAME`].
    #[error("a name in the path is longer than {MAX_NAME} bytes")]
    LongName,
    /// The whole is longer than [`MAX_PATH`].
    #[error("the path is longer than {MAX_PATH} bytes")]
    Long,
}

impl LayerPath {
    /// Normalises `path`: leading, trailing and repeated `/` and `.` components go; `..` is refused.
    pub fn new(path: &[u8]) -> Result<Self, PathError> {
        let mut normal = Vec::with_capacity(path.len());
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(PathError::Escapes),
                _ if component.len() > MAX_NAME => return Err(PathError::LongName),
                _ if component.contains(&0) => return Err(PathError::Nul),
                _ => {}
            }
            if !normal.is_empty() {
                normal.push(b'/');
            }
            normal.extend_from_slice(component);
        }
        if normal.len() > MAX_PATH {
            return Err(PathError::Long);
        }
        Ok(Self(normal.into()))
    }

    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path as bytes, without a leading `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as one relative to some directory of the host; `.` for the root.
    pub fn as_path(&self) -> &Path {
        let bytes: &[u8] = if self.0.is_empty() { b"." } else { &self.0 };
        Path::new(OsStr::from_bytes(bytes))
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its components; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The path without its last component; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// This path with one more component, or with several parted by `/`.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        path.push(b'/');
        path.extend_from_slice(name);
        Self::new(&path)
    }

    /// Whether it is `other` or something below it.
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root()
            || self
                .0
                .strip_prefix(&*other.0)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

/// The order of [`LayerPath`]s, of their bytes.
pub(crate) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let differs = one.iter().zip(other).position(|(a, b)| a != b);
    let Some(at) = differs else {
        return one.len().cmp(&other.len());
    };
    // A separator ends a name, so it comes before every byte of a longer one; NUL is in no path.
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    rank(one[at]).cmp(&rank(other[at]))
}

/// Whether `path` is below `directory`, both the bytes of a [`LayerPath`].
pub(crate) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.first() == Some(&b'/') || directory.is_empty())
}

impl Ord for LayerPath {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for LayerPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"/{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn path(text: &str) -> LayerPath {
        LayerPath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn paths_are_normalised() {
        for (given, expected) in [
            ("", ""),
            ("/", ""),
            ("./", ""),
            ("a", "a"),
            ("/a//b/./c/", "a/b/c"),
            ("./a", "a"),
            ("a/.b", "a/.b"),
            ("...", "..."),
        ] {
            assert_eq!(path(given).as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn bad_paths_are_refused() {
        let name = vec![b'n'; 256];
        let long = b"ab/".repeat(1400);
        for (given, expected) in [
            (b"..".as_slice(), PathError::Escapes),
            (b"a/../b", PathError::Escapes),
            (b"a\0b", PathError::Nul),
            (&name, PathError::LongName),
            (&long, PathError::Long),
        ] {
            assert_eq!(LayerPath::new(given), Err(expected));
        }
        assert!(LayerPath::new(&name[1..]).is_ok());
    }

    #[test]
    fn paths_order_as_a_walk_does() {
        let mut paths = ["a.b", "a/b", "a", "", "a!", "b", "a/b/c", "a/b.c"].map(path);
        paths.sort();
        let expected = ["", "a", "a/b", "a/b/c", "a/b.c", "a!", "a.b", "b"].map(path);
        assert_eq!(paths, expected);
    }

    #[test]
    fn parts_of_paths() {
        let long = path("a/b/c");
        assert_eq!(long.parent(), Some(path("a/b")));
        assert_eq!(path("a").parent(), Some(LayerPath::root()));
        assert_eq!(LayerPath::root().parent(), None);
        assert_eq!(long.name(), Some(b"c".as_slice()));
        assert_eq!(LayerPath::root().name(), None);
        assert_eq!(path("a").join(b"b"), Ok(path("a/b")));
        assert_eq!(path("a").join(b".."), Err(PathError::Escapes));
        assert!(long.is_within(&path("a/b")) && long.is_within(&LayerPath::root()));
        assert!(long.is_within(&long) && !path("ab").is_within(&path("a")));
    }
}
