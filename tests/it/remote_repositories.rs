//! `ADD` of Git repositories.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use testkit::context::Context;
use testkit::tree::Kind;
use testkit::web::{Web, commit, git};

use crate::rbuild;
use crate::remote_files::files;

fn write(directory: &Path, name: &str, content: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
    std::fs::write(path, content).expect("it can be written");
}

#[test]
fn files_of_a_branch_a_tag_and_a_commit_are_added() {
    let web = Web::new();
    let repository = web.repository("r.git");
    write(&repository, "sub/file", "1");
    write(&repository, "run", "#!/bin/sh\n");
    let mode = Permissions::from_mode(0o777);
    std::fs::set_permissions(repository.join("run"), mode).expect("it is ours");
    symlink("sub/file", repository.join("link")).expect("it can be made");
    let first = commit(&repository);
    git(&repository, &["tag", "-a", "-m", "x", "v1"]);
    write(&repository, "sub/file", "22");
    let second = commit(&repository);
    git(&repository, &["branch", "feature/x"]);
    write(&repository, "sub/file", "333");
    commit(&repository);
    let url = web.repository_url("r.git");
    let context = Context::new(&format!(
        "FROM scratch\nADD {url} /main\nADD {url}#v1:sub /tag\nADD {url}?branch=feature/x /branch/\n\
         ADD {url}#{first} /commit\nADD --checksum={second} {url}#feature/x:/sub/ /checked\n\
         ADD --chown=5:6 --chmod=600 {url}#v1 /changed\n"
    ));
    let tree = files(&rbuild(), &context, &[]);
    for (name, length) in [
        ("main/sub/file", 3),
        ("tag/file", 1),
        ("branch/sub/file", 2),
        ("commit/sub/file", 1),
        ("checked/file", 2),
    ] {
        let node = tree
            .get(name.as_bytes())
            .unwrap_or_else(|| panic!("no {name}"));
        assert!(
            matches!(node.kind, Kind::File { size, .. } if size == length),
            "{name}: {node:?}"
        );
        assert_eq!(
            (node.mode, node.uid, node.mtime),
            (0o644, 0, 981_173_106),
            "{name}"
        );
    }
    assert_eq!(tree.get(b"main/run").expect("it is there").mode, 0o755);
    let link = &tree.get(b"main/link").expect("it is there").kind;
    assert_eq!(*link, Kind::Symlink(b"sub/file".to_vec()));
    assert!(tree.get(b"main/.git").is_none());
    let changed = tree.get(b"changed/run").expect("it is there");
    assert_eq!((changed.mode, changed.uid, changed.gid), (0o600, 5, 6));
}

#[test]
fn a_commit_that_is_known_is_not_fetched_again_and_a_new_one_is() {
    let web = Web::new();
    let repository = web.repository("r.git");
    write(&repository, "file", "1");
    commit(&repository);
    let url = web.repository_url("r.git");
    let context = Context::new(&format!(
        "FROM @busybox\nADD {url} /x\nRUN cat /x/file > /y\n"
    ));
    let rbuild = rbuild();
    rbuild.build(context.path(), &[]);
    let fetches = || web.requests("/git/r.git/git-upload-pack").len();
    let listed = fetches();
    let log = rbuild.build(context.path(), &[]);
    assert!(log.contains("CACHED"), "{log}");
    // The references are asked for, and nothing else.
    let asked = fetches() - listed;
    write(&repository, "file", "22");
    commit(&repository);
    let before = fetches();
    let tree = files(&rbuild, &context, &[]);
    assert!(matches!(
        tree.get(b"y").expect("it ran").kind,
        Kind::File { size: 2, .. }
    ));
    assert!(fetches() - before > asked, "the new commit was fetched");
    let mounts = rbuild.run(["du", "--verbose"]);
    mounts.succeeded();
    rbuild.assert_nothing_half_made();
}

#[test]
fn submodules_come_with_their_repository_unless_they_are_not_wanted() {
    let web = Web::new();
    let inner = web.repository("inner.git");
    write(&inner, "deep", "1");
    commit(&inner);
    let outer = web.repository("outer.git");
    let fetched = inner.to_string_lossy();
    git(
        &outer,
        &["submodule", "--quiet", "add", &fetched, "libs/inner"],
    );
    git(
        &outer,
        &[
            "config",
            "-f",
            ".gitmodules",
            "submodule.libs/inner.url",
            "../inner.git",
        ],
    );
    commit(&outer);
    let url = web.repository_url("outer.git");
    let context = Context::new(&format!(
        "FROM scratch\nADD {url} /with\nADD {url}?submodules=0 /without\nADD {url}#:libs/inner /part\n"
    ));
    let tree = files(&rbuild(), &context, &[]);
    assert!(tree.get(b"with/libs/inner/deep").is_some());
    assert!(tree.get(b"with/libs/inner/.git").is_none());
    assert!(tree.get(b"without/libs/inner").is_some());
    assert!(tree.get(b"without/libs/inner/deep").is_none());
    assert!(tree.get(b"part/deep").is_some());
}

