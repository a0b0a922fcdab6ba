//! `ADD` of what is on the network.

use solver::NodeId;

use super::files::Copied;
use super::stage::Scope;
use crate::diagnostic::Diagnostic;
use crate::plan::CopyItem;
use crate::remote::{
    GitSource, HttpForm, HttpSource, RemoteError, RemoteSource, file_name, is_url,
};
use crate::syntax::ast::AddFlags;
use crate::syntax::logical::Word;

/// What a file is called that takes the name of the destination, so that its own is of no account.
const UNNAMED: &str = "file";

impl Scope<'_, '_> {
    /// Puts steps in place of those sources of an `ADD` that are on the network. Gives the inputs that these are.
    pub(super) fn add_remotes(
        &mut self,
        flags: &AddFlags,
        copied: &mut Copied,
    ) -> Result<Vec<NodeId>, Diagnostic> {
        let checksum = self.optional(flags.checksum.as_ref())?;
        if let Some(checksum) = &checksum
            && copied.copy.items.len() != 1
        {
            return Err(Diagnostic::error(
                "checksum can't be specified for multiple sources",
                checksum.span,
            ));
        }
        let mut inputs = Vec::new();
        let mut has_git = false;
        let into_directory = copied.copy.dest.ends_with('/');
        for (path, item) in copied.paths.iter().zip(&mut copied.copy.items) {
            let wrong = |error: RemoteError| Diagnostic::error(error.to_string(), path.span);
            let (source, name, unpack) = if let Some(parsed) = GitSource::parse(&path.text) {
                has_git = true;
                let source = remote_repository(parsed.map_err(wrong)?, flags, checksum.as_ref());
                (
                    RemoteSource::Git(source.map_err(wrong)?),
                    String::new(),
                    false,
                )
            } else if is_url(&path.text) {
                let source = remote_file(path, into_directory, checksum.as_ref())?;
                let unpack = flags.unpack.is_some_and(|switch| switch.on);
                (RemoteSource::Http(source.clone()), source.name, unpack)
            } else {
                continue;
            };
            let node = self.builder.remote(source, path.span);
            let known = inputs.iter().position(|input| *input == node);
            // Input 0 is what the step extends.
            let input = 1 + known.unwrap_or_else(|| {
                inputs.push(node);
                inputs.len() - 1
            });
            *item = CopyItem::Remote {
                input,
                path: name,
                unpack,
            };
        }
        if let Some(checksum) = checksum
            && inputs.is_empty()
        {
            return Err(Diagnostic::error(
                "checksum requires HTTP(S) or Git sources",
                checksum.span,
            ));
        }
        if let Some(switch) = flags.keep_git_dir.filter(|switch| switch.on)
            && !has_git
        {
            return Err(Diagnostic::error(
                "`--keep-git-dir` requires Git sources",
                switch.span,
            ));
        }
        Ok(inputs)
    }
}

/// A repository by the flags of its `ADD`.
pub(super) fn remote_repository(
    mut source: GitSource,
    flags: &AddFlags,
    checksum: Option<&Word>,
) -> Result<GitSource, RemoteError> {
    if let Some(switch) = flags.keep_git_dir {
        source = source.with_git_dir(switch.on)?;
    }
    match checksum {
        Some(checksum) => source.with_checksum(&checksum.text),
        None => Ok(source),
    }
}

/// A file by the checksum of its `ADD`.
pub(super) fn remote_file(
    path: &Word,
    into_directory: bool,
    checksum: Option<&Word>,
) -> Result<HttpSource, Diagnostic> {
    let name = match file_name(&path.text) {
        Some(name) => name,
        None if into_directory => {
            return Err(Diagnostic::error(
                "cannot tell the name of the file from the URL",
                path.span,
            )
            .with_help("name the file in the destination"));
        }
        None => UNNAMED.to_owned(),
    };
    let source = HttpSource::new(&path.text, &name, HttpForm::File)
        .map_err(|error| Diagnostic::error(error.to_string(), path.span))?;
    match checksum {
        Some(checksum) => source
            .with_checksum(&checksum.text)
            .map_err(|error| Diagnostic::error(error.to_string(), checksum.span)),
        None => Ok(source),
    }
}
