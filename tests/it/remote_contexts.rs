//! Contexts that are no directories: archives, repositories, URLs, and none at all.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use testkit::command::{Outcome, run, run_with, shell};
use testkit::context::Context;
use testkit::image::Image;
use testkit::rbuild::Rbuild;
use testkit::tree::{Kind, Tree};
use testkit::web::{Page, Web, commit, git};

use crate::rbuild;

/// Builds with `input` on standard input, and writes the result to `archive`.
#[track_caller]
fn build(rbuild: &Rbuild, input: &Path, archive: &Path, args: &[&str]) -> Outcome {
    let mut command = rbuild.command(["build", "--progress=plain", "--output"]);
    command
        .arg(format!("type=oci,dest={}", archive.display()))
        .args(args);
    let input = File::open(input).expect("the input can be read");
    run_with(&mut command, input)
}

/// Builds, and gives the files.
#[track_caller]
fn built(rbuild: &Rbuild, input: &Path, args: &[&str]) -> Tree {
    let place = testkit::scratch();
    let archive = place.path().join("image.tar");
    build(rbuild, input, &archive, args).succeeded();
    Image::from_archive(&archive).tree()
}

#[track_caller]
fn refused(rbuild: &Rbuild, input: &Path, args: &[&str]) -> Outcome {
    let place = testkit::scratch();
    let outcome = build(rbuild, input, &place.path().join("image.tar"), args);
    outcome.failed_with(1);
    outcome
}

#[track_caller]
fn has_size(tree: &Tree, name: &str, length: u64) {
    let node = tree
        .get(name.as_bytes())
        .unwrap_or_else(|| panic!("no {name}"));
    assert!(
        matches!(node.kind, Kind::File { size, .. } if size == length),
        "{node:?}"
    );
}

#[test]
fn archives_on_standard_input_are_contexts_however_they_are_compressed() {
    let context = Context::new("FROM scratch\nCOPY . /all/\n").with("dir/file", "12");
    context.write("other/Dockerfile", "FROM scratch\nCOPY dir/file /only\n");
    // As with BuildKit it hides nothing here.
    context.write(".dockerignore", "dir\n");
    let rbuild = rbuild();
    let place = testkit::scratch();
    for (name, flag) in [
        ("plain", ""),
        ("gzip", "--gzip"),
        ("bzip2", "--bzip2"),
        ("xz", "--xz"),
        ("zstd", "--zstd"),
    ] {
        let archive = place.path().join(name);
        let script = format!("tar c {flag} --owner=5 --group=6 . > {}", archive.display());
        shell(context.path(), &script);
        let tree = built(&rbuild, &archive, &["-"]);
        has_size(&tree, "all/dir/file", 2);
        let file = tree.get(b"all/dir/file").expect("it is there");
        assert_eq!((file.uid, file.gid), (5, 6), "{name}");
        let tree = built(&rbuild, &archive, &["-f", "other/Dockerfile", "-"]);
        has_size(&tree, "only", 2);
    }
    let log = build(
        &rbuild,
        &place.path().join("plain"),
        &place.path().join("again"),
        &["-"],
    );
    assert!(log.stderr.contains("CACHED"), "{}", log.stderr);
    rbuild.assert_nothing_half_made();
}

#[test]
fn a_dockerfile_on_standard_input_may_have_no_context() {
    let place = testkit::scratch();
    let file = place.path().join("Dockerfile");
    std::fs::write(&file, "FROM scratch\nCOPY <<EOF /x\ntext\nEOF\n").expect("it can be written");
    let rbuild = rbuild();
    has_size(&built(&rbuild, &file, &["-"]), "x", 5);
    std::fs::write(&file, "FROM scratch\nCOPY file /x\n").expect("it can be written");
    refused(&rbuild, &file, &["-"]).says(&["`file` is not in the build context"]);
    // With a directory it has one.
    let context = Context::new("FROM nothing\n").with("file", "1");
    let directory = context.path().to_string_lossy();
    has_size(&built(&rbuild, &file, &["-f", "-", &directory]), "x", 1);
    let outcome = run(&mut rbuild.command(["build", "-f", "-", "-"]));
    outcome.says(&["both the context and the Dockerfile"]);
}

#[test]
fn archives_that_are_none_or_lack_the_dockerfile_are_told_of() {
    let rbuild = rbuild();
    let place = testkit::scratch();
    shell(
        place.path(),
        "echo 1 > file && tar cf no.tar file && tar czf whole.gz file && head -c 40 whole.gz > cut.gz \
         && echo text | gzip > text.gz",
    );
    let archive = |name: &str| place.path().join(name);
    refused(&rbuild, &archive("no.tar"), &["-"]).says(&["cannot read the Dockerfile"]);
    refused(&rbuild, &archive("cut.gz"), &["-"]).says(&["cannot load the build context `-`"]);
    refused(&rbuild, &archive("text.gz"), &["-"]).says(&["cannot load the build context `-`"]);
    rbuild.assert_nothing_half_made();
}

#[test]
fn nothing_in_an_archive_leads_out_of_it() {
    let rbuild = rbuild();
    let place = testkit::scratch();
    shell(
        place.path(),
        "mkdir in && cd in && ln -s /etc link && ln -s ../../../../etc/hostname up \
         && printf 'FROM scratch\\nCOPY . /all/\\n' > Dockerfile \
         && printf 'FROM scratch\\nCOPY up link/hostname /all/\\n' > Dockerfile.out \
         && echo 1 > x && tar cf ../a.tar --transform 's,^x$,../../evil,' -P * .",
    );
    let archive = place.path().join("a.tar");
    let outcome = build(&rbuild, &archive, &place.path().join("out"), &["-"]);
    assert!(!rbuild.store().join("evil").exists());
    if outcome.code == 0 {
        let tree = Image::from_archive(&place.path().join("out")).tree();
        let link = tree.get(b"all/link").expect("it is there");
        assert_eq!(link.kind, Kind::Symlink(b"/etc".to_vec()));
    }
    refused(&rbuild, &archive, &["-f", "Dockerfile.out", "-"]);
}

