//! A store that was damaged: what is wrong is found and said, dropped and made again, and never served.

use std::path::Path;

use testkit::command;
use testkit::context::Context;
use testkit::progress::Progress;
use testkit::rbuild::Rbuild;

use crate::rbuild;

/// What a store of one image has, by the files of each kind; what is done to them; and what is then said of them.
const DAMAGE: [(&str, &str, &str); 16] = [
    (
        "layers-v1/*/*/tar",
        "truncate -s -512 $file",
        "its tar is missing or has another length",
    ),
    ("layers-v1/*/*/tar", FLIP, "its bytes have another digest"),
    (
        "layers-v1/*/*/index",
        "truncate -s -512 $file",
        "its index is missing or has another length",
    ),
    ("layers-v1/*/*/index", FLIP, "its bytes have changed"),
    ("layers-v1/*/*/layer", FLIP, "its record cannot be read"),
    ("actions-v1/*/*", FLIP, "result of a step "),
    ("contents-v1/*/*", FLIP, "result of an operation "),
    ("equal-v1/*/*", FLIP, "first layer of a content "),
    ("inputs-v1/*/*", FLIP, "inputs of a step "),
    ("images-v1/*", FLIP, "image "),
    ("tags-v1/*", FLIP, "name "),
    ("blobs/sha256/*", FLIP, "blob sha256:"),
    ("contexts-v1/*", FLIP, "context "),
    ("mounts-v1/*/id", FLIP, "cache mount "),
    ("transfers-v1/*/*", FLIP, "blob of a layer "),
    ("origins-v1/*/*", FLIP, "layer of a blob "),
];

/// Changes a byte in the middle, in place, and each time to another.
const FLIP: &str = r#"at=$(($(stat -c %s $file) / 2))
    byte=$(od -An -tu1 -j $at -N 1 $file)
    printf "\\$(printf %03o $(((byte + 1) % 256)))" | dd of=$file bs=1 seek=$at conv=notrunc status=none"#;

/// Damages all files of a kind.
fn damage(rbuild: &Rbuild, files: &str, how: &str) {
    let script = format!("shopt -s nullglob; for file in {files}; do {how}; done");
    command::shell(rbuild.store(), &script);
}

/// What is wrong with a store.
#[track_caller]
fn assert_damaged(rbuild: &Rbuild, said: &str) {
    let found = rbuild.run(["store", "check"]);
    assert_eq!(found.code, 1, "{said}: {}", found.stdout);
    assert!(found.stdout.contains(said), "{said}: {}", found.stdout);
}

#[track_caller]
fn assert_sound(rbuild: &Rbuild) {
    rbuild.run(["store", "check"]).succeeded();
}

/// An image that needs a store of each kind of record, and says what is in all its layers.
fn context() -> Context {
    Context::new(
        "FROM @busybox\nCOPY file /copied\nRUN cat /copied > /made\n\
         RUN --mount=type=cache,target=/c echo 1 >> /c/times; cat /c/times > /times\n\
         CMD cat /copied /made /times\n",
    )
    .with("file", "right\n".repeat(1000))
}

/// Panics unless an image is as it should be. What was in its cache mount may be gone.
#[track_caller]
fn assert_right(rbuild: &Rbuild) {
    let said = rbuild.run(["run", "--rm", "built"]).succeeded().to_owned();
    let said = said.trim_end_matches("1\n");
    assert_eq!(said, "right\n".repeat(2000));
}

#[test]
fn what_is_damaged_is_made_again_and_never_served() {
    let (rbuild, context) = (rbuild(), context());
    rbuild.build(context.path(), &["-t", "built"]);
    for (files, how, said) in DAMAGE {
        // Nobody has looked.
        assert_sound(&rbuild);
        damage(&rbuild, files, how);
        assert_damaged(&rbuild, said);
        rbuild.build(context.path(), &["-t", "built"]);
        assert_right(&rbuild);
        // Somebody has.
        damage(&rbuild, files, how);
        rbuild.run(["store", "check", "--repair"]).succeeded();
        assert_sound(&rbuild);
        rbuild.build(context.path(), &["-t", "built"]);
        assert_right(&rbuild);
        rbuild.run(["store", "check", "--repair"]).succeeded();
    }
}

#[test]
fn what_a_damaged_image_lacks_is_one_error() {
    let (rbuild, context) = (rbuild(), context());
    for files in [
        "layers-v1/*/*/tar",
        "layers-v1/*/*/index",
        "layers-v1/*/*/layer",
        "blobs/sha256/*",
    ] {
        rbuild.build(context.path(), &["-t", "built"]);
        damage(&rbuild, files, FLIP);
        let archive = rbuild.store().join("archive.tar");
        let archive = archive.to_str().expect("scratch paths are UTF-8");
        let run = rbuild.run(["run", "--rm", "--pull=never", "built"]);
        run.says(&["no such image: `built`"]);
        let save = rbuild.run(["save", "-o", archive, "built"]);
        save.says(&["is not in the store"]);
        for outcome in [run, save] {
            assert_ne!(outcome.code, 0, "{files}");
            assert_eq!(outcome.stdout, "", "{files}");
        }
        assert!(!Path::new(archive).exists());
    }
}

#[test]
fn damage_that_no_time_shows_is_found_by_a_check() {
    let rbuild = rbuild();
    let context =
        Context::new("FROM @busybox\nRUN seq 100000 > /numbers\nCMD tail -n 1 /numbers\n");
    rbuild.build(context.path(), &["-t", "built"]);
    damage(
        &rbuild,
        "layers-v1/*/*/tar",
        &format!("touch -r $file time; {FLIP}; touch -r time $file"),
    );
    assert_damaged(&rbuild, "its bytes have another digest");
    rbuild.run(["store", "check", "--repair"]).succeeded();
    assert_sound(&rbuild);
    let progress = Progress::parse(&rbuild.build(context.path(), &["-t", "built"]));
    assert_eq!(progress.ran(&["RUN seq"]), ["RUN seq"]);
    assert_eq!(rbuild.run(["run", "--rm", "built"]).succeeded(), "100000\n");
}

#[test]
fn an_index_that_cannot_be_opened_is_made_again() {
    let (rbuild, context) = (rbuild(), context());
    rbuild.build(context.path(), &["-t", "built"]);
    // What it says of itself is at its end.
    let spoil = "touch -r $file time; size=$(stat -c %s $file); \
         dd if=/dev/zero of=$file bs=1 count=64 seek=$((size - 64)) conv=notrunc status=none; touch -r time $file";
    damage(&rbuild, "layers-v1/*/*/index", spoil);
    rbuild.build(context.path(), &["-t", "built"]);
    assert_right(&rbuild);
    assert_sound(&rbuild);
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
