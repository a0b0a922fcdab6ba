//! An engine for the tests of commands: it knows the image `busybox` and the container `box`, and notes what it is asked.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use engine::build::examine::{Described, Outline, Target};
use engine::build::{Debug, Drawing, ForeseenStep};
use engine::builds::{self, BuildRecord, Explanation};
use engine::containers::TerminalSize;
use engine::event::{Listener, Stream};
use engine::images::Compression;
use engine::retention::{self, Checked, Damage, Item, Kind, Problem, Prune, Usage};
use serde_json::json;

use super::{Context, dispatch};
use crate::backend::{
    Attached, Backend, BuildRequest, Built, ContainerDetail, ContainerNetwork, ContainerState,
    ContainerSummary, Debugged, Ended, Examined, ExecRequest, ImageDetail, ImageSummary, Kept,
    LogPiece, LogQuery, Login, Process, Pulled, Pushed, Removal, RunRequest, Streams, Verified,
    VolumeMount,
};
use crate::cli;
use crate::error::BackendError;
use crate::printer::Printer;
use crate::settings::Settings;

/// The engine.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    /// What `logs` gives.
    pub logs: Vec<LogPiece>,
    /// Commands of containers that end in an error of this kind.
    pub start_error: Option<fn() -> BackendError>,
    pub calls: Mutex<Vec<String>>,
    pub runs: Mutex<Vec<RunRequest>>,
    pub builds: Mutex<Vec<BuildRequest>>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub out: String,
    pub err: String,
    pub code: u8,
}

/// A writer whose contents can be looked at.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("no other thread panicked")
            .write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no other thread panicked").clone()).expect("text")
    }
}

/// Runs a command line on the engine.
pub(crate) fn run_command(backend: &Fake, words: &[&str]) -> Done {
    let words = std::iter::once("rbuild")
        .chain(words.iter().copied())
        .map(Into::into);
    let cli = cli::parse(words).expect("a command line");
    let (out, err) = (Shared::default(), Shared::default());
    let mut printer = Printer::new(out.clone(), err.clone());
    let settings = Settings::fixed(&[("BUILDKIT_PROGRESS", "none")]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut cx = Context {
        backend,
        printer: &mut printer,
        global: &cli.global,
        settings: &settings,
    };
    let result = runtime.block_on(dispatch(cli.command, &mut cx));
    let code = result.unwrap_or_else(|error| {
        printer.say(&error.report("test"));
        error.exit_code("test")
    });
    Done {
        out: out.text(),
        err: err.text(),
        code,
    }
}

/// A piece of output.
pub(crate) fn piece(stream: Stream, text: &str) -> LogPiece {
    LogPiece {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        stream,
        bytes: text.as_bytes().to_vec(),
    }
}

/// The image that the engine knows.
pub(crate) fn image() -> ImageDetail {
    ImageDetail {
        summary: ImageSummary {
            id: "sha256:0123456789abcdef".to_owned(),
            names: vec![
                "busybox:latest".to_owned(),
                "localhost:5000/box:1".to_owned(),
            ],
            digests: vec!["busybox@sha256:77".to_owned()],
            created: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
            size: 77_800_000,
        },
        manifest: "sha256:77".to_owned(),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        manifest_size: 500,
        config: json!({
            "created": "2023-11-14T22:13:20Z",
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:aa", "sha256:bb"]},
            "history": [
                {"created": "2023-10-31T00:00:00Z", "created_by": "base"},
                {"created": "2023-11-14T20:13:20Z", "created_by": "RUN /bin/sh -c make install # buildkit and some more",
                 "comment": "buildkit.dockerfile.v0"},
                {"created": "2023-11-14T20:13:20Z", "created_by": "CMD [\"sh\"]", "comment": "buildkit.dockerfile.v0",
                 "empty_layer": true},
            ],
        }),
        layer_sizes: vec![72_800_000, 5_000_000],
    }
}

/// A build that failed in its second step.
pub(crate) fn build_record() -> BuildRecord {
    let row = |name: &str, end, line| {
        json!({
            "name": name, "end": end, "began": 10, "micros": 20,
            "step": {"stage": "stage-0", "position": 0, "line": line, "inputs": [], "definition": null},
        })
    };
    let record = json!({
        "id": "0123456789ab", "began": 1_700_000_000_000_000_u64, "micros": 1_500_000,
        "outcome": {"failed": "no such target"}, "context": "/src", "dockerfile": "Dockerfile", "target": null,
        "platform": "linux/amd64", "tags": ["busybox:latest"], "image": null,
        "rows": [
            row("[1/2] FROM busybox", json!({"cached": "definition"}), 1),
            row("[2/2] RUN make", json!({"failed": "exit code: 2"}), 2),
        ],
    });
    serde_json::from_value(record).expect("a record")
}

/// A layer that an image needs, and a cache mount that nothing does.
fn items() -> Vec<Item> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let item = |kind, id: &str, size, kept| Item {
        kind,
        id: id.to_owned(),
        size,
        created: time,
        used: time,
        kept,
    };
    let image = retention::Kept::Image("docker.io/library/busybox:latest".to_owned());
    vec![
        item(
            Kind::Layer,
            "sha256:0123456789abcdef",
            4_000_000,
            vec![image],
        ),
        item(Kind::CacheMount, "go", 7_000, Vec::new()),
    ]
}

