//! Servers that live as long as the test process, and not a moment longer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long is waited for what must come: for a slow machine with much to do.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Where ports that are handed out begin, and how many there are: below those that the kernel gives to whoever asks for
/// any, so that none of them is taken while its server starts.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 20_000;

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

/// A port on loopback that nobody listens on now, and that nobody else in this process is given.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that test at the same time begin at different places.
    let start = std::process::id().wrapping_mul(101);
    let mut ports = std::iter::repeat_with(|| {
        let number = start.wrapping_add(u32::from(NEXT.fetch_add(1, Ordering::Relaxed)));
        FIRST_PORT + u16::try_from(number % u32::from(PORTS)).unwrap_or(0)
    });
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let found = ports.by_ref().take(PORTS.into()).find(free);
    found.expect("loopback has a free port")
}

/// Waits until somebody listens on the port of loopback.
pub fn wait_for_port(port: u16) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_until(PATIENCE, &format!("nobody listens on {address}"), || {
        TcpStream::connect(address).is_ok()
    });
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
