//! Why something the engine was asked for did not work.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use frontend::diagnostic::Diagnostic;

use crate::sources::SourceError;

/// A copy that cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A file of the host could not be used.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The files of a layer could not be used.
    #[error(transparent)]
    Layer {
        /// What the layer's reader or writer said.
        #[from]
        source: layer::Error,
    },
    /// A source names nothing.
    #[error("`{path}` is not in {place}")]
    NotFound {
        /// As written.
        path: String,
        /// Whose files were searched.
        place: String,
    },
    /// A source names something that the ignore file hides.
    #[error("`{path}` is hidden by `{ignore_file}`")]
    Ignored {
        /// As written.
        path: String,
        /// The ignore file.
        ignore_file: String,
    },
    /// A pattern that Go's `filepath.Match` refuses.
    #[error("`{0}` is not a valid pattern")]
    BadPattern(String),
    /// A pattern that no ignore file could have.
    #[error(transparent)]
    Ignore(#[from] frontend::ignore::IgnoreError),
    /// A path that cannot be in a layer.
    #[error("`{0}` is not a valid path")]
    BadPath(String),
    /// Paths in the context are longer than any in a layer.
    #[error("directories in `{0}` are nested too deep: a path has at most {max} bytes", max = layer::MAX_PATH)]
    TooDeep(String),
    /// A file that looks like an archive cannot be unpacked.
    #[error("cannot unpack the archive")]
    Archive {
        /// What the decompressor said.
        source: std::io::Error,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] cache::Error),
    /// A source that cannot be part of a layer.
    #[error("`{0}` is a socket, which cannot be copied")]
    Socket(String),
    /// A part of the destination's path exists and is no directory.
    #[error("`{0}` is not a directory")]
    NotADirectory(String),
    /// A directory would replace something else.
    #[error("cannot copy a directory to `{0}`, which is not one")]
    DirectoryOverFile(String),
    /// Something else would replace a directory.
    #[error("cannot replace the directory `{0}` with a file")]
    FileOverDirectory(String),
    /// Links that lead in a circle.
    #[error("too many links in `{0}`")]
    TooManyLinks(String),
    /// A file changed between the time its digest was taken and the time it was copied.
    #[error("`{0}` changed while it was being copied")]
    Changed(String),
}

impl FileError {
    pub(crate) fn io(action: &'static str, path: &Path, error: rustix::io::Errno) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source: error.into(),
        }
    }
}

