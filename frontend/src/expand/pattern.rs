//! The patterns of `${x#...}`, `${x%...}` and `${x/...}`: `*` and `?` alone, neither of which matches a line break.

use super::ExpandError;

/// Whether `*` takes as little or as much as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Shortest,
    Longest,
}

/// One character of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Any,
    Exactly(char),
}

impl Unit {
    fn matches(self, character: char) -> bool {
        match self {
            Self::Any => character != '\n',
            Self::Exactly(wanted) => character == wanted,
        }
    }
}

/// A pattern: blocks of fixed length with a `*` between each two. `a*b` has the blocks `a` and `b`; `*` has two
/// empty ones.
#[derive(Debug, Clone)]
pub(super) struct GlobPattern {
    blocks: Vec<Vec<Unit>>,
}

/// Comparisons that one substitution may take.
const MAX_STEPS: usize = 1 << 24;

/// Counts comparisons, so that a hostile pattern ends in an error and not in hours.
struct Steps(usize);

impl Steps {
    fn take(&mut self, count: usize) -> Result<(), ExpandError> {
        self.0 += count;
        if self.0 > MAX_STEPS {
            return Err(ExpandError::TooSlow);
        }
        Ok(())
    }
}

impl GlobPattern {
    /// A backslash escapes `*`, `?` and itself, and is dropped in front of `}` and `/`.
    pub(super) fn parse(pattern: &str) -> Result<Self, ExpandError> {
        let mut blocks = vec![Vec::new()];
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            let unit = match character {
                '*' => {
                    blocks.push(Vec::new());
                    continue;
                }
                '?' => Unit::Any,
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Unit::Exactly(escaped),
                    other => {
                        return Err(ExpandError::Pattern {
                            pattern: pattern.to_owned(),
                            escaped: other.map(String::from).unwrap_or_default(),
                        });
                    }
                },
                other => Unit::Exactly(other),
            };
            if let Some(block) = blocks.last_mut() {
                block.push(unit);
            }
        }
        Ok(Self { blocks })
    }

    /// `value` without the prefix that matches.
    pub(super) fn trim_prefix(&self, value: &str, extent: Extent) -> Result<String, ExpandError> {
        let characters: Vec<char> = value.chars().collect();
        let end = self.match_at(&characters, 0, extent, &mut Steps(0))?;
        Ok(characters[end.unwrap_or(0)..].iter().collect())
    }

    /// `value` without the suffix that matches.
    pub(super) fn trim_suffix(&self, value: &str, extent: Extent) -> Result<String, ExpandError> {
        let characters: Vec<char> = value.chars().rev().collect();
        let mut blocks = self.blocks.clone();
        blocks.reverse();
        for block in &mut blocks {
            block.reverse();
        }
        let end = Self { blocks }.match_at(&characters, 0, extent, &mut Steps(0))?;
        Ok(characters[end.unwrap_or(0)..].iter().rev().collect())
    }

    /// `value` with the first match, or with all of them, replaced; a match is as long as it can be.
    pub(super) fn replace(
        &self,
        value: &str,
        replacement: &str,
        all: bool,
    ) -> Result<String, ExpandError> {
        let characters: Vec<char> = value.chars().collect();
        let mut steps = Steps(0);
        let mut result = String::new();
        let (mut copied, mut from) = (0, 0);
        while from <= characters.len() {
            let Some((start, end)) = self.find(&characters, from, &mut steps)? else {
                break;
            };
            result.extend(&characters[copied..start]);
            // An empty match right behind another match counts for nothing.
            if end > copied || start == 0 {
                result.push_str(replacement);
            }
            if result.len() > super::MAX_LENGTH {
                return Err(ExpandError::TooLong);
            }
            copied = end;
            from = end.max(from + 1);
            if !all {
                break;
            }
        }
        result.extend(&characters[copied.min(characters.len())..]);
        Ok(result)
    }

    /// The leftmost match at or behind `from`.
    fn find(
        &self,
        value: &[char],
        from: usize,
        steps: &mut Steps,
    ) -> Result<Option<(usize, usize)>, ExpandError> {
        for start in from..=value.len() {
            if let Some(end) = self.match_at(value, start, Extent::Longest, steps)? {
                return Ok(Some((start, end)));
            }
        }
        Ok(None)
    }

    /// Where a match that begins at `start` ends. Each block but the last is taken where it comes first, which
    /// leaves the most room for the next.
    fn match_at(
        &self,
        value: &[char],
        start: usize,
        extent: Extent,
        steps: &mut Steps,
    ) -> Result<Option<usize>, ExpandError> {
        let Some((first, rest)) = self.blocks.split_first() else {
            return Ok(None);
        };
        if !fits(first, value, start, steps)? {
            return Ok(None);
        }
        let mut at = start + first.len();
        for (number, block) in rest.iter().enumerate() {
            let last = number + 1 == rest.len();
            let longest = last && extent == Extent::Longest;
            match place(block, value, at, longest, steps)? {
                Some(place) => at = place + block.len(),
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}

/// The first or the last place at or behind `from` where `block` fits, without a line break between.
fn place(
    block: &[Unit],
    value: &[char],
    from: usize,
    last: bool,
    steps: &mut Steps,
) -> Result<Option<usize>, ExpandError> {
    let mut found = None;
    for at in from..=value.len() {
        if fits(block, value, at, steps)? {
            found = Some(at);
            if !last {
                break;
            }
        }
        if value.get(at) == Some(&'\n') {
            break;
        }
    }
    Ok(found)
}

fn fits(block: &[Unit], value: &[char], at: usize, steps: &mut Steps) -> Result<bool, ExpandError> {
    steps.take(block.len() + 1)?;
    let Some(part) = value.get(at..at + block.len()) else {
        return Ok(false);
    };
    Ok(block
        .iter()
        .zip(part)
        .all(|(unit, next)| unit.matches(*next)))
}
