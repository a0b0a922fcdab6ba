//! Building from images of OCI layouts: `--build-context NAME=oci-layout://PATH`.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::context::Context;
use testkit::rbuild::Rbuild;

use crate::rbuild;

/// One that no test runs on.
const FOREIGN: &str = "linux/s390x";

/// Writes an image of one file to a layout, under the tag `1`; gives the layout.
fn layout(rbuild: &Rbuild, directory: &Path, flags: &[&str]) -> PathBuf {
    let path = directory.join("layout");
    let context = Context::new(
        "FROM scratch\nARG TARGETARCH\nENV FROM_LAYOUT=yes ARCH=$TARGETARCH\nCOPY file /file\n",
    )
    .with("file", "in the layout\n");
    let output = format!("type=oci,tar=false,dest={}", path.display());
    let flags = [flags, &["-t", "app:1", "--output", &output]].concat();
    rbuild.build(context.path(), &flags);
    path
}

fn uses() -> Context {
    Context::new("FROM base\nCOPY --from=base /file /copied\nCOPY Dockerfile /\n")
}

/// Builds from what `value` names, to a directory.
fn built(rbuild: &Rbuild, directory: &Path, value: &str, flags: &[&str]) -> PathBuf {
    let out = directory.join("out");
    let context = format!("--build-context=base=oci-layout://{value}");
    let output = format!("type=local,dest={}", out.display());
    let flags = [flags, &[&context, "--output", &output]].concat();
    rbuild.build(uses().path(), &flags);
    out
}

#[test]
fn bases_and_sources_come_from_layouts() {
    let rbuild = rbuild();
    let directory = testkit::scratch();
    let path = layout(&rbuild, directory.path(), &[]);
    let index = fs::read_to_string(path.join("index.json")).expect("an index");
    let digest = index.split("\"digest\":\"").nth(1).expect("a digest");
    let digest = digest.split('"').next().expect("a digest");
    // A store that has none of it.
    for value in [
        format!("{}:1", path.display()),
        path.display().to_string(),
        format!("{}@{digest}", path.display()),
    ] {
        let another = crate::rbuild();
        let out = built(&another, directory.path(), &value, &[]);
        for file in ["file", "copied"] {
            let content = fs::read_to_string(out.join(file)).expect("a file");
            assert_eq!(content, "in the layout\n", "{value}");
        }
        let said = another.build(
            uses().path(),
            &[&format!("--build-context=base=oci-layout://{value}")],
        );
        assert!(said.contains("CACHED"), "{said}");
        another.run(["store", "check"]).succeeded();
    }
}

#[test]
fn images_of_layouts_are_those_of_the_platform() {
    let rbuild = rbuild();
    let directory = testkit::scratch();
    let platforms = format!("--platform=local,{FOREIGN}");
    let path = layout(&rbuild, directory.path(), &[&platforms]);
    let archive = directory.path().join("image.tar");
    let base = format!("--build-context=base=oci-layout://{}:1", path.display());
    let output = format!("type=oci,dest={}", archive.display());
    let foreign = format!("--platform={FOREIGN}");
    crate::rbuild().build(uses().path(), &[&foreign, &base, "--output", &output]);
    let image = testkit::image::Image::from_archive(&archive);
    assert_eq!(image.config["architecture"], "s390x");
    assert!(
        image.config["config"]["Env"]
            .to_string()
            .contains("ARCH=s390x")
    );
    let outcome = rbuild.try_build(uses().path(), &["--platform=linux/riscv64", &base]);
    outcome.failed_with(1);
    outcome.says(&["linux/riscv64", "linux/s390x", "Dockerfile:1"]);
}

#[test]
fn nothing_in_a_layout_is_believed() {
    let rbuild = rbuild();
    let directory = testkit::scratch();
    let path = layout(&rbuild, directory.path(), &[]);
    let base = format!("--build-context=base=oci-layout://{}:1", path.display());
    let outside = directory.path().join("outside");
    let blobs: Vec<_> = fs::read_dir(path.join("blobs/sha256"))
        .expect("blobs")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(blobs.len(), 3);
    for blob in blobs {
        let content = fs::read(&blob).expect("a blob");
        let mut other = content.clone();
        let middle = other.len() / 2;
        other[middle] ^= 1;
        fs::remove_file(&blob).expect("removed");
        fs::write(&blob, &other).expect("written");
        let another = crate::rbuild();
        another.try_build(uses().path(), &[&base]).failed_with(1);
        // The right bytes, but not within the layout.
        fs::write(&outside, &content).expect("written");
        fs::remove_file(&blob).expect("removed");
        std::os::unix::fs::symlink(&outside, &blob).expect("linked");
        let outcome = another.try_build(uses().path(), &[&base]);
        outcome.failed_with(1);
        outcome.says(&["is missing"]);
        fs::remove_file(&blob).expect("removed");
        fs::write(&blob, &content).expect("written");
        another.build(uses().path(), &[&base]);
        another.run(["store", "check"]).succeeded();
    }
    let outcome = rbuild.try_build(
        uses().path(),
        &["--build-context=base=oci-layout:///no/such/layout"],
    );
    outcome.failed_with(1);
    outcome.says(&["/no/such/layout", "Dockerfile:1"]);
}
