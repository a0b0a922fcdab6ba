//! Builds for other platforms than this machine's, and for several at once.

use std::fs;
use std::path::Path;

use testkit::context::Context;
use testkit::image::Image;
use testkit::registry::Registry;

use crate::rbuild;

/// One that no test runs on.
const FOREIGN: &str = "linux/s390x";

#[test]
fn a_stage_on_this_machine_builds_for_another() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM --platform=$BUILDPLATFORM @busybox AS build\n\
         ARG TARGETPLATFORM TARGETARCH BUILDPLATFORM\n\
         RUN echo for $TARGETPLATFORM, $TARGETARCH on $BUILDPLATFORM | tee /said\n\
         FROM scratch\nCOPY --from=build /said /said\n",
    );
    let directory = testkit::scratch();
    let archive = directory.path().join("image.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let platform = format!("--platform={FOREIGN}");
    let said = rbuild.build(context.path(), &[&platform, "--output", &output]);
    assert!(said.contains("for linux/s390x, s390x on linux/"), "{said}");
    assert!(!said.contains("InvalidBaseImagePlatform"), "{said}");
    let image = Image::from_archive(&archive);
    assert_eq!(image.config["architecture"], "s390x");
    assert!(image.tree().get(b"said").is_some());
}

#[test]
fn bases_are_those_of_the_platform() {
    let rbuild = rbuild();
    let name = format!("{}/platforms/base:1", Registry::shared().host());
    let context = Context::new("FROM scratch\nLABEL made=before\nCOPY Dockerfile /\n");
    let platform = format!("--platform={FOREIGN}");
    rbuild.build(context.path(), &[&platform, "-t", &name, "--push"]);
    rbuild.run(["rmi", &name]).succeeded();
    context.dockerfile(&format!("FROM {name}\nCOPY Dockerfile /second\n"));
    let directory = testkit::scratch();
    let archive = directory.path().join("image.tar");
    let output = format!("type=oci,dest={}", archive.display());
    rbuild.build(context.path(), &[&platform, "--output", &output]);
    let image = Image::from_archive(&archive);
    assert_eq!(image.config["architecture"], "s390x");
    assert_eq!(image.config["config"]["Labels"]["made"], "before");
}

/// This machine's platform.
fn host() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{architecture}")
}

/// This machine's platform and another.
fn both() -> String {
    format!("--platform={},{FOREIGN}", host())
}

/// A stage that runs once for all platforms, one that runs here for each, and an image of both.
fn cross() -> Context {
    Context::new(
        "FROM --platform=$BUILDPLATFORM @busybox AS once\n\
         RUN head -c 16 /dev/urandom | md5sum > /random\n\
         FROM once AS cross\n\
         ARG TARGETARCH\n\
         RUN echo $TARGETARCH > /arch\n\
         FROM scratch\nCOPY --from=once /random /\nCOPY --from=cross /arch /\n",
    )
}

