//! `--env` and `--env-file`: variables of a container.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{BadValue, key_value};

/// Looks a variable of the caller's environment up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A file of variables that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvFileError {
    /// It could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A line is no variable.
    #[error("line {line} of `{}`: {source}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        source: BadValue,
    },
}

/// The variables of the files and then of the flags, each once, the last one winning, in order of first appearance. One
/// without a value is taken from the caller's environment, or left out if it is not there.
pub(crate) fn collect(
    files: &[PathBuf],
    flags: &[(String, Option<String>)],
    lookup: Lookup<'_>,
) -> Result<Vec<(String, String)>, EnvFileError> {
    let mut given = Vec::new();
    for path in files {
        given.extend(read_file(path)?);
    }
    given.extend_from_slice(flags);
    let mut variables: Vec<(String, String)> = Vec::new();
    for (name, value) in given {
        let value = value.or_else(|| lookup(&name).and_then(|value| value.into_string().ok()));
        let Some(value) = value else { continue };
        match variables.iter_mut().find(|(known, _)| *known == name) {
            Some(variable) => variable.1 = value,
            None => variables.push((name, value)),
        }
    }
    Ok(variables)
}

fn read_file(path: &Path) -> Result<Vec<(String, Option<String>)>, EnvFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| EnvFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    lines
        .filter_map(|(index, line)| Some((index, variable(line)?)))
        .map(|(index, parsed)| {
            parsed.map_err(|source| EnvFileError::Line {
                path: path.to_owned(),
                line: index + 1,
                source,
            })
        })
        .collect()
}

/// A line of a file by Docker's rules: leading space does not count, `#` begins a comment, values are taken as they are.
fn variable(line: &str) -> Option<Result<(String, Option<String>), BadValue>> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    Some(key_value(line).and_then(|(name, value)| {
        if name.contains(char::is_whitespace) {
            return Err(BadValue::new(format!(
                "the name `{name}` has white space in it"
            )));
        }
        Ok((name, value))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Option<OsString> {
        (name == "HOME").then(|| "/home/me".into())
    }

    #[test]
    fn later_variables_win_and_bare_names_are_looked_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("env");
        std::fs::write(&path, "# comment\n\nA=1\n  B= two words \nHOME\nMISSING\n")
            .expect("a file");
        let flags = [
            ("A".to_owned(), Some("2".to_owned())),
            ("NONE".to_owned(), None),
        ];
        let variables = collect(&[path], &flags, &caller).expect("variables");
        let expected = [("A", "2"), ("B", " two words "), ("HOME", "/home/me")];
        assert_eq!(
            variables,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn bad_files_are_named_with_their_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("env");
        assert!(matches!(
            collect(std::slice::from_ref(&path), &[], &caller),
            Err(EnvFileError::Read { .. })
        ));
        std::fs::write(&path, "A=1\nB C=2\n").expect("a file");
        let error = collect(&[path], &[], &caller).expect_err("a bad name");
        assert!(
            matches!(error, EnvFileError::Line { line: 2, .. }),
            "{error}"
        );
    }
}
