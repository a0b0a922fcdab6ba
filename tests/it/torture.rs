//! Processes killed at moments of chance, again and again, on one store: it stays sound, nothing that was reported done
//! is lost, and the next build gives byte for byte what an undisturbed one gives.
//!
//! `RBUILD_TORTURE=10` kills ten times as much, `RBUILD_TORTURE_SEED` changes the moments.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testkit::chance::Chance;
use testkit::command;
use testkit::context::Context;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;

use crate::rbuild;

/// Builds that are killed, or would be if they were not so fast.
const BUILDS: u64 = 200;
/// After how many an image is run and mounts are looked for; the store is checked, and an image built, after each.
const BATCH: u64 = 20;
/// Different images.
const VARIANTS: u64 = 5;

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// A command whose images bear fixed times.
fn fixed(rbuild: &Rbuild, args: &[&str]) -> Command {
    let mut command = rbuild.command(args);
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    command
}

fn context() -> Context {
    let text = "FROM @busybox AS a\nARG N\nCOPY files /files\nRUN for i in 1 2 3 4 5 6 7 8; do echo $i $N > /made$i; done\n\
         FROM @busybox\nARG N\nCOPY --from=a /made3 /files /all/\nRUN echo $N > /n; rm /all/made3\nCMD cat /n\n";
    (0..40).fold(Context::new(text), |context, file| {
        context.with(&format!("files/{file}"), format!("{file} ").repeat(3000))
    })
}

/// What a build of a variant gives: the digest of its config.
#[track_caller]
fn build(rbuild: &Rbuild, path: &str, variant: u64) -> String {
    let (argument, name) = (format!("N={variant}"), format!("image{variant}"));
    let args = ["build", "-q", "-t", &name, "--build-arg", &argument, path];
    command::run(&mut fixed(rbuild, &args))
        .succeeded()
        .to_owned()
}

/// Starts something that works on the store; for builds also the name that is given.
fn start(rbuild: &Rbuild, path: &str, chance: &mut Chance, kind: u64) -> (Child, Option<u64>) {
    let variant = chance.below(VARIANTS);
    // Mostly something that was never built, so that there is work to kill.
    let value = if chance.below(5) == 0 {
        variant
    } else {
        VARIANTS + chance.below(u64::from(u32::MAX))
    };
    let (argument, name) = (format!("N={value}"), format!("image{variant}"));
    let busybox = Registry::shared().busybox();
    let args: Vec<&str> = match kind {
        0 => vec!["build", "-q", "-t", &name, "--build-arg", &argument, path],
        1 => vec!["prune", "--force", "--all"],
        2 => vec!["pull", "-q", &busybox],
        3 => vec!["rmi", "-f", &name],
        _ => vec!["run", "--rm", &name],
    };
    let mut command = fixed(rbuild, &args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().expect("the program can be started");
    (child, (kind == 0).then_some(variant))
}

/// Kills a process, or one that it started.
fn kill(child: &mut Child, chance: &mut Chance) {
    let process = child.id();
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let step = children.unwrap_or_default();
    match step.split_whitespace().next() {
        Some(step) if chance.below(4) == 0 => {
            command::run(Command::new("kill").args(["-KILL", step]));
        }
        _ => drop(child.kill()),
    }
}

#[test]
fn killed_processes_lose_nothing_and_leave_a_sound_store() {
    let context = context();
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let undisturbed = rbuild();
    let begun = Instant::now();
    let expected: Vec<String> = (0..VARIANTS)
        .map(|variant| build(&undisturbed, path, variant))
        .collect();
    // How late a kill comes at most. It follows how long builds take here and now, so that about half of them are killed.
    let mut latest = begun.elapsed().as_micros() as u64 / VARIANTS;
    let rbuild = rbuild();
    let mut chance = Chance::new(number("RBUILD_TORTURE_SEED", 1));
    // Names of images that were reported done and not removed since.
    let mut done: BTreeSet<u64> = BTreeSet::new();
    let mut killed = 0;
    let builds = BUILDS * number("RBUILD_TORTURE", 1);
    for round in 1..=builds {
        let other = chance.below(5);
        let (mut first, variant) = start(&rbuild, path, &mut chance, 0);
        let (mut second, second_variant) = start(&rbuild, path, &mut chance, other);
        thread::sleep(Duration::from_micros(chance.below(latest)));
        kill(&mut first, &mut chance);
        kill(&mut second, &mut chance);
        let first = first.wait().expect("a child can be waited for");
        let second = second.wait().expect("a child can be waited for");
        killed += u64::from(!first.success());
        latest = if first.success() {
            (latest - latest / 16).max(1000)
        } else {
            latest + latest / 16
        };
        if other == 3 {
            // Which of the names went is not known.
            done.clear();
        } else {
            for (end, variant) in [(first, variant), (second, second_variant)] {
                if let Some(variant) = variant.filter(|_| end.success()) {
                    done.insert(variant);
                }
            }
        }
        rbuild.run(["store", "check"]).succeeded();
        for variant in &done {
            rbuild
                .run(["inspect", &format!("image{variant}")])
                .succeeded();
        }
        let variant = chance.below(VARIANTS);
        let built = build(&rbuild, path, variant);
        assert_eq!(built, expected[variant as usize], "after {round} builds");
        if round % BATCH == 0 {
            let run = rbuild.run(["run", "--rm", &format!("image{variant}")]);
            assert_eq!(run.succeeded(), format!("{variant}\n"));
            rbuild.assert_nothing_mounted();
        }
    }
    assert!(killed > builds / 4, "only {killed} builds were killed");
    rbuild.run(["prune", "--force"]).succeeded();
    rbuild.assert_nothing_half_made();
}
