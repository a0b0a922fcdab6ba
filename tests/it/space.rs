//! Space: what takes it, what gives it back, and what never goes.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::chance::Chance;
use testkit::command;
use testkit::context::Context;
use testkit::disk::Disk;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;
use testkit::supervise::{PATIENCE, wait_until};

use crate::rbuild;

/// The objects of `rbuild du --format json`.
fn usage(rbuild: &Rbuild) -> Vec<serde_json::Value> {
    let text = rbuild
        .run(["du", "--format", "json"])
        .succeeded()
        .to_owned();
    let objects = text.lines().map(serde_json::from_str);
    objects.collect::<Result<_, _>>().expect("lines of JSON")
}

/// How many bytes may be removed.
fn reclaimable(rbuild: &Rbuild) -> u64 {
    let loose = usage(rbuild)
        .into_iter()
        .filter(|item| item["Reclaimable"] == true);
    loose
        .map(|item| item["Size"].as_u64().expect("a number"))
        .sum()
}

/// How many bytes may be removed once nobody uses them.
fn reclaimable_or_used(rbuild: &Rbuild) -> u64 {
    let used = serde_json::json!(["in use"]);
    let loose = usage(rbuild)
        .into_iter()
        .filter(|item| item["Reclaimable"] == true || item["KeptBy"] == used);
    loose
        .map(|item| item["Size"].as_u64().expect("a number"))
        .sum()
}

#[track_caller]
fn assert_sound(rbuild: &Rbuild) {
    rbuild.run(["store", "check"]).succeeded();
}

#[test]
fn images_and_containers_keep_what_they_need_and_the_rest_goes() {
    let rbuild = rbuild();
    let text = "FROM @busybox\nRUN echo kept > /kept\nRUN --mount=type=cache,id=pinned,target=/c echo x > /c/x\n\
         RUN --mount=type=cache,id=loose,target=/c echo x > /c/x\nCMD cat /kept\n";
    let kept = Context::new(text);
    rbuild.build(kept.path(), &["-t", "kept"]);
    rbuild.run(["run", "--name", "box", "kept"]).succeeded();
    rbuild.run(["rmi", "-f", "kept"]).succeeded();
    rbuild.build(
        Context::new("FROM @busybox\nRUN echo named > /named\n").path(),
        &["-t", "named"],
    );
    rbuild.build(
        Context::new("FROM @busybox\nRUN echo gone > /gone\n").path(),
        &["-t", "gone"],
    );
    rbuild.run(["rmi", "gone"]).succeeded();
    rbuild.run(["store", "pin", "pinned"]).succeeded();
    let prune = |mode: &str| {
        let removed = rbuild.run(["prune", mode, "--format", "json"]);
        removed.succeeded().to_owned()
    };
    let (told, removed) = (prune("--dry-run"), prune("--force"));
    assert_eq!(told, removed);
    assert!(
        removed.contains("loose") && !removed.contains("pinned"),
        "{removed}"
    );
    assert_eq!(reclaimable(&rbuild), 0);
    assert_eq!(
        rbuild
            .run(["run", "--rm", "named", "cat", "/named"])
            .succeeded(),
        "named\n"
    );
    let reasons = rbuild.run(["du"]).succeeded().to_owned();
    for reason in [
        "container box",
        "image docker.io/library/named:latest",
        "pinned",
    ] {
        assert!(reasons.contains(reason), "{reasons}");
    }
    let filtered = rbuild.run(["du", "--filter", "type~=^exec"]);
    let filtered = filtered.succeeded();
    assert!(
        filtered.contains("pinned") && !filtered.contains("regular"),
        "{filtered}"
    );
    rbuild.run(["du", "--filter", "parents=x"]).failed_with(1);
    assert_sound(&rbuild);
    rbuild.run(["rm", "box"]).succeeded();
    assert!(reclaimable(&rbuild) > 0);
    // What was removed is built again.
    assert_eq!(rbuild.build_and_run(kept.path(), &[]).succeeded(), "kept\n");
}

