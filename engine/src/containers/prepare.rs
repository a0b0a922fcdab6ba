//! The sandbox of a container.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer::{LayerTree, UpperDir, View};
use runtime::{Isolation, Mount, Network, Process, Root, Source, Spec, Stdio};

use super::environment;
use super::error::ContainerError;
use super::places;
use super::state::{ContainerConfig, ContainerDir, ContainerNetwork};
use crate::engine::Engine;
use crate::error::StepError;
use crate::rootfs::Sealed;
use crate::sandbox::{Stubs, name_files, own_root};
use crate::users::resolve_user;

const HOSTS: &str = "/etc/hosts";
const HOST_NAME: &str = "/etc/hostname";
const PERMISSIONS: u32 = 0o7777;

/// What a container's first process is and has around it. `is_new` says that it never ran.
pub(super) fn spec(
    engine: &Engine,
    config: &ContainerConfig,
    dir: &ContainerDir,
    is_new: bool,
    stdio: Stdio,
) -> Result<Spec, ContainerError> {
    let layers = layers(engine, config)?;
    let upper = dir.upper();
    let mut trees: Vec<Arc<dyn LayerTree>> = Vec::with_capacity(layers.len() + 1);
    for sealed in &layers {
        trees.push(Arc::clone(&sealed.index) as Arc<dyn LayerTree>);
    }
    if is_new {
        imitate_root(&upper, &View::new(trees.clone()))?;
    } else {
        trees.push(Arc::new(UpperDir::open(&upper).map_err(StepError::from)?));
    }
    let view = View::new(trees);
    let user = resolve_user(&config.user, &view)?;
    let mounts = mounts(config)?;
    places::make(&config.volumes, &mounts, &config.working_dir)?;
    let (mounts, stubs) = stubs(config, &view, mounts, dir.stubs())?;
    let rootfs = engine.stack(layers)?;
    let env = environment::of_process(config, config.terminal.is_some(), &[]);
    Ok(Spec {
        root: Root {
            lowers: engine.lowers(&rootfs)?,
            stubs,
            upper: (!config.readonly).then(|| runtime::Upper {
                directory: upper,
                work: dir.work(),
                durable: !config.auto_remove,
            }),
        },
        process: Process {
            env: environment::with_home(env, &user),
            cwd: PathBuf::from(&config.working_dir),
            user,
            ..Process::new(config.args())
        },
        stdio,
        host_name: config.hostname.clone(),
        network: match config.network {
            ContainerNetwork::Default => Network::Own,
            ContainerNetwork::Host => Network::Host,
            ContainerNetwork::None => Network::None,
        },
        isolation: Isolation::Full,
        shared_memory: None,
        mounts,
    })
}

fn layers(engine: &Engine, config: &ContainerConfig) -> Result<Vec<Sealed>, ContainerError> {
    let layers = config.layers.iter().map(|layer| {
        let lost = || ContainerError::LostLayer {
            layer: layer.to_string(),
            image: config.image.clone(),
        };
        engine.sealed_layer(layer)?.ok_or_else(lost)
    });
    layers.collect()
}

/// Gives the directory of the changes the mode and the owner of the image's root, as it lies on top of that.
fn imitate_root(upper: &Path, image: &View) -> Result<(), ContainerError> {
    let root = image.root().and_then(|root| root.metadata());
    let root = root.map_err(StepError::from)?;
    let failed = |error| ContainerError::io("change", upper.display(), error);
    let now = fs::symlink_metadata(upper).map_err(failed)?;
    if (now.uid(), now.gid()) != (root.uid, root.gid) {
        own_root(upper, root.uid, root.gid).map_err(|error| failed(error.into()))?;
    }
    if now.mode() & PERMISSIONS != root.mode & PERMISSIONS {
        let mode = fs::Permissions::from_mode(root.mode & PERMISSIONS);
        fs::set_permissions(upper, mode).map_err(failed)?;
    }
    Ok(())
}

/// What is mounted: what is asked for and the files that name hosts, those closer to the root first.
fn mounts(config: &ContainerConfig) -> Result<Vec<Mount>, ContainerError> {
    let mut mounts = name_files(&config.hostname, &config.hosts)?;
    if config.network != ContainerNetwork::None
        && let Some(names) = host_names(config)?
    {
        mounts.retain(|mount| mount.target != Path::new(HOSTS));
        mounts.push(file(HOSTS, names));
    }
    mounts.push(file(
        HOST_NAME,
        format!("{}\n", config.hostname).into_bytes(),
    ));
    for mount in &mut mounts {
        mount.read_only = config.readonly;
    }
    for volume in &config.volumes {
        make_source(&volume.source)?;
        mounts.push(Mount {
            target: PathBuf::from(&volume.target),
            source: Source::Bind {
                path: volume.source.clone(),
                recursive: true,
            },
            read_only: volume.readonly,
        });
    }
    mounts.sort_by_key(|mount| mount.target.components().count());
    Ok(mounts)
}

/// `/etc/hosts` where there is a network: the host's own with the lines that were asked for; `None` if it has none.
fn host_names(config: &ContainerConfig) -> Result<Option<Vec<u8>>, ContainerError> {
    let mut names = match fs::read(HOSTS) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ContainerError::io("read", HOSTS, error)),
    };
    if !names.is_empty() && !names.ends_with(b"\n") {
        names.push(b'\n');
    }
    for line in &config.hosts {
        names.extend_from_slice(line.as_bytes());
        names.push(b'\n');
    }
    Ok(Some(names))
}

fn file(target: &str, content: Vec<u8>) -> Mount {
    Mount {
        target: target.into(),
        source: Source::File {
            content,
            mode: 0o644,
            uid: 0,
            gid: 0,
        },
        read_only: false,
    }
}

/// As with Docker's `-v`, what is to be mounted becomes a directory where there is nothing.
fn make_source(path: &Path) -> Result<(), ContainerError> {
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|error| ContainerError::io("make", path.display(), error))
}

/// The directory with the places that the image lacks: the targets of mounts, and the working directory.
fn stubs(
    config: &ContainerConfig,
    view: &View,
    mut mounts: Vec<Mount>,
    directory: PathBuf,
) -> Result<(Vec<Mount>, Option<PathBuf>), ContainerError> {
    if let Err(error) = fs::remove_dir_all(&directory)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(ContainerError::io("remove", directory.display(), error));
    }
    // It is looked for as if something were mounted on it.
    mounts.push(Mount {
        target: PathBuf::from(&config.working_dir),
        source: Source::Tmpfs {
            size: None,
            mode: 0o755,
        },
        read_only: false,
    });
    let stubs = Stubs::find(view, &mounts)?.make(view, directory)?;
    mounts.pop();
    Ok((mounts, stubs))
}
