//! Servers that live as long as the test process, and not a moment longer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Starts a server in process and mount namespaces of its own. The kernel kills all of it, and takes down what it
/// mounted, when the test process ends in whatever way.
///
/// The kernel watches the *thread* that started a child, so the child is started by a thread that never ends.
pub fn server(program: &str, args: &[&str], environment: &[(&str, String)], log: std::fs::File) {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child=KILL",
            "--mount-proc",
        ])
        .arg(program)
        .args(args)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a descriptor can be duplicated"))
        .stderr(log);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let started = command.spawn();
        sender
            .send(started.as_ref().map(drop).map_err(ToString::to_string))
            .expect("the starter waits for the result");
        if let Ok(mut child) = started {
            drop(child.wait());
        }
        loop {
            thread::park();
        }
    });
    let started = receiver.recv().expect("the thread answers before it waits");
    started.unwrap_or_else(|error| panic!("cannot start `{program}`: {error}"));
}

/// A port on loopback that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

/// Waits until somebody listens on the port of loopback.
pub fn wait_for_port(port: u16) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_until(
        Duration::from_secs(30),
        &format!("nobody listens on {address}"),
        || TcpStream::connect(address).is_ok(),
    );
}

/// Polls until the condition holds; panics with the complaint when it does not in time.
#[track_caller]
pub fn wait_until(limit: Duration, complaint: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "{complaint}, after {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
