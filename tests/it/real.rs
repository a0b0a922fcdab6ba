//! The applications of `testdata/real`: built through a registry with the network inside RUN, run, and asked.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use testkit::rbuild::Rbuild;
use testkit::registry::Registry;
use testkit::supervise::{free_port, wait_for_port};

use crate::rbuild;

fn directory(name: &str) -> PathBuf {
    testkit::checkout().join("testdata/real").join(name)
}

#[track_caller]
fn build(rbuild: &Rbuild, name: &str, flags: &[&str]) -> String {
    let registry = format!("--build-arg=REGISTRY={}", Registry::shared().host());
    rbuild.build(
        &directory(name),
        &[&["-t", name, &registry], flags].concat(),
    )
}

/// A server in a container on the host's network, removed at the end.
struct Server<'a> {
    rbuild: &'a Rbuild,
    name: &'a str,
    port: u16,
}

impl<'a> Server<'a> {
    #[track_caller]
    fn start(rbuild: &'a Rbuild, name: &'a str) -> Self {
        let port = free_port();
        let variable = format!("PORT={port}");
        rbuild
            .run([
                "run",
                "-d",
                "--name",
                name,
                "--network",
                "host",
                "-e",
                &variable,
                name,
            ])
            .succeeded();
        wait_for_port(port);
        Self { rbuild, name, port }
    }

    /// The body of a page.
    #[track_caller]
    fn get(&self, page: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        let request = format!("GET {page} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("the server answers in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        assert!(head.contains(" 200 "), "{head}");
        body.to_owned()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.rbuild.run(["rm", "-f", self.name]);
    }
}

#[test]
fn a_c_program_runs_from_scratch_and_from_busybox() {
    let rbuild = rbuild();
    for target in ["minimal", "shell"] {
        build(
            &rbuild,
            "c-program",
            &["--target", target, "--build-arg=VERSION=3.1"],
        );
        let answer = rbuild.run(["run", "--rm", "c-program", "90"]);
        assert_eq!(
            answer.succeeded(),
            "fibonacci(90) = 2880067194370816120\n",
            "{target}"
        );
        assert_eq!(
            rbuild.run(["run", "--rm", "c-program"]).succeeded(),
            "fibonacci(10) = 55\n"
        );
        rbuild
            .run(["run", "--rm", "c-program", "94"])
            .failed_with(2);
    }
    assert_eq!(
        rbuild
            .run(["run", "--rm", "--entrypoint", "id", "c-program", "-un"])
            .succeeded(),
        "nobody\n"
    );
}

#[test]
fn a_python_application_answers_and_does_not_tell_its_secret() {
    let key = testkit::scratch();
    let file = key.path().join("key");
    std::fs::write(&file, "a-key-that-nobody-guesses")
        .expect("the scratch directory can be written");
    let rbuild = rbuild();
    build(
        &rbuild,
        "python-web",
        &[
            "--secret",
            &format!("id=signing-key,src={}", file.display()),
        ],
    );
    let server = Server::start(&rbuild, "python-web");
    let index: serde_json::Value =
        serde_json::from_str(&server.get("/")).expect("the page is JSON");
    assert_eq!(
        index,
        serde_json::json!({"application": "python-web", "version": "1.2.3", "uid": 900})
    );
    let script = format!(
        "printf 1.2.3 | openssl dgst -sha256 -hmac \"$(cat {})\" | sed 's/.* //'",
        file.display()
    );
    assert_eq!(
        server.get("/signature"),
        testkit::command::shell(key.path(), &script)
    );
    drop(server);
    let report = rbuild.run(["run", "--rm", "python-web", "cat", "/srv/report.txt"]);
    assert!(report.succeeded().ends_with("OK\n"), "{}", report.stdout);
    let found = std::process::Command::new("grep")
        .args(["-rlaF", "a-key-that-nobody-guesses"])
        .arg(rbuild.store())
        .output();
    assert_eq!(
        String::from_utf8_lossy(&found.expect("grep is installed").stdout),
        ""
    );
}

#[test]
fn a_node_application_with_here_documents_answers() {
    let rbuild = rbuild();
    build(&rbuild, "node-web", &["--build-arg=VERSION=7.7"]);
    let server = Server::start(&rbuild, "node-web");
    assert_eq!(
        server.get("/"),
        "Hello from a here-document,\nand from another one.\nA day has 86400000 milliseconds.\n"
    );
    assert_eq!(server.get("/version"), "version=7.7\nnode=18\n");
    assert_eq!(server.get("/packages"), "ms\nmustache\n");
    assert_eq!(server.get("/files"), "name=node-web\nliteral=$NAME\n");
}

#[test]
fn eight_stages_run_at_once() {
    let rbuild = rbuild();
    let registry = Registry::shared();
    rbuild.run(["pull", &registry.busybox()]).succeeded();
    let start = Instant::now();
    build(&rbuild, "parallel", &[]);
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "eight seconds of sleep took {:?}",
        start.elapsed()
    );
    let parts = (1..=8)
        .map(|n| format!("part {n}\n"))
        .collect::<Vec<_>>()
        .concat();
    assert_eq!(rbuild.run(["run", "--rm", "parallel"]).succeeded(), parts);
}
