//! `.dockerignore` files, by the rules of `moby/patternmatcher`: the last rule that matches a path, or a directory
//! above it, decides.

use crate::pattern::{Class, Glob, PatternError, Token};

/// An ignore file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A `!` without a pattern.
    #[error("illegal exclusion pattern `!` in line {line}")]
    EmptyException {
        /// Line, from 1.
        line: usize,
    },
    /// A class without end, or an escape at the end.
    #[error("invalid pattern `{pattern}` in line {line}")]
    Pattern {
        /// Line, from 1.
        line: usize,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
}

/// The rules of an ignore file. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

impl Ignore {
    /// Reads an ignore file: a pattern a line, `#` in column 0 begins a comment, `!` takes a path back in.
    pub fn parse(bytes: &[u8]) -> Result<Self, IgnoreError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut rules = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.starts_with(b"#") {
                continue;
            }
            let pattern = line.trim_ascii();
            if !pattern.is_empty() {
                rules.push(Rule::parse(pattern, index + 1)?);
            }
        }
        Ok(Self { rules })
    }

    /// The patterns of `COPY --exclude` and `--parents`, by the same rules.
    pub fn of_patterns<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, IgnoreError> {
        let patterns = patterns.into_iter().enumerate();
        let patterns = patterns.map(|(index, pattern)| (index + 1, pattern.trim().as_bytes()));
        let rules = patterns
            .filter(|(_, pattern)| !pattern.is_empty())
            .map(|(number, pattern)| Rule::parse(pattern, number));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// Whether no rule is there, so that nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule takes paths back in.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }

    /// Whether a path relative to the context's root, written with `/`, is left out.
    pub fn excluded(&self, path: &[u8]) -> bool {
        let mut excluded = false;
        for rule in &self.rules {
            // Only a rule of the other kind can change the answer.
            if rule.exception == excluded && rule.matches(path) {
                excluded = !excluded;
            }
        }
        excluded
    }

    /// Whether something below a directory may be excluded that itself is not.
    pub fn may_exclude_below(&self, directory: &[u8]) -> bool {
        let below = [directory, b"/"].concat();
        self.rules
            .iter()
            .any(|rule| !rule.exception && rule.could_match_below(&below))
    }

    /// Whether something below an excluded directory may be taken back in, so that a walk must go into it.
    pub fn may_include_below(&self, directory: &[u8]) -> bool {
        let last = self
            .rules
            .iter()
            .rposition(|rule| !rule.exception && rule.matches(directory));
        let later = last.map_or(self.rules.as_slice(), |last| &self.rules[last + 1..]);
        let mut below = directory.to_vec();
        below.push(b'/');
        later
            .iter()
            .any(|rule| rule.exception && rule.could_match_below(&below))
    }
}

/// One line of an ignore file.
#[derive(Debug, Clone)]
struct Rule {
    exception: bool,
    matcher: Matcher,
}

/// How a pattern is compared. The simple kinds are as in `patternmatcher`, whose `**` without a `/` beside it
/// also matches within a name.
#[derive(Debug, Clone)]
enum Matcher {
    /// A path without wildcards.
    Exact(Vec<u8>),
    /// `text**`.
    Prefix(Vec<u8>),
    /// `**text`.
    Suffix(Vec<u8>),
    Glob(Glob),
}

impl Rule {
    fn parse(pattern: &[u8], line: usize) -> Result<Self, IgnoreError> {
        let (exception, pattern) = match pattern.strip_prefix(b"!") {
            Some(rest) => (true, rest.trim_ascii()),
            None => (false, pattern),
        };
        if pattern.is_empty() {
            return Err(IgnoreError::EmptyException { line });
        }
        let cleaned = clean(pattern);
        let cleaned = match cleaned.as_slice() {
            [b'/', rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        let tokens = tokens(cleaned).map_err(|source| IgnoreError::Pattern {
            line,
            pattern: String::from_utf8_lossy(pattern).into_owned(),
            source,
        })?;
        Ok(Self {
            exception,
            matcher: Matcher::new(tokens, cleaned),
        })
    }

    /// Whether the path or a directory above it matches.
    fn matches(&self, path: &[u8]) -> bool {
        let is_end = |at: usize| path.get(at).is_none_or(|next| *next == b'/');
        match &self.matcher {
            Matcher::Exact(exact) => path.starts_with(exact) && is_end(exact.len()),
            // Whatever is below a match begins in the same way.
            Matcher::Prefix(prefix) => path.starts_with(prefix),
            Matcher::Suffix(suffix) => ends(path).any(|end| {
                path[..end].ends_with(suffix) || suffix.strip_prefix(b"/") == Some(&path[..end])
            }),
            Matcher::Glob(glob) => glob.matches_path_or_parent(path),
        }
    }

    fn could_match_below(&self, below: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Exact(path) => path.starts_with(below),
            Matcher::Prefix(prefix) => prefix.starts_with(below) || below.starts_with(prefix),
            Matcher::Suffix(_) => true,
            Matcher::Glob(glob) => glob.could_match_below(below),
        }
    }
}

impl Matcher {
    fn new(tokens: Vec<Token>, pattern: &[u8]) -> Self {
        let literal = |bytes: &[u8]| !bytes.iter().any(|byte| b"*?[]\\".contains(byte));
        if literal(pattern) {
            return Self::Exact(pattern.to_vec());
        }
        if let Some(suffix) = pattern.strip_prefix(b"**")
            && literal(suffix)
        {
            return Self::Suffix(suffix.to_vec());
        }
        if let Some(prefix) = pattern.strip_suffix(b"**")
            && literal(prefix)
        {
            return Self::Prefix(prefix.to_vec());
        }
        Self::Glob(Glob::new(tokens))
    }
}

/// Where a path and the directories above it end.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate();
    slashes
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at)
        .chain([path.len()])
}

/// The elements of a pattern. Bytes that are no text stand for themselves.
fn tokens(pattern: &[u8]) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    for chunk in pattern.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            tokens.push(match first {
                '*' if rest.starts_with('*') => {
                    rest = &rest[1..];
                    rest = rest.strip_prefix('/').unwrap_or(rest);
                    if rest.is_empty() && chunk.invalid().is_empty() {
                        Token::Everything
                    } else {
                        Token::Directories
                    }
                }
                '*' => Token::Star,
                '?' => Token::One,
                '[' => Token::Class(Class::parse(&mut rest)?),
                '\\' => {
                    let escaped = rest.chars().next().ok_or(PatternError)?;
                    rest = &rest[escaped.len_utf8()..];
                    Token::character(escaped)
                }
                other => Token::character(other),
            });
        }
        if !chunk.invalid().is_empty() {
            tokens.push(Token::Literal(chunk.invalid().to_vec()));
        }
    }
    Ok(tokens)
}

/// Go's `path.Clean`: no `.` and no empty components, each `..` taken with what it leaves.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => match kept.last() {
                Some(&last) if last != b".." => {
                    kept.pop();
                }
                _ if rooted => {}
                _ => kept.push(b".."),
            },
            other => kept.push(other),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests;
