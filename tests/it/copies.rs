//! Which files `COPY` and `ADD` take, and where they go.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use testkit::context::Context;
use testkit::rbuild::Rbuild;

use crate::rbuild;

/// Builds, and gives the paths of the image, sorted; directories end with `/`.
#[track_caller]
fn files(rbuild: &Rbuild, context: &Context) -> Vec<String> {
    let out = testkit::scratch();
    export(rbuild, context, out.path());
    let mut paths = Vec::new();
    list(out.path(), "", &mut paths);
    paths
}

#[track_caller]
fn export(rbuild: &Rbuild, context: &Context, out: &Path) {
    let output = format!("type=local,dest={}", out.display());
    rbuild.build(context.path(), &["--output", &output]);
}

fn list(directory: &Path, prefix: &str, paths: &mut Vec<String>) {
    let entries = std::fs::read_dir(directory).expect("what was exported can be read");
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            paths.push(format!("{path}/"));
            list(&entry.path(), &format!("{path}/"), paths);
        } else {
            paths.push(path);
        }
    }
}

fn media() -> Context {
    Context::new("FROM scratch\n")
        .with("dir1/a.png", "1")
        .with("dir1/b.txt", "2")
        .with("dir2/deep/c.txt", "3")
        .with("dir2/d.mp3", "4")
        .with("home.md", "5")
        .with("home.txt", "6")
}

#[test]
fn exclude_leaves_files_out() {
    let (rbuild, context) = (rbuild(), media());
    let cases: [(&str, &[&str]); 8] = [
        (
            "COPY --exclude=*/*.txt --exclude=home.* --exclude=Dockerfile . /",
            &[
                "dir1/",
                "dir1/a.png",
                "dir2/",
                "dir2/d.mp3",
                "dir2/deep/",
                "dir2/deep/c.txt",
            ],
        ),
        // Patterns are relative to each source.
        (
            "COPY --exclude=*.txt dir* /",
            &["a.png", "d.mp3", "deep/", "deep/c.txt"],
        ),
        (
            "ADD --exclude=**/*.txt dir* /",
            &["a.png", "d.mp3", "deep/"],
        ),
        // Everything may be left out: the directory is made all the same.
        ("ADD --exclude=* dir* /6", &["6/"]),
        (
            "COPY --exclude=* --exclude=!deep/c.* dir2 /",
            &["deep/", "deep/c.txt"],
        ),
        ("COPY --exclude=deep --exclude=*.mp3 dir2 /x/", &["x/"]),
        // As its reference says of BuildKit, a file is known by its own name.
        ("COPY --exclude=*.txt home* /in/", &["in/", "in/home.md"]),
        ("COPY --link --exclude=a.* dir1 /l", &["l/", "l/b.txt"]),
    ];
    for (instruction, expected) in cases {
        context.dockerfile(&format!("FROM scratch\n{instruction}\n"));
        assert_eq!(files(&rbuild, &context), expected, "{instruction}");
    }
}

#[test]
fn what_is_excluded_changes_no_key() {
    let (rbuild, context) = (rbuild(), media());
    context.dockerfile("FROM scratch\nCOPY --exclude=*.png dir1 /\n");
    rbuild.build(context.path(), &[]);
    context.write("dir1/a.png", "changed");
    let again = rbuild.build(context.path(), &[]);
    assert!(again.contains("CACHED"), "{again}");
    context.write("dir1/b.txt", "changed");
    let again = rbuild.build(context.path(), &[]);
    assert!(!again.contains("CACHED"), "{again}");
}

#[test]
fn parents_keeps_the_directories_behind_the_pivot() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch\n")
        .with("a/b/c/d/foo", "1")
        .with("a/b/c/d/e/bay", "2")
        .with("a/b2/c/d/e/bar", "3")
        .with("a/b/c2/d/e/baz", "4")
        .with("a/b/c2/d/e2/baz", "5");
    let cases: [(&str, &[&str]); 8] = [
        (
            "a/b/c/d/foo /",
            &["a/", "a/b/", "a/b/c/", "a/b/c/d/", "a/b/c/d/foo"],
        ),
        (
            "/a/b/./c/d /out/",
            &[
                "out/",
                "out/c/",
                "out/c/d/",
                "out/c/d/e/",
                "out/c/d/e/bay",
                "out/c/d/foo",
            ],
        ),
        (
            "a/./b2/./c/d /",
            &["b2/", "b2/c/", "b2/c/d/", "b2/c/d/e/", "b2/c/d/e/bar"],
        ),
        (
            "a/./*/c/d/e /",
            &[
                "b/",
                "b/c/",
                "b/c/d/",
                "b/c/d/e/",
                "b/c/d/e/bay",
                "b2/",
                "b2/c/",
                "b2/c/d/",
                "b2/c/d/e/",
                "b2/c/d/e/bar",
            ],
        ),
        (
            "a/b*/./c/**/e /",
            &["c/", "c/d/", "c/d/e/", "c/d/e/bar", "c/d/e/bay"],
        ),
        (
            "a/b/c*/./d/**/baz a/b*/./c/**/bar /out/",
            &[
                "out/",
                "out/c/",
                "out/c/d/",
                "out/c/d/e/",
                "out/c/d/e/bar",
                "out/d/",
                "out/d/e/",
                "out/d/e/baz",
                "out/d/e2/",
                "out/d/e2/baz",
            ],
        ),
        // A pattern may match nothing.
        ("a/nothing* /out/", &["out/"]),
        ("--exclude=**/e a/b/./c /", &["c/", "c/d/", "c/d/foo"]),
    ];
    for (words, expected) in cases {
        context.dockerfile(&format!("FROM scratch\nCOPY --parents {words}\n"));
        assert_eq!(files(&rbuild, &context), expected, "{words}");
    }
    context.dockerfile("FROM scratch\nCOPY --parents a/b/./c/missing /\n");
    let outcome = rbuild.try_build(context.path(), &[]);
    outcome.failed_with(1);
    outcome.says(&["`a/b/c/missing` is not in the build context"]);
}

#[test]
fn parents_takes_over_owners_only_for_what_it_makes() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox AS source\n\
         RUN mkdir -p /top/sub && chown 3:3 /top /top/sub && chmod 750 /top && touch /top/sub/file\n\
         FROM @busybox AS base\nRUN mkdir -m 700 /top && chown 5:5 /top\n\
         FROM base\nCOPY --from=source --parents /top/sub/file /\n",
    );
    let out = testkit::scratch();
    export(&rbuild, &context, out.path());
    let found = |path: &str| {
        let metadata = std::fs::metadata(out.path().join(path)).expect(path);
        (metadata.uid(), metadata.permissions().mode() & 0o7777)
    };
    assert_eq!(
        found("top"),
        (5, 0o750),
        "an existing directory keeps its owner"
    );
    assert_eq!(found("top/sub"), (3, 0o755));
    assert_eq!(found("top/sub/file"), (0, 0o644));
}
