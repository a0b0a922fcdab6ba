//! `--filter` of `du` and `prune`, as buildx reads it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use engine::retention::{Comparison, Filter, Item, Pattern, Property};

use crate::args::quantity;
use crate::error::Error;

/// What is said of `--filter` in the help.
pub(super) const HELP: &str = "Only what fits: `until=24h`, `type=regular`, `id=…`, `inuse`, `shared`, `private`, `mutable`, \
     `immutable`; with `!=` what does not, with `~=` what a regular expression is found in";

/// BuildKit's types of what takes space.
const TYPES: [&str; 6] = [
    "regular",
    "exec.cachemount",
    "source.local",
    "source.git.checkout",
    "frontend",
    "internal",
];

/// All that must hold of an item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filters {
    /// For how long it has not been used.
    pub(super) unused_for: Duration,
    /// What it is.
    pub(super) all: Vec<Filter>,
}

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Equal,
    NotEqual,
    Matches,
}

impl Filters {
    /// Reads the values of all `--filter`. As with buildx, each name may be given one value for each operator.
    pub(super) fn parse(texts: &[String]) -> Result<Self, Error> {
        let mut given = BTreeMap::new();
        for text in texts {
            let (name, operator, value) = split(text);
            let before = given.insert((name.clone(), operator), (value, text));
            if before.is_some_and(|(before, _)| before != value) {
                return Err(Error::Usage(format!(
                    "the filter `{name}` takes only one value"
                )));
            }
        }
        let has = |name: &str| given.keys().any(|(given, _)| given == name);
        if has("until") && has("unused-for") {
            let message = "the filters `until` and `unused-for` mean the same: use `until` alone";
            return Err(Error::Usage(message.to_owned()));
        }
        let mut filters = Self::default();
        for ((name, operator), (value, text)) in &given {
            filters.add(name, *operator, *value, text)?;
        }
        Ok(filters)
    }

    /// Whether they leave all as it is.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all hold of an item.
    pub(super) fn fit(&self, item: &Item, now: SystemTime) -> bool {
        let age = now.duration_since(item.used).unwrap_or_default();
        age >= self.unused_for && self.all.iter().all(|filter| filter.fits(item))
    }

    fn add(
        &mut self,
        name: &str,
        operator: Operator,
        value: Option<&str>,
        text: &str,
    ) -> Result<(), Error> {
        let filter = match (name, value) {
            ("until" | "unused-for", Some(time)) if operator == Operator::Equal => {
                self.unused_for = quantity::duration(time)?;
                return Ok(());
            }
            // As with buildx, an id is only searched for.
            ("id", Some(id)) if operator == Operator::Equal => {
                Filter::Id(comparison(Operator::Matches, id)?)
            }
            ("id", Some(id)) => Filter::Id(comparison(operator, id)?),
            ("type", Some(kind)) => {
                if operator != Operator::Matches && !TYPES.contains(&kind) {
                    let message = format!("`{kind}` is not a type: use one of {}", list(&TYPES));
                    return Err(Error::Usage(message));
                }
                Filter::Kind(comparison(operator, kind)?)
            }
            ("parents", _) => {
                return Err(without_meaning(
                    name,
                    "layers have no parents in the store, each goes by its own last use",
                ));
            }
            ("description", _) => {
                return Err(without_meaning(
                    name,
                    "the store does not describe what it keeps",
                ));
            }
            _ => is(name, operator, value).ok_or_else(|| {
                let names = [
                    "until",
                    "id",
                    "type",
                    "inuse",
                    "shared",
                    "private",
                    "mutable",
                    "immutable",
                ];
                let message = format!(
                    "`{text}` is not a filter: use {}, such as `type!=regular` or `inuse=false`",
                    list(&names)
                );
                Error::Usage(message)
            })?,
        };
        self.all.push(filter);
        Ok(())
    }
}

/// The name, operator and value of a filter; a name alone says that it is so.
fn split(text: &str) -> (String, Operator, Option<&str>) {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.trim())),
        None => (text, None),
    };
    let (name, operator) = match name.trim() {
        name if name.ends_with('!') => (name.trim_end_matches('!'), Operator::NotEqual),
        name if name.ends_with('~') => (name.trim_end_matches('~'), Operator::Matches),
        name => (name, Operator::Equal),
    };
    (name.to_ascii_lowercase(), operator, value)
}