#[test]
fn several_platforms_make_an_index_and_share_what_is_the_same() {
    let rbuild = rbuild();
    let directory = testkit::scratch();
    let archive = directory.path().join("image.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let flags = [&*both(), "--no-cache", "--output", &output];
    let said = rbuild.build(cross().path(), &flags);
    let native = host();
    for expected in [
        format!("[{native} once 2/2] RUN head"),
        format!("[{native} cross 1/1] RUN echo"),
        format!("[{native}->s390x cross 1/1] RUN echo"),
        format!("[{FOREIGN} stage-2 1/2] COPY"),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    let mut images = Image::all_of_archive(&archive).into_iter();
    let (first, here) = images.next().expect("two images");
    let (second, there) = images.next().expect("two images");
    assert_eq!((&*first, &*second), (&*native, FOREIGN));
    assert_eq!(there.config["architecture"], "s390x");
    let kind = |image: &Image, path: &[u8]| image.tree().get(path).expect("a file").kind.clone();
    assert_eq!(kind(&here, b"random"), kind(&there, b"random"));
    assert_ne!(kind(&here, b"arch"), kind(&there, b"arch"));
    let inspected = testkit::command::must(
        "skopeo",
        &[
            "--override-arch=s390x",
            "inspect",
            "--config",
            &format!("oci-archive:{}", archive.display()),
        ],
    );
    assert!(inspected.contains("s390x"), "{inspected}");
}

/// An image with a shell for all platforms, which runs here.
fn shell_of_both() -> Context {
    Context::new(
        "FROM --platform=$BUILDPLATFORM @busybox AS tools\n\
         FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH PATH=/bin\nCOPY --from=tools / /\n",
    )
}

/// How images are run here.
const RUN: [&str; 3] = ["run", "--rm", "--network=none"];

#[test]
fn the_store_keeps_the_whole_index() {
    let rbuild = rbuild();
    let name = format!("{}/platforms/index:1", Registry::shared().host());
    let context = shell_of_both();
    let directory = testkit::scratch();
    let [iid, metadata] = ["iid", "metadata"].map(|file| directory.path().join(file));
    let files = [
        format!("--iidfile={}", iid.display()),
        format!("--metadata-file={}", metadata.display()),
    ];
    let flags = [&*both(), "-t", &name, &files[0], &files[1]];
    rbuild.build(context.path(), &flags);
    let id = fs::read_to_string(&iid).expect("an id");
    let metadata: serde_json::Value =
        serde_json::from_slice(&fs::read(&metadata).expect("a file")).expect("JSON");
    assert_eq!(metadata["containerimage.digest"], id.as_str());
    assert_eq!(
        metadata["containerimage.config.digest"],
        serde_json::Value::Null
    );
    assert_eq!(
        metadata["containerimage.descriptor"]["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );

    let inspected = rbuild.run(["inspect", &name]).succeeded().to_owned();
    let inspected: serde_json::Value = serde_json::from_str(&inspected).expect("JSON");
    assert_eq!(inspected[0]["Id"], id.as_str());
    assert_eq!(
        format!(
            "linux/{}",
            inspected[0]["Architecture"].as_str().expect("text")
        ),
        host()
    );
    let listed = rbuild
        .run(["images", "-q", "--no-trunc"])
        .succeeded()
        .to_owned();
    assert_eq!(
        listed.lines().filter(|line| *line == id).count(),
        1,
        "{listed}"
    );
    for image in [&*name, &id] {
        let args = [&RUN[..], &[image, "sh", "-c", "echo on $ARCH"]].concat();
        let said = rbuild.run(args).succeeded().to_owned();
        assert_eq!(
            format!("linux/{}", said.trim().trim_start_matches("on ")),
            host()
        );
    }

    rbuild.run(["push", &name]).succeeded();
    rbuild.run(["push", &name]).succeeded();
    let another = crate::rbuild();
    let foreign = format!("--platform={FOREIGN}");
    let archive = directory.path().join("foreign.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let built_on = Context::new(&format!("FROM {name}\nCOPY Dockerfile /\n"));
    another.build(built_on.path(), &[&foreign, "--output", &output]);
    let image = Image::from_archive(&archive);
    assert_eq!(image.config["architecture"], "s390x");
    assert!(
        image.config["config"]["Env"]
            .to_string()
            .contains("ARCH=s390x")
    );
}

#[test]
fn an_index_is_saved_and_pruned_as_one_image() {
    let rbuild = rbuild();
    let directory = testkit::scratch();
    rbuild.build(shell_of_both().path(), &[&both(), "-t", "index:1"]);
    let saved = directory.path().join("saved.tar");
    rbuild
        .run(["save", "-o", saved.to_str().expect("UTF-8"), "index:1"])
        .succeeded();
    assert_eq!(Image::all_of_archive(&saved).len(), 2);
    let another = crate::rbuild();
    another
        .run(["load", "-i", saved.to_str().expect("UTF-8")])
        .succeeded();
    rbuild.run(["tag", "index:1", "again:1"]).succeeded();
    rbuild.run(["store", "check"]).succeeded();
    rbuild.run(["rmi", "index:1"]).succeeded();
    rbuild.run(["prune", "--all", "--force"]).succeeded();
    let args = [&RUN[..], &["again:1", "true"]].concat();
    rbuild.run(args).succeeded();
    rbuild.run(["store", "check"]).succeeded();
    rbuild.run(["rmi", "again:1"]).succeeded();
}

#[test]
fn an_index_without_this_machine_is_told_of() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch\nCOPY Dockerfile /\n");
    let foreign = format!("--platform={FOREIGN}");
    let index = "--build-arg=BUILDKIT_MULTI_PLATFORM=1";
    rbuild.build(context.path(), &[&foreign, index, "-t", "foreign:1"]);
    let outcome = rbuild.run([&RUN[..], &["foreign:1"]].concat());
    outcome.failed_with(125);
    outcome.says(&["foreign:1", &host(), FOREIGN]);
    let inspected = rbuild.run(["inspect", "foreign:1"]).succeeded().to_owned();
    assert!(
        inspected.contains("\"Architecture\": \"s390x\""),
        "{inspected}"
    );
}

#[test]
fn files_of_platforms_go_to_their_own_directories() {
    let rbuild = rbuild();
    let context = cross();
    let directory = testkit::scratch();
    let out = directory.path().join("out");
    let local = format!("type=local,dest={}", out.display());
    rbuild.build(context.path(), &[&both(), "--output", &local]);
    let read = |path: &Path| fs::read_to_string(path).expect("a file");
    assert_eq!(read(&out.join("linux_s390x/arch")), "s390x\n");
    let native = host().replace('/', "_");
    assert!(out.join(&native).join("arch").exists());

    let tar = directory.path().join("out.tar");
    rbuild.build(
        context.path(),
        &[
            &both(),
            "--output",
            &format!("type=tar,dest={}", tar.display()),
        ],
    );
    let listed = testkit::command::must("tar", &["-tf", tar.to_str().expect("UTF-8")]);
    let mut names: Vec<_> = listed.lines().collect();
    names.sort_unstable();
    let mut expected: Vec<_> = [native.as_str(), "linux_s390x"]
        .iter()
        .flat_map(|platform| ["", "arch", "random"].map(|name| format!("{platform}/{name}")))
        .collect();
    expected.sort_unstable();
    assert_eq!(names, expected);

    let flat = format!(
        "type=local,dest={},platform-split=false",
        directory.path().join("flat").display()
    );
    let outcome = rbuild.try_build(context.path(), &[&both(), "--output", &flat]);
    outcome.failed_with(1);
    outcome.says(&["cannot overwrite", FOREIGN, "when split option is disabled"]);
    let one = format!(
        "type=local,dest={},platform-split=true",
        directory.path().join("one").display()
    );
    rbuild.build(context.path(), &["--output", &one]);
    assert!(
        directory
            .path()
            .join("one")
            .join(&native)
            .join("arch")
            .exists()
    );
    let docker = format!(
        "type=docker,dest={}",
        directory.path().join("docker").display()
    );
    let outcome = rbuild.try_build(context.path(), &[&both(), "--output", &docker]);
    outcome.failed_with(1);
    outcome.says(&["does not currently support exporting manifest lists"]);
}

#[test]
fn one_platform_can_make_an_index() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch\nCOPY Dockerfile /\n");
    let directory = testkit::scratch();
    let archive = directory.path().join("image.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let asked = "--build-arg=BUILDKIT_MULTI_PLATFORM=1";
    let said = rbuild.build(context.path(), &[asked, "--output", &output]);
    assert!(said.contains(&format!("[{} 1/1] COPY", host())), "{said}");
    let images = Image::all_of_archive(&archive);
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].0, host());
}

#[test]
fn programs_of_other_machines_need_an_emulator_and_are_told_so() {
    let rbuild = rbuild();
    // The beginning of a program for s390x.
    let mut program = vec![0; 120];
    program[..8].copy_from_slice(b"\x7fELF\x02\x02\x01\x00");
    program[16..20].copy_from_slice(&[0, 2, 0, 22]);
    let context =
        Context::new("FROM scratch\nCOPY --chmod=755 program /program\nRUN [\"/program\"]\n")
            .with("program", program);
    let outcome = rbuild.try_build(context.path(), &[]);
    outcome.failed_with(1);
    outcome.says(&["exec format error", "qemu-user-static", "Dockerfile:3"]);
}
