//! Builds for other platforms than this machine's.

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
