//! What a sandbox sees of the host.

use std::fs;

use runtime::{Mount, Network, Source};

use crate::support::{base, output, run, runtime, shell};

#[test]
fn every_namespace_is_its_own() {
    let script = "for n in mnt pid ipc uts cgroup net; do readlink /proc/self/ns/$n; done";
    let host = |spec: &str| fs::read_link(format!("/proc/self/ns/{spec}")).unwrap();
    let inside = output(shell(script));
    let inside: Vec<_> = inside.lines().collect();
    for (name, inside) in ["mnt", "pid", "ipc", "uts", "cgroup"].iter().zip(&inside) {
        assert_ne!(host(name).to_str().unwrap(), *inside, "{name}");
    }
    assert_eq!(host("net").to_str().unwrap(), inside[5]);
    let mut spec = shell(script);
    spec.network = Network::None;
    let alone = output(spec);
    assert_ne!(host("net").to_str().unwrap(), alone.lines().last().unwrap());
}

#[test]
fn the_first_process_is_number_one_and_sees_no_other() {
    assert_eq!(output(shell("echo $$; ls -d /proc/[0-9]* | wc -l")), "1\n3");
}

#[test]
fn host_name_is_the_given_one() {
    let before = rustix::system::uname().nodename().to_owned();
    let mut spec = shell("hostname; cat /proc/sys/kernel/hostname");
    spec.host_name = "buildstep".to_owned();
    assert_eq!(output(spec), "buildstep\nbuildstep");
    assert_eq!(rustix::system::uname().nodename(), before.as_c_str());
}

#[test]
fn without_network_only_loopback_is_there_and_up() {
    let mut spec = shell("ip -o link; ip -o addr show dev lo");
    spec.network = Network::None;
    let output = output(spec);
    let links = output.lines().filter(|line| line.contains("mtu")).count();
    assert_eq!(links, 1, "{output}");
    assert!(output.contains("LOOPBACK,UP"), "{output}");
    assert!(output.contains("127.0.0.1/8"), "{output}");
}

#[test]
fn mounts_are_dockers_and_hide_the_host() {
    let mounts = output(shell("cat /proc/mounts"));
    let find = |target: &str| {
        let line = mounts
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(target));
        line.unwrap_or_else(|| panic!("no {target} in {mounts}"))
            .to_owned()
    };
    for (target, parts) in [
        ("/", &["overlay / overlay ro", "nofollow"][..]),
        ("/proc", &["proc rw,", "nosuid,nodev,noexec"]),
        ("/sys", &["sysfs", "ro,nosuid,nodev,noexec"]),
        ("/sys/fs/cgroup", &["cgroup2", "ro,nosuid,nodev,noexec"]),
        ("/dev", &["tmpfs", "nosuid", "size=65536k", "mode=755"]),
        ("/dev/pts", &["devpts", "gid=5,mode=620,ptmxmode=666"]),
        ("/dev/mqueue", &["mqueue", "nosuid,nodev,noexec"]),
        ("/dev/shm", &["tmpfs", "nosuid,nodev,noexec", "size=65536k"]),
        ("/proc/sys", &["ro"]),
    ] {
        let line = find(target);
        for part in parts {
            assert!(line.contains(part), "{target}: {line}");
        }
    }
    let host = base().parent().unwrap().to_str().unwrap();
    assert!(!mounts.contains(&format!(" {host} ")), "{mounts}");
    assert!(mounts.lines().count() < 30, "{mounts}");
}

#[test]
fn nothing_is_mounted_where_the_host_sees_it() {
    let count = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = count();
    assert_eq!(output(shell("echo done")), "done");
    assert_eq!(count(), before);
}

#[test]
fn kernel_paths_are_masked() {
    let script = "cat /proc/kcore | wc -c; cat /proc/keys /proc/timer_list /proc/interrupts | wc -c;
        ls /sys/firmware | wc -l; ls /proc/scsi /proc/acpi 2>/dev/null | grep -v : | grep . | wc -l";
    assert_eq!(output(shell(script)), "0\n0\n0\n0");
}

#[test]
fn kernel_settings_are_read_only() {
    let script =
        "for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/default_smp_affinity \
        /sys/kernel/profiling /sys/fs/cgroup/cgroup.procs; do
        [ ! -e $f ] || (echo 1 > $f) 2>&1 | grep -q 'Read-only file system' || echo $f; done";
    assert_eq!(output(shell(script)), "");
}

#[test]
fn basic_devices_are_there_and_work() {
    let script =
        "echo x > /dev/null && head -c 4 /dev/zero | wc -c && head -c 4 /dev/urandom | wc -c
        (echo x > /dev/full) 2>/dev/null || echo full
        ls /dev; for l in fd stdin ptmx; do readlink /dev/$l; done; stat -c %a /dev/null /dev/shm";
    let expected = "4\n4\nfull\ncore\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\n\
        stdout\ntty\nurandom\nzero\n/proc/self/fd\n/proc/self/fd/0\npts/ptmx\n666\n1777";
    assert_eq!(output(shell(script)), expected);
}

#[test]
fn no_descriptor_of_ours_is_seen() {
    // Inheritable, as a careless library would leave it.
    let leak = fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    // The listing has one of its own.
    assert_eq!(output(shell("exec ls /proc/self/fd")), "0\n1\n2\n3");
}

#[test]
fn a_link_in_the_image_cannot_lead_a_mount_out() {
    let image = tempfile::tempdir().unwrap();
    for name in ["proc", "sys", "dev", "bin"] {
        fs::create_dir(image.path().join(name)).unwrap();
    }
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), image.path().join("out")).unwrap();
    std::os::unix::fs::symlink("/../../../bin", image.path().join("in")).unwrap();
    let mut spec = shell("true");
    spec.root.lowers = vec![runtime::Lower::Directory(image.path().to_owned())];
    let mount = |target: &str| Mount {
        target: target.into(),
        source: Source::Bind {
            path: base().join("bin"),
            recursive: false,
        },
        read_only: true,
    };
    spec.mounts = vec![mount("/out")];
    let error = runtime().spawn(spec).unwrap_err();
    assert_eq!(error.to_string(), "cannot find the mount point `/out`");
    // A link within is followed within, however far up it points.
    let mut spec = shell("true");
    spec.root.lowers = vec![runtime::Lower::Directory(image.path().to_owned())];
    spec.mounts = vec![mount("/in")];
    assert!(run(spec).status.success());
}
