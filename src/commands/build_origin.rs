//! What a build is made of: from PATH, `--file` and standard input to the context and the Dockerfile.

use std::io::Read;
use std::path::{Path, PathBuf};

use engine::build::{
    GitSource, HttpForm, HttpSource, RemoteError, RemoteSource, file_name, is_archive, is_url,
};

use crate::backend::{BuildContext, Dockerfile};
use crate::error::Error;

/// Largest Dockerfile taken from standard input.
const MAX_DOCKERFILE: u64 = 16 << 20;
/// How much of standard input is looked at to tell an archive from a Dockerfile.
const HEAD: u64 = 1024;
/// What stands for standard input.
const STDIN: &str = "-";
/// The argument that has a context keep its directory `.git`.
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";
/// What the Dockerfile is called that is all that a URL leads to.
const DOCKERFILE: &str = "Dockerfile";

/// What was found on standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// It was not read.
    Nothing,
    /// The Dockerfile.
    Dockerfile(Vec<u8>),
    /// An archive that begins with these bytes; the rest has not been read.
    Archive(Vec<u8>),
}

/// Reads as much of standard input as must be known, on a thread that nobody waits for when a signal comes first.
pub(super) async fn read_input(context: &str, file: Option<&Path>) -> Result<Typed, Error> {
    let is_file = file == Some(Path::new(STDIN));
    if context == STDIN && is_file {
        return Err(Error::Usage(
            "standard input cannot be both the context and the Dockerfile".to_owned(),
        ));
    }
    if context != STDIN && !is_file {
        return Ok(Typed::Nothing);
    }
    let read = tokio::task::spawn_blocking(move || read_typed(std::io::stdin(), !is_file));
    let read = read.await.unwrap_or_else(|error| Err(error.into()));
    let typed = read.map_err(|source| Error::Io {
        action: "read standard input",
        source,
    })?;
    match &typed {
        Typed::Dockerfile(text) if text.len() as u64 > MAX_DOCKERFILE => Err(Error::Usage(
            "the Dockerfile on standard input is larger than 16 MiB".to_owned(),
        )),
        _ => Ok(typed),
    }
}

fn read_typed(mut input: impl Read, may_be_archive: bool) -> std::io::Result<Typed> {
    let mut bytes = Vec::new();
    input.by_ref().take(HEAD).read_to_end(&mut bytes)?;
    if may_be_archive && is_archive(&bytes) {
        return Ok(Typed::Archive(bytes));
    }
    let rest = MAX_DOCKERFILE + 1 - HEAD;
    input.take(rest).read_to_end(&mut bytes)?;
    Ok(Typed::Dockerfile(bytes))
}

/// The context and the Dockerfile. `args` are the build's arguments.
pub(super) fn origin(
    context: &str,
    file: Option<PathBuf>,
    args: &[(String, Option<String>)],
    typed: Typed,
) -> Result<(BuildContext, Dockerfile), Error> {
    if context == STDIN {
        return match (typed, file) {
            (Typed::Archive(beginning), file) => {
                Ok((BuildContext::Archive(beginning), dockerfile(file)?))
            }
            (Typed::Dockerfile(_) | Typed::Nothing, Some(_)) => Err(Error::Usage(
                "standard input is a Dockerfile, and `--file` names another".to_owned(),
            )),
            (Typed::Dockerfile(text), None) => Ok((BuildContext::Empty, Dockerfile::Text(text))),
            (Typed::Nothing, None) => Ok((BuildContext::Empty, Dockerfile::InContext)),
        };
    }
    let dockerfile = match (file, typed) {
        (Some(file), Typed::Dockerfile(text)) if file == Path::new(STDIN) => Dockerfile::Text(text),
        (file, _) => dockerfile(file)?,
    };
    Ok((place(context, args)?, dockerfile))
}

fn dockerfile(file: Option<PathBuf>) -> Result<Dockerfile, Error> {
    let Some(file) = file else {
        return Ok(Dockerfile::InContext);
    };
    let Some(url) = file.to_str().filter(|text| is_url(text)) else {
        return Ok(Dockerfile::File(file));
    };
    let name = file_name(url).unwrap_or_else(|| DOCKERFILE.to_owned());
    let source = HttpSource::new(url, &name, HttpForm::File).map_err(|error| wrong(&error))?;
    Ok(Dockerfile::Url(source))
}

