//! What a program in a sandbox tries to get out, and what an image or a Dockerfile says to be let out.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use testkit::cgroup::Cgroup;
use testkit::command;
use testkit::context::Context;
use testkit::rbuild::Rbuild;
use testkit::supervise::{PATIENCE, wait_until};
use testkit::user::{Ids, User};

use crate::rbuild;

/// How many attempts `attacks.c` makes.
const ATTEMPTS: usize = 78;

/// The program that attacks, compiled once.
fn attacks() -> Vec<u8> {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let directory = testkit::scratch();
        let source = testkit::checkout().join("tests/it/attacks.c");
        let output = directory.path().join("attacks");
        let mut compiler = Command::new("cc");
        compiler.args(["-static", "-O1", "-Wall", "-Werror", "-o"]);
        command::run(compiler.args([&output, &source])).succeeded();
        std::fs::read(output).expect("the compiler wrote it")
    });
    program.clone()
}

/// A context with the attacking program, which may be executed.
fn attacking(dockerfile: &str) -> Context {
    use std::os::unix::fs::PermissionsExt;
    let context = Context::new(dockerfile).with("attacks", attacks());
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(context.join("attacks"), mode).expect("it was just written");
    context
}

/// What of the host the attacks are aimed at.
struct Targets {
    socket: String,
    bait: PathBuf,
    _listener: UnixListener,
    directory: tempfile::TempDir,
}

