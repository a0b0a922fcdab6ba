//! A root file system of one static program, and running things in it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use runtime::{
    Child, Error, ExitStatus, Isolation, Lower, Mount, Network, Process, Root, Runtime, Spec,
    Stdio, Upper,
};
use tempfile::TempDir;

/// One for all tests.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    &RUNTIME
}

/// A directory with busybox and what it needs.
pub(crate) fn base() -> &'static Path {
    static BASE: LazyLock<TempDir> = LazyLock::new(|| {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in [
            "bin", "etc", "proc", "sys", "dev", "tmp", "root", "mnt", "work",
        ] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        let applets = "sh true false cat ls id pwd echo sleep mount umount kill ps hostname ip env \
            readlink stat mknod dd touch mkdir rm grep stty tty wc sync chmod chown mv setsid head";
        for applet in applets.split_whitespace() {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        fs::write(root.join("etc/hosts"), "from the image\n").unwrap();
        directory
    });
    BASE.path()
}

/// A place for what a sandbox writes.
pub(crate) struct Changes {
    directory: TempDir,
}

impl Changes {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("upper")).unwrap();
        fs::create_dir(directory.path().join("work")).unwrap();
        Self { directory }
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.directory.path().join("upper")
    }

    pub(crate) fn spec(&self) -> Upper {
        Upper {
            directory: self.upper(),
            work: self.directory.path().join("work"),
            durable: false,
        }
    }
}

/// A sandbox on the base, read-only, that runs a shell script.
pub(crate) fn shell(script: &str) -> Spec {
    command(&["/bin/sh", "-c", script])
}

pub(crate) fn command(args: &[&str]) -> Spec {
    let mut process = Process::new(args.iter().map(|arg| (*arg).to_owned()).collect());
    process.env = vec![("PATH".to_owned(), "/bin".to_owned())];
    Spec {
        root: Root {
            lowers: vec![Lower::Directory(base().to_owned())],
            stubs: None,
            upper: None,
        },
        process,
        stdio: Stdio::piped(),
        host_name: "sandbox".to_owned(),
        network: Network::Host,
        isolation: Isolation::Full,
        shared_memory: None,
        mounts: Vec::<Mount>::new(),
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn finish(mut child: Child) -> Output {
    let stdout = child.stdout.take().unwrap();
    let stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || read(stderr));
    let stdout = read(stdout);
    let stderr = reader.join().unwrap();
    let status = child.wait().unwrap();
    Output {
        status,
        stdout,
        stderr,
    }
}

pub(crate) fn read(fd: std::os::fd::OwnedFd) -> String {
    let mut bytes = vec![];
    fs::File::from(fd).read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs to the end, and expects success; the output without its last line break.
pub(crate) fn output(spec: Spec) -> String {
    let output = finish(runtime().spawn(spec).unwrap());
    assert!(output.status.success(), "{output:?}");
    output.stdout.trim_end().to_owned()
}

pub(crate) fn run(spec: Spec) -> Output {
    finish(runtime().spawn(spec).unwrap())
}

pub(crate) fn failure(spec: Spec) -> Error {
    runtime().spawn(spec).expect_err("must not start")
}

/// Waits until something is so, for a minute at most.
pub(crate) fn eventually(what: impl Fn() -> bool) -> bool {
    (0..12_000).any(|_| {
        let so = what();
        if !so {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        so
    })
}
