//! Build arguments that ask something of the builder itself.

use testkit::command::{run_with, shell};
use testkit::context::Context;
use testkit::image::Image;
use testkit::rbuild::Rbuild;
use testkit::web::{Page, Web, commit};

use crate::rbuild;

/// 2001-02-03 04:05:06 UTC: the time of the test kit's commits, and of the files below.
const TIME: &str = "2001-02-03T04:05:06Z";
const LAST_MODIFIED: &str = "Sat, 03 Feb 2001 04:05:06 GMT";

/// When the image was created, and what its first variable behind `PATH` is.
#[track_caller]
fn created(rbuild: &Rbuild, context: &str, flags: &[&str]) -> (String, String) {
    let place = testkit::scratch();
    let archive = place.path().join("image.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let mut command = rbuild.command(["build", "--output", &output]);
    run_with(
        command.args(flags).arg(context),
        std::process::Stdio::null(),
    )
    .succeeded();
    told(&archive)
}

fn told(archive: &std::path::Path) -> (String, String) {
    let image = Image::from_archive(archive);
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let created = text(&image.config["created"]);
    (created, text(&image.config["config"]["Env"][1]))
}

const SHOWS: &str = "FROM scratch\nARG SOURCE_DATE_EPOCH\nENV AT=$SOURCE_DATE_EPOCH\n";

fn expected() -> (String, String) {
    (TIME.to_owned(), "AT=981173106".to_owned())
}

#[test]
fn the_epoch_is_that_of_a_repository() {
    let web = Web::new();
    let repository = web.repository("r.git");
    std::fs::write(repository.join("Dockerfile"), SHOWS).expect("written");
    commit(&repository);
    let url = web.repository_url("r.git");
    let rbuild = rbuild();
    let flags = ["--build-arg=SOURCE_DATE_EPOCH=context"];
    assert_eq!(created(&rbuild, &url, &flags), expected());
    let context = Context::new(SHOWS);
    let path = context.path().to_str().expect("text");
    let named = format!("--build-context=named={url}");
    let flags = [&*named, "--build-arg=SOURCE_DATE_EPOCH=named"];
    assert_eq!(created(&rbuild, path, &flags), expected());
    let context = Context::new(&format!("FROM scratch AS from\nADD {url} /\n{SHOWS}"));
    let path = context.path().to_str().expect("text");
    let flags = ["--build-arg=SOURCE_DATE_EPOCH=from"];
    assert_eq!(created(&rbuild, path, &flags), expected());
}

#[test]
fn the_epoch_is_that_of_a_url_or_of_the_newest_file_behind_it() {
    let web = Web::new();
    let place = testkit::scratch();
    std::fs::write(place.path().join("Dockerfile"), SHOWS).expect("written");
    shell(
        place.path(),
        "touch -d @981173106 Dockerfile && touch -d @5 old && tar cf ../dated.tar . && mv ../dated.tar .",
    );
    let archive = std::fs::read(place.path().join("dated.tar")).expect("read");
    web.body("/dated.tar", &archive);
    web.body("/plain", "no archive");
    let modified = vec![("Last-Modified", LAST_MODIFIED.to_owned())];
    web.put("/modified", Page::Body("x".into(), modified));
    let rbuild = rbuild();
    let by_stage = |page: &str| {
        let url = web.url(page);
        let context = Context::new(&format!("FROM scratch AS from\nADD {url} /\n{SHOWS}"));
        let path = context.path().to_str().expect("text");
        created(&rbuild, path, &["--build-arg=SOURCE_DATE_EPOCH=from"])
    };
    assert_eq!(by_stage("/modified"), expected());
    assert_eq!(by_stage("/dated.tar"), expected());
    let (time, variable) = by_stage("/plain");
    assert_eq!(variable, "AT=");
    assert!(time.as_str() > "2020", "{time}");
    let flags = ["--build-arg=SOURCE_DATE_EPOCH=context"];
    assert_eq!(created(&rbuild, &web.url("/dated.tar"), &flags), expected());
    // The same archive on standard input.
    let output = place.path().join("image.tar");
    let mut command = rbuild.command(["build", "--output"]);
    command
        .arg(format!("type=oci,dest={}", output.display()))
        .args(flags)
        .arg("-");
    let input = std::fs::File::open(place.path().join("dated.tar")).expect("opened");
    run_with(&mut command, input).succeeded();
    assert_eq!(told(&output), expected());
}

#[test]
fn a_directory_has_no_time_of_its_own() {
    let context = Context::new(SHOWS);
    let path = context.path().to_str().expect("text");
    let flags = ["--build-arg=SOURCE_DATE_EPOCH=context"];
    let (time, variable) = created(&rbuild(), path, &flags);
    assert_eq!(variable, "AT=");
    assert!(time.as_str() > "2020", "{time}");
}

#[test]
fn steps_have_the_host_name_that_is_asked_for() {
    let rbuild = rbuild();
    let context = Context::new("FROM @busybox\nRUN echo \"on $(hostname)\" && cat /etc/hosts\n");
    let own = rbuild.build(context.path(), &[]);
    assert!(own.contains("on buildkitsandbox"), "{own}");
    let flag = "--build-arg=BUILDKIT_SANDBOX_HOSTNAME=box.example";
    let said = rbuild.build(context.path(), &[flag]);
    assert!(said.contains("on box.example"), "{said}");
    let outcome = rbuild.try_build(
        context.path(),
        &["--build-arg=BUILDKIT_SANDBOX_HOSTNAME=a\n1.2.3.4 b"],
    );
    outcome.failed_with(1);
    outcome.says(&["BUILDKIT_SANDBOX_HOSTNAME", "is not supported"]);
}
