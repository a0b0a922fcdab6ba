//! How long a sandbox takes around a program that does nothing: from the request to the end of the process, medians.
//!
//! Run by the superuser: `cargo bench -p rbuild-runtime`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::path::Path;
use std::time::{Duration, Instant};

use runtime::{
    Isolation, Lower, Mount, Network, Process, Root, Runtime, Source, Spec, Stdio, Upper,
};

const ROUNDS: usize = 300;

fn main() {
    let base = tempfile::tempdir().unwrap();
    for name in ["bin", "etc", "proc", "sys", "dev", "upper", "work"] {
        std::fs::create_dir(base.path().join(name)).unwrap();
    }
    for name in ["hosts", "resolv.conf"] {
        std::fs::write(base.path().join("etc").join(name), "").unwrap();
    }
    std::fs::copy("/bin/busybox", base.path().join("bin/true")).unwrap();
    let runtime = Runtime::new().unwrap();
    let changes = tempfile::tempdir().unwrap();
    for (name, network) in [
        ("host network", Network::Host),
        ("no network", Network::None),
    ] {
        measure(name, || {
            run(&runtime, spec(base.path(), changes.path(), network));
        });
    }
    measure("a step's mounts", || {
        let mut spec = spec(base.path(), changes.path(), Network::Host);
        for target in ["/etc/hosts", "/etc/resolv.conf"] {
            spec.mounts.push(Mount {
                target: target.into(),
                source: Source::File {
                    content: b"text\n".to_vec(),
                    mode: 0o644,
                    uid: 0,
                    gid: 0,
                },
                read_only: true,
            });
        }
        run(&runtime, spec);
    });
    measure("bare fork and exec", || {
        let status = std::process::Command::new(base.path().join("bin/true")).status();
        assert!(status.unwrap().success());
    });
}

fn spec(base: &Path, changes: &Path, network: Network) -> Spec {
    let (upper, work) = (changes.join("upper"), changes.join("work"));
    for directory in [&upper, &work] {
        // Made by an earlier round, all but once.
        std::fs::create_dir_all(directory).unwrap();
    }
    Spec {
        root: Root {
            lowers: vec![Lower::Directory(base.to_owned())],
            stubs: None,
            upper: Some(Upper {
                directory: upper,
                work,
                durable: false,
            }),
        },
        process: Process::new(vec!["/bin/true".to_owned()]),
        stdio: Stdio::piped(),
        host_name: "bench".to_owned(),
        network,
        isolation: Isolation::Full,
        shared_memory: None,
        mounts: vec![],
    }
}

fn run(runtime: &Runtime, spec: Spec) {
    let mut child = runtime.spawn(spec).unwrap();
    assert!(child.wait().unwrap().success());
}

fn measure(name: &str, mut round: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed()
        })
        .collect();
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{name}: median {:.2} ms, best {:.2} ms, 95 % within {:.2} ms",
        millis(times[ROUNDS / 2]),
        millis(times[0]),
        millis(times[ROUNDS * 95 / 100])
    );
}
