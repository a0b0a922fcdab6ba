//! `COPY` and `ADD`.

use std::fmt::Write as _;

use super::run::check_file_name;
use super::stage::Scope;
use super::text;
use crate::chmod::Chmod;
use crate::diagnostic::{Diagnostic, shortened};
use crate::expand::Lexer;
use crate::ignore::{Ignore, IgnoreError};
use crate::plan::{Copy, CopyItem, Source, StepKind};
use crate::remote::{GitSource, is_url};
use crate::span::Span;
use crate::syntax::ast::{AddFlags, CopyFlags, FileFlags, Sources};
use crate::syntax::heredoc::Heredoc;
use crate::syntax::logical::Word;

impl Scope<'_, '_> {
    /// `COPY`.
    pub(super) fn copy(&mut self, flags: &CopyFlags, sources: &Sources) -> Result<(), Diagnostic> {
        let parents = flags.parents.is_some_and(|parents| parents.on);
        let mut inputs = Vec::new();
        let from = match (self.command.sources.first(), &flags.from) {
            (Some(Some(stage)), Some(word)) => {
                self.source(*stage, "copy from", word.span, &mut inputs)?
            }
            _ => Source::Context,
        };
        let mut copied = self.copied("COPY", &flags.files, parents, sources)?;
        for path in &copied.paths {
            if GitSource::parse(&path.text).is_none() && is_url(&path.text) {
                return Err(
                    Diagnostic::error("source can't be a URL for COPY", path.span)
                        .with_help("`ADD` takes URLs"),
                );
            }
            if GitSource::parse(&path.text).is_some() {
                return Err(Diagnostic::error(
                    "source can't be a git ref for COPY",
                    path.span,
                ));
            }
        }
        copied.copy.from = from;
        self.push_copy(copied, &inputs)
    }

    /// `ADD`.
    pub(super) fn add(&mut self, flags: &AddFlags, sources: &Sources) -> Result<(), Diagnostic> {
        let mut copied = self.copied("ADD", &flags.files, false, sources)?;
        let inputs = self.add_remotes(flags, &mut copied)?;
        if let Some(switch) = flags.files.if_exists.filter(|switch| switch.on)
            && !inputs.is_empty()
        {
            return Err(Diagnostic::error(
                "`--if-exists` can't be given with a source on the network",
                switch.span,
            )
            .with_help(
                "whether it is there is only known once it is fetched: leave the flag out",
            ));
        }
        copied.copy.unpack = flags.unpack.is_none_or(|switch| switch.on);
        self.push_copy(copied, &inputs)
    }

    /// What `COPY` and `ADD` share.
    fn copied(
        &mut self,
        keyword: &str,
        flags: &FileFlags,
        parents: bool,
        sources: &Sources,
    ) -> Result<Copied, Diagnostic> {
        let exclude = self.excluded(&flags.exclude)?;
        let chown = self.optional(flags.chown.as_ref())?;
        let chmod = self.optional(flags.chmod.as_ref())?;
        let mut history = keyword.to_owned();
        if parents {
            history.push_str(" --parents");
        }
        if flags.if_exists.is_some_and(|switch| switch.on) {
            history.push_str(" --if-exists");
        }
        for (flag, value) in [("--chown", &chown), ("--chmod", &chmod)] {
            if let Some(value) = value {
                let _ = write!(history, " {flag}={}", value.text);
            }
        }
        let mut paths = Vec::with_capacity(sources.paths.len());
        let mut items = Vec::new();
        for path in &sources.paths {
            let path = Word {
                text: self.expand(path)?,
                span: path.span,
            };
            let _ = write!(history, " {}", path.text);
            items.push(if parents {
                below_pivot(&path)?
            } else {
                CopyItem::Path(relative(&path.text))
            });
            paths.push(path);
        }
        for (document, span) in &sources.heredocs {
            check_file_name(document, *span)?;
            let _ = write!(history, " <<{}", document.name);
            items.push(CopyItem::Inline {
                name: document.name.clone(),
                content: self.document(document)?,
            });
        }
        let dest = self.expand(&sources.dest)?;
        let _ = write!(history, " {dest} # buildkit");
        let target = destination(self.state.directory(), &dest);
        if items.len() > 1 && !target.ends_with('/') {
            let warning = Diagnostic::warning(
                "several sources go to one path that does not end with `/`",
                sources.dest.span,
            );
            self.warn(warning.with_help("a file takes the place of the one copied before it"));
        }
        let copy = Copy {
            from: Source::Context,
            items,
            dest: target,
            chown: chown.map(|word| word.text),
            chmod: chmod.map(|word| mode(&word)).transpose()?,
            exclude,
            unpack: false,
            // As with BuildKit, which takes a mode for a change of what is below.
            link: flags.link.is_some_and(|link| link.on) && flags.chmod.is_none(),
            optional: flags.if_exists.is_some_and(|switch| switch.on),
        };
        Ok(Copied {
            copy,
            paths,
            history,
        })
    }

