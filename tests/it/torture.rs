//! Processes killed at moments of chance, again and again, on one store: it stays sound, nothing that was reported done
//! is lost, and the next build gives byte for byte what an undisturbed one gives. Also where the disk is full half the time.
//!
//! `RBUILD_TORTURE=10` kills ten times as much, `RBUILD_TORTURE_SEED` changes the moments.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testkit::chance::Chance;
use testkit::command::{self, Outcome};
use testkit::context::Context;
use testkit::disk::Disk;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;

use crate::rbuild;

/// Rounds of two processes, which are killed, or would be if they were not so fast.
const ROUNDS: u64 = 200;
/// The same on a small disk.
const FULL_ROUNDS: u64 = 50;
/// What is killed beside a build: a command, by its number.
const BUILD: u64 = 0;
const PRUNE: u64 = 1;
const PULL: u64 = 2;
const REMOVE: u64 = 3;
const RUN: u64 = 4;
/// After how many an image is run and mounts are looked for; the store is checked, and an image built, after each.
const BATCH: u64 = 20;
/// Different images.
const VARIANTS: u64 = 5;

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// A context of some work, with more at both ends of its Dockerfile.
fn context(first: &str, last: &str) -> Context {
    let text = "FROM @busybox AS a\nARG N\nCOPY files /files\nRUN for i in 1 2 3 4 5 6 7 8; do echo $i $N > /made$i; done\n\
         FROM @busybox\nARG N\nCOPY --from=a /made3 /files /all/\nRUN echo $N > /n; rm /all/made3\nCMD cat /n\n";
    (0..40).fold(
        Context::new(&format!("{first}{text}{last}")),
        |context, file| context.with(&format!("files/{file}"), format!("{file} ").repeat(3000)),
    )
}

/// A store on which processes are killed.
struct Torture<'a> {
    rbuild: Rbuild,
    store: &'a Path,
    chance: Chance,
    /// How late a kill comes at most, in microseconds. It follows how long things take here and now, so that about half of
    /// them are killed.
    latest: u64,
    /// Names of images that were reported done and not removed since.
    done: BTreeSet<u64>,
    /// Processes that had not ended by themselves.
    killed: u64,
}

impl Torture<'_> {
    /// A command on the store, whose images bear fixed times.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.rbuild.command(["--store"]);
        command.arg(self.store).args(args);
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        command
    }

    fn run(&self, args: &[&str]) -> Outcome {
        command::run(&mut self.command(args))
    }

    /// Builds a variant; that gives the digest of its config.
    fn build(&self, context: &Path, variant: u64) -> Outcome {
        let (argument, name) = (format!("N={variant}"), format!("image{variant}"));
        let mut build = self.command(&["build", "-q", "-t", &name, "--build-arg", &argument]);
        command::run(build.arg(context))
    }

    /// Starts something that works on the store and says to a file what goes wrong; for builds also the name that is given.
    fn start(&mut self, context: &Path, kind: u64, said: &Path) -> (Child, Option<u64>) {
        let variant = self.chance.below(VARIANTS);
        // Mostly something that was never built, so that there is work to kill.
        let value = if self.chance.below(5) == 0 {
            variant
        } else {
            VARIANTS + self.chance.below(u64::from(u32::MAX))
        };
        let context = context.to_str().expect("scratch paths are UTF-8");
        let (argument, name) = (format!("N={value}"), format!("image{variant}"));
        let busybox = Registry::shared().busybox();
        let mut command = match kind {
            BUILD => self.command(&[
                "build",
                "-q",
                "-t",
                &name,
                "--build-arg",
                &argument,
                context,
            ]),
            PRUNE => self.command(&["prune", "--force", "--all"]),
            PULL => self.command(&["pull", "-q", &busybox]),
            REMOVE => self.command(&["rmi", "-f", &name]),
            _ => self.command(&["run", "--rm", &name]),
        };
        let said = File::create(said).expect("the scratch directory can be written");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said);
        let child = command.spawn().expect("the program can be started");
        (child, (kind == BUILD).then_some(variant))
    }

    /// Kills a process, or one that it started, if it has not ended yet. Whether it had not.
    fn kill(&mut self, child: &mut Child) -> bool {
        if child.try_wait().is_ok_and(|end| end.is_some()) {
            self.latest = (self.latest - self.latest / 16).max(1000);
            return false;
        }
        self.killed += 1;
        self.latest += self.latest / 16;
        let process = child.id();
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        let step = children.unwrap_or_default();
        match step.split_whitespace().next() {
            Some(step) if self.chance.below(4) == 0 => {
                command::run(Command::new("kill").args(["-KILL", step]));
            }
            _ => drop(child.kill()),
        }
        true
    }

    /// Kills a build and something else, one of these kinds, and looks for what is lost. What the build said if it failed
    /// by itself.
    fn round(&mut self, context: &Path, kinds: &[u64]) -> Option<String> {
        let other = kinds[self.chance.below(kinds.len() as u64) as usize];
        let said = testkit::scratch();
        let [first_said, second_said] = ["first", "second"].map(|name| said.path().join(name));
        let (mut first, variant) = self.start(context, BUILD, &first_said);
        let (mut second, second_variant) = self.start(context, other, &second_said);
        thread::sleep(Duration::from_micros(self.chance.below(self.latest)));
        let killed = self.kill(&mut first);
        self.kill(&mut second);
        let first = first.wait().expect("a child can be waited for");
        let second = second.wait().expect("a child can be waited for");
        if other == REMOVE {
            // Which of the names went is not known.
            self.done.clear();
        } else {
            for (end, variant) in [(first, variant), (second, second_variant)] {
                if let Some(variant) = variant.filter(|_| end.success()) {
                    self.done.insert(variant);
                }
            }
        }
        self.run(&["store", "check"]).succeeded();
        for variant in &self.done {
            self.run(&["inspect", &format!("image{variant}")])
                .succeeded();
        }
        let failed = !killed && !first.success();
        failed.then(|| {
            let said = fs::read_to_string(first_said).expect("it was written");
            format!("beside {other}: {said}")
        })
    }

    /// Runs the image of a variant.
    fn assert_runs(&self, variant: u64) {
        let run = self.run(&["run", "--rm", &format!("image{variant}")]);
        assert_eq!(run.succeeded(), format!("{variant}\n"));
        self.rbuild.assert_nothing_mounted();
    }
}

