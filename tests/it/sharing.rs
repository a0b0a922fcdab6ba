//! Several builds on one store, at once.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use testkit::command;
use testkit::context::Context;
use testkit::faults::{Fault, Faults};
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;
use testkit::supervise::{PATIENCE, wait_until};

use crate::registries::{assert_same, origin};
use crate::{at_home, rbuild};

fn start(rbuild: &Rbuild, context: &Context, tag: &str) -> Child {
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    rbuild.start(["build", "--progress=plain", "-t", tag, path])
}

#[track_caller]
fn finish(child: Child) {
    let output = child.wait_with_output().expect("a child can be waited for");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn two_processes_run_a_common_step_once() {
    let rbuild = rbuild();
    let text = "FROM @busybox\nRUN sleep 1; cat /proc/sys/kernel/random/uuid > /once\nCMD [\"cat\", \"/once\"]\n";
    let contexts = [Context::new(text), Context::new(text)];
    let children: Vec<_> = contexts
        .iter()
        .zip(["one", "two"])
        .map(|(context, tag)| start(&rbuild, context, tag))
        .collect();
    children.into_iter().for_each(finish);
    let once = |tag| rbuild.run(["run", "--rm", tag]).succeeded().to_owned();
    assert_eq!(
        once("one"),
        once("two"),
        "the second build took the first one's result"
    );
}

#[test]
fn one_build_runs_an_equal_step_once() {
    let text = "FROM @busybox AS a\nRUN cat /proc/sys/kernel/random/uuid > /id\nFROM @busybox AS b\nRUN cat /proc/sys/kernel/random/uuid > /id\n\
         FROM @busybox\nCOPY --from=a /id /a\nCOPY --from=b /id /b\nCMD cmp /a /b && echo equal\n";
    assert_eq!(
        rbuild()
            .build_and_run(Context::new(text).path(), &[])
            .succeeded(),
        "equal\n"
    );
}

#[test]
fn a_waiting_build_goes_on_when_the_first_is_killed() {
    let rbuild = rbuild();
    // Whoever comes first stays in the step; the next one passes.
    let text = "FROM @busybox\nRUN --mount=type=cache,target=/c mkdir /c/first && exec sleep 2005.5; echo made > /made\n\
         CMD [\"cat\", \"/made\"]\n";
    let contexts = [Context::new(text), Context::new(text)];
    let mut first = start(&rbuild, &contexts[0], "one");
    wait_until(PATIENCE, "the step does not start", || {
        command::run(Command::new("pgrep").args(["-fx", "sleep 2005.5"])).code == 0
    });
    let mut second = start(&rbuild, &contexts[1], "two");
    let begun = BufReader::new(second.stderr.as_mut().expect("a pipe"))
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("FROM "));
    assert!(begun, "it shows the step before the one that it waits for");
    // Should it wait only later, the end is the same.
    thread::sleep(Duration::from_millis(300));
    first.kill().expect("the child is ours");
    first.wait().expect("a child can be waited for");
    finish(second);
    assert_eq!(rbuild.run(["run", "--rm", "two"]).succeeded(), "made\n");
}

#[test]
fn many_builds_at_once_leave_a_sound_store() {
    let rbuild = rbuild();
    let text = |n: usize| {
        format!(
            "FROM @busybox\nRUN echo common > /common\nRUN echo {n} > /own\nCMD [\"cat\", \"/common\", \"/own\"]\n"
        )
    };
    let contexts: Vec<_> = (0..8).map(|n| Context::new(&text(n))).collect();
    let tags: Vec<_> = (0..8).map(|n| format!("image{n}")).collect();
    let children: Vec<_> = contexts
        .iter()
        .zip(&tags)
        .map(|(context, tag)| start(&rbuild, context, tag))
        .collect();
    children.into_iter().for_each(finish);
    for (n, tag) in tags.iter().enumerate() {
        assert_eq!(
            rbuild.run(["run", "--rm", tag]).succeeded(),
            format!("common\n{n}\n")
        );
    }
    rbuild.assert_nothing_half_made();
}

