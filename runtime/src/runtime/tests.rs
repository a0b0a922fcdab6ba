//! Sandboxes where the unified hierarchy of cgroups is not to be had.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Read;
use std::path::Path;

use super::*;
use crate::Upper;
use crate::sandbox::{Isolation, Network, Root};

/// What a shell says in a sandbox of busybox.
fn run(runtime: &Runtime, script: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in [
        "root",
        "root/bin",
        "root/proc",
        "root/sys",
        "root/dev",
        "upper",
        "work",
    ] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::copy("/bin/busybox", path("root/bin/sh")).unwrap();
    let args = ["/bin/sh", "-c", script].map(str::to_owned);
    let mut child = runtime
        .spawn(Spec {
            root: Root {
                lowers: vec![Lower::Directory(path("root"))],
                stubs: None,
                upper: Some(Upper {
                    directory: path("upper"),
                    work: path("work"),
                    durable: false,
                }),
            },
            process: Process::new(args.to_vec()),
            stdio: Stdio::piped(),
            host_name: "lesser".to_owned(),
            network: Network::Host,
            isolation: Isolation::Full,
            shared_memory: None,
            mounts: vec![],
        })
        .unwrap();
    let mut text = String::new();
    let output = fs::File::from(child.stdout.take().unwrap());
    { output }.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text
}

/// Says which nodes can be opened: one made outside `/dev` that is harmless, one that is not, and one in `/dev`.
const DEVICES: &str = "busybox() { exec -a busybox /bin/sh \"$@\"; }
    (busybox mknod /null c 1 3); (busybox mknod /disk b 7 0)
    (echo x > /null) 2>/dev/null && echo null
    (read x < /disk) 2>/dev/null && echo disk
    echo x > /dev/null && echo device; echo end";

#[test]
fn without_cgroups_no_node_but_those_in_dev_can_be_opened() {
    let runtime = Runtime::with(Cgroups::lesser(false), ids().unwrap()).unwrap();
    assert!(!runtime.confines_devices());
    assert_eq!(run(&runtime, DEVICES), "device\nend\n");
}

#[test]
fn the_old_hierarchy_confines_devices() {
    if !Path::new("/sys/fs/cgroup/devices").is_dir() {
        return;
    }
    let runtime = Runtime::with(Cgroups::lesser(true), ids().unwrap()).unwrap();
    assert!(runtime.confines_devices());
    assert_eq!(run(&runtime, DEVICES), "null\ndevice\nend\n");
}

#[test]
fn the_unified_hierarchy_confines_devices() {
    let runtime = Runtime::new().unwrap();
    assert!(runtime.confines_devices());
    assert_eq!(run(&runtime, DEVICES), "null\ndevice\nend\n");
}
