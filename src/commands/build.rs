//! `rbuild build`: from the flags to a request, and from the result to what Docker's users expect of it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, Args};
use engine::build::{Entitlement, ForeseenStep, Platform};
use engine::event::Listener;
use serde_json::json;

use super::build_arguments::{build_arguments, makes_index};
use super::build_origin::{Typed, needs_ssh, origin, read_input};
use super::debug::{OnError, Wish};
use super::{Context, call, dry_run, verify};
use crate::args::build_context::BuildContextArg;
use crate::args::call::CallArg;
use crate::args::entitlement::entitlement;
use crate::args::host::HostArg;
use crate::args::output::{Dest, OutputArg, OutputKind};
use crate::args::platform::platform;
use crate::args::quantity::size;
use crate::args::secret::{SecretArg, SecretPlace};
use crate::args::ssh::SshArg;
use crate::args::ulimit::UlimitArg;
use crate::args::{key_value, label, off};
use crate::backend::{Backend, BuildRequest, Built, ContainerNetwork, Debugged, Secret, Verified};
use crate::display::Mode;
use crate::error::Error;
use crate::settings::{SSH_AUTH_SOCK, Settings};
use crate::signals::interruptible;
use crate::timeline::Timeline;

/// Platforms to build for where no flag says.
const DEFAULT_PLATFORM: &str = "DOCKER_DEFAULT_PLATFORM";
/// The SSH agent that repositories are fetched with.
const DEFAULT_AGENT: &str = "default";

/// Flags of `rbuild build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The build context: a directory, the URL of a Git repository or of an archive, or `-` for an archive or a
    /// Dockerfile on standard input
    #[arg(value_name = "PATH")]
    pub context: String,
    /// Name the image: `name[:tag]`; may be repeated
    #[arg(short, long = "tag", value_name = "NAME")]
    pub tags: Vec<String>,
    /// The Dockerfile: a file, a URL, or `-` for standard input [default: Dockerfile in PATH]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Have something else stand for a stage or an image: a directory, `docker-image://NAME`,
    /// `oci-layout://PATH`, a Git repository or a URL
    #[arg(long = "build-context", value_name = "NAME=VALUE")]
    pub contexts: Vec<BuildContextArg>,
    /// Set a variable that the Dockerfile declares with ARG; without a value it comes from the environment
    #[arg(long = "build-arg", value_name = "KEY[=VALUE]", value_parser = key_value)]
    pub variables: Vec<(String, Option<String>)>,
    /// Build this stage rather than the last
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Run every step again
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub no_cache: bool,
    /// Run the steps of these stages again: names, divided by commas
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// Make one layer of those that the image has from this stage or step on: a stage's name, or a step's line in the
    /// Dockerfile, its place (`2/5`), or a part of its name
    #[arg(long, value_name = "STAGE|STEP")]
    pub squash_from: Option<String>,
    /// Ask the registry for newer base images
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub pull: bool,
    /// Give the image a label
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Write the image's ID to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Write what is known of the result to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// What is shown of the build [env: BUILDKIT_PROGRESS]
    #[arg(long, value_name = "MODE", conflicts_with = "quiet")]
    pub progress: Option<Mode>,
    /// Print only the image's ID
    #[arg(short, long)]
    pub quiet: bool,
    /// The network of steps that do not choose one
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub network: ContainerNetwork,
    /// Add a line to the steps' /etc/hosts
    #[arg(long = "add-host", value_name = "HOST:IP")]
    pub hosts: Vec<HostArg>,
    /// Let steps ask for a power: `network.host` or `security.insecure`
    #[arg(long, value_name = "POWER", value_parser = entitlement)]
    pub allow: Vec<Entitlement>,
    /// How much /dev/shm of the steps may hold [default: 64m]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub shm_size: Option<u64>,
    /// Limit the steps' processes: `nofile=1024:2048`
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]")]
    pub limits: Vec<UlimitArg>,
    /// Let steps use an SSH agent: `default` is that of $SSH_AUTH_SOCK
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<SshArg>,
    /// Let steps mount a secret: `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`
    #[arg(long = "secret", value_name = "SPEC")]
    pub secrets: Vec<SecretArg>,
    /// Write the result: `type=oci|docker|tar|local|image|registry[,dest=PATH][,name=NAME]`; a bare path is a directory,
    /// `-` a tar on standard output
    #[arg(short, long = "output", value_name = "SPEC")]
    pub outputs: Vec<OutputArg>,
    /// Push the image to the registries in its names
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub push: bool,
    /// Put the image into the store, also when there are other outputs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub load: bool,
    /// Nothing is kept that this could remove: as with Docker
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub rm: Option<bool>,
    /// As `--rm`
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub force_rm: Option<bool>,
    /// The context is not sent, so there is nothing to compress
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub compress: Option<bool>,
    /// Attestations are not made
    #[arg(long, hide = true, value_parser = off)]
    pub provenance: Option<()>,
    /// As `--provenance`
    #[arg(long, hide = true, value_parser = off)]
    pub sbom: Option<()>,
    /// The platforms to build for: `linux/arm64`, `arm64`, `local`; several, divided by commas, make an index of images
    /// [env: DOCKER_DEFAULT_PLATFORM] [default: this machine's own]
    #[arg(long = "platform", value_name = "OS/ARCH", value_delimiter = ',', value_parser = platform)]
    pub platforms: Vec<Platform>,
    /// Tell which steps would run and how long they took when they last did; run none
    #[arg(long, conflicts_with_all = ["verify", "iidfile", "metadata_file"])]
    pub dry_run: bool,
    /// Build twice without the cache and compare: where the results differ, tell the first path, and fail
    #[arg(long)]
    pub verify: bool,
    /// When a command fails, open a terminal in its step, as the command left it; leaving that ends the build
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["dry_run", "verify", "invoke"])]
    pub on_error: Option<OnError>,
    /// Run a command in the finished image, a shell in a terminal without one; its exit code is the build's
    #[arg(long, value_name = "COMMAND", num_args = 0..=1, require_equals = true, default_missing_value = "",
          conflicts_with_all = ["dry_run", "verify"])]
    pub invoke: Option<String>,
    /// Print where the time went
    #[arg(long)]
    pub timings: bool,
    /// Write where the time went to a file, for Chrome's trace viewer or Perfetto
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Look for what is probably not meant in the Dockerfile, and build nothing: `--call=check`
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub check: bool,
    /// Tell something of the Dockerfile, and build nothing: `check`, `outline`, `targets` or `subrequests.describe`, for
    /// programs with `,format=json` (`check` also `,format=sarif`)
    #[arg(
        long,
        value_name = "METHOD",
        default_value = "build",
        hide_default_value = true
    )]
    pub call: CallArg,
    /// How many steps run at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

