//! What an item must be to be listed or removed: BuildKit's filters.

use crate::usage::{Item, Kind};

/// What an item must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Its id fits.
    Id(Comparison),
    /// The name of its kind fits.
    Kind(Comparison),
    /// It is so, or it is not so.
    Is(Property, bool),
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// It is this.
    Equal(String),
    /// It is not this.
    NotEqual(String),
    /// This is found in it.
    Matches(Pattern),
}

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(regex_lite::Regex);

/// What an item can be or not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// Something needs or uses it, or it is pinned.
    InUse,
    /// What is in it changes: it is no layer.
    Mutable,
    /// More than one need it.
    Shared,
}

impl Pattern {
    /// The expression that a text is; why it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = regex_lite::Regex::new(text);
        regex.map(Self).map_err(|error| error.to_string())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Comparison {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Equal(wanted) => text == wanted,
            Self::NotEqual(unwanted) => text != unwanted,
            Self::Matches(pattern) => pattern.0.is_match(text),
        }
    }
}

impl Filter {
    /// Whether an item is so.
    pub fn fits(&self, item: &Item) -> bool {
        match self {
            Self::Id(comparison) => comparison.fits(&item.id),
            Self::Kind(comparison) => comparison.fits(item.kind.name()),
            Self::Is(property, wanted) => property.is_that_of(item) == *wanted,
        }
    }
}

impl Property {
    fn is_that_of(self, item: &Item) -> bool {
        match self {
            Self::InUse => item.is_needed(),
            Self::Mutable => item.kind != Kind::Layer,
            Self::Shared => item.is_shared(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::SystemTime;

    use super::*;
    use crate::usage::Kept;

    fn item(kind: Kind, id: &str, kept: Vec<Kept>) -> Item {
        Item {
            kind,
            id: id.to_owned(),
            size: 1,
            created: SystemTime::UNIX_EPOCH,
            used: SystemTime::UNIX_EPOCH,
            kept,
        }
    }

    #[test]
    fn each_filter_chooses_what_is_so() {
        let image = |name: &str| Kept::Image(name.to_owned());
        let items = [
            item(Kind::Layer, "sha256:abc", vec![image("a"), image("b")]),
            item(Kind::Layer, "sha256:def", vec![]),
            item(Kind::CacheMount, "abc", vec![Kept::InUse]),
            item(Kind::Context, "fed", vec![]),
        ];
        let text = str::to_owned;
        let matches = |pattern: &str| Comparison::Matches(Pattern::new(pattern).unwrap());
        for (filter, fitting) in [
            (Filter::Id(Comparison::Equal(text("abc"))), vec![2]),
            (Filter::Id(Comparison::NotEqual(text("abc"))), vec![0, 1, 3]),
            (Filter::Id(matches("abc")), vec![0, 2]),
            (Filter::Id(matches("^[a-f]+$")), vec![2, 3]),
            (Filter::Kind(Comparison::Equal(text("regular"))), vec![0, 1]),
            (
                Filter::Kind(Comparison::NotEqual(text("regular"))),
                vec![2, 3],
            ),
            (Filter::Kind(Comparison::Equal(text("frontend"))), vec![]),
            (Filter::Kind(matches("^exec|local$")), vec![2, 3]),
            (Filter::Is(Property::InUse, true), vec![0, 2]),
            (Filter::Is(Property::InUse, false), vec![1, 3]),
            (Filter::Is(Property::Mutable, true), vec![2, 3]),
            (Filter::Is(Property::Shared, true), vec![0]),
            (Filter::Is(Property::Shared, false), vec![1, 2, 3]),
        ] {
            let found: Vec<_> = (0..4)
                .filter(|&number| filter.fits(&items[number]))
                .collect();
            assert_eq!(found, fitting, "{filter:?}");
        }
        assert!(Pattern::new("(").is_err());
    }
}