fn comparison(operator: Operator, value: &str) -> Result<Comparison, Error> {
    Ok(match operator {
        Operator::Equal => Comparison::Equal(value.to_owned()),
        Operator::NotEqual => Comparison::NotEqual(value.to_owned()),
        Operator::Matches => Comparison::Matches(Pattern::new(value).map_err(|why| {
            Error::Usage(format!("`{value}` is not a regular expression: {why}"))
        })?),
    })
}

/// `inuse`, `shared=true`, `mutable!=true`, …
fn is(name: &str, operator: Operator, value: Option<&str>) -> Option<Filter> {
    let (property, so) = match name {
        "inuse" => (Property::InUse, true),
        "shared" => (Property::Shared, true),
        "private" => (Property::Shared, false),
        "mutable" => (Property::Mutable, true),
        "immutable" => (Property::Mutable, false),
        _ => return None,
    };
    let wanted = match (operator, value) {
        (Operator::Equal, None | Some("true" | "1"))
        | (Operator::NotEqual, Some("false" | "0")) => true,
        (Operator::Equal, Some("false" | "0")) | (Operator::NotEqual, Some("true" | "1")) => false,
        _ => return None,
    };
    Some(Filter::Is(property, so == wanted))
}

fn without_meaning(name: &str, why: &str) -> Error {
    Error::Usage(format!("there is nothing to filter by `{name}`: {why}"))
}

/// `a`, `b` or `c`.
fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Filters, String> {
        let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
        Filters::parse(&texts).map_err(|error| error.to_string())
    }

    #[test]
    fn filters_are_read_as_buildx_reads_them() {
        let equal = |text: &str| Comparison::Equal(text.to_owned());
        let not_equal = |text: &str| Comparison::NotEqual(text.to_owned());
        let matches = |text: &str| Comparison::Matches(Pattern::new(text).expect("a pattern"));
        for (text, filter) in [
            ("id=ab", Filter::Id(matches("ab"))),
            ("id~=^ab", Filter::Id(matches("^ab"))),
            ("id!=ab", Filter::Id(not_equal("ab"))),
            (" Type = regular ", Filter::Kind(equal("regular"))),
            ("type=frontend", Filter::Kind(equal("frontend"))),
            (
                "type!=exec.cachemount",
                Filter::Kind(not_equal("exec.cachemount")),
            ),
            ("type~=^source", Filter::Kind(matches("^source"))),
            ("inuse", Filter::Is(Property::InUse, true)),
            ("inuse=false", Filter::Is(Property::InUse, false)),
            ("inuse!=true", Filter::Is(Property::InUse, false)),
            ("shared=1", Filter::Is(Property::Shared, true)),
            ("private", Filter::Is(Property::Shared, false)),
            ("private!=1", Filter::Is(Property::Shared, true)),
            ("mutable=true", Filter::Is(Property::Mutable, true)),
            ("immutable", Filter::Is(Property::Mutable, false)),
        ] {
            assert_eq!(parse(&[text]).expect(text).all, [filter], "{text}");
        }
        for name in ["until", "unused-for"] {
            let filters = parse(&[&format!("{name}=24h")]).expect("a time");
            assert_eq!(filters.unused_for, Duration::from_hours(24));
            assert!(filters.all.is_empty() && !filters.is_empty());
        }
        assert_eq!(
            parse(&["type=regular", "type=regular", "type!=frontend"])
                .expect("one value")
                .all
                .len(),
            2
        );
    }

    #[test]
    fn what_is_no_filter_is_told() {
        for (texts, why) in [
            (&["x"][..], "`x` is not a filter: use `until`, `id`, `type`"),
            (&["size=3"], "is not a filter"),
            (&["until"], "is not a filter"),
            (&["until!=24h"], "is not a filter"),
            (&["inuse=maybe"], "is not a filter"),
            (&["inuse~=true"], "is not a filter"),
            (&["until=soon"], "is not a time"),
            (
                &["type=layer"],
                "`layer` is not a type: use one of `regular`,",
            ),
            (&["id=("], "`(` is not a regular expression"),
            (&["parents=x"], "layers have no parents in the store"),
            (&["description~=RUN"], "does not describe"),
            (&["type=regular", "type=frontend"], "takes only one value"),
            (&["until=1h", "unused-for=1h"], "mean the same"),
        ] {
            let told = parse(texts).expect_err("no filter");
            assert!(told.contains(why), "{texts:?}: {told}");
        }
    }
}
