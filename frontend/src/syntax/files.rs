//! `COPY` and `ADD`.

use std::collections::BTreeMap;

use super::ast::{AddFlags, CopyFlags, FileFlags, Kind, Sources};
use super::flags::{Flags, Takes};
use super::heredoc::{self, Heredoc};
use super::instruction::Request;
use crate::diagnostic::Diagnostic;

pub(super) const COPY_FLAGS: [(&str, Takes); 7] = [
    ("chmod", Takes::Value),
    ("chown", Takes::Value),
    ("exclude", Takes::Values),
    ("from", Takes::Value),
    ("if-exists", Takes::Bool),
    ("link", Takes::Bool),
    ("parents", Takes::Bool),
];

pub(super) const ADD_FLAGS: [(&str, Takes); 8] = [
    ("checksum", Takes::Value),
    ("chmod", Takes::Value),
    ("chown", Takes::Value),
    ("exclude", Takes::Values),
    ("if-exists", Takes::Bool),
    ("keep-git-dir", Takes::Bool),
    ("link", Takes::Bool),
    ("unpack", Takes::Bool),
];

pub(super) fn copy(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    let flags = request.flags(&COPY_FLAGS)?;
    let copy = CopyFlags {
        files: file_flags(&flags),
        from: flags.value("from"),
        parents: flags.switch("parents"),
    };
    Ok(Kind::Copy(copy, sources(request)?))
}

pub(super) fn add(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    let flags = request.flags(&ADD_FLAGS)?;
    let add = AddFlags {
        files: file_flags(&flags),
        checksum: flags.value("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    };
    Ok(Kind::Add(add, sources(request)?))
}

fn file_flags(flags: &Flags) -> FileFlags {
    FileFlags {
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.switch("link"),
        if_exists: flags.switch("if-exists"),
        exclude: flags.values("exclude"),
    }
}

fn sources(request: &Request<'_>) -> Result<Sources, Diagnostic> {
    let mut words = request.list()?;
    let count = words.len();
    let Some(dest) = words.pop().filter(|_| count >= 2) else {
        return Err(request.error("requires at least two arguments"));
    };
    let wrong =
        |error: crate::expand::ExpandError, span| Diagnostic::error(error.to_string(), span);
    let document = heredoc::of_word(&dest.text).map_err(|error| wrong(error, dest.span))?;
    if document.is_some() && !request.heredocs.is_empty() {
        return Err(Diagnostic::error(
            format!("{} cannot accept a heredoc as a destination", request.name),
            dest.span,
        ));
    }
    let known: BTreeMap<&str, &Heredoc> = request
        .heredocs
        .iter()
        .map(|document| (document.name.as_str(), document))
        .collect();
    let mut paths = Vec::new();
    let mut heredocs = Vec::new();
    for word in words {
        let named = heredoc::of_word(&word.text).map_err(|error| wrong(error, word.span))?;
        match named.and_then(|named| known.get(named.name.as_str())) {
            Some(document) => heredocs.push(((*document).clone(), word.span)),
            None => paths.push(word),
        }
    }
    Ok(Sources {
        paths,
        heredocs,
        dest,
    })
}
