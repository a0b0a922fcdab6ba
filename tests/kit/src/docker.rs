//! Debian's `dockerd`, with a data directory of its own, for the tests that ask Docker's opinion.

use std::fs::File;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::command::{self, Outcome};
use crate::supervise;

/// A Docker daemon that lives as long as the test process.
#[derive(Debug)]
pub struct Docker {
    directory: tempfile::TempDir,
}

impl Docker {
    /// The daemon that the tests of one process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Docker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let docker = Self {
            directory: crate::scratch(),
        };
        let root = docker.directory.path().display();
        let socket = docker.socket();
        let args = [
            format!("--host={socket}"),
            format!("--data-root={root}/data"),
            format!("--exec-root={root}/exec"),
            format!("--pidfile={root}/pid"),
            "--bridge=none".to_owned(),
            "--iptables=false".to_owned(),
        ];
        let log = File::create(docker.directory.path().join("log"))
            .expect("the scratch directory can be written");
        supervise::server("dockerd", &args.each_ref().map(String::as_str), &[], log);
        supervise::wait_until(Duration::from_mins(1), "dockerd does not answer", || {
            docker.run(&["version"]).code == 0
        });
        docker
    }

    /// Runs a command of Docker's client on this daemon.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Outcome {
        // A client of another version may stand before Debian's in the search path.
        let client = if std::path::Path::new("/usr/bin/docker").exists() {
            "/usr/bin/docker"
        } else {
            "docker"
        };
        command::run(
            Command::new(client)
                .env("DOCKER_HOST", self.socket())
                .env("DOCKER_BUILDKIT", "1")
                .args(args),
        )
    }

    fn socket(&self) -> String {
        format!("unix://{}/socket", self.directory.path().display())
    }
}