#[test]
fn the_directory_of_git_is_kept_where_that_is_asked_for_and_is_always_the_same() {
    let web = Web::new();
    let repository = web.repository("r.git");
    write(&repository, "file", "1");
    let only = commit(&repository);
    git(&repository, &["tag", "v1"]);
    let url = web.repository_url("r.git");
    let context = Context::new(&format!("FROM scratch\nADD --keep-git-dir {url}#v1 /x\n"));
    let out = testkit::scratch();
    let mut found = Vec::new();
    for name in ["one", "two"] {
        let dest = out.path().join(name);
        let output = format!("type=local,dest={}", dest.display());
        rbuild().build(context.path(), &["--output", &output]);
        let files = dest.join("x");
        assert_eq!(
            git(&files, &["rev-parse", "HEAD", "v1"]),
            format!("{only}\n{only}")
        );
        assert_eq!(git(&files, &["remote", "get-url", "origin"]), url);
        git(&files, &["fsck", "--strict"]);
        let script = "find . -type f | sort | xargs sha256sum";
        found.push(testkit::command::shell(&dest, script));
        assert_eq!(git(&files, &["status", "--porcelain"]), "");
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn logins_for_repositories_come_from_secrets() {
    let web = Web::new();
    let repository = web.repository("r.git");
    write(&repository, "file", "1");
    commit(&repository);
    // x-access-token:hidden
    web.guard_repositories("basic eC1hY2Nlc3MtdG9rZW46aGlkZGVu");
    let url = web.repository_url("r.git");
    let context = Context::new(&format!("FROM scratch\nADD {url} /x\n"));
    let rbuild = rbuild();
    let refused = rbuild.try_build(context.path(), &[]);
    refused.failed_with(1);
    refused.says(&["Dockerfile:2:", "cannot ask", "r.git"]);
    for id in ["GIT_AUTH_TOKEN", "GIT_AUTH_TOKEN.127.0.0.1"] {
        let mut command = rbuild.command(["build", "--secret"]);
        command
            .arg(format!("id={id},env=LOGIN"))
            .arg(context.path());
        testkit::command::run(command.env("LOGIN", "hidden")).succeeded();
    }
}

#[test]
fn what_a_repository_does_not_have_is_told() {
    let web = Web::new();
    let repository = web.repository("r.git");
    write(&repository, "file", "1");
    let only = commit(&repository);
    let url = web.repository_url("r.git");
    let none = "0123456789012345678901234567890123456789";
    let rbuild = rbuild();
    for (what, said) in [
        (format!("{url}#nothing"), "no branch or tag `nothing`"),
        (format!("{url}#:nowhere"), "no directory `nowhere`"),
        (format!("{url}#:file"), "no directory `file`"),
        (format!("{url}#{none}"), "r.git"),
        (format!("{url}?ref=main&commit={none}"), "is at commit"),
        (web.repository_url("missing.git"), "cannot ask"),
    ] {
        let context = Context::new(&format!("FROM scratch\nADD {what} /x\n"));
        let outcome = rbuild.try_build(context.path(), &[]);
        outcome.failed_with(1);
        outcome.says(&["Dockerfile:2:", said]);
    }
    let context = Context::new(&format!("FROM scratch\nADD {url}#{only} /x\n"));
    let no_git = testkit::scratch();
    let mut command = rbuild.command(["build"]);
    command.arg(context.path()).env("PATH", no_git.path());
    let outcome = testkit::command::run(&mut command);
    outcome.failed_with(1);
    outcome.says(&["cannot run `git`", "install it"]);
}

#[test]
fn repositories_cannot_lead_out_of_themselves_or_run_anything() {
    let web = Web::new();
    let repository = web.repository("r.git");
    let outside = testkit::scratch();
    write(outside.path(), "secret", "secret");
    symlink(outside.path(), repository.join("out")).expect("it can be made");
    let ran = outside.path().join("ran");
    let touch = format!("touch {}", ran.display());
    write(&repository, ".gitattributes", "* filter=evil diff=evil\n");
    write(&repository, "file", "1");
    write(
        &repository,
        ".gitmodules",
        &format!(
            "[submodule \"a\"]\n\tpath = a\n\turl = ext::sh -c '{touch}'\n\tupdate = !{touch}\n"
        ),
    );
    let only = commit(&repository);
    git(
        &repository,
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{only},a"),
        ],
    );
    git(&repository, &["commit", "--quiet", "-m", "x"]);
    let url = web.repository_url("r.git");
    let rbuild = rbuild();
    let context = Context::new(&format!("FROM scratch\nADD {url} /x\n"));
    let outcome = rbuild.try_build(context.path(), &[]);
    outcome.failed_with(1);
    outcome.says(&["cannot fetch the submodule `a`"]);
    assert!(!ran.exists());
    let context = Context::new(&format!(
        "FROM scratch\nADD {url}?submodules=false#:out /x\n"
    ));
    rbuild.try_build(context.path(), &[]).failed_with(1);
    // A local repository is no URL of a submodule either.
    let local = format!("file://{}", repository.display());
    git(
        &repository,
        &["config", "-f", ".gitmodules", "submodule.a.url", &local],
    );
    git(
        &repository,
        &["commit", "--quiet", "-m", "x", ".gitmodules"],
    );
    let context = Context::new(&format!("FROM scratch\nADD {url} /x\n"));
    let outcome = rbuild.try_build(context.path(), &[]);
    outcome.failed_with(1);
    outcome.says(&["cannot fetch the submodule `a`", "its URL"]);
}

#[test]
fn no_step_can_write_to_the_copy_of_a_repository() {
    let context = Context::new(
        "FROM @busybox\nRUN --mount=type=cache,id='git repository https://h/r.git',target=/x ls\n",
    );
    let outcome = rbuild().try_build(context.path(), &[]);
    outcome.failed_with(1);
    outcome.says(&["kept for the copy of a repository"]);
}