/// What undisturbed builds give, and how many microseconds one takes.
fn undisturbed(context: &Path) -> (Vec<String>, u64) {
    let rbuild = rbuild();
    let store = rbuild.store().to_owned();
    let calm = torture(rbuild, &store, 0);
    let begun = Instant::now();
    let built = (0..VARIANTS).map(|variant| calm.build(context, variant).succeeded().to_owned());
    let built = built.collect();
    (built, begun.elapsed().as_micros() as u64 / VARIANTS)
}

fn torture(rbuild: Rbuild, store: &Path, latest: u64) -> Torture<'_> {
    Torture {
        rbuild,
        store,
        chance: Chance::new(number("RBUILD_TORTURE_SEED", 1)),
        latest,
        done: BTreeSet::new(),
        killed: 0,
    }
}

#[test]
fn killed_processes_lose_nothing_and_leave_a_sound_store() {
    let context = context("", "");
    let (expected, usual) = undisturbed(context.path());
    let rbuild = rbuild();
    let store = rbuild.store().to_owned();
    let mut torture = torture(rbuild, &store, usual);
    let rounds = ROUNDS * number("RBUILD_TORTURE", 1);
    let mut failures = Vec::new();
    for round in 1..=rounds {
        let failed = torture.round(context.path(), &[BUILD, PRUNE, PULL, REMOVE, RUN]);
        failures.extend(failed);
        let variant = torture.chance.below(VARIANTS);
        let built = torture.build(context.path(), variant);
        let expected = &expected[variant as usize];
        assert_eq!(built.succeeded(), expected, "after {round} rounds");
        if round % BATCH == 0 {
            torture.assert_runs(variant);
        }
    }
    assert!(
        failures.is_empty(),
        "builds fail by themselves: {failures:?}"
    );
    let killed = torture.killed;
    assert!(killed > rounds / 2, "only {killed} processes were killed");
    torture.run(&["prune", "--force"]).succeeded();
    torture.rbuild.assert_nothing_half_made();
}

#[test]
fn a_disk_that_fills_meanwhile_loses_nothing_either() {
    let context = context("", "");
    let (expected, usual) = undisturbed(context.path());
    // The same with much that is new each time, and does not compress.
    let noisy = self::context(
        "FROM scratch AS noise\nCOPY noise /\n",
        "COPY --from=noise noise /\n",
    );
    let disk = Disk::new(200);
    let store = disk.path().join("store");
    let mut torture = torture(rbuild(), &store, 2 * usual);
    let rounds = FULL_ROUNDS * number("RBUILD_TORTURE", 1);
    let mut full = 0;
    for round in 1..=rounds {
        noisy.write("noise", torture.chance.bytes(8 << 20));
        let failed = torture.round(noisy.path(), &[BUILD, PULL, REMOVE, RUN]);
        if failed.is_some() {
            full += 1;
        }
        let variant = torture.chance.below(VARIANTS);
        let mut built = torture.build(context.path(), variant);
        let no_room = built.code != 0;
        if no_room {
            built.says(&["No space left on device"]);
        }
        if no_room || full % 5 == 4 {
            full += 1;
            torture.run(&["prune", "--force", "--all"]).succeeded();
            torture.run(&["store", "check"]).succeeded();
        }
        if no_room {
            built = torture.build(context.path(), variant);
        }
        let expected = &expected[variant as usize];
        assert_eq!(built.succeeded(), expected, "after {round} rounds");
        if round % BATCH == 0 {
            torture.assert_runs(variant);
        }
    }
    assert!(full > 0, "the disk was never full");
    assert!(
        torture.killed > rounds / 2,
        "{} were killed",
        torture.killed
    );
}