#[test]
fn what_takes_space_is_told_with_its_size_its_users_and_its_last_use() {
    let rbuild = rbuild();
    for name in ["one", "two"] {
        let text = format!("FROM scratch\nCOPY data /data\nCOPY {name} /own\n");
        let context = Context::new(&text)
            .with("data", Chance::new(1).bytes(1 << 20))
            .with(name, name);
        rbuild.build(context.path(), &["-t", name]);
    }
    command::shell(
        rbuild.store(),
        "for tar in layers-v1/*/*/tar; do \
         [ $(stat -c %s $tar) -lt 1000000 ] || touch -d 2020-02-03T04:05:06Z ${tar%tar}layer; done",
    );
    let usage = usage(&rbuild);
    let layers = usage.iter().filter(|item| item["Type"] == "regular");
    let (shared, own): (Vec<_>, Vec<_>) = layers.partition(|item| item["Shared"] == true);
    let [shared] = &*shared else {
        panic!("{shared:?}");
    };
    let size = shared["Size"].as_u64().expect("a number");
    assert!((1 << 20..2 << 20).contains(&size), "{size}");
    let users = serde_json::json!([
        "image docker.io/library/one:latest",
        "image docker.io/library/two:latest"
    ]);
    assert_eq!(shared["KeptBy"], users);
    assert_eq!(shared["LastUsedAt"], "2020-02-03T04:05:06Z");
    assert_eq!(own.len(), 2);
    for item in own {
        assert_eq!(item["KeptBy"].as_array().map(Vec::len), Some(1), "{item}");
        assert_ne!(item["LastUsedAt"], shared["LastUsedAt"]);
    }
    let table = rbuild.run(["du"]).succeeded().to_owned();
    let heading = table.lines().next().unwrap_or_default();
    let columns: Vec<_> = heading.split_whitespace().collect();
    assert_eq!(columns.join(" "), "ID TYPE SIZE LAST USED KEPT BY");
    let both = "image docker.io/library/one:latest, image docker.io/library/two:latest";
    assert_eq!(table.matches(both).count(), 1, "{table}");
    assert!(table.contains("Shared:      1.0"), "{table}");
}

/// Builds layers of a megabyte that no image keeps, and has them be last used so many days ago; their ids.
fn loose_layers(rbuild: &Rbuild, days: &[u32]) -> Vec<String> {
    let layer = |day: &u32| {
        let context = Context::new("FROM scratch\nCOPY data /\n")
            .with("data", Chance::new(u64::from(*day)).bytes(1 << 20));
        rbuild.build(context.path(), &["--output", "type=cacheonly"]);
        let script = format!(
            "new=$(find layers-v1 -name layer -newermt '1 hour ago'); touch -d '{day} days ago' $new; \
             basename $(dirname $new)"
        );
        format!("sha256:{}", command::shell(rbuild.store(), &script).trim())
    };
    days.iter().map(layer).collect()
}

/// The layers that `rbuild prune` with these flags removes, as its dry run said, the one it names first first.
fn pruned(rbuild: &Rbuild, flags: &[&str]) -> Vec<String> {
    let prune = |mode: &str| {
        let fixed = ["prune", mode, "--format", "json"];
        let listed = rbuild.run(fixed.iter().chain(flags)).succeeded().to_owned();
        let items = listed
            .lines()
            .map(serde_json::from_str::<serde_json::Value>);
        let layers = items.map(|item| item.expect("a line of JSON"));
        let layers = layers.filter(|item| item["Type"] == "regular");
        layers
            .map(|item| item["ID"].as_str().expect("a text").to_owned())
            .collect::<Vec<_>>()
    };
    let before = usage(rbuild);
    let foretold = prune("--dry-run");
    assert_eq!(usage(rbuild), before);
    let removed = prune("--force");
    assert_eq!(removed, foretold);
    let left = usage(rbuild);
    for layer in &removed {
        assert!(left.iter().all(|item| item["ID"] != **layer));
    }
    removed
}

#[test]
fn pruning_goes_by_age_space_and_filters() {
    let rbuild = rbuild();
    let days = [9, 7, 5, 3, 2, 1];
    let layers = loose_layers(&rbuild, &days);
    assert_eq!(pruned(&rbuild, &["--filter", "until=192h"]), layers[..1]);
    let chosen = format!("id={}", layers[3]);
    assert_eq!(pruned(&rbuild, &["--filter", &chosen]), layers[3..4]);
    let left = [1, 2, 4, 5].map(|at| layers[at].clone());
    // Each has a little more than a megabyte: three stay, and then two whatever is wanted.
    assert_eq!(pruned(&rbuild, &["--max-used-space", "3500kB"]), left[..1]);
    let all = ["--min-free-space", "100TB", "--reserved-space", "2500kB"];
    assert_eq!(pruned(&rbuild, &all), left[1..2]);
    assert_eq!(pruned(&rbuild, &["--min-free-space", "1B"]), [""; 0]);
    assert_eq!(pruned(&rbuild, &["--min-free-space", "100TB"]), left[2..]);
    assert_ne!(rbuild.run(["builds", "ls", "-q"]).succeeded(), "");
    assert_eq!(pruned(&rbuild, &["--all"]), [""; 0]);
    assert_eq!(rbuild.run(["builds", "ls", "-q"]).succeeded(), "");
    assert_sound(&rbuild);
}

