//! Nothing that comes from outside reaches out of its place.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::command;
use testkit::context::Context;

use crate::rbuild;

/// A file of the host that no build may read or write.
fn bait() -> (tempfile::TempDir, String) {
    let directory = testkit::scratch();
    let path = directory.path().join("bait");
    fs::write(&path, "the bait").expect("the scratch directory can be written");
    let path = path.to_str().expect("scratch paths are UTF-8").to_owned();
    (directory, path)
}

#[track_caller]
pub(crate) fn assert_untouched(directory: &Path) {
    let names: Vec<_> = fs::read_dir(directory)
        .expect("the directory is there")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(names, ["bait"]);
    assert_eq!(
        fs::read_to_string(directory.join("bait")).expect("the bait is there"),
        "the bait"
    );
}

#[test]
fn links_of_the_context_stay_in_the_context() {
    let (directory, bait) = bait();
    let up = format!("../../../../../../../../../..{bait}");
    for target in [bait.as_str(), up.as_str()] {
        let context = Context::new("FROM scratch\nCOPY link /got\n").with_link("link", target);
        let outcome = rbuild().try_build(context.path(), &[]);
        outcome.failed_with(1);
        outcome.says(&["Dockerfile:2", "link"]);
        let through = Context::new("FROM scratch\nCOPY dir/bait /got\n")
            .with_link("dir", directory.path().to_str().unwrap_or_default());
        rbuild().try_build(through.path(), &[]).failed_with(1);
    }
}

#[test]
fn a_dockerfile_and_an_ignore_file_may_be_links_within_the_context() {
    let linked = Context::new("FROM @busybox\nCOPY . /all\nCMD ls /all\n")
        .with("docker/ignore", "Dockerfile\ndocker\nhidden\n")
        .with("hidden", "")
        .with("shown", "");
    fs::rename(linked.join("Dockerfile"), linked.join("docker/file")).expect("it is there");
    // As in a root file system, what begins with a slash begins at the context.
    let linked = linked
        .with_link("Dockerfile", "/docker/file")
        .with_link(".dockerignore", "docker/ignore");
    let run = rbuild().build_and_run(linked.path(), &[]);
    assert_eq!(run.succeeded(), "shown\n");
    let (directory, bait) = bait();
    let up = format!("../../../../../../../../../..{bait}");
    for target in [bait.as_str(), up.as_str()] {
        let context = Context::new("");
        fs::remove_file(context.join("Dockerfile")).expect("it is there");
        let context = context.with_link("Dockerfile", target);
        for flags in [
            &[][..],
            &["-f", context.join("Dockerfile").to_str().expect("UTF-8")],
        ] {
            let outcome = rbuild().try_build(context.path(), flags);
            outcome.failed_with(1);
            outcome.says(&["cannot read the Dockerfile", "No such file"]);
        }
        // It hides what is called `the bait` if it is read.
        let context = Context::new("FROM scratch\nCOPY the?bait /\n")
            .with("the bait", "")
            .with_link(".dockerignore", target);
        rbuild().build(context.path(), &[]);
    }
    assert_untouched(directory.path());
}

#[test]
fn sources_may_not_climb() {
    let (_directory, bait) = bait();
    let climbing = Context::new(&format!(
        "FROM scratch\nCOPY ../../../../../../..{bait} /got\n"
    ));
    rbuild().try_build(climbing.path(), &[]).failed_with(1);
}

#[test]
fn links_of_the_image_lead_to_places_of_the_image() {
    let (directory, _) = bait();
    let outside = directory.path().display();
    let dockerfile = format!(
        "FROM @busybox\nRUN mkdir -p /a && ln -s {outside} /abs && ln -s ../../../../../..{outside} /a/rel\n\
         COPY file /abs/one\nCOPY file /a/rel/two\nWORKDIR /abs/three\nRUN cat {outside}/one {outside}/two && pwd -P\n"
    );
    let context = Context::new(&dockerfile).with("file", "text\n");
    let output = rbuild().build(context.path(), &[]);
    assert!(output.contains(&format!("{outside}/three")), "{output}");
    assert_untouched(directory.path());
}

#[test]
fn archives_of_add_stay_below_their_destination() {
    let (directory, bait) = bait();
    let outside = directory.path().display().to_string();
    let context = Context::new("FROM scratch\nADD climbing.tar /x/\n");
    let python = format!(
        r#"
import io, tarfile
t = tarfile.open("climbing.tar", "w")
def file(name):
    i = tarfile.TarInfo(name); i.size = 4; t.addfile(i, io.BytesIO(b"evil"))
def link(name, target, kind):
    i = tarfile.TarInfo(name); i.type = kind; i.linkname = target; t.addfile(i)
file("../../../../../../../../..{outside}/climbed")
file("{outside}/rooted")
link("sym", "{outside}", tarfile.SYMTYPE)
file("sym/through")
link("hard", "{bait}", tarfile.LNKTYPE)
link("up", "../../../../../../../..{bait}", tarfile.LNKTYPE)
t.close()
"#
    );
    command::run(
        std::process::Command::new("python3")
            .args(["-c", &python])
            .current_dir(context.path()),
    )
    .succeeded();
    // Refused or clamped: both are right, as long as nothing leaves its place.
    let outcome = rbuild().try_build(
        context.path(),
        &["--output", "type=local,dest=/dev/null/never"],
    );
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    rbuild().try_build(context.path(), &["-t", "x"]);
    assert_untouched(directory.path());
}