#[test]
fn repositories_are_contexts() {
    let web = Web::new();
    let repository = web.repository("r.git");
    let write = |name: &str, content: &str| {
        let path = repository.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        std::fs::write(path, content).expect("it can be written");
    };
    write("Dockerfile", "FROM scratch\nCOPY . /all/\n");
    write("sub/Dockerfile", "FROM scratch\nCOPY file /sub\n");
    write("sub/dev", "FROM scratch\nCOPY file /dev-file\n");
    write("sub/file", "1");
    commit(&repository);
    git(&repository, &["tag", "v1"]);
    write("sub/file", "22");
    commit(&repository);
    let url = web.repository_url("r.git");
    let rbuild = rbuild();
    let nothing = Path::new("/dev/null");
    let tree = built(&rbuild, nothing, &[&url]);
    has_size(&tree, "all/sub/file", 2);
    assert!(tree.get(b"all/.git").is_none());
    has_size(
        &built(&rbuild, nothing, &[&format!("{url}#v1:sub")]),
        "sub",
        1,
    );
    let tree = built(&rbuild, nothing, &["-f", "dev", &format!("{url}#:sub")]);
    has_size(&tree, "dev-file", 2);
    let keep = "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1";
    let tree = built(&rbuild, nothing, &["--build-arg", keep, &url]);
    assert!(tree.get(b"all/.git/HEAD").is_some());
    let file = repository.join("../Dockerfile");
    std::fs::write(&file, "FROM scratch\nCOPY sub/file /typed\n").expect("it can be written");
    has_size(&built(&rbuild, &file, &["-f", "-", &url]), "typed", 2);
    let outside = file.to_string_lossy();
    has_size(
        &built(&rbuild, nothing, &["-f", &outside, &url]),
        "typed",
        2,
    );
    refused(&rbuild, nothing, &[&format!("{url}#v2")]).says(&["no branch or tag `v2`"]);
    rbuild.assert_nothing_half_made();
}

#[test]
fn urls_are_contexts_and_dockerfiles() {
    let web = Web::new();
    let context =
        Context::new("FROM @busybox\nCOPY file /copied\nRUN --mount=target=/x cp /x/file /run\n");
    context.write("file", "1");
    let place = testkit::scratch();
    let archive = place.path().join("a.tgz");
    shell(context.path(), &format!("tar czf {} .", archive.display()));
    let bytes = std::fs::read(&archive).expect("tar wrote it");
    web.put(
        "/a.tgz",
        Page::Body(bytes, vec![("ETag", "\"1\"".to_owned())]),
    );
    web.body("/alone", "FROM scratch\nCOPY <<EOF /alone\n1\nEOF\n");
    let nothing = Path::new("/dev/null");
    let rbuild = rbuild();
    let tree = built(&rbuild, nothing, &[&web.url("/a.tgz")]);
    has_size(&tree, "copied", 1);
    has_size(&tree, "run", 1);
    built(&rbuild, nothing, &[&web.url("/a.tgz")]);
    let again = web.requests("/a.tgz").pop().expect("there were requests");
    assert!(again.headers.contains_key("if-none-match"));
    has_size(&built(&rbuild, nothing, &[&web.url("/alone")]), "alone", 2);
    let directory = context.path().to_string_lossy();
    has_size(
        &built(&rbuild, nothing, &["-f", &web.url("/alone"), &directory]),
        "alone",
        2,
    );
    web.body("/wrong", "FROM scratch\nWRONG\n");
    let outcome = refused(&rbuild, nothing, &["-f", &web.url("/wrong"), &directory]);
    outcome.says(&["/wrong:2:1", "WRONG"]);
    refused(&rbuild, nothing, &[&web.url("/none")]).says(&["cannot load the build context", "404"]);
}

#[test]
fn ssh_has_nothing_of_the_user_but_the_agent() {
    let web = Web::new();
    let repository = web.repository("r.git");
    std::fs::write(
        repository.join("Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )
    .expect("it can be written");
    commit(&repository);
    let tools = testkit::scratch();
    let log = tools.path().join("log");
    let ssh = tools.path().join("ssh");
    let script = format!(
        "#!/bin/sh\necho \"$SSH_AUTH_SOCK $HOME $*\" >> {}\nfor last; do :; done\nexec sh -c \"$last\"\n",
        log.display()
    );
    std::fs::write(&ssh, script).expect("it can be written");
    std::fs::set_permissions(&ssh, Permissions::from_mode(0o755)).expect("it is ours");
    let socket = tools.path().join("agent");
    let _agent = std::os::unix::net::UnixListener::bind(&socket).expect("the path is short");
    let path = std::env::var("PATH").unwrap_or_default();
    let url = format!("nobody@example.com:{}/.git", repository.display());
    let rbuild = rbuild();
    let mut command = rbuild.command(["build", &url]);
    command
        .env("PATH", format!("{}:{path}", tools.path().display()))
        .env("SSH_AUTH_SOCK", &socket);
    run(&mut command).succeeded();
    let log = std::fs::read_to_string(&log).expect("ssh was run");
    let line = log.lines().next().expect("ssh was run");
    assert!(
        line.starts_with(&format!("{} /dev/null ", socket.display())),
        "{line}"
    );
    for option in [
        "-F none",
        "BatchMode=yes",
        "IdentityFile=none",
        "nobody@example.com",
    ] {
        assert!(line.contains(option), "{line}");
    }
}