impl Targets {
    fn new(name: &str) -> Self {
        let socket = format!("rbuild-test-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&socket).expect("a short name");
        let directory = testkit::scratch();
        let bait = directory.path().join("bait");
        std::fs::write(&bait, "the bait").expect("the scratch directory can be written");
        Self {
            _listener: UnixListener::bind_addr(&address).expect("nobody else has this name"),
            socket,
            bait,
            directory,
        }
    }

    /// Nothing was made beside the bait.
    #[track_caller]
    fn assert_untouched(&self) {
        crate::escapes::assert_untouched(self.directory.path());
    }

    fn arguments(&self) -> [String; 3] {
        let bait = self.bait.to_str().expect("scratch paths are UTF-8");
        let process = std::process::id().to_string();
        [process, self.socket.clone(), bait.to_owned()]
    }
}

/// Every attempt was made, and none got anywhere.
#[track_caller]
fn assert_refused(output: &str) {
    let bad: Vec<_> = output
        .lines()
        .filter(|line| line.ends_with("SUCCEEDED") || line.contains(" failed oddly"))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let refused = output.lines().filter(|line| line.ends_with(" refused"));
    assert_eq!(refused.count(), ATTEMPTS, "{output}");
}

#[test]
fn a_step_cannot_get_out() {
    let targets = Targets::new("step");
    let [process, socket, bait] = targets.arguments();
    let context = attacking(&format!(
        "FROM scratch\nCOPY attacks /\nRUN --network=none [\"/attacks\", \"{process}\", \"{socket}\", \"{bait}\"]\n"
    ));
    assert_refused(&rbuild().build(context.path(), &[]));
}

#[test]
fn a_step_of_an_ordinary_user_cannot_get_out() {
    for ids in [Ids::Many, Ids::Single] {
        let targets = Targets::new(&format!("{ids:?}"));
        let [process, socket, bait] = targets.arguments();
        let context = attacking(&format!(
            "FROM scratch\nCOPY attacks /\nRUN --network=none [\"/attacks\", \"{process}\", \"{socket}\", \"{bait}\"]\n"
        ));
        let user = User::new(env!("CARGO_BIN_EXE_rbuild"), ids);
        let copy = user.copy(context.path());
        let built = command::run(user.command(["build", "--progress=plain"]).arg(copy));
        built.succeeded();
        assert_refused(&built.stderr);
        targets.assert_untouched();
    }
}

#[test]
fn a_container_cannot_get_out() {
    let targets = Targets::new("run");
    let context = attacking("FROM scratch\nCOPY attacks /\nENTRYPOINT [\"/attacks\"]\n");
    let rbuild = rbuild();
    rbuild.build(context.path(), &["-t", "attacks"]);
    let arguments = targets.arguments();
    let fixed = ["run", "--rm", "--network=none", "attacks"].map(str::to_owned);
    let outcome = rbuild.run(fixed.iter().chain(&arguments));
    assert_refused(outcome.succeeded());
    // With a terminal, which is the container's own.
    let fixed = ["run", "--rm", "-t", "--network=none", "attacks"].map(str::to_owned);
    let outcome = rbuild.run(fixed.iter().chain(&arguments));
    let terminal = outcome.succeeded().replace("\r\n", "\n");
    assert_refused(&terminal.replace("terminal SUCCEEDED", "terminal refused"));
}

/// A container of busybox that sleeps; it ends with the store.
fn sleeping(rbuild: &Rbuild) {
    let context = Context::new("FROM @busybox\nCMD [\"sleep\", \"1000\"]\n");
    rbuild.build(context.path(), &["-t", "sleeping"]);
    rbuild
        .run(["run", "-d", "--name", "sleeper", "sleeping"])
        .succeeded();
}

/// A working directory must not be one of the descriptors that the program had when it made the process
/// (CVE-2024-21626).
#[test]
fn no_working_directory_is_a_directory_of_the_host() {
    let rbuild = rbuild();
    sleeping(&rbuild);
    for number in 3..40 {
        let directory = format!("/proc/self/fd/{number}");
        let run = ["run", "--rm", "-w", &directory, "sleeping", "ls"];
        let exec = ["exec", "-w", &directory, "sleeper", "ls"];
        for outcome in [rbuild.run(run), rbuild.run(exec)] {
            assert_ne!(outcome.code, 0, "{number}: {}", outcome.stdout);
            outcome.says(&[&format!("working directory `{directory}`")]);
        }
    }
    rbuild.run(["rm", "-f", "sleeper"]).succeeded();
    for number in [8, 11, 12, 13] {
        let context = Context::new(&format!(
            "FROM @busybox\nWORKDIR /proc/self/fd/{number}\nRUN ls\n"
        ));
        let outcome = rbuild.try_build(context.path(), &[]);
        outcome.failed_with(1);
        outcome.says(&[&format!("working directory `/proc/self/fd/{number}`")]);
    }
}

/// Until it executes the image's program, a process of a sandbox is this program: its file must be out of reach
/// (CVE-2019-5736).
#[test]
fn the_programs_own_file_is_never_executed() {
    let rbuild = rbuild();
    let dockerfile = "FROM @busybox\nRUN ln -s /proc/self/exe /bin/leads && printf '#!/proc/self/exe\\n' > /bin/script && \
         printf '#! /bin/script x\\n' > /bin/indirect && chmod 755 /bin/script /bin/indirect\n";
    let context = Context::new(&format!("{dockerfile}CMD [\"sleep\", \"1000\"]\n"));
    rbuild.build(context.path(), &["-t", "evil"]);
    rbuild
        .run(["run", "-d", "--name", "evil", "evil"])
        .succeeded();
    for program in [
        "/proc/self/exe",
        "/proc/1/exe",
        "leads",
        "script",
        "indirect",
        "/bin/script",
    ] {
        let outcome = rbuild.run(["run", "--rm", "evil", program, "version"]);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (126, ""),
            "{program}"
        );
        let outcome = rbuild.run(["exec", "evil", program, "version"]);
        // The first process is busybox here, and that may be executed.
        assert!(!outcome.stdout.contains("rbuild"), "{program}: {outcome:?}");
    }
    rbuild.run(["rm", "-f", "evil"]).succeeded();
    let search = Context::new(&format!(
        "{dockerfile}ENV PATH=/proc/self:/bin\nRUN [\"exe\", \"version\"]\n"
    ));
    rbuild.try_build(search.path(), &[]).failed_with(1);
}