/// A text on one line: line breaks and what a terminal would act on are escaped.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A command ended otherwise than with exit code 0.
    #[error(
        "process `{}` did not complete successfully: {status}",
        printable(command)
    )]
    Process {
        /// The command, its arguments joined.
        command: String,
        /// How it ended.
        status: runtime::ExitStatus,
    },
    /// Files could not be copied.
    #[error(transparent)]
    Files(#[from] FileError),
    /// A file would belong to nobody.
    #[error(transparent)]
    MissingId(#[from] runtime::MissingId),
    /// Layers are to be mounted in a form that cannot be.
    #[error("cannot mount layers as they are")]
    LayerForm(#[source] runtime::Unsupported),
    /// An ordinary user without a user namespace can't run or mount anything.
    #[error("cannot run anything here")]
    Powerless(#[source] Arc<runtime::NamespaceError>),
    /// The sandbox could not be made, or the command not be started in it.
    #[error("cannot run the command")]
    Sandbox(#[from] runtime::Error),
    /// A layer could not be read or written.
    #[error("cannot use a layer")]
    Layer(#[from] layer::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] cache::Error),
    /// A base image could not be brought in.
    #[error("cannot pull `{reference}`")]
    Pull {
        /// The image's name.
        reference: String,
        /// What went wrong.
        source: Box<ImageError>,
    },
    /// A user or group of the instruction does not exist.
    #[error(transparent)]
    User(#[from] runtime::UserError),
    /// A single file is to be mounted where a directory is.
    #[error("cannot mount a file on the directory `{}`", .0.display())]
    FileOnDirectory(PathBuf),
    /// A directory is to be mounted where something else is.
    #[error("cannot mount a directory on the file `{}`", .0.display())]
    DirectoryOnFile(PathBuf),
    /// A secret that a step needs was not given.
    #[error("secret `{id}` is not given; pass it with `--secret id={id},src=FILE`")]
    MissingSecret {
        /// Which.
        id: String,
    },
    /// An SSH agent that a step needs was not given.
    #[error("no SSH agent `{id}` is given; pass it with `--ssh {id}`")]
    MissingAgent {
        /// Which.
        id: String,
    },
    /// The network of steps does not lead to this machine.
    #[error(
        "`host-gateway` leads nowhere: the network of steps is not connected to this machine; use `--network=host`"
    )]
    NoHostGateway,
    /// A secret could not be read.
    #[error("cannot read secret `{id}`")]
    Secret {
        /// Which.
        id: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A service ended before it was ready, or before the command was started.
    #[error("service `{name}` ended before the command began: {status}")]
    EndedService {
        /// Which.
        name: String,
        /// How.
        status: runtime::ExitStatus,
    },
    /// A service did not become ready.
    #[error("service `{name}` is not healthy after {seconds} s")]
    UnhealthyService {
        /// Which.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A mount names nothing.
    #[error("cannot mount `{path}`: it is not in {place}")]
    MountSource {
        /// As written.
        path: String,
        /// Whose files were searched.
        place: String,
    },
    /// Something of the host that a step needs could not be used.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The step was stopped.
    #[error("cancelled")]
    Cancelled,
    /// The private mounts of this program could not be made.
    #[error("cannot make sandboxes")]
    Mounts(#[source] Arc<runtime::Error>),
    /// A source on the network cannot be had.
    #[error(transparent)]
    Source(Box<SourceError>),
    /// A name that no cache mount can have.
    #[error("no cache mount can be called `{0}`: the name is kept for the copy of a repository")]
    ReservedMount(String),
    /// A failure that another step shares.
    #[error(transparent)]
    Shared(#[from] Arc<StepError>),
}

impl From<SourceError> for StepError {
    fn from(error: SourceError) -> Self {
        Self::Source(Box::new(error))
    }
}

impl StepError {
    /// Whether a file of the context changed while it was read, so that trying again may help.
    pub(crate) fn is_race(&self) -> bool {
        match self {
            Self::Files(FileError::Changed(_)) => true,
            Self::Files(FileError::Layer { source }) | Self::Layer(source) => {
                matches!(source, layer::Error::Changed { .. })
            }
            Self::Shared(shared) => shared.is_race(),
            _ => false,
        }
    }
}

/// A build that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A file that the build needs could not be read.
    #[error("cannot read {what} `{}`", path.display())]
    Read {
        /// What it is: `the Dockerfile`, `the build context`.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The files that the build needs could not be fetched.
    #[error("cannot load the build context `{context}`")]
    Context {
        /// Where they should come from.
        context: String,
        /// What went wrong.
        source: Box<SourceError>,
    },
    /// The Dockerfile could not be fetched.
    #[error("cannot load the Dockerfile `{url}`")]
    RemoteDockerfile {
        /// Where it should be.
        url: String,
        /// What went wrong.
        source: Box<SourceError>,
    },
    /// The Dockerfile has errors.
    #[error("the Dockerfile has errors")]
    Dockerfile(Diagnostics),
    /// A base image could not be found.
    #[error("cannot resolve `{reference}`")]
    Resolve {
        /// The image's name.
        reference: String,
        /// Where the Dockerfile names it.
        at: Option<Diagnostics>,
        /// What went wrong.
        source: Box<ImageError>,
    },
    /// A step failed.
    #[error("step `{}` failed", printable(step))]
    Step {
        /// The step's name in the progress.
        step: String,
        /// The instruction, with the error as its message.
        at: Option<Diagnostics>,
        /// What went wrong.
        source: Arc<StepError>,
    },
    /// A step that is asked for is not to be found.
    #[error(transparent)]
    NoStep(#[from] crate::builds::RecordError),
    /// The result could not be written.
    #[error("cannot write the result")]
    Output(#[from] ImageError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] cache::Error),
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
}

/// Findings in a Dockerfile with the text they are about.
#[derive(Debug)]
pub struct Diagnostics {
    /// What was found, most important first.
    pub items: Vec<Diagnostic>,
    /// The Dockerfile.
    pub source: Arc<frontend::SourceText>,
}

impl Diagnostics {
    /// Each finding with its place, source lines and caret.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for item in &self.items {
            text.push_str(&frontend::diagnostic::render(item, &self.source, colour));
        }
        text
    }
}

/// An error with all its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Something that could not be done with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A name that is not a reference.
    #[error(transparent)]
    Reference(#[from] image::ReferenceError),
    /// No such image in the store.
    #[error("no such image: `{0}`")]
    NotFound(String),
    /// The registry, an archive or a manifest.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] cache::Error),
    /// A layer could not be read or written.
    #[error("cannot use a layer")]
    Layer(#[from] layer::Error),
    /// A step that the image is made of failed while it was sealed.
    #[error(transparent)]
    Sealing(#[from] Arc<StepError>),
    /// The credentials of registries cannot be read or kept.
    #[error("cannot use the credentials of registries")]
    Credentials(#[from] image::registry::CredentialError),
    /// A text that no image's name can begin with.
    #[error("`{0}` is not a registry: it is a host with a dot or a port, or `localhost`")]
    NotARegistry(String),
    /// The store has lost a layer, and no registry is known to have it.
    #[error("layer `{layer}` of `{image}` is not in the store; pull the image again")]
    LostLayer {
        /// The layer's diff ID.
        layer: String,
        /// The image.
        image: String,
    },
    /// The store has lost the config of an image.
    #[error("the config of `{0}` is not in the store; pull the image again")]
    LostConfig(String),
    /// An image that is to be removed is in use.
    #[error(
        "cannot remove `{image}`: container `{container}` uses it; force it to remove it anyway"
    )]
    InUse {
        /// As it was named.
        image: String,
        /// A container of it.
        container: String,
    },
    /// An image that is to be removed by its id has several names.
    #[error("cannot remove `{0}` by its id: it has several names; remove these, or force it")]
    SeveralNames(String),
    /// A name by which nothing can be pushed or tagged, since it has a digest.
    #[error("`{0}` has a digest; a name with a tag is needed")]
    FixedName(String),
    /// An OCI layout that has no image to build from.
    #[error("cannot use `{layout}`")]
    Layout {
        /// As it was asked for.
        layout: String,
        /// What is wrong.
        source: Box<ImageError>,
    },
    /// `--output type=docker` of several platforms.
    #[error(
        "docker exporter does not currently support exporting manifest lists; use `type=oci`, or leave out `dest=`"
    )]
    NoIndexInDockerArchive,
    /// Two platforms have a file of one name, and both are to go to one directory.
    #[error("cannot overwrite {path} from {first} with {second} when split option is disabled")]
    SamePath {
        /// The path in the images.
        path: String,
        /// The platform that was written.
        first: String,
        /// The platform that was not.
        second: String,
    },
    /// The work was stopped.
    #[error("cancelled")]
    Cancelled,
    /// A file of the host could not be used.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An attribute of an output that its type does not have, or that is not supported.
    #[error("`{key}` is not an attribute of `type={kind}`")]
    Attribute {
        /// The attribute.
        key: String,
        /// The type of the output.
        kind: &'static str,
    },
    /// An attribute of an output with a value that makes no sense.
    #[error("`{key}` is {expected}, not `{value}`")]
    AttributeValue {
        /// The attribute.
        key: &'static str,
        /// What it could be.
        expected: &'static str,
        /// What it is.
        value: String,
    },
    /// An output whose attributes need a destination of another kind.
    #[error("{0}")]
    Destination(&'static str),
}
