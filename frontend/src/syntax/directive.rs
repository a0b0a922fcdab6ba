//! Directives: comments at the very top that tell how to read the file (`# escape=`, `# syntax=`, `# check=`, and
//! rbuild's own `# rbuild=`).

use super::logical::{Slice, Word};
use crate::diagnostic::Diagnostic;

/// What the directives of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directives {
    /// The escape character.
    pub(crate) escape: char,
    /// `check`: which rules are off, and whether findings are errors.
    pub(crate) check: Option<Word>,
    /// `rbuild=extensions`: comments that are none elsewhere.
    pub(super) extensions: bool,
    syntax_seen: bool,
    escape_seen: bool,
    shebang: bool,
    done: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            escape: '\\',
            check: None,
            extensions: false,
            syntax_seen: false,
            escape_seen: false,
            shebang: false,
            done: false,
        }
    }
}

impl Directives {
    /// Takes note of a `#!` line in front of them: BuildKit reads on for all but `escape`, which it then ignores.
    pub(super) fn follow_shebang(&mut self) {
        self.shebang = true;
    }

    /// Reads a line, blanks in front removed. Whatever is no directive ends them.
    pub(super) fn read(&mut self, line: &Slice<'_>) -> Result<(), Diagnostic> {
        if self.done {
            return Ok(());
        }
        let Some((key, value)) = parse(line) else {
            self.done = true;
            return Ok(());
        };
        let name = key.text().to_ascii_lowercase();
        let seen = match name.as_str() {
            "escape" => std::mem::replace(&mut self.escape_seen, true),
            "syntax" => std::mem::replace(&mut self.syntax_seen, true),
            "check" => self.check.is_some(),
            "rbuild" => self.extensions,
            _ => {
                self.done = true;
                return Ok(());
            }
        };
        if seen {
            return Err(Diagnostic::error(
                format!("only one `{name}` parser directive can be used"),
                key.span(),
            ));
        }
        match name.as_str() {
            "escape" if self.shebang => {}
            "escape" => self.escape = escape(&value)?,
            "syntax" => syntax(&value)?,
            "rbuild" => self.extensions = extensions(&value)?,
            _ => self.check = Some(value.word()),
        }
        Ok(())
    }
}

/// `# key = value`.
fn parse<'a>(line: &Slice<'a>) -> Option<(Slice<'a>, Slice<'a>)> {
    if !line.text().starts_with('#') {
        return None;
    }
    let equals = line.text().find('=')?;
    let (key, value) = (line.part(1..equals).trim(), line.rest(equals + 1).trim());
    let name = key.text();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|next| next.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then_some((key, value))
}

fn escape(value: &Slice<'_>) -> Result<char, Diagnostic> {
    match value.text() {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        other => Err(
            Diagnostic::error(format!("invalid escape token `{other}`"), value.span())
                .with_help("the escape directive takes a backslash or a backtick"),
        ),
    }
}

fn extensions(value: &Slice<'_>) -> Result<bool, Diagnostic> {
    match value.text() {
        "extensions" => Ok(true),
        other => Err(Diagnostic::error(
            format!("`{other}` is nothing to be asked for"),
            value.span(),
        )
        .with_help("the directive is `# rbuild=extensions`")),
    }
}

/// The images of the Dockerfile frontend, which this parser stands for.
const FRONTENDS: [&str; 3] = [
    "docker/dockerfile",
    "docker/dockerfile-upstream",
    "dockerfile.v0",
];

/// Whether this parser stands for a frontend that a `syntax` directive or `BUILDKIT_SYNTAX` names: an image, and words for
/// it that are not looked at.
pub(crate) fn is_built_in_frontend(value: &str) -> bool {
    let image = value.split_whitespace().next().unwrap_or_default();
    let name = image.strip_prefix("docker.io/").unwrap_or(image);
    let name = name.split('@').next().unwrap_or(name);
    let name = name.split(':').next().unwrap_or(name);
    FRONTENDS.contains(&name)
}

fn syntax(value: &Slice<'_>) -> Result<(), Diagnostic> {
    if is_built_in_frontend(value.text()) {
        return Ok(());
    }
    let image = value.text().split_whitespace().next().unwrap_or_default();
    Err(Diagnostic::error(
        format!("the frontend `{image}` is not supported"),
        value.span(),
    )
    .with_help("only `docker/dockerfile` is, and it is built in"))
}

#[cfg(test)]
mod tests {
    use super::super::logical::Logical;
    use super::*;

    fn read(lines: &[&str]) -> Result<Directives, String> {
        let mut directives = Directives::default();
        for text in lines {
            let mut line = Logical::new(None);
            line.push(text, 0);
            directives
                .read(&line.slice())
                .map_err(|error| error.message)?;
        }
        Ok(directives)
    }

    #[test]
    fn escape_is_read_until_something_else_comes() {
        let cases: [(&[&str], char); 7] = [
            (&["# escape=`"], '`'),
            (&["#ESCAPE = `  "], '`'),
            (&["# syntax=docker/dockerfile:1", "# escape=`"], '`'),
            (&["# a comment", "# escape=`"], '\\'),
            (&["", "# escape=`"], '\\'),
            (&["# unknown=1", "# escape=`"], '\\'),
            (&["FROM a", "# escape=`"], '\\'),
        ];
        for (lines, escape) in cases {
            assert_eq!(
                read(lines).map(|found| found.escape),
                Ok(escape),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn wrong_directives_are_refused() {
        let cases: [(&[&str], &str); 5] = [
            (&["# rbuild=all"], "`all` is nothing to be asked for"),
            (&["# escape=x"], "invalid escape token `x`"),
            (
                &["# escape=`", "# Escape=`"],
                "only one `escape` parser directive can be used",
            ),
            (
                &["# check=skip=A", "# check=skip=B"],
                "only one `check` parser directive can be used",
            ),
            (
                &["# syntax=example.com/other:1"],
                "the frontend `example.com/other:1` is not supported",
            ),
        ];
        for (lines, message) in cases {
            assert_eq!(read(lines), Err(message.to_owned()));
        }
    }

    #[test]
    fn the_frontend_may_be_written_in_every_form() {
        for image in [
            "docker/dockerfile",
            "docker/dockerfile:1.7-labs",
            "docker.io/docker/dockerfile:1",
            "docker/dockerfile@sha256:00",
            "docker/dockerfile-upstream:master",
            "dockerfile.v0",
        ] {
            assert!(read(&[&format!("# syntax={image}")]).is_ok(), "{image}");
        }
    }
}