/// A `/proc` that is a link could lead elsewhere once something is mounted on its way, and leave what is to be hidden
/// and read-only as it is (CVE-2023-27561).
#[test]
fn the_kernels_files_are_where_they_are_said_to_be() {
    for system in ["proc", "sys", "dev"] {
        let script = format!(
            "rm -rf root && mkdir -p root/data/sub root/elsewhere root/bin && cp /bin/busybox root/bin/busybox && \
             ln -s data/sub/../../elsewhere root/{system}"
        );
        let context = Context::new(
            "FROM scratch\nCOPY root /\nRUN --mount=type=cache,target=/data [\"/bin/busybox\", \"ls\", \"/elsewhere\"]\n",
        );
        command::shell(context.path(), &script);
        let outcome = rbuild().try_build(context.path(), &[]);
        outcome.failed_with(1);
        outcome.says(&[&format!("mount point `/{system}`")]);
    }
}

/// What files are hidden behind is not found on a mount that a step brings (CVE-2025-31133).
#[test]
fn a_mount_over_the_devices_takes_no_part_in_hiding() {
    let context = Context::new(
        "FROM @busybox\n\
         RUN --mount=type=cache,id=dev,target=/planted ln -s /proc/sys/kernel/core_pattern /planted/null\n\
         RUN --mount=type=cache,id=dev,target=/dev test ! -s /proc/interrupts && ! grep core_pattern /proc/mounts\n",
    );
    rbuild().build(context.path(), &[]);
}

/// A stage that the bind mount of another names cannot send it out, and what a step puts in the place of its mount
/// points is not followed when they are taken away (CVE-2024-23651, CVE-2024-23652).
#[test]
fn mounts_stay_in_their_images() {
    let targets = Targets::new("mounts");
    let directory = targets.directory.path().display();
    let context = Context::new(&format!(
        "FROM @busybox AS evil\nRUN ln -s {directory} /link && ln -s /proc/self/root/{directory} /magic\n\
         FROM @busybox\n\
         RUN --mount=type=bind,from=evil,source=/link,target=/x ls /x\n"
    ));
    rbuild().try_build(context.path(), &[]).failed_with(1);
    let planted = Context::new(&format!(
        "FROM @busybox\nRUN --mount=type=cache,target=/a/b/c \
         mkdir /old && mv /a/b /old 2>/dev/null; rm -rf /a 2>/dev/null; ln -s {directory} /a 2>/dev/null; true\n\
         RUN --mount=type=tmpfs,target=/a/made true\n"
    ));
    rbuild().try_build(planted.path(), &[]);
    targets.assert_untouched();
}

/// Two steps share a cache mount; one makes a place in it a link and a directory in turn while the other mounts below.
#[test]
fn a_race_in_a_shared_cache_mount_leads_nowhere() {
    let targets = Targets::new("race");
    let directory = targets.directory.path().display();
    let context = Context::new(&format!(
        "FROM @busybox AS swaps\n\
         RUN --mount=type=cache,id=shared,target=/c i=0; while [ $i -lt 2000 ]; do i=$((i+1)); \
         rmdir /c/d 2>/dev/null; ln -s {directory} /c/d 2>/dev/null; rm /c/d 2>/dev/null; mkdir /c/d 2>/dev/null; done; true\n\
         FROM @busybox AS mounts\n{}\
         FROM scratch\nCOPY --from=swaps /bin/true /swaps\nCOPY --from=mounts /bin/true /mounts\n",
        (0..12).fold(String::new(), |text, number| {
            text + &format!(
                "RUN --mount=type=cache,id=shared,target=/c --mount=type=tmpfs,target=/c/d/e{number} true || true\n"
            )
        })
    ));
    // A step whose mount point is gone the moment it is needed fails; that is the step's own doing.
    rbuild().try_build(context.path(), &[]);
    targets.assert_untouched();
}

