//! Every case of `testdata/differential`, built by rbuild, by Debian's buildah and by the BuildKit in Debian's Docker: the
//! images must be the same, file by file and setting by setting, but for what the case names in its `expect` files.
//!
//!     cargo test --test differential [buildah::|docker::][NAME]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use testkit::command;
use testkit::compare::{self, Difference};
use testkit::docker::Docker;
use testkit::expect::Expected;
use testkit::image::Image;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let directory = testkit::checkout().join("testdata/differential");
    let builders = Arc::new(Builders::default());
    let pairs = cases(&directory)
        .into_iter()
        .flat_map(|case| Peer::ALL.map(|peer| (peer, case.clone())));
    let trials = pairs
        .filter(|(peer, case)| peer.knows(case))
        .map(|(peer, case)| {
            let builders = Arc::clone(&builders);
            let name = format!("{}::{}", peer.name(), name_of(&case));
            Trial::test(name, move || check(&case, peer, &builders))
        });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A builder that rbuild is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Buildah,
    Docker,
}

impl Peer {
    const ALL: [Self; 2] = [Self::Buildah, Self::Docker];

    fn name(self) -> &'static str {
        match self {
            Self::Buildah => "buildah",
            Self::Docker => "docker",
        }
    }

    /// Whether the peer can build a case at all: a case says which it is too new for.
    fn knows(self, case: &Path) -> bool {
        !case.join(format!("not-{}", self.name())).exists()
    }

    /// The Dockerfile of the same image in words that the peer's version knows, if the case has one.
    fn reference(self, case: &Path) -> Option<PathBuf> {
        let names = [
            format!("reference.{}.Dockerfile", self.name()),
            "reference.Dockerfile".to_owned(),
        ];
        names
            .iter()
            .map(|name| case.join(name))
            .find(|path| path.exists())
    }

    /// What differs from this peer on purpose.
    fn expected(self, case: &Path) -> Expected {
        Expected::read(&case.join(match self {
            Self::Buildah => "expect",
            Self::Docker => "expect.docker",
        }))
    }
}

fn name_of(case: &Path) -> String {
    case.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn cases(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the checkout has the cases");
    let mut cases: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

/// Both builders; each has one store for all cases, so that cases also meet each other's cache.
struct Builders {
    rbuild: Rbuild,
    buildah: tempfile::TempDir,
}

impl Default for Builders {
    fn default() -> Self {
        Self {
            rbuild: Rbuild::new(env!("CARGO_BIN_EXE_rbuild")),
            buildah: testkit::scratch(),
        }
    }
}

fn check(case: &Path, peer: Peer, builders: &Builders) -> Result<(), Failed> {
    let work = testkit::scratch();
    let context = prepare(case, work.path());
    let flags = flags(case, work.path());
    let ours = builders.rbuild_image(&context, &flags, work.path());
    let dockerfile = peer.reference(case).map_or_else(
        || context.join("Dockerfile"),
        |reference| localized(&reference, work.path()),
    );
    let theirs = match peer {
        Peer::Buildah => builders.buildah_image(&dockerfile, &context, &flags, work.path()),
        Peer::Docker => docker_image(&dockerfile, &context, &flags, work.path()),
    };
    let mut differences = compare::images(&ours, &theirs);
    differences.retain(|difference| !is_stub(difference));
    let complaints = peer.expected(case).complaints(&differences);
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints.join("\n").into())
    }
}

/// Is it a file that the other builder leaves where it mounted its own for a RUN? rbuild takes such mount points away again.
fn is_stub(difference: &Difference) -> bool {
    const STUBS: [&str; 4] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run"];
    difference.property == "present"
        && difference.ours == "false"
        && STUBS.contains(&difference.place.as_str())
}

