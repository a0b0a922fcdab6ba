//! `# include FILE`: puts other files into a Dockerfile that asks for extensions (`# rbuild=extensions`).
//!
//! An included file takes effect behind the line that includes it, and can include others. All are named from the
//! directory of the Dockerfile, and none above it can be named.

use std::collections::BTreeSet;

use super::parser::{MAX_FILE, decode, includes};
use crate::diagnostic::Diagnostic;
use crate::source::SourceText;
use crate::span::Span;

/// How deep files may be included in one another.
const MAX_DEPTH: usize = 16;
/// How many may be included in all.
const MAX_FILES: usize = 256;

/// A file to be included, as it was read.
#[derive(Debug, Clone)]
pub struct Included {
    /// What reports call it.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads a file by its path, which has only names in it. An error is what stands in the way, as a phrase.
pub type Load<'l> = dyn FnMut(&str) -> Result<Included, String> + 'l;

/// A line that includes a file.
#[derive(Debug, Clone)]
pub(super) struct Include {
    pub(super) path: String,
    pub(super) span: Span,
    /// Where the next line begins.
    pub(super) behind: usize,
}

/// The path of a comment that includes a file: `include` and one word.
pub(super) fn path_of(comment: &str) -> Option<&str> {
    let mut words = comment.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("include"), Some(path), None) => Some(path),
        _ => None,
    }
}

/// The text with all that it includes; when that goes wrong, what there is of it, and the error.
pub(super) fn expand(text: SourceText, load: &mut Load<'_>) -> (SourceText, Option<Diagnostic>) {
    let mut expansion = Expansion {
        text,
        files: vec![File {
            path: String::new(),
            parent: None,
        }],
        done: BTreeSet::new(),
    };
    let wrong = expansion.expand(load).err();
    (expansion.text, wrong)
}

struct Expansion {
    text: SourceText,
    /// By their numbers in the text.
    files: Vec<File>,
    /// Where includes are that have been put in: the file and the place in it.
    done: BTreeSet<(usize, u32)>,
}

struct File {
    path: String,
    parent: Option<usize>,
}

impl Expansion {
    fn expand(&mut self, load: &mut Load<'_>) -> Result<(), Diagnostic> {
        loop {
            let (mut open, escape) = includes(self.text.text());
            open.retain(|include| !self.done.contains(&self.place(include)));
            if open.is_empty() {
                return Ok(());
            }
            // The last first, so that the others stay where they are.
            for include in open.iter().rev() {
                self.put(include, escape, load)?;
            }
        }
    }

    fn place(&self, include: &Include) -> (usize, u32) {
        let (_, span) = self.text.origin(include.span);
        (self.text.file_number(include.span.start), span.start)
    }

    fn put(
        &mut self,
        include: &Include,
        escape: char,
        load: &mut Load<'_>,
    ) -> Result<(), Diagnostic> {
        let place = self.place(include);
        let path = cleaned(&include.path, include.span)?;
        let error = |message: String| Diagnostic::error(message, include.span);
        let mut above = Some(place.0);
        let mut depth = 0;
        while let Some(number) = above {
            if self.files[number].path == path {
                return Err(error(format!("`{path}` includes itself")));
            }
            above = self.files[number].parent;
            depth += 1;
        }
        if depth > MAX_DEPTH {
            return Err(error(format!(
                "files are included in one another more than {MAX_DEPTH} deep"
            )));
        }
        if self.files.len() > MAX_FILES {
            return Err(error(format!("more than {MAX_FILES} files are included")));
        }
        let included =
            load(&path).map_err(|why| error(format!("cannot include `{path}`: {why}")))?;
        let (text, wrong) = decode(&included.name, &included.bytes);
        if wrong.is_some() {
            let message = "it is too large, or no text in UTF-8";
            return Err(error(format!("cannot include `{path}`: {message}")));
        }
        if ends_within(text.text(), escape) {
            let message = "its last instruction goes on behind its end";
            return Err(error(format!("cannot include `{path}`: {message}")));
        }
        if self.text.text().len() + text.text().len() >= MAX_FILE {
            return Err(error(format!(
                "the Dockerfile with all that it includes is larger than {} MiB",
                MAX_FILE >> 20
            )));
        }
        self.text = self.text.with_included(include.behind, text);
        self.files.push(File {
            path,
            parent: Some(place.0),
        });
        self.done.insert(place);
        Ok(())
    }
}

