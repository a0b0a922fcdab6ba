//! `ADD` of what URLs lead to.

use testkit::context::Context;
use testkit::image::Image;
use testkit::rbuild::Rbuild;
use testkit::tree::{Kind, Tree};
use testkit::web::{Page, Web};

use crate::rbuild;

/// The files of what a context builds to.
#[track_caller]
pub(crate) fn files(rbuild: &Rbuild, context: &Context, flags: &[&str]) -> Tree {
    let place = testkit::scratch();
    let archive = place.path().join("image.tar");
    let output = format!("type=oci,dest={}", archive.display());
    rbuild.build(context.path(), &[&["--output", &output], flags].concat());
    Image::from_archive(&archive).tree()
}

#[track_caller]
fn sha256(text: &str) -> String {
    let sum = testkit::command::shell(
        testkit::scratch().path(),
        &format!("printf %s '{text}' | sha256sum | cut -d' ' -f1"),
    );
    format!("sha256:{}", sum.trim())
}

fn versioned(body: &str, etag: &str) -> Page {
    let modified = "Sat, 03 Feb 2001 04:05:06 GMT".to_owned();
    let headers = vec![("ETag", etag.to_owned()), ("Last-Modified", modified)];
    Page::Body(body.into(), headers)
}

#[test]
fn a_file_has_its_name_from_the_url_and_its_time_from_the_server() {
    let web = Web::new();
    web.put("/dir/a%20file", versioned("content", "\"1\""));
    web.body("/plain", "other");
    let context = Context::new(&format!(
        "FROM scratch\nADD {} /named/\nADD {} /as\nADD --chmod=644 --chown=3:4 {0} {1} /both/\n",
        web.url("/dir/a%20file?x=1"),
        web.url("/plain"),
    ));
    let tree = files(&rbuild(), &context, &[]);
    let named = tree.get(b"named/a file").expect("the file is there");
    assert_eq!(
        (named.mode, named.uid, named.mtime),
        (0o600, 0, 981_173_106)
    );
    let renamed = tree.get(b"as").expect("the file is there");
    assert_eq!((renamed.mode, renamed.mtime), (0o600, 0));
    assert!(matches!(renamed.kind, Kind::File { size: 5, .. }));
    for name in ["both/a file", "both/plain"] {
        let node = tree.get(name.as_bytes()).expect("the file is there");
        assert_eq!((node.mode, node.uid, node.gid), (0o644, 3, 4), "{name}");
    }
    assert_eq!(web.requests("/plain").len(), 1, "one step for one URL");
}

#[test]
fn what_has_not_changed_is_not_downloaded_again() {
    let web = Web::new();
    web.put("/tag", versioned("one", "\"1\""));
    let date = "Sat, 03 Feb 2001 04:05:06 GMT".to_owned();
    web.put(
        "/date",
        Page::Body("one".into(), vec![("Last-Modified", date)]),
    );
    let context = Context::new(&format!(
        "FROM @busybox\nADD {} {} /\nRUN cat /tag /date > /seen\n",
        web.url("/tag"),
        web.url("/date")
    ));
    let rbuild = rbuild();
    rbuild.build(context.path(), &[]);
    let log = rbuild.build(context.path(), &[]);
    assert!(log.contains("CACHED"), "{log}");
    let again = web.requests("/tag").pop().expect("there were requests");
    assert_eq!(
        again.headers.get("if-none-match").map(String::as_str),
        Some("\"1\"")
    );
    let again = web.requests("/date").pop().expect("there were requests");
    assert!(again.headers.contains_key("if-modified-since"));
    // Another version of the same bytes changes nothing; other bytes do.
    web.put("/tag", versioned("one", "\"2\""));
    let log = rbuild.build(context.path(), &[]);
    assert!(
        !log.contains("DONE 0.0s\n[3/3] RUN") && log.contains("CACHED"),
        "{log}"
    );
    web.put("/tag", versioned("two", "\"3\""));
    let tree = files(&rbuild, &context, &[]);
    let seen = tree.get(b"seen").expect("the step ran");
    assert!(matches!(seen.kind, Kind::File { size: 6, .. }));
    rbuild.assert_nothing_half_made();
}