/// Builds.
pub(crate) async fn run<B: Backend>(args: BuildArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let call = if args.check {
        CallArg::CHECK
    } else {
        args.call
    };
    let Some(method) = call.method else {
        return build(args, None, cx).await;
    };
    let mode = mode(&args);
    let typed = typed(&args).await?;
    let request = request(args, cx.settings, typed)?;
    call::run(call, method, request, mode, cx).await
}

/// How the progress is shown, if the flags say so.
pub(super) fn mode(args: &BuildArgs) -> Option<Mode> {
    if args.quiet {
        Some(Mode::Quiet)
    } else {
        args.progress
    }
}

/// What stands on standard input, as far as it must be known.
pub(super) async fn typed(args: &BuildArgs) -> Result<Typed, Error> {
    interruptible(read_input(&args.context, args.file.as_deref())).await
}

/// Builds; with a step, only what that needs, to open it.
pub(super) async fn build<B: Backend>(
    args: BuildArgs,
    step: Option<String>,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let mode = mode(&args);
    check_files(&args)?;
    let wish = Wish::of(&args, step)?;
    let iidfile = args.iidfile.clone();
    let metadata_file = args.metadata_file.clone();
    let (timings, trace) = (args.timings, args.trace.clone());
    let (dry_run, verify) = (args.dry_run, args.verify);
    let typed = typed(&args).await?;
    let request = request(args, cx.settings, typed)?;
    let (display, mode) = cx.display(mode, "Building")?;
    let display = Arc::new(display);
    let timeline = (timings || trace.is_some())
        .then(|| Arc::new(Timeline::new(Arc::clone(&display) as Arc<dyn Listener>)));
    let listener: Arc<dyn Listener> = match &timeline {
        Some(timeline) => Arc::clone(timeline) as _,
        None => Arc::clone(&display) as _,
    };
    let work = async {
        let backend = cx.backend;
        Ok(match wish {
            Some(wish) => {
                let debugged = backend.debug(request, wish.what.clone(), listener).await?;
                Work::Debugged(wish, debugged)
            }
            None if dry_run => Work::Foreseen(backend.foresee(request, listener).await?),
            None if verify => Work::Verified(backend.verify(request, listener).await?),
            None => Work::Built(backend.build(request, listener).await?),
        })
    };
    let result = interruptible(work).await;
    display.finish();
    if let Some(timeline) = &timeline {
        tell_times(timeline, timings, trace.as_deref(), cx)?;
    }
    let mut opened = None;
    let built = match result? {
        Work::Debugged(wish, Debugged::Opened(session, Some(built))) => {
            opened = Some((wish, session));
            built
        }
        Work::Debugged(wish, Debugged::Opened(session, None)) => {
            return wish.serve(&session, cx).await;
        }
        Work::Debugged(wish, Debugged::Failed(error, session)) => {
            return wish.serve_failure(error, session, cx).await;
        }
        Work::Debugged(_, Debugged::Finished(built))
        | Work::Verified(Verified::Same(built))
        | Work::Built(built) => built,
        Work::Verified(Verified::Differs(difference)) => {
            cx.printer.say(&verify::report(&difference));
            return Ok(1);
        }
        Work::Foreseen(steps) => {
            cx.printer.bytes(dry_run::table(&steps).as_bytes())?;
            return Ok(0);
        }
    };
    if let Some(path) = iidfile {
        write(&path, built.id.as_bytes())?;
    }
    if let Some(path) = metadata_file {
        write(&path, &metadata(&built))?;
    }
    if mode == Mode::Quiet {
        cx.printer.line(&built.id)?;
    }
    match opened {
        Some((wish, session)) => wish.serve(&session, cx).await,
        None => Ok(0),
    }
}