/// Processes that multiply and ignore signals end with the step, and with a program that is
/// killed.
#[test]
fn processes_that_multiply_end_with_the_step() {
    let marker = format!("1000.{}", std::process::id());
    let bomb = format!(
        "bomb() {{ [ $1 -eq 0 ] || {{ bomb $(($1-1)) & bomb $(($1-1)) & }}; trap '' TERM HUP INT; exec sleep {marker}; }};"
    );
    let context = Context::new(&format!(
        "FROM @busybox\nRUN {bomb} bomb 7 & i=0; while [ $i -lt 300 ]; do \
         set -- /proc/[0-9]*; [ $# -gt 100 ] && exit 0; sleep 0.1; i=$((i+1)); done; exit 1\n"
    ));
    let rbuild = rbuild();
    rbuild.build(context.path(), &[]);
    assert_gone(&marker);
    let endless = Context::new(&format!("FROM @busybox\nRUN {bomb} bomb 7\n"));
    let mut child = rbuild.start(["build".as_ref(), endless.path().as_os_str()]);
    wait_until(PATIENCE, "too few run", || running(&marker) > 100);
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    assert_gone(&marker);
}

/// Processes in a cgroup of the one who starts the program are in it whole: what it is limited to holds for steps and
/// containers, and who ends it ends them.
#[test]
fn the_cgroup_of_the_caller_holds_its_steps_and_containers() {
    let rbuild = rbuild();
    rbuild.build(Context::new("FROM @busybox\n").path(), &["-t", "box"]);
    let marker = format!("1001.{}", std::process::id());
    let step = Context::new(&format!("FROM box\nRUN sleep {marker}\n"));
    let step = step.path().to_str().expect("scratch paths are UTF-8");
    for args in [
        &["build", step][..],
        &["run", "-d", "--network=none", "box", "sleep", &marker],
    ] {
        let cgroup = Cgroup::unified();
        let mut child = cgroup.start(&rbuild.command(args));
        wait_until(PATIENCE, "it does not start", || running(&marker) > 0);
        let found = command::must("pgrep", &["-f", &format!("^sleep {marker}")]);
        let membership = std::fs::read_to_string(format!("/proc/{}/cgroup", found.trim()));
        let membership = membership.expect("it runs");
        let below = format!("/{}/rbuild/", cgroup.name());
        assert!(membership.contains(&below), "{args:?}: {membership}");
        cgroup.write("cgroup.kill", "1");
        child.wait().expect("it was started");
        assert_gone(&marker);
    }
}

#[test]
fn what_multiplies_without_end_meets_the_limit_of_the_caller() {
    let rbuild = rbuild();
    let bomb = "bomb() { bomb | bomb & }; bomb; sleep 1000";
    rbuild.build(Context::new("FROM @busybox\n").path(), &["-t", "box"]);
    let context = Context::new(&format!("FROM box\nRUN {bomb}\n"));
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    for args in [
        &["build", path][..],
        &["run", "--rm", "--network=none", "box", "sh", "-c", bomb],
    ] {
        let cgroup = Cgroup::of("pids");
        cgroup.write("pids.max", "150");
        let mut child = cgroup.start(&rbuild.command(args));
        wait_until(PATIENCE, "the limit is not met", || {
            cgroup.read("pids.events").trim() != "max 0"
        });
        child.kill().expect("it runs");
        child.wait().expect("it was killed");
        wait_until(PATIENCE, "something runs on", || {
            cgroup.read("pids.current").trim() == "0"
        });
        rbuild.assert_nothing_mounted();
    }
}

/// How many processes of the host have `marker` among their arguments.
fn running(marker: &str) -> usize {
    let found = command::run(Command::new("pgrep").args(["-c", "-f", &format!("^sleep {marker}")]));
    found.stdout.trim().parse().unwrap_or(0)
}

#[track_caller]
fn assert_gone(marker: &str) {
    wait_until(PATIENCE, "they still run", || running(marker) == 0);
}