fn container() -> ContainerDetail {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    ContainerDetail {
        summary: ContainerSummary {
            id: "c".repeat(64),
            name: "box".to_owned(),
            image: "busybox".to_owned(),
            command: vec!["sh".to_owned(), "-c".to_owned(), "exit 3".to_owned()],
            created: time,
            state: ContainerState::Exited { code: 3, at: time },
            network: ContainerNetwork::None,
        },
        image_id: image().summary.id,
        started: Some(time),
        env: vec![("PATH".to_owned(), "/bin".to_owned())],
        volumes: vec![VolumeMount {
            source: PathBuf::from("/src"),
            target: "/dst".to_owned(),
            read_only: true,
        }],
        workdir: "/".to_owned(),
        user: String::new(),
        hostname: "box".to_owned(),
        entrypoint: Vec::new(),
        args: vec!["sh".to_owned()],
        labels: vec![("k".to_owned(), "v".to_owned())],
        tty: false,
        stdin: false,
        read_only: false,
        remove: false,
    }
}

/// A process that has ended, and whose output is in a pipe.
#[derive(Debug)]
pub(crate) struct Over(Ended);

impl Process for Over {
    async fn wait(&self) -> Result<Ended, BackendError> {
        Ok(self.0)
    }

    fn signal(&self, _signal: i32) -> Result<(), BackendError> {
        Ok(())
    }

    fn resize(&self, _size: TerminalSize) -> Result<(), BackendError> {
        Ok(())
    }
}

impl Fake {
    /// What was asked so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no other thread panicked").clone()
    }

    /// Notes a call about a container or image that must exist.
    fn call(&self, kind: &str, name: &str, text: String) -> Result<(), BackendError> {
        if name == "missing" {
            return Err(BackendError::NotFound {
                source: format!("no such {kind}: `{name}`").into(),
            });
        }
        self.calls
            .lock()
            .expect("no other thread panicked")
            .push(text);
        Ok(())
    }
}

impl Backend for Fake {
    type Process = Over;
    type Session = ();

    async fn build(
        &self,
        request: BuildRequest,
        _listener: Arc<dyn Listener>,
    ) -> Result<Built, BackendError> {
        let names = request.tags.clone();
        self.builds
            .lock()
            .expect("no other thread panicked")
            .push(request);
        Ok(Built {
            id: image().summary.id,
            config: Some(image().summary.id),
            manifest: "sha256:77".to_owned(),
            manifest_size: 500,
            media_type: image().media_type,
            names,
        })
    }

    async fn debug(
        &self,
        request: BuildRequest,
        _debug: Debug,
        listener: Arc<dyn Listener>,
    ) -> Result<Debugged<()>, BackendError> {
        let built = self.build(request, listener).await?;
        Ok(Debugged::Opened((), Some(built)))
    }

    async fn enter(
        &self,
        _session: &(),
        args: Vec<String>,
        _tty: Option<TerminalSize>,
    ) -> Result<Attached<Over>, BackendError> {
        self.call("build", "", format!("enter {args:?}"))?;
        Ok(Attached {
            process: Over(Ended::Exited(7)),
            streams: Streams::default(),
        })
    }