/// Says where the time went: on standard error, in a file, or both.
fn tell_times<B>(
    timeline: &Timeline,
    timings: bool,
    trace: Option<&Path>,
    cx: &mut Context<'_, B>,
) -> Result<(), Error> {
    if timings {
        cx.printer.say(&timeline.summary());
    }
    match trace {
        Some(path) => write(path, timeline.trace().to_string().as_bytes()),
        None => Ok(()),
    }
}

/// What came of the work that was asked for.
enum Work<S> {
    Debugged(Wish, Debugged<S>),
    Built(Built),
    Verified(Verified),
    Foreseen(Vec<ForeseenStep>),
}

/// Refuses files that could not be written, before anything is built for them.
fn check_files(args: &BuildArgs) -> Result<(), Error> {
    let named = [&args.iidfile, &args.metadata_file, &args.trace];
    let archives = args.outputs.iter().filter_map(|output| match &output.dest {
        Dest::Path(path) if output.is_file() => Some(path),
        _ => None,
    });
    for path in named.into_iter().flatten().chain(archives) {
        let refuse = |what: String| {
            Err(Error::Usage(format!(
                "cannot write `{}`: {what}",
                path.display()
            )))
        };
        if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return refuse("it is a directory, and a file is needed".to_owned());
        }
        if let Some(parent) = path.parent()
            && !parent.as_os_str().is_empty()
            && !parent.is_dir()
        {
            return refuse(format!("there is no directory `{}`", parent.display()));
        }
    }
    Ok(())
}

/// Turns flags into a request.
///
/// `typed` is what was found on standard input.
pub(super) fn request(
    args: BuildArgs,
    settings: &Settings,
    typed: Typed,
) -> Result<BuildRequest, Error> {
    let outputs = outputs(&args)?;
    let (context, dockerfile) = origin(&args.context, args.file, &args.variables, typed)?;
    let platforms = distinct(asked_platforms(args.platforms, settings)?);
    let build_args = build_arguments(args.variables, settings);
    let mut ssh = args.ssh;
    // As with Docker, a context that needs an agent has the one there is.
    if needs_ssh(&context)
        && settings.lookup(SSH_AUTH_SOCK).is_some()
        && ssh.iter().all(|agent| agent.id != DEFAULT_AGENT)
    {
        ssh.push(SshArg {
            id: DEFAULT_AGENT.to_owned(),
            socket: None,
        });
    }
    Ok(BuildRequest {
        context,
        contexts: args.contexts,
        dockerfile,
        tags: args.tags,
        index: makes_index(&build_args, platforms.len())?,
        platforms,
        build_args,
        target: args.target,
        no_cache: args.no_cache,
        no_cache_stages: args.no_cache_filter,
        squash_from: args.squash_from,
        pull: args.pull,
        labels: args.labels,
        network: args.network,
        entitlements: args.allow,
        hosts: args.hosts,
        shared_memory: args.shm_size,
        limits: args.limits,
        secrets: secrets(args.secrets, settings)?,
        ssh: agents(ssh, settings)?,
        outputs,
        jobs: args.jobs.map(usize::from),
    })
}