/// A path of nothing but names.
fn cleaned(path: &str, span: Span) -> Result<String, Diagnostic> {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if path.starts_with('/') || parts.is_empty() || parts.contains(&"..") {
        let message = format!("`{path}` is not below the directory of the Dockerfile");
        return Err(Diagnostic::error(message, span)
            .with_help("what is included is named from that directory, without `..`"));
    }
    Ok(parts.join("/"))
}

/// Whether the last line asks for another.
fn ends_within(text: &str, escape: char) -> bool {
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    !last.trim_start().starts_with('#') && last.ends_with(escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(path: &str) -> Result<Included, String> {
        let text = match path {
            "a" => "RUN a\n# include d/b\nRUN a2",
            "d/b" => "RUN b\n",
            "loop" => "# include loop2\n",
            "loop2" => "# include loop\n",
            "open" => "RUN x \\\n",
            "binary" => "RUN \0",
            _ => return Err("it is not there".to_owned()),
        };
        Ok(Included {
            name: path.to_owned(),
            bytes: text.into(),
        })
    }

    fn expanded(text: &str) -> Result<SourceText, String> {
        let text = format!("# rbuild=extensions\n{text}");
        match expand(SourceText::new("Dockerfile", text), &mut load) {
            (text, None) => Ok(text),
            (_, Some(error)) => Err(error.message),
        }
    }

    #[test]
    fn files_come_behind_the_lines_that_include_them() -> Result<(), String> {
        let text = expanded("FROM x\n# include a\nRUN y\n  # include ./d//b")?;
        let expected = "# rbuild=extensions\nFROM x\n# include a\nRUN a\n# include d/b\nRUN b\n\
                        RUN a2\nRUN y\n  # include ./d//b\nRUN b\n";
        assert_eq!(text.text(), expected);
        let places = ["RUN a\n", "RUN b", "RUN a2", "RUN y"].map(|part| {
            let at = text.text().find(part).unwrap_or_default() as u32;
            let (file, span) = text.origin(Span::new(at, at + 5));
            (file.name().to_owned(), file.position(span.start).line)
        });
        let expected = [("a", 1), ("d/b", 1), ("a", 3), ("Dockerfile", 4)];
        assert_eq!(places, expected.map(|(name, line)| (name.to_owned(), line)));
        Ok(())
    }

    #[test]
    fn only_what_asks_for_it_includes_anything() {
        let text = SourceText::new("Dockerfile", "FROM x\n# include none\n");
        let (same, wrong) = expand(text, &mut load);
        assert_eq!((same.text(), wrong), ("FROM x\n# include none\n", None));
        for comment in [
            "# include files for a",
            "# include",
            "# includes a",
            "#!include",
            "RUN <<E\n# include none\nE",
            "RUN a \\\n# include none\n b",
        ] {
            let text = format!("FROM x\n{comment}\n");
            let found = expanded(&text).map(|text| text.text().to_owned());
            assert_eq!(found, Ok(format!("# rbuild=extensions\n{text}")));
        }
    }

    #[test]
    fn what_can_not_be_included_is_an_error() {
        for (path, message) in [
            ("none", "cannot include `none`: it is not there"),
            (
                "/etc/passwd",
                "`/etc/passwd` is not below the directory of the Dockerfile",
            ),
            (
                "../a",
                "`../a` is not below the directory of the Dockerfile",
            ),
            (".", "`.` is not below the directory of the Dockerfile"),
            ("loop", "`loop` includes itself"),
            (
                "open",
                "cannot include `open`: its last instruction goes on behind its end",
            ),
            (
                "binary",
                "cannot include `binary`: it is too large, or no text in UTF-8",
            ),
        ] {
            let found = expanded(&format!("FROM x\n# include {path}\n"));
            assert_eq!(found.err().as_deref(), Some(message));
        }
    }

    #[test]
    fn there_are_bounds() {
        let mut deeper = |path: &str| {
            let number: usize = path.parse().map_err(|_| "no number".to_owned())?;
            Ok(Included {
                name: path.to_owned(),
                bytes: format!("# include {}\n", number + 1).into_bytes(),
            })
        };
        let text = || SourceText::new("Dockerfile", "# rbuild=extensions\n# include 1\n");
        let error = expand(text(), &mut deeper).1;
        assert!(error.is_some_and(|error| error.message.contains("deep")));
        let mut wider = |path: &str| {
            Ok(Included {
                name: path.to_owned(),
                bytes: format!("# include {path}a\n# include {path}b\n").into_bytes(),
            })
        };
        let error = expand(text(), &mut wider).1;
        assert!(error.is_some_and(|error| error.message.contains("more than")));
    }
}