    /// The patterns of `--exclude`.
    fn excluded(&mut self, flags: &[Word]) -> Result<Vec<String>, Diagnostic> {
        let mut patterns = Vec::with_capacity(flags.len());
        for flag in flags {
            let pattern = self.expand(flag)?;
            check_pattern(&pattern, flag.span)?;
            if pattern.starts_with('/') {
                let warning = Diagnostic::warning(
                    format!("`--exclude={pattern}` matches nothing"),
                    flag.span,
                );
                self.warn(
                    warning
                        .with_help("patterns are relative to the source, without a `/` in front"),
                );
            } else {
                patterns.push(pattern);
            }
        }
        Ok(patterns)
    }

    pub(super) fn optional(&mut self, word: Option<&Word>) -> Result<Option<Word>, Diagnostic> {
        let Some(word) = word else {
            return Ok(None);
        };
        let text = self.expand(word)?;
        Ok((!text.is_empty()).then_some(Word {
            text,
            span: word.span,
        }))
    }

    /// The content of a here-document. In one that expands, quotes are characters as any other, and a backslash
    /// makes the character behind it one (BuildKit's rule, whatever the escape character is).
    fn document(&mut self, document: &Heredoc) -> Result<String, Diagnostic> {
        let content = document.stripped();
        if !document.expand {
            return Ok(content);
        }
        let lexer = Lexer {
            plain_quotes: true,
            ..Lexer::new('\\')
        };
        let word = Word {
            text: content,
            span: document.span,
        };
        Ok(self.expand_with(lexer, &word)?.text)
    }

    fn push_copy(&mut self, copied: Copied, inputs: &[solver::NodeId]) -> Result<(), Diagnostic> {
        let name = self.code_name();
        let step = self.push_step(StepKind::Copy(copied.copy), name, inputs)?;
        self.commit_step(copied.history, Some(step))
    }
}

/// A copy with what its instruction says of it.
pub(super) struct Copied {
    pub(super) copy: Copy,
    /// The paths as expanded; the items of the copy begin with them.
    pub(super) paths: Vec<Word>,
    history: String,
}

/// A path cleaned, relative to the root.
fn relative(path: &str) -> String {
    let cleaned = text::absolute(path);
    cleaned.trim_start_matches('/').to_owned()
}

/// A source of `--parents`: the directories behind the first `/./` are kept, or all where there is none.
fn below_pivot(path: &Word) -> Result<CopyItem, Diagnostic> {
    let (pivot, pattern) = path.text.split_once("/./").unwrap_or(("", &path.text));
    let pattern = relative(pattern);
    check_pattern(&pattern, path.span)?;
    Ok(CopyItem::Parents {
        pivot: relative(pivot),
        pattern,
    })
}

/// Refuses a pattern that ignore files could not have.
fn check_pattern(pattern: &str, span: Span) -> Result<(), Diagnostic> {
    match Ignore::of_patterns([pattern]) {
        Ok(_) => Ok(()),
        Err(IgnoreError::EmptyException { .. }) => {
            Err(Diagnostic::error("illegal exclusion pattern `!`", span)
                .with_help("a pattern follows the `!`"))
        }
        Err(IgnoreError::Pattern { pattern, .. }) => Err(Diagnostic::error(
            format!("invalid pattern `{}`", shortened(&pattern)),
            span,
        )
        .with_help("a `[` needs a `]`, and a `\\` something behind it")),
    }
}

/// The destination, absolute. One that ends with `/` or `/.`, or is `.` or nothing, is a directory.
fn destination(directory: &str, dest: &str) -> String {
    let mut path = text::joined(directory, dest);
    let is_directory =
        dest.is_empty() || dest == "." || dest.ends_with('/') || dest.ends_with("/.");
    if is_directory && path != "/" {
        path.push('/');
    }
    path
}

fn mode(word: &Word) -> Result<Chmod, Diagnostic> {
    word.text.parse().map_err(|_| {
        Diagnostic::error(
            format!("invalid chmod parameter: `{}`", word.text),
            word.span,
        )
        .with_help("it is an octal number between 0 and 07777, or changes such as `u=rwX,go=rX`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_keep_what_makes_them_directories() {
        let cases = [
            ("/w", "x", "/w/x"),
            ("/w", "x/", "/w/x/"),
            ("/w", ".", "/w/"),
            ("/w", "", "/w/"),
            ("/w", "./", "/w/"),
            ("/w", "/a/.", "/a/"),
            ("/w", "/", "/"),
            ("/", ".", "/"),
            ("/w", "../..", "/"),
        ];
        for (directory, dest, expected) in cases {
            assert_eq!(destination(directory, dest), expected, "{dest}");
        }
    }
}