#[test]
fn limits_are_kept_behind_the_builds() {
    const LIMIT: u64 = 3 << 20;
    let rbuild = rbuild();
    let text = "FROM scratch\nARG N\nCOPY data /data$N\n";
    let context = Context::new(text).with("data", Chance::new(1).bytes(1 << 20));
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let build = |number: u32| {
        let argument = format!("N={number}");
        let mut build = rbuild.command(["build", "-q", "--build-arg", &argument, path]);
        build.env("RBUILD_GC", "max-used-space=3MB");
        command::run(&mut build).succeeded();
    };
    (0..8).for_each(build);
    wait_until(Duration::from_mins(1), "the limit is not kept", || {
        reclaimable(&rbuild) <= LIMIT
    });
    assert!(reclaimable(&rbuild) > LIMIT / 3, "no more goes than must");
    assert_sound(&rbuild);
}

#[test]
fn limits_are_kept_behind_whatever_adds_or_takes_away() {
    let collects = |args: &[&str]| {
        let rbuild = rbuild();
        let context =
            Context::new("FROM scratch\nCOPY data /\n").with("data", Chance::new(1).bytes(2 << 20));
        rbuild.build(context.path(), &["-t", "gone"]);
        rbuild.build(context.path(), &["-t", "kept"]);
        context.write("data", Chance::new(2).bytes(2 << 20));
        rbuild.build(context.path(), &["-t", "gone"]);
        context.write("data", Chance::new(3).bytes(2 << 20));
        rbuild.build(context.path(), &["--output", "type=cacheonly"]);
        let mut command = rbuild.command(args);
        command.env("RBUILD_GC", "max-used-space=1MB");
        command::run(&mut command).succeeded();
        wait_until(PATIENCE, "the limit is not kept", || {
            reclaimable(&rbuild) <= 1 << 20
        });
        assert_sound(&rbuild);
        rbuild
    };
    let archive = testkit::scratch();
    let archive = archive.path().join("archive.tar");
    let archive = archive.to_str().expect("scratch paths are UTF-8");
    let other = rbuild();
    other.build(Context::new("FROM @busybox\n").path(), &["-t", "other"]);
    other.run(["save", "-o", archive, "other"]).succeeded();
    let busybox = Registry::shared().busybox();
    collects(&["pull", "-q", &busybox]);
    collects(&["load", "-q", "-i", archive]);
    collects(&["run", "--rm", &busybox, "true"]);
    let rbuild = collects(&["rmi", "gone"]);
    rbuild.run(["inspect", "kept"]).succeeded();
    rbuild.run(["inspect", "gone"]).failed_with(1);
}

#[test]
fn limits_are_kept_behind_a_build_that_is_stopped() {
    let rbuild = rbuild();
    let text = "FROM @busybox\nCOPY data /data\nRUN : > /begun\nRUN sleep 2006.5\n";
    let context = Context::new(text).with("data", Chance::new(1).bytes(2 << 20));
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let mut build = rbuild.command(["build", "--progress=plain", path]);
    build
        .env("RBUILD_GC", "max-used-space=1MB")
        .stderr(Stdio::null());
    let mut build = build.spawn().expect("the program can be started");
    wait_until(PATIENCE, "the step does not start", || {
        command::run(Command::new("pgrep").args(["-fx", "sleep 2006.5"])).code == 0
    });
    assert!(reclaimable_or_used(&rbuild) > 1 << 20);
    command::must("kill", &["-s", "INT", &build.id().to_string()]);
    let ended = build.wait().expect("a child can be waited for");
    assert_eq!(ended.code(), Some(130));
    wait_until(PATIENCE, "the limit is not kept", || {
        reclaimable_or_used(&rbuild) <= 1 << 20
    });
    assert_sound(&rbuild);
}

#[test]
fn cache_mounts_that_grow_without_a_new_layer_are_kept_within_limits() {
    const LIMIT: u64 = 3 << 20;
    let rbuild = rbuild();
    for number in 0..6 {
        let context = Context::new(&format!(
            "FROM @busybox\nRUN --mount=type=cache,id=c{number},target=/c head -c 1048576 /dev/urandom > /c/x\n"
        ));
        let path = context.path().to_str().expect("scratch paths are UTF-8");
        let mut build = rbuild.command(["build", "-q", path]);
        build.env("RBUILD_GC", "max-used-space=3MB");
        command::run(&mut build).succeeded();
    }
    wait_until(Duration::from_mins(1), "the limit is not kept", || {
        reclaimable(&rbuild) <= LIMIT
    });
    assert_sound(&rbuild);
}