/// A directory, if there is one of this name; else what the name means on the network.
fn place(context: &str, args: &[(String, Option<String>)]) -> Result<BuildContext, Error> {
    let directory = || BuildContext::Directory(context.into());
    if Path::new(context).is_dir() {
        return Ok(directory());
    }
    if let Some(source) = GitSource::parse_context(context) {
        let mut source = source.map_err(|error| wrong(&error))?;
        if keeps_git_dir(args)? {
            source = source.with_git_dir(true).map_err(|error| wrong(&error))?;
        }
        return Ok(BuildContext::Remote(RemoteSource::Git(source)));
    }
    if is_url(context) {
        let source = HttpSource::new(context, DOCKERFILE, HttpForm::Archive)
            .map_err(|error| wrong(&error))?;
        return Ok(BuildContext::Remote(RemoteSource::Http(source)));
    }
    Ok(directory())
}

fn keeps_git_dir(args: &[(String, Option<String>)]) -> Result<bool, Error> {
    let last = args.iter().rev().find(|(name, _)| name == KEEP_GIT_DIR);
    match last.and_then(|(_, value)| value.as_deref()) {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False" | "") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(value) => Err(Error::Usage(format!(
            "`{KEEP_GIT_DIR}` is `true` or `false`, not `{value}`"
        ))),
    }
}

/// Whether it is fetched through SSH.
pub(super) fn needs_ssh(context: &BuildContext) -> bool {
    match context {
        BuildContext::Remote(RemoteSource::Git(source)) => {
            source.url.starts_with("ssh://") || !source.url.contains("://")
        }
        _ => false,
    }
}

fn wrong(error: &RemoteError) -> Error {
    Error::Usage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin_of(context: &str, file: Option<&str>, typed: Typed) -> (BuildContext, Dockerfile) {
        origin(context, file.map(PathBuf::from), &[], typed).expect("it makes sense")
    }

    #[test]
    fn standard_input_is_an_archive_or_a_dockerfile() {
        let text = b"FROM scratch\n";
        let typed = read_typed(&text[..], true).expect("reads from memory");
        assert_eq!(typed, Typed::Dockerfile(text.to_vec()));
        let gzip = [0x1f, 0x8b, 8, 0];
        let typed = read_typed(&gzip[..], true).expect("reads from memory");
        assert_eq!(typed, Typed::Archive(gzip.to_vec()));
        let (context, dockerfile) = origin_of("-", Some("sub/file"), typed);
        assert_eq!(context, BuildContext::Archive(gzip.to_vec()));
        assert_eq!(dockerfile, Dockerfile::File("sub/file".into()));
        let typed = Typed::Dockerfile(text.to_vec());
        let (context, dockerfile) = origin_of("-", None, typed.clone());
        assert_eq!(context, BuildContext::Empty);
        assert_eq!(dockerfile, Dockerfile::Text(text.to_vec()));
        assert!(origin("-", Some("x".into()), &[], typed).is_err());
    }

    #[test]
    fn names_mean_directories_repositories_and_urls() {
        let context = |text: &str| origin_of(text, None, Typed::Nothing).0;
        assert_eq!(context("/"), BuildContext::Directory("/".into()));
        assert_eq!(context("a/b"), BuildContext::Directory("a/b".into()));
        for text in [
            "github.com/a/b",
            "https://h/r.git#main:sub",
            "git@h:r",
            "ssh://h/r",
        ] {
            let found = context(text);
            assert!(
                matches!(found, BuildContext::Remote(RemoteSource::Git(_))),
                "{text}"
            );
            assert_eq!(
                needs_ssh(&found),
                text.contains("ssh") || text.contains('@')
            );
        }
        assert!(matches!(
            context("https://h/a.tar.gz"),
            BuildContext::Remote(RemoteSource::Http(source)) if source.form == HttpForm::Archive
        ));
        let (_, dockerfile) = origin_of(".", Some("https://h/x/Dockerfile.dev"), Typed::Nothing);
        assert!(matches!(dockerfile, Dockerfile::Url(source) if source.name == "Dockerfile.dev"));
        for bad in ["https://h/r.git#-x", "https:///x", "https://h/r.git?what=1"] {
            assert!(origin(bad, None, &[], Typed::Nothing).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_argument_keeps_the_directory_of_git() {
        let keep = |value: &str| [(KEEP_GIT_DIR.to_owned(), Some(value.to_owned()))];
        let found = origin("https://h/r.git", None, &keep("1"), Typed::Nothing);
        assert!(matches!(
            found.expect("it makes sense").0,
            BuildContext::Remote(RemoteSource::Git(source)) if source.keep_git_dir == Some(true)
        ));
        assert!(origin("https://h/r.git", None, &keep("maybe"), Typed::Nothing).is_err());
    }
}