#[test]
fn a_checksum_is_enough_to_know_what_a_url_leads_to() {
    let web = Web::new();
    web.body("/file", "content");
    let context = Context::new(&format!(
        "FROM scratch\nARG SUM={}\nADD --checksum=$SUM {} /\n",
        sha256("content"),
        web.url("/file")
    ));
    let rbuild = rbuild();
    rbuild.build(context.path(), &[]);
    web.put("/file", Page::Status(500));
    rbuild.build(context.path(), &[]);
    assert_eq!(web.requests("/file").len(), 1);
    web.body("/file", "contents");
    let sum = format!("SUM={}", sha256("else"));
    let outcome = rbuild.try_build(context.path(), &["--build-arg", &sum]);
    outcome.failed_with(1);
    outcome.says(&[
        "Dockerfile:3:",
        "has the checksum",
        &sha256("contents"),
        &sha256("else"),
    ]);
    rbuild.assert_nothing_half_made();
}

#[test]
fn archives_are_unpacked_where_that_is_asked_for() {
    let web = Web::new();
    let place = testkit::scratch();
    testkit::command::shell(
        place.path(),
        "mkdir d && echo x > d/file && tar czf a.tar.gz --owner=7 --group=8 d",
    );
    web.body(
        "/a.tar.gz",
        std::fs::read(place.path().join("a.tar.gz")).expect("tar wrote it"),
    );
    let url = web.url("/a.tar.gz");
    let context = Context::new(&format!(
        "FROM scratch\nADD {url} /packed/\nADD --unpack {url} /unpacked/\nADD --unpack=true --chown=1 --link {url} /owned/\n"
    ));
    let tree = files(&rbuild(), &context, &[]);
    assert!(tree.get(b"packed/a.tar.gz").is_some());
    let unpacked = tree.get(b"unpacked/d/file").expect("it was unpacked");
    assert_eq!((unpacked.uid, unpacked.gid), (7, 8));
    assert_eq!(tree.get(b"owned/d/file").expect("it was unpacked").uid, 1);
}

#[test]
fn files_of_the_context_and_of_the_network_come_together() {
    let web = Web::new();
    web.body("/far", "far");
    let context = Context::new(&format!("FROM scratch\nADD near {} /\n", web.url("/far")));
    context.write("near", "1");
    let rbuild = rbuild();
    assert!(files(&rbuild, &context, &[]).get(b"far").is_some());
    context.write("near", "22");
    let tree = files(&rbuild, &context, &[]);
    assert!(matches!(
        tree.get(b"near").expect("it is there").kind,
        Kind::File { size: 2, .. }
    ));
    web.body("/far", "farther");
    let tree = files(&rbuild, &context, &[]);
    assert!(matches!(
        tree.get(b"far").expect("it is there").kind,
        Kind::File { size: 7, .. }
    ));
}

#[test]
fn logins_come_from_secrets_and_go_to_their_host_alone() {
    let web = Web::new();
    let elsewhere = Web::new();
    web.put(
        "/token",
        Page::Guarded("Bearer hidden".into(), b"1".to_vec()),
    );
    web.put(
        "/away",
        Page::Redirect(elsewhere.url("/there").replace("127.0.0.1", "localhost")),
    );
    elsewhere.body("/there", "2");
    let context = Context::new(&format!(
        "FROM scratch\nADD {} {} /\n",
        web.url("/token"),
        web.url("/away")
    ));
    let rbuild = rbuild();
    let refused = rbuild.try_build(context.path(), &[]);
    refused.failed_with(1);
    refused.says(&["cannot download", "/token", "401"]);
    let args = [
        "build",
        "--secret",
        "id=HTTP_AUTH_TOKEN_127.0.0.1,env=LOGIN",
    ];
    let mut command = rbuild.command(args);
    command.arg(context.path()).env("LOGIN", "hidden");
    testkit::command::run(&mut command).succeeded();
    let there = elsewhere
        .requests("/there")
        .pop()
        .expect("the redirection was followed");
    assert!(!there.headers.contains_key("authorization"));
}

#[test]
fn servers_that_misbehave_are_told_of() {
    let web = Web::new();
    web.put("/loop", Page::Redirect(web.url("/loop")));
    web.put("/file", Page::Redirect("file:///etc/passwd".into()));
    web.put("/short", Page::Short(b"abc".to_vec(), 10));
    web.put("/gone", Page::Status(404));
    let rbuild = rbuild();
    for (path, said) in [
        ("/loop", "redirect"),
        ("/file", "cannot download"),
        ("/short", "the connection broke"),
        ("/gone", "404"),
    ] {
        let context = Context::new(&format!("FROM scratch\nADD {} /x\n", web.url(path)));
        let outcome = rbuild.try_build(context.path(), &[]);
        outcome.failed_with(1);
        outcome.says(&["Dockerfile:2:", path, said]);
    }
    rbuild.assert_nothing_half_made();
}
