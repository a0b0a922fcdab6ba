//! Known differences: what is allowed to differ from a peer, in which place, to what value, and why.
//!
//! An `expect` file holds blocks. A block begins with its reason, in lines that start with `#`; each line after it
//! names one difference as `PLACE PROPERTY VALUE`, where the value is rbuild's. A file is right only when it names
//! every difference and nothing else, so that it cannot grow stale.

use std::path::Path;

use crate::compare::Difference;

/// The known differences of one case.
#[derive(Debug, Default)]
pub struct Expected {
    lines: Vec<String>,
}

impl Expected {
    /// Reads an `expect` file; a missing one expects no difference.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text)
                .unwrap_or_else(|line| panic!("`{}`: `{line}` has no reason", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => panic!("cannot read `{}`: {error}", path.display()),
        }
    }

    /// Parses the text of an `expect` file; fails with the first line that no reason precedes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reason = false;
        let mut lines = Vec::new();
        for line in text.lines().map(str::trim_end) {
            match line {
                "" => reason = false,
                comment if comment.starts_with('#') => reason |= comment.len() > 2,
                line if reason => lines.push(line.to_owned()),
                line => return Err(line.to_owned()),
            }
        }
        Ok(Self { lines })
    }

    /// What is wrong: differences that no line names, and lines that name none. Empty when all is as expected.
    pub fn complaints(&self, found: &[Difference]) -> Vec<String> {
        let line = |difference: &Difference| {
            format!(
                "{} {} {}",
                difference.place, difference.property, difference.ours
            )
        };
        let unknown = found
            .iter()
            .filter(|difference| !self.lines.contains(&line(difference)));
        let unknown = unknown.map(|difference| format!("differs: {difference}"));
        let found: Vec<String> = found.iter().map(line).collect();
        let stale = self.lines.iter().filter(|line| !found.contains(line));
        unknown
            .chain(stale.map(|line| format!("is expected to differ, but does not: {line}")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(ours: &str) -> Difference {
        let [place, property, theirs] = ["/a", "uid", "0"].map(str::to_owned);
        Difference {
            place,
            property,
            ours: ours.to_owned(),
            theirs,
        }
    }

    #[test]
    fn a_named_difference_is_accepted_and_any_other_is_not() {
        let expected =
            Expected::parse("# Owners follow USER.\n/a uid 7\n").expect("the file has a reason");
        assert!(expected.complaints(&[difference("7")]).is_empty());
        assert_eq!(
            expected.complaints(&[difference("8")]).len(),
            2,
            "another value is unknown, and the line is stale"
        );
    }

    #[test]
    fn a_stale_line_is_a_complaint() {
        let expected =
            Expected::parse("# Owners follow USER.\n/a uid 7\n").expect("the file has a reason");
        assert_eq!(
            expected.complaints(&[]),
            ["is expected to differ, but does not: /a uid 7"]
        );
    }

    #[test]
    fn a_line_without_a_reason_is_refused() {
        assert_eq!(
            Expected::parse("/a uid 7\n").err().as_deref(),
            Some("/a uid 7")
        );
        assert!(
            Expected::parse("# A reason.\n/a uid 7\n\n/b uid 7\n").is_err(),
            "an empty line ends a block"
        );
    }
}
