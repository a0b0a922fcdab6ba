//! Which files below a source a copy takes: `COPY --exclude` and `--parents`.

use frontend::ignore::{Ignore, IgnoreError};

/// What becomes of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is taken.
    Taken,
    /// A directory that is only on the way to what is taken.
    Passed,
    /// Neither it nor anything below it is taken.
    Left,
}

/// Patterns of what is taken and of what is not, for paths relative to the source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// `None` takes everything.
    only: Option<Ignore>,
    except: Ignore,
}

impl Filter {
    /// Takes everything but what `except` matches.
    pub(crate) fn except(except: &[String]) -> Result<Self, IgnoreError> {
        Ok(Self {
            only: None,
            except: Ignore::of_patterns(except.iter().map(String::as_str))?,
        })
    }

    /// Takes of that what `pattern` matches.
    pub(crate) fn only(&self, pattern: &str) -> Result<Self, IgnoreError> {
        Ok(Self {
            only: Some(Ignore::of_patterns([pattern])?),
            except: self.except.clone(),
        })
    }

    /// Takes nothing below the source.
    pub(crate) fn nothing() -> Self {
        Self {
            only: Some(Ignore::default()),
            except: Ignore::default(),
        }
    }

    /// Whether a file that is itself the source is taken.
    pub(crate) fn takes_file(&self, name: &[u8]) -> bool {
        !self.except.excluded(name)
    }

    /// What becomes of what is at `path`; the source itself, the empty path, is always taken.
    pub(crate) fn verdict(&self, path: &[u8], is_directory: bool) -> Verdict {
        if path.is_empty() {
            return Verdict::Taken;
        }
        let wanted = self.only.as_ref().is_none_or(|only| only.excluded(path));
        let excluded = self.except.excluded(path);
        if wanted && !excluded {
            return Verdict::Taken;
        }
        let only_below = |only: &Ignore| only.may_exclude_below(path);
        let wanted_below = wanted || self.only.as_ref().is_some_and(only_below);
        if is_directory && wanted_below && (!excluded || self.except.may_include_below(path)) {
            Verdict::Passed
        } else {
            Verdict::Left
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(filter: &Filter, cases: &[(&str, Verdict)]) {
        for (path, expected) in cases {
            let is_directory = path.ends_with('/');
            let found = filter.verdict(path.trim_end_matches('/').as_bytes(), is_directory);
            assert_eq!(found, *expected, "{path}");
        }
    }

    #[test]
    fn exceptions_are_passed_on_the_way_to_what_is_taken_back_in() -> Result<(), IgnoreError> {
        use Verdict::{Left, Passed, Taken};
        let filter = Filter::except(&["a".to_owned(), "*.txt".to_owned(), "!a/keep".to_owned()])?;
        let cases = [
            ("", Taken),
            ("b/", Taken),
            ("b.txt", Left),
            ("b/c.txt", Taken),
            ("a/", Passed),
            ("a/other", Left),
            ("a/keep", Taken),
        ];
        verdicts(&filter, &cases);
        Ok(())
    }

    #[test]
    fn only_what_matches_is_taken() -> Result<(), IgnoreError> {
        use Verdict::{Left, Passed, Taken};
        let filter = Filter::except(&["**/skip".to_owned()])?.only("a/**/z")?;
        let cases = [
            ("", Taken),
            ("a/", Passed),
            ("b/", Left),
            ("a/z", Taken),
            ("a/b/", Passed),
            ("a/b/z/", Taken),
            ("a/b/z/x", Taken),
            ("a/b/z/skip", Left),
            ("a/b/y", Left),
        ];
        verdicts(&filter, &cases);
        verdicts(&Filter::nothing(), &[("", Taken), ("a/", Left)]);
        Ok(())
    }
}
