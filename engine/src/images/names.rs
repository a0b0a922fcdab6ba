//! How images are called in the store.
//!
//! A name that the user gave is the full form of its reference. What a build fetched to start from has its name behind
//! a mark that no reference can hold: builds find it there, but it is not among the user's images.

use cache::Tag;
use image::Reference;

/// Stands before the name of what a build fetched.
const BASE: &str = "base ";

/// The name of an image that the user asked for.
pub(super) fn of(reference: &Reference) -> String {
    reference.to_string()
}

/// The name of what a build fetched to start from.
pub(super) fn of_base(reference: &Reference) -> String {
    format!("{BASE}{reference}")
}

/// The user's name that a tag stands for.
pub(super) fn reference(tag: &Tag) -> Option<Reference> {
    tag.name.parse().ok()
}

/// The name that a tag stands for, be it the user's or a build's.
pub(super) fn any_reference(tag: &Tag) -> Option<Reference> {
    let name = tag.name.strip_prefix(BASE).unwrap_or(&tag.name);
    name.parse().ok()
}

/// Whether it is the user's, and not a build's.
pub(super) fn is_users(tag: &Tag) -> bool {
    keeps_image(&tag.name)
}

/// Whether an image of this name is kept until the user removes it.
pub(crate) fn keeps_image(name: &str) -> bool {
    !name.starts_with(BASE)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_names_of_builds_are_no_references() {
        let reference: Reference = "busybox".parse().expect("a reference");
        let tag = |name| Tag {
            name,
            image: layer::Digest::of(b""),
            manifest: None,
            document: None,
            tagged: SystemTime::UNIX_EPOCH,
        };
        let (users, base) = (tag(of(&reference)), tag(of_base(&reference)));
        assert_eq!(users.name, "docker.io/library/busybox:latest");
        assert!(is_users(&users) && !is_users(&base));
        assert_eq!(super::reference(&users).as_ref(), Some(&reference));
        assert_eq!(super::reference(&base), None);
        assert_eq!(any_reference(&base), Some(reference));
    }
}