/// Copies the context of a case and runs its `setup`, which makes what a checkout cannot hold. All that comes out of
/// the checkout is of one old age.
fn prepare(case: &Path, work: &Path) -> PathBuf {
    let context = work.join("context");
    command::run(
        Command::new("cp")
            .arg("-a")
            .arg(case.join("context"))
            .arg(&context),
    )
    .succeeded();
    let dockerfile = context.join("Dockerfile");
    let text = std::fs::read(&dockerfile).expect("each context has a Dockerfile");
    std::fs::write(&dockerfile, Registry::shared().localize(&text))
        .expect("the copy can be written");
    command::shell(&context, "find . -exec touch -h -d @1000000000 {} +");
    let setup = case.join("setup");
    if setup.exists() {
        command::run(Command::new(setup).current_dir(&context)).succeeded();
    }
    context
}

fn localized(dockerfile: &Path, work: &Path) -> PathBuf {
    let text = std::fs::read(dockerfile).expect("the case has the file");
    let copy = work.join("reference.Dockerfile");
    std::fs::write(&copy, Registry::shared().localize(&text))
        .expect("the work directory can be written");
    copy
}

/// The flags of a case, for both builders: one in a line, `@CASE@` standing for the working copy's directory.
fn flags(case: &Path, work: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(case.join("flags")).unwrap_or_default();
    text.lines()
        .map(|line| line.replace("@CASE@", &work.to_string_lossy()))
        .collect()
}

impl Builders {
    fn rbuild_image(&self, context: &Path, flags: &[String], work: &Path) -> Image {
        let archive = work.join("rbuild.tar");
        let output = format!("--output=type=oci,dest={}", archive.display());
        let mut all = vec![output.as_str()];
        all.extend(flags.iter().map(String::as_str));
        self.rbuild.build(context, &all);
        Image::from_archive(&archive)
    }

    fn buildah_image(
        &self,
        dockerfile: &Path,
        context: &Path,
        flags: &[String],
        work: &Path,
    ) -> Image {
        let name = format!(
            "localhost/{}",
            work.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .to_lowercase()
        );
        let mut build = self.buildah();
        // The runtime and the capabilities are Docker's: crun refuses hosts with both versions of control groups.
        build.args([
            "bud",
            "--runtime=runc",
            "--cap-add=CAP_MKNOD,CAP_NET_RAW,CAP_AUDIT_WRITE",
            "--format=docker",
        ]);
        build.args([
            "--layers=false",
            "--tls-verify=false",
            "--identity-label=false",
            "-t",
            &name,
            "-f",
        ]);
        command::run(build.arg(dockerfile).args(flags).arg(context)).succeeded();
        let directory = work.join("buildah");
        let mut push = self.buildah();
        push.args([
            "push",
            "-q",
            "--disable-compression",
            "--format=v2s2",
            &name,
        ]);
        command::run(push.arg(format!("dir:{}", directory.display()))).succeeded();
        command::run(self.buildah().args(["rmi", &name])).succeeded();
        Image::from_directory(&directory)
    }

    fn buildah(&self) -> Command {
        let directory = self.buildah.path();
        // What it mounts goes with the namespace; on the host it would stay.
        let mut command = Command::new("unshare");
        command.args(["--mount", "buildah"]);
        command
            .arg("--root")
            .arg(directory.join("root"))
            .arg("--runroot")
            .arg(directory.join("run"));
        command.arg("--storage-driver=overlay");
        command
    }
}

/// What Docker's BuildKit makes of a case.
fn docker_image(dockerfile: &Path, context: &Path, flags: &[String], work: &Path) -> Image {
    let docker = Docker::shared();
    let name = name_of(work)
        .to_lowercase()
        .trim_start_matches('.')
        .to_owned();
    let [file, context] = [dockerfile, context].map(|path| path.to_string_lossy().into_owned());
    let mut build = vec!["build", "--network=host", "-t", &name, "-f", &file];
    build.extend(flags.iter().map(String::as_str));
    build.push(&context);
    docker.run(&build).succeeded();
    let archive = work.join("docker.tar").to_string_lossy().into_owned();
    docker.run(&["save", "-o", &archive, &name]).succeeded();
    docker.run(&["rmi", &name]).succeeded();
    let directory = work.join("docker");
    let [from, to] = [
        format!("docker-archive:{archive}"),
        format!("dir:{}", directory.display()),
    ];
    command::must("skopeo", &["copy", "-q", &from, &to]);
    Image::from_directory(&directory)
}