#[test]
fn a_cache_mount_in_use_is_not_collected() {
    let rbuild = rbuild();
    let text = "FROM @busybox\nRUN --mount=type=cache,id=used,target=/c echo x > /c/x; \
         while [ ! -e /c/go ]; do sleep 0.05; done; cat /c/x > /x\nCMD cat /x\n";
    let context = Context::new(text);
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let build = rbuild.start(["build", "-t", "built", path]);
    let data = || {
        let found = command::shell(
            rbuild.store(),
            "ls -d mounts-v1/*/data/x 2>/dev/null || true",
        );
        (!found.is_empty()).then(|| rbuild.store().join(found.trim()))
    };
    wait_until(Duration::from_secs(30), "the step does not start", || {
        data().is_some()
    });
    rbuild.run(["prune", "--force"]).succeeded();
    let data = data().expect("the mount in use is there");
    std::fs::write(data.with_file_name("go"), "").expect("the mount can be written");
    finish(build);
    assert_eq!(rbuild.run(["run", "--rm", "built"]).succeeded(), "x\n");
}

#[test]
fn a_full_disk_is_one_error_and_freeing_space_is_enough() {
    let disk = Disk::new(200);
    let rbuild = rbuild();
    let store = disk.path().join("store");
    let store = store.to_str().expect("scratch paths are UTF-8");
    let mut chance = Chance::new(2);
    let context =
        Context::new("FROM @busybox\nCOPY data /data\nRUN cp /data /copy\nCMD wc -c < /copy\n");
    let path = context
        .path()
        .to_str()
        .expect("scratch paths are UTF-8")
        .to_owned();
    let build = |name: &str| rbuild.run(["--store", store, "build", "-t", name, &path]);
    let mut images = 0;
    let failed = loop {
        context.write("data", chance.bytes(20 << 20));
        let outcome = build(&format!("image{images}"));
        rbuild.run(["--store", store, "store", "check"]).succeeded();
        if outcome.code != 0 {
            break outcome;
        }
        images += 1;
        assert!(images < 20, "200 MB hold more than they can");
    };
    assert!(images > 0);
    failed.failed_with(1);
    let told = failed
        .stderr
        .lines()
        .filter(|line| line.starts_with("ERROR"));
    assert_eq!(told.count(), 1, "{}", failed.stderr);
    failed.says(&["No space left on device"]);
    // Not a byte left: what frees space must work without taking some first.
    let fill = disk.fill();
    rbuild.run(["--store", store, "rmi", "image0"]).succeeded();
    std::fs::remove_file(fill).expect("the file was made above");
    rbuild
        .run(["--store", store, "prune", "--force"])
        .succeeded();
    build("after").succeeded();
    let run = rbuild.run(["--store", store, "run", "--rm", "after"]);
    assert_eq!(run.succeeded(), "20971520\n");
    // What was reported done is there, whole. Where layers are directories, each takes room for those when it runs.
    let mut earlier = "after".to_owned();
    for image in 1..images {
        rbuild.run(["--store", store, "rmi", &earlier]).succeeded();
        let prune = ["--store", store, "prune", "--force", "--all"];
        rbuild.run(prune).succeeded();
        let name = format!("image{image}");
        let run = rbuild.run(["--store", store, "run", "--rm", &name]);
        assert_eq!(run.succeeded(), "20971520\n", "{name}");
        earlier = name;
    }
    rbuild.run(["--store", store, "store", "check"]).succeeded();
}

#[track_caller]
fn finish(child: Child) {
    let output = child.wait_with_output().expect("a child can be waited for");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

#[test]
fn builds_runs_pulls_and_collectors_work_at_once() {
    let rbuild = rbuild();
    let registry = Registry::shared();
    let text = "FROM @busybox AS tools\nRUN echo tool > /tool\nFROM @busybox\nARG N\nCOPY --from=tools /tool /tool\n\
         RUN --mount=type=cache,id=all,target=/c echo $N >> /c/all; cat /tool > /out; echo $N >> /out\nCMD cat /out\n";
    let context = Context::new(text);
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let build = |number: usize| {
        let (argument, name) = (format!("N={}", number % 6), format!("image{}", number % 6));
        rbuild.start(["build", "-t", &name, "--build-arg", &argument, path])
    };
    (0..6)
        .map(build)
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(finish);
    let mut children: Vec<Child> = (0..18).map(build).collect();
    children.extend((0..6).map(|_| rbuild.start(["prune", "--force", "--all"])));
    children.extend((0..3).map(|_| rbuild.start(["pull", &registry.busybox()])));
    let runs: Vec<Child> = (0..12)
        .map(|number| rbuild.start(["run", "--rm", &format!("image{}", number % 6)]))
        .collect();
    for (number, run) in runs.into_iter().enumerate() {
        let output = run.wait_with_output().expect("a child can be waited for");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("tool\n{}\n", number % 6)
        );
    }
    children.into_iter().for_each(finish);
    assert_sound(&rbuild);
    rbuild.run(["prune", "--force"]).succeeded();
    rbuild.assert_nothing_half_made();
    rbuild.assert_nothing_mounted();
}