fn secrets(given: Vec<SecretArg>, settings: &Settings) -> Result<Vec<(String, Secret)>, Error> {
    use std::os::unix::ffi::OsStringExt;
    let lookup = |name: &str| {
        settings
            .lookup(name)
            .map(|value| Secret::Value(value.into_vec()))
    };
    given
        .into_iter()
        .map(|SecretArg { id, place }| {
            let secret = match place {
                SecretPlace::File(path) => Secret::File(path),
                SecretPlace::Env(name) => lookup(&name).ok_or_else(|| {
                    Error::Usage(format!("secret `{id}`: the variable `{name}` is not set"))
                })?,
                SecretPlace::Either => {
                    lookup(&id).unwrap_or_else(|| Secret::File(PathBuf::from(&id)))
                }
            };
            if let Secret::File(path) = &secret
                && !path.is_file()
            {
                return Err(Error::Usage(format!(
                    "secret `{id}`: there is no file `{}`",
                    path.display()
                )));
            }
            Ok((id, secret))
        })
        .collect()
}

/// The sockets of SSH agents.
fn agents(given: Vec<SshArg>, settings: &Settings) -> Result<Vec<(String, PathBuf)>, Error> {
    use std::os::unix::fs::FileTypeExt;
    given
        .into_iter()
        .map(|SshArg { id, socket }| {
            let socket = match socket {
                Some(socket) => socket,
                None => settings
                    .lookup(SSH_AUTH_SOCK)
                    .filter(|path| !path.is_empty())
                    .map(PathBuf::from)
                    .ok_or_else(|| {
                        Error::Usage(format!(
                            "SSH agent `{id}`: `{SSH_AUTH_SOCK}` is not set; start one with `eval $(ssh-agent)`"
                        ))
                    })?,
            };
            match std::fs::metadata(&socket) {
                Ok(metadata) if metadata.file_type().is_socket() => Ok((id, socket)),
                Ok(_) => Err(Error::Usage(format!(
                    "SSH agent `{id}`: `{}` is not a socket; put a key into an agent with `ssh-add`",
                    socket.display()
                ))),
                Err(_) => Err(Error::Usage(format!(
                    "SSH agent `{id}`: there is no socket `{}`",
                    socket.display()
                ))),
            }
        })
        .collect()
}

/// The outputs, those of `--push` and `--load` among them.
fn outputs(args: &BuildArgs) -> Result<Vec<OutputArg>, Error> {
    let mut outputs = args.outputs.clone();
    let to_stdout = outputs
        .iter()
        .filter(|output| output.dest == Dest::Stdout)
        .count();
    if to_stdout > 1 || (to_stdout == 1 && args.quiet) {
        return Err(Error::Usage(
            "only one thing can be written to standard output".to_owned(),
        ));
    }
    if to_stdout == 1 && std::io::stdout().is_terminal() {
        return Err(Error::Usage(
            "an archive is not for a terminal: use `dest=FILE` or redirect standard output"
                .to_owned(),
        ));
    }
    let named = !args.tags.is_empty() || outputs.iter().any(|output| !output.names.is_empty());
    let pushes = args.push
        || outputs
            .iter()
            .any(|output| output.kind == OutputKind::Registry || output.push);
    if pushes && !named {
        return Err(Error::Usage(
            "a name is needed to push: give one with `--tag`".to_owned(),
        ));
    }
    if args.push {
        outputs.push(OutputArg::new(OutputKind::Registry, Dest::None));
    }
    if (args.load || args.push)
        && !outputs
            .iter()
            .any(|output| output.kind == OutputKind::Image)
    {
        outputs.push(OutputArg::new(OutputKind::Image, Dest::None));
    }
    Ok(outputs)
}

/// The platforms that are asked for by flag, or else by the environment.
fn asked_platforms(given: Vec<Platform>, settings: &Settings) -> Result<Vec<Platform>, Error> {
    if !given.is_empty() {
        return Ok(given);
    }
    let default = settings.lookup(DEFAULT_PLATFORM).unwrap_or_default();
    let default = default.to_string_lossy();
    let named = default.split(',').filter(|name| !name.is_empty());
    named
        .map(|name| {
            platform(name).map_err(|error| Error::Usage(format!("`{DEFAULT_PLATFORM}`: {error}")))
        })
        .collect()
}

/// The platforms to build for, each once.
fn distinct(platforms: Vec<Platform>) -> Vec<Platform> {
    let mut distinct = Vec::with_capacity(platforms.len());
    for platform in platforms {
        if !distinct.contains(&platform) {
            distinct.push(platform);
        }
    }
    distinct
}

/// The metadata file's keys, as `docker buildx build` writes them.
fn metadata(built: &Built) -> Vec<u8> {
    let mut metadata = json!({
        "containerimage.descriptor": {
            "mediaType": built.media_type,
            "digest": built.manifest,
            "size": built.manifest_size,
        },
        "containerimage.digest": built.manifest,
    });
    if let Some(config) = &built.config {
        metadata["containerimage.config.digest"] = config.as_str().into();
    }
    if !built.names.is_empty() {
        metadata["image.name"] = built.names.join(",").into();
    }
    format!("{metadata:#}\n").into_bytes()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(path, bytes).map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
