//! On the machine's own hierarchies.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn slots_are_used_again_and_removed_at_the_end() {
    let cgroups = Cgroups::new();
    let own = cgroups.own.as_ref().expect("root can make cgroups");
    assert!(own.confines_devices);
    let path = own.path.clone();
    let first = cgroups.take().unwrap();
    let second = cgroups.take().unwrap();
    let (one, two) = (first.path.clone(), second.path.clone());
    assert_ne!(one, two);
    drop(first);
    let third = cgroups.take().unwrap();
    assert_eq!(third.path, one);
    drop((second, third));
    drop(cgroups);
    assert!(!path.exists());
}

#[test]
fn a_held_cgroup_survives_the_sweep_and_a_left_one_does_not() {
    let cgroups = Cgroups::new();
    let own = cgroups.own.as_ref().expect("root can make cgroups");
    let left = own.path.parent().unwrap().join("left-by-a-test");
    // A test beside this one may sweep what a dead one left.
    let lock = (0..100).find_map(|_| {
        std::fs::create_dir_all(&left).ok()?;
        let lock = open_directory(&left).ok()?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
        std::fs::create_dir_all(left.join("0")).ok()?;
        Some(lock)
    });
    let mut process = std::process::Command::new("sleep")
        .arg("1000")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let joined = std::fs::write(left.join("0/cgroup.procs"), process.id().to_string());
    drop(lock.expect("can be held"));
    joined.unwrap();
    let other = Cgroups::new();
    let status = process.wait().unwrap();
    assert!(!status.success());
    // Whichever test sweeps it, or the zombie delayed it.
    let swept = (0..2_000).any(|_| {
        sweep::dead(own.path.parent().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(5));
        !left.exists()
    });
    assert!(swept);
    assert!(own.path.exists());
    drop(other);
}

#[test]
fn cgroups_of_threads_are_of_no_use() {
    let hierarchy = Hierarchy::find().unwrap();
    if hierarchy.version != Version::Unified {
        return;
    }
    let name = format!("rbuild-test-threads-{}", std::process::id());
    let threads = hierarchy.mount_point.join(name);
    std::fs::create_dir(&threads).unwrap();
    std::fs::write(threads.join("cgroup.type"), "threaded").unwrap();
    let below = threads.join(COMMON);
    let own = Own::new(&hierarchy, &below, Devices::Few).map(|own| own.path);
    let left = below.exists();
    rmdir(&threads).unwrap();
    assert_eq!(own, Err(Errno::OPNOTSUPP));
    assert!(!left);
}

#[test]
fn the_old_policy_can_be_set() {
    let old = Path::new("/sys/fs/cgroup/devices");
    if !old.is_dir() {
        return;
    }
    let path = old.join(format!("rbuild-test-{}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    devices::confine_old(&path).unwrap();
    let rules = std::fs::read_to_string(path.join("devices.list")).unwrap();
    rmdir(&path).unwrap();
    assert!(rules.contains("c 1:3 rwm"), "{rules}");
    assert!(rules.contains("b *:* m"), "{rules}");
    assert!(!rules.contains("a *:*"), "{rules}");
}