    async fn draw(
        &self,
        _request: BuildRequest,
        _listener: Arc<dyn Listener>,
    ) -> Result<Drawing, BackendError> {
        Ok(Drawing::default())
    }

    async fn verify(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Verified, BackendError> {
        self.build(request, listener).await.map(Verified::Same)
    }

    async fn foresee(
        &self,
        _request: BuildRequest,
        _listener: Arc<dyn Listener>,
    ) -> Result<Vec<ForeseenStep>, BackendError> {
        Ok(Vec::new())
    }

    async fn builds(&self) -> Result<Vec<BuildRecord>, BackendError> {
        Ok(vec![build_record()])
    }

    async fn build_record(&self, _reference: Option<&str>) -> Result<BuildRecord, BackendError> {
        Ok(build_record())
    }

    async fn build_log(
        &self,
        _reference: Option<&str>,
        _each: &mut dyn FnMut(builds::LogPiece) -> bool,
    ) -> Result<(), BackendError> {
        Ok(())
    }

    async fn forget_build(&self, reference: &str) -> Result<(), BackendError> {
        self.call("build", reference, format!("forget_build {reference}"))
    }

    async fn explain_build(
        &self,
        _reference: Option<&str>,
        _step: Option<&str>,
    ) -> Result<Vec<Explanation>, BackendError> {
        Ok(Vec::new())
    }

    async fn check(
        &self,
        request: BuildRequest,
        _listener: Arc<dyn Listener>,
    ) -> Result<Examined, BackendError> {
        let failed = request.target.as_deref() == Some("missing");
        Ok(Examined {
            checked: super::call::tests::checked(failed),
            failure: failed.then(|| BackendError::Build {
                excerpt: "the place".to_owned(),
                command: false,
                source: "the Dockerfile has errors".into(),
            }),
        })
    }

    async fn outline(
        &self,
        _request: BuildRequest,
        _listener: Arc<dyn Listener>,
    ) -> Result<Described<Outline>, BackendError> {
        Ok(super::call::tests::outline())
    }

    async fn targets(
        &self,
        _request: BuildRequest,
        _listener: Arc<dyn Listener>,
    ) -> Result<Described<Vec<Target>>, BackendError> {
        Ok(super::call::tests::targets())
    }

    async fn pull(&self, name: &str, _listener: Arc<dyn Listener>) -> Result<Pulled, BackendError> {
        self.call("image", name, format!("pull {name}"))?;
        Ok(Pulled {
            name: format!("docker.io/library/{name}:latest"),
            digest: "sha256:77".to_owned(),
            new: true,
        })
    }

    async fn push(
        &self,
        name: &str,
        compression: Compression,
        _listener: Arc<dyn Listener>,
    ) -> Result<Pushed, BackendError> {
        self.call("image", name, format!("push {name} {compression}"))?;
        Ok(Pushed {
            name: name.to_owned(),
            digest: "sha256:77".to_owned(),
            size: 500,
        })
    }

    async fn log_in(&self, registry: &str, login: &Login) -> Result<Kept, BackendError> {
        let Login { user, password } = login;
        self.call(
            "registry",
            registry,
            format!("log_in {registry} {user} {password}"),
        )?;
        Ok(match registry {
            "helped.io" => Kept::Helper,
            _ => Kept::File("/home/me/.docker/config.json".into()),
        })
    }

    async fn log_in_again(&self, registry: &str) -> Result<bool, BackendError> {
        Ok(registry == "known.io")
    }

    async fn log_out(&self, registry: &str) -> Result<(), BackendError> {
        self.call("registry", registry, format!("log_out {registry}"))
    }

    async fn info(&self) -> Result<Vec<(&'static str, String)>, BackendError> {
        Ok(vec![
            ("Store", "/store".to_owned()),
            ("Layers", "mounted as they are".to_owned()),
        ])
    }

    async fn images(&self) -> Result<Vec<ImageSummary>, BackendError> {
        Ok(vec![image().summary])
    }

    async fn image(&self, name: &str) -> Result<ImageDetail, BackendError> {
        self.call("image", name, format!("image {name}"))?;
        Ok(image())
    }

    async fn tag(&self, name: &str, new_name: &str) -> Result<(), BackendError> {
        self.call("image", name, format!("tag {name} {new_name}"))
    }

    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<Removal>, BackendError> {
        self.call("image", name, format!("remove_image {name} {force}"))?;
        Ok(vec![
            Removal::Untagged(name.to_owned()),
            Removal::Deleted(image().summary.id),
        ])
    }

    async fn save(&self, names: &[String], file: Option<PathBuf>) -> Result<(), BackendError> {
        self.call("image", &names[0], format!("save {names:?} {file:?}"))
    }

    async fn load(&self, file: Option<PathBuf>) -> Result<Vec<String>, BackendError> {
        self.call("image", "", format!("load {file:?}"))?;
        Ok(vec!["busybox:latest".to_owned(), image().summary.id])
    }

    async fn create(
        &self,
        request: RunRequest,
        _listener: Arc<dyn Listener>,
    ) -> Result<String, BackendError> {
        self.call("image", &request.image, format!("create {}", request.image))?;
        self.runs
            .lock()
            .expect("no other thread panicked")
            .push(request);
        Ok("c".repeat(64))
    }

    async fn start(&self, id: &str) -> Result<(), BackendError> {
        self.call("container", id, format!("start {}", &id[..3]))
    }

    async fn start_attached(&self, _id: &str) -> Result<Attached<Over>, BackendError> {
        if let Some(error) = self.start_error {
            return Err(error());
        }
        Ok(Attached {
            process: Over(Ended::Signaled(15)),
            streams: Streams::default(),
        })
    }

    async fn exec(&self, request: ExecRequest) -> Result<Attached<Over>, BackendError> {
        self.call(
            "container",
            &request.container,
            format!("exec {:?}", request.args),
        )?;
        Ok(Attached {
            process: Over(Ended::Exited(7)),
            streams: Streams::default(),
        })
    }

    async fn containers(&self, _all: bool) -> Result<Vec<ContainerSummary>, BackendError> {
        Ok(vec![container().summary])
    }

    async fn container(&self, name: &str) -> Result<ContainerDetail, BackendError> {
        if name == "box" {
            return Ok(container());
        }
        Err(BackendError::NotFound {
            source: format!("no such container: `{name}`").into(),
        })
    }

    async fn logs(
        &self,
        _query: LogQuery,
        each: &mut dyn FnMut(LogPiece) -> bool,
    ) -> Result<(), BackendError> {
        for piece in &self.logs {
            if !each(piece.clone()) {
                break;
            }
        }
        Ok(())
    }

    async fn stop(&self, name: &str, seconds: Option<u64>) -> Result<(), BackendError> {
        self.call("container", name, format!("stop {name} {seconds:?}"))
    }

    async fn kill(&self, name: &str, signal: i32) -> Result<(), BackendError> {
        self.call("container", name, format!("kill {name} {signal}"))
    }

    async fn remove(&self, name: &str, force: bool) -> Result<(), BackendError> {
        self.call("container", name, format!("remove {name} {force}"))
    }

    async fn usage(&self) -> Result<Usage, BackendError> {
        Ok(Usage {
            items: items(),
            records: 1_000,
            transient: 0,
        })
    }

    async fn prune(&self, prune: Prune, dry_run: bool) -> Result<Vec<Item>, BackendError> {
        self.calls
            .lock()
            .expect("no other thread panicked")
            .push(format!("prune {dry_run} {:?}", prune.limits));
        Ok(items().split_off(1))
    }

    async fn check_store(&self, repair: bool) -> Result<Checked, BackendError> {
        self.calls
            .lock()
            .expect("no other thread panicked")
            .push(format!("check {repair}"));
        Ok(Checked {
            layers: 2,
            images: 1,
            problems: vec![Problem {
                object: "layer sha256:aa".to_owned(),
                damage: Damage::Digest,
                repaired: repair,
            }],
        })
    }

    async fn pin(&self, id: &str, pinned: bool) -> Result<(), BackendError> {
        self.calls
            .lock()
            .expect("no other thread panicked")
            .push(format!("pin {id} {pinned}"));
        Ok(())
    }

    async fn wait(&self, _name: &str) -> Result<Ended, BackendError> {
        Ok(Ended::Signaled(15))
    }
}
