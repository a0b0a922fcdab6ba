//! Matching a name against wildcards. All ways to match are followed at once, so no pattern takes more than
//! its length times the name's.

use super::PatternError;

/// One element of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// These bytes.
    Literal(Vec<u8>),
    /// `*`: any run of bytes without a `/`.
    Star,
    /// `?`: one character that is not a `/`.
    One,
    /// `[...]`: one character of a set.
    Class(Class),
    /// `**` at the end: anything.
    Everything,
    /// `**` elsewhere: nothing, or anything that ends with a `/`.
    Directories,
}

impl Token {
    pub(crate) fn character(character: char) -> Self {
        Self::Literal(character.to_string().into_bytes())
    }
}

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    /// Reads a class behind its `[`, by the rules of Go's `filepath.Match`.
    pub(crate) fn parse(rest: &mut &str) -> Result<Self, PatternError> {
        let negated = rest.starts_with('^');
        if negated {
            *rest = &rest[1..];
        }
        let mut ranges = Vec::new();
        loop {
            if rest.starts_with(']') && !ranges.is_empty() {
                *rest = &rest[1..];
                return Ok(Self { negated, ranges });
            }
            let low = Self::bound(rest)?;
            let mut high = low;
            if rest.starts_with('-') {
                *rest = &rest[1..];
                high = Self::bound(rest)?;
            }
            ranges.push((low, high));
        }
    }

    fn bound(rest: &mut &str) -> Result<char, PatternError> {
        let mut characters = rest.chars();
        let bound = match characters.next() {
            None | Some('-' | ']') => return Err(PatternError),
            Some('\\') => characters.next().ok_or(PatternError)?,
            Some(other) => other,
        };
        *rest = characters.as_str();
        if rest.is_empty() {
            return Err(PatternError);
        }
        Ok(bound)
    }

    fn contains(&self, character: char) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|(low, high)| (*low..=*high).contains(&character)) != self.negated
    }
}

/// A pattern ready to match.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
}

impl Glob {
    /// Joins literals that stand side by side.
    pub(crate) fn new(tokens: Vec<Token>) -> Self {
        let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
        for token in tokens {
            match (joined.last_mut(), token) {
                (Some(Token::Literal(last)), Token::Literal(more)) => last.extend(more),
                (Some(Token::Star), Token::Star) => {}
                (_, token) => joined.push(token),
            }
        }
        Self { tokens: joined }
    }

    /// Whether all of `name` matches.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let mut tokens = self.tokens.as_slice();
        let mut name = name;
        // Most patterns are decided by the literals at their ends.
        if let [Token::Literal(literal), rest @ ..] = tokens {
            let Some(tail) = name.strip_prefix(literal.as_slice()) else {
                return false;
            };
            (tokens, name) = (rest, tail);
        }
        if let [rest @ .., Token::Literal(literal)] = tokens {
            let Some(head) = name.strip_suffix(literal.as_slice()) else {
                return false;
            };
            (tokens, name) = (rest, head);
        }
        match tokens {
            [] => name.is_empty(),
            [Token::Star] => !name.contains(&b'/'),
            [Token::Everything] => true,
            [Token::Directories] => name.is_empty() || name.ends_with(b"/"),
            _ => Reached::start(name).through(tokens, name).at_end(),
        }
    }

    /// Whether all of `path` matches, or all of a directory above it.
    pub(crate) fn matches_path_or_parent(&self, path: &[u8]) -> bool {
        if let Some(Token::Literal(literal)) = self.tokens.first()
            && !path.starts_with(literal)
        {
            return false;
        }
        if let Some(Token::Literal(literal)) = self.tokens.last()
            && !path.windows(literal.len()).any(|part| part == literal)
        {
            return false;
        }
        // What an element takes does not depend on what follows, so one pass finds the matches of all prefixes.
        let reached = Reached::start(path).through(&self.tokens, path);
        reached.at_end() || reached.places().any(|at| path.get(at) == Some(&b'/'))
    }

    /// Whether a longer name that begins with `prefix` could match.
    pub(crate) fn could_match_below(&self, prefix: &[u8]) -> bool {
        let mut reached = Reached::start(prefix);
        for token in &self.tokens {
            if reached.could_go_on(token, prefix) {
                return true;
            }
            reached.step(token, prefix);
        }
        false
    }
}

/// The places in a name that a part of the pattern can end at.
struct Reached {
    places: Vec<bool>,
    /// Room for the next ones.
    spare: Vec<bool>,
}

impl Reached {
    fn start(name: &[u8]) -> Self {
        let spare = vec![false; name.len() + 1];
        let mut places = spare.clone();
        places[0] = true;
        Self { places, spare }
    }

    fn at_end(&self) -> bool {
        self.places.last() == Some(&true)
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        let places = self.places.iter().enumerate();
        places.filter(|(_, reached)| **reached).map(|(at, _)| at)
    }

    fn through(mut self, tokens: &[Token], name: &[u8]) -> Self {
        for token in tokens {
            self.step(token, name);
        }
        self
    }

    fn step(&mut self, token: &Token, name: &[u8]) {
        let mut next = std::mem::take(&mut self.spare);
        next.fill(false);
        match token {
            Token::Literal(literal) => {
                for at in self.places() {
                    if name[at..].starts_with(literal) {
                        next[at + literal.len()] = true;
                    }
                }
            }
            Token::One => self.characters(name, &mut next, |character| character != '/'),
            Token::Class(class) => {
                self.characters(name, &mut next, |character| class.contains(character));
            }
            Token::Star => {
                let mut open = false;
                for (at, place) in next.iter_mut().enumerate() {
                    open = self.places[at] || (open && name[at - 1] != b'/');
                    *place = open;
                }
            }
            Token::Everything => {
                let mut open = false;
                for (place, reached) in next.iter_mut().zip(&self.places) {
                    open |= *reached;
                    *place = open;
                }
            }
            Token::Directories => {
                let mut open = false;
                for (at, place) in next.iter_mut().enumerate() {
                    *place = self.places[at] || (open && name[at - 1] == b'/');
                    open |= self.places[at];
                }
            }
        }
        self.spare = std::mem::replace(&mut self.places, next);
    }

    /// Goes over one character that is wanted.
    fn characters(&self, name: &[u8], next: &mut [bool], wanted: impl Fn(char) -> bool) {
        for at in self.places() {
            if let Some((character, length)) = character_at(name, at)
                && wanted(character)
            {
                next[at + length] = true;
            }
        }
    }

    /// Whether the token could take what would follow the name: one that has begun to match at its end.
    fn could_go_on(&self, token: &Token, name: &[u8]) -> bool {
        match token {
            Token::Literal(literal) => self
                .places()
                .any(|at| literal.len() > name.len() - at && literal.starts_with(&name[at..])),
            Token::One | Token::Class(_) => self.at_end(),
            // A `*` that has begun goes on up to the next `/`.
            Token::Star => self.places().any(|at| !name[at..].contains(&b'/')),
            Token::Everything | Token::Directories => self.places().next().is_some(),
        }
    }
}

/// The character at a place, and its length in bytes; a byte that is no text counts as one character.
fn character_at(name: &[u8], at: usize) -> Option<(char, usize)> {
    let rest = &name[at..];
    let first = *rest.first()?;
    let length = match first {
        0..=0x7f => return Some((char::from(first), 1)),
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let character = rest
        .get(..length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.chars().next());
    Some(character.map_or((char::REPLACEMENT_CHARACTER, 1), |found| (found, length)))
}