/// Says that something is over, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_is_at_work_is_not_collected() {
    let rbuild = rbuild();
    let base = Registry::shared().busybox();
    let context = Context::new("FROM @busybox\nARG N\nRUN echo $N > /n\nCMD cat /n\n");
    let context = context.path().to_str().expect("scratch paths are UTF-8");
    let saved = testkit::scratch();
    let saved = saved.path().join("saved.tar");
    let saved = saved.to_str().expect("scratch paths are UTF-8");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                rbuild.run(["prune", "--force", "--all"]).succeeded();
            }
        });
        for n in 0..20 {
            let n = format!("{n}");
            let argument = format!("N={n}");
            let build = ["build", "-q", "-t", "image", "--build-arg", &argument];
            rbuild.run([&build[..], &[context]].concat()).succeeded();
            let run = rbuild.run(["run", "--rm", "image"]);
            assert_eq!(run.succeeded(), format!("{n}\n"));
            rbuild.run(["save", "-o", saved, "image"]).succeeded();
            rbuild.run(["rmi", "-f", "image"]).succeeded();
            let pull = ["run", "--rm", "--pull=always", &base, "true"];
            rbuild.run(pull).succeeded();
            rbuild.run(["rmi", &base]).succeeded();
        }
    });
    rbuild.run(["store", "check"]).succeeded();
}

/// Starts so many pulls of an image that comes slowly; gives them once the image is on its way.
fn slow_pulls(rbuild: &Rbuild, faults: &Faults, count: usize) -> Vec<Child> {
    let slow = Fault::Trickle(100_000, Duration::from_millis(20));
    faults.add("GET", "/blobs/", usize::MAX / 2, slow);
    let name = format!("{}/image", faults.host());
    let pulls = (0..count).map(|_| rbuild.start(["pull", &name])).collect();
    wait_until(PATIENCE, "the layer does not come", || {
        let seen = faults.seen();
        seen.iter().any(|request| request.contains(&origin().blob))
    });
    pulls
}

/// The blobs that were asked for, each as often as it was.
fn blobs(faults: &Faults) -> Vec<String> {
    let seen = faults.seen().into_iter();
    let mut blobs: Vec<_> = seen
        .filter(|request| request.starts_with("GET ") && request.contains("/blobs/"))
        .collect();
    blobs.sort();
    blobs
}

#[test]
fn several_processes_that_pull_an_image_download_its_layers_once() {
    let rbuild = at_home();
    let faults = Faults::before(origin().registry.port());
    let pulls = slow_pulls(&rbuild, &faults, 6);
    // A build that starts from it waits for it, too.
    let context = Context::new(&format!("FROM {}/image\n", faults.host()));
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let build = rbuild.start(["build", "--output", "type=cacheonly", path]);
    pulls.into_iter().chain([build]).for_each(finish);
    assert_same(&rbuild);
    let asked = blobs(&faults);
    let layers: Vec<_> = asked
        .iter()
        .filter(|request| request.contains(&origin().blob))
        .collect();
    assert_eq!(layers.len(), 1, "{asked:?}");
}

#[test]
fn a_waiting_pull_goes_on_when_the_first_is_killed() {
    let rbuild = at_home();
    let faults = Faults::before(origin().registry.port());
    let mut first = slow_pulls(&rbuild, &faults, 1);
    let asked = || {
        let seen = faults.seen();
        seen.iter().filter(|it| it.contains("/manifests/")).count()
    };
    let before = asked();
    let second = rbuild.start(["pull", &format!("{}/image", faults.host())]);
    // It has asked for the image, and has still to wait or does already.
    wait_until(PATIENCE, "the second does not begin", || asked() > before);
    for first in &mut first {
        first.kill().expect("the child is ours");
        first.wait().expect("a child can be waited for");
    }
    finish(second);
    assert_same(&rbuild);
}

#[test]
fn stages_run_at_the_same_time() {
    let build = |step: &str, flags: &[&str]| {
        let stages = (0..4).map(|n| {
            format!("FROM @busybox AS s{n}\nRUN --mount=type=cache,id=met,target=/c {step} && echo {n} > /part\n")
        });
        let copies = (0..4).map(|n| format!("COPY --from=s{n} /part /part{n}\n"));
        let text = stages.chain(["FROM @busybox\n".to_owned()]).chain(copies);
        rbuild().build(Context::new(&text.collect::<String>()).path(), flags);
    };
    // Each waits for the others.
    build(
        "touch /c/$$-$(cat /proc/sys/kernel/random/uuid); \
         for i in $(seq 600); do [ $(ls /c | wc -l) = 4 ] && break; sleep 0.1; done; [ $(ls /c | wc -l) = 4 ]",
        &[],
    );
    // One at a time when that is asked for.
    build(
        "mkdir /c/alone && sleep 0.1 && rmdir /c/alone",
        &["--jobs", "1"],
    );
}
