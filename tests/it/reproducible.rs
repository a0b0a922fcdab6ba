//! With `SOURCE_DATE_EPOCH` the bytes of an image depend on nothing but what went in.

use std::fs;
use std::path::Path;

use testkit::command;
use testkit::context::Context;

use crate::rbuild;

const TEXT: &str = "FROM @busybox AS part\nRUN echo part > /part && mkdir /d && echo x > /d/x\n\
     FROM @busybox\nWORKDIR /work/dir\nCOPY src src\nRUN echo $RANDOM > /dev/null; for i in $(seq 50); do echo $i > /f$i; done\n\
     COPY --from=part /part /d /from/\nRUN rm /f7 && mkdir -p /a/b && ln /f8 /a/b/hard && ln -s x /a/link\nLABEL z=1 a=2\nENTRYPOINT [\"cat\"]\n";

/// Builds on a fresh store at a fixed time; gives the archive's bytes.
fn archive(context: &Path, kind: &str, form: &'static str) -> Vec<u8> {
    let directory = testkit::scratch();
    let dest = directory.path().join("image.tar");
    let rbuild = rbuild().with_layers(form);
    let mut command = rbuild.command(["build", "-t", "reproduced:1"]);
    command
        .arg("--output")
        .arg(format!("type={kind},dest={}", dest.display()));
    command::run(command.env("SOURCE_DATE_EPOCH", "1700000000").arg(context)).succeeded();
    fs::read(dest).expect("the build wrote the archive")
}

#[test]
fn two_stores_give_the_same_bytes() {
    let one = Context::new(TEXT).with("src/a", "a").with("src/sub/b", "b");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let other = Context::new(TEXT).with("src/sub/b", "b").with("src/a", "a");
    // The same checkout elsewhere, at another time.
    for context in [&one, &other] {
        command::shell(context.path(), "find . -exec touch -h -d @1600000000 {} +");
    }
    for kind in ["oci", "docker", "tar"] {
        let first = archive(one.path(), kind, "erofs");
        assert!(
            first == archive(other.path(), kind, "erofs"),
            "{kind}: two stores differ"
        );
        assert!(
            first == archive(one.path(), kind, "directory"),
            "{kind}: the forms of layers differ"
        );
    }
}

#[test]
fn created_times_are_the_epoch() {
    let context = Context::new(TEXT).with("src/a", "a");
    let directory = testkit::scratch();
    fs::write(
        directory.path().join("image.tar"),
        archive(context.path(), "oci", "erofs"),
    )
    .expect("the scratch directory can be written");
    let image = testkit::image::Image::from_archive(&directory.path().join("image.tar"));
    assert_eq!(image.config["created"], "2023-11-14T22:13:20Z");
    let history = image.config["history"]
        .as_array()
        .expect("an image has a history");
    let last = history.last().expect("the history is not empty");
    assert_eq!(last["created"], "2023-11-14T22:13:20Z");
    assert_eq!(last["comment"], "buildkit.dockerfile.v0");
    assert_eq!(last["created_by"], "ENTRYPOINT [\"cat\"]");
    assert_eq!(last["empty_layer"], true);
    let layers = history
        .iter()
        .filter(|entry| entry["empty_layer"] != true)
        .count();
    assert_eq!(
        layers,
        image.layer_count(),
        "each layer has its line of history"
    );
}

#[test]
fn without_the_variable_an_unchanged_build_is_the_same_image() {
    let context = Context::new(TEXT).with("src/a", "a");
    let rbuild = rbuild();
    let id = |flags: &[&str]| {
        let file = testkit::scratch();
        let path = file.path().join("id");
        rbuild.build(
            context.path(),
            &[
                &["--iidfile", path.to_str().expect("scratch paths are UTF-8")],
                flags,
            ]
            .concat(),
        );
        fs::read_to_string(path).expect("the build wrote the file")
    };
    let first = id(&[]);
    assert!(first.starts_with("sha256:") && first.len() == 71, "{first}");
    assert_eq!(first, id(&[]));
    assert_ne!(first, id(&["--label=other=label"]));
}
