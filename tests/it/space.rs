//! Space: what takes it, what gives it back, and what never goes.

use std::process::Child;
use std::time::Duration;

use testkit::chance::Chance;
use testkit::command;
use testkit::context::Context;
use testkit::disk::Disk;
use testkit::progress::Progress;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;
use testkit::supervise::wait_until;

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
    let told = rbuild.run(["prune", "--dry-run"]).succeeded().to_owned();
    let removed = rbuild.run(["prune", "--force"]).succeeded().to_owned();
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
fn damage_is_found_dropped_and_built_again() {
    let rbuild = rbuild();
    let context =
        Context::new("FROM @busybox\nRUN seq 100000 > /numbers\nCMD tail -n 1 /numbers\n");
    rbuild.build(context.path(), &["-t", "built"]);
    assert_sound(&rbuild);
    let script = "for tar in layers-v1/*/*/tar; do [ $(stat -c %s $tar) -lt 1000000 ] && file=$tar; done; \
         printf X | dd of=$file bs=1 seek=5000 conv=notrunc status=none";
    command::shell(rbuild.store(), script);
    let found = rbuild.run(["store", "check"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    assert!(
        found.stdout.contains("its bytes have another digest"),
        "{}",
        found.stdout
    );
    rbuild.run(["store", "check", "--repair"]).succeeded();
    assert_sound(&rbuild);
    let progress = Progress::parse(&rbuild.build(context.path(), &["-t", "built"]));
    assert_eq!(progress.ran(&["RUN seq"]), ["RUN seq"]);
    assert_eq!(rbuild.run(["run", "--rm", "built"]).succeeded(), "100000\n");
}

#[test]
fn a_damaged_directory_form_is_dropped_and_made_again() {
    let rbuild = rbuild();
    // Small layers of steps keep the directories that they are made from.
    let context = Context::new("FROM @busybox\nRUN echo right > /file\nCMD cat /file\n");
    rbuild.build(context.path(), &["-t", "built"]);
    assert_sound(&rbuild);
    let script = "for file in layers-v1/*/*/upper-*/file; do printf wrong > $file; done";
    command::shell(rbuild.store(), script);
    let found = rbuild.run(["store", "check"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    let said = "a directory form is not as it is: `/file` has other bytes";
    assert!(found.stdout.contains(said), "{}", found.stdout);
    rbuild.run(["store", "check", "--repair"]).succeeded();
    assert_sound(&rbuild);
    assert_eq!(rbuild.run(["run", "--rm", "built"]).succeeded(), "right\n");
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