#[test]
fn layers_of_a_loaded_archive_stay_below_the_root() {
    let (directory, bait) = bait();
    let outside = directory.path().display().to_string();
    let archive = testkit::scratch();
    let python = format!(
        r#"
import hashlib, io, json, tarfile
layer = io.BytesIO()
t = tarfile.open(fileobj=layer, mode="w")
def file(name):
    i = tarfile.TarInfo(name); i.size = 4; t.addfile(i, io.BytesIO(b"evil"))
def link(name, target, kind):
    i = tarfile.TarInfo(name); i.type = kind; i.linkname = target; t.addfile(i)
file("../../../../../../../../../..{outside}/climbed")
link("sym", "{outside}", tarfile.SYMTYPE)
file("sym/through")
link("hard", "../../../../../../../../../..{bait}", tarfile.LNKTYPE)
t.close()
layer = layer.getvalue()
config = json.dumps({{"os": "linux", "architecture": "amd64", "config": {{}},
    "rootfs": {{"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}}}).encode()
manifest = json.dumps([{{"Config": "config.json", "RepoTags": ["evil:latest"], "Layers": ["layer.tar"]}}]).encode()
out = tarfile.open("evil.tar", "w")
for name, data in (("config.json", config), ("layer.tar", layer), ("manifest.json", manifest)):
    i = tarfile.TarInfo(name); i.size = len(data); out.addfile(i, io.BytesIO(data))
out.close()
"#
    );
    command::run(
        std::process::Command::new("python3")
            .args(["-c", &python])
            .current_dir(archive.path()),
    )
    .succeeded();
    for form in ["erofs", "directory"] {
        let rbuild = rbuild().with_layers(form);
        let path = archive.path().join("evil.tar");
        let loaded = rbuild.run([
            "load",
            "-i",
            path.to_str().expect("scratch paths are UTF-8"),
        ]);
        if loaded.code == 0 {
            let exported = testkit::scratch();
            let context = Context::new("FROM evil\nLABEL a=b\n");
            let output = format!("type=local,dest={}", exported.path().join("tree").display());
            rbuild.try_build(context.path(), &["--output", &output]);
        }
        assert_untouched(directory.path());
    }
}

#[test]
fn a_local_output_writes_below_its_directory_only() {
    let (directory, _) = bait();
    let context = Context::new(&format!(
        "FROM scratch\nCOPY . /\nCOPY file {0}/planted\n",
        directory.path().display()
    ));
    context.write("file", "x");
    let out = testkit::scratch();
    let dest = out.path().join("tree");
    // What is there already may be a link that leads away.
    fs::create_dir(&dest).expect("the scratch directory can be written");
    std::os::unix::fs::symlink(directory.path(), dest.join("file"))
        .expect("the scratch directory can be written");
    rbuild().try_build(
        context.path(),
        &["--output", &format!("type=local,dest={}", dest.display())],
    );
    assert_untouched(directory.path());
}

/// Swaps two names in a directory again and again while `during` runs.
fn swapping(directory: &Path, [left, right]: [&str; 2], during: impl FnOnce()) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    let (left, right) = (directory.join(left), directory.join(right));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                // One of them may be gone for a moment, on its way to become something else.
                match renameat_with(CWD, &left, CWD, &right, RenameFlags::EXCHANGE) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => panic!("cannot swap: {error}"),
                }
            }
        });
        during();
        ended.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_context_that_changes_under_a_copy_leads_nowhere() {
    let (directory, _) = bait();
    let outside = directory.path().to_str().expect("scratch paths are UTF-8");
    let context = Context::new("FROM scratch\nCOPY a /a\nCOPY a/bait /one\nCOPY a* /all/\n")
        .with("a/bait", "inside")
        .with_link("b", outside);
    let out = testkit::scratch();
    let tar = out.path().join("tar");
    let rbuild = rbuild();
    swapping(context.path(), ["a", "b"], || {
        for _ in 0..25 {
            let output = format!("type=tar,dest={}", tar.display());
            // Whether a link or a directory is met is a matter of luck, what is behind the link is not.
            let outcome = rbuild.try_build(context.path(), &["--output", &output]);
            if outcome.code == 0 {
                let bytes = fs::read(&tar).expect("the output was written");
                let found = bytes.windows(8).any(|window| window == b"the bait");
                assert!(!found, "a file of the host was copied");
            }
        }
    });
}

#[test]
fn a_directory_that_changes_under_an_export_leads_nowhere() {
    let (directory, _) = bait();
    let context = Context::new("FROM scratch\nCOPY file /a/bait\nCOPY file /a/b/c/d\n")
        .with("file", "inside");
    let out = testkit::scratch();
    let dest = out.path().join("dest");
    fs::create_dir_all(dest.join("a")).expect("the scratch directory can be written");
    std::os::unix::fs::symlink(directory.path(), dest.join("z"))
        .expect("the scratch directory can be written");
    let rbuild = rbuild();
    swapping(&dest, ["a", "z"], || {
        for _ in 0..25 {
            let output = format!("type=local,dest={}", dest.display());
            rbuild.try_build(context.path(), &["--output", &output]);
            assert_untouched(directory.path());
        }
    });
}
