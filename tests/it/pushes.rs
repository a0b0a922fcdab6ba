//! Pushing to registries and through networks that misbehave: what arrives is what was sent, or nothing is said to be.

use testkit::context::Context;
use testkit::faults::{Fault, Faults};

use crate::at_home;
use crate::registries::{assert_whole, noise, origin};

/// Pushes the image of the origin to another repository through a proxy, and gives what was asked of that.
#[track_caller]
fn push(path: &str, prepare: impl FnOnce(&Faults)) -> Vec<String> {
    let origin = origin();
    let faults = Faults::before(origin.registry.port());
    prepare(&faults);
    // A store that knows of no repository to mount the blobs from.
    let rbuild = at_home();
    let archive = rbuild.store().join("image.tar");
    let archive = archive.to_str().expect("a path");
    origin.save(archive);
    rbuild.run(["load", "-i", archive]).succeeded();
    let name = format!("{}/{path}", faults.host());
    rbuild.run(["tag", &origin.name(), &name]).succeeded();
    let pushed = rbuild.run(["push", &name]);
    pushed.succeeded();
    assert_eq!(faults.left(), 0, "{:?}", faults.seen());

    let puller = at_home();
    puller
        .run(["pull", &format!("{}/{path}", origin.registry.host())])
        .succeeded();
    assert_whole(&puller);
    faults.seen()
}

fn status(code: u16, headers: &str) -> Fault {
    Fault::Status(code, headers.to_owned())
}

#[test]
fn connections_that_break_are_made_again() {
    push("cut", |faults| {
        faults.add("PUT", "/blobs/uploads/", 1, Fault::CutRequest(0));
        faults.add("PUT", "/blobs/uploads/", 1, Fault::CutRequest(100));
    });
    push("lost", |faults| {
        faults.add("PUT", "/blobs/uploads/", 2, Fault::LoseAnswer);
        faults.add("PUT", "/manifests/", 1, Fault::LoseAnswer);
    });
}

#[test]
fn registries_that_are_busy_are_waited_for() {
    let seen = push("busy", |faults| {
        faults.add(
            "POST",
            "/blobs/uploads/",
            2,
            status(429, "retry-after: 1\r\n"),
        );
        faults.add("PUT", "/blobs/uploads/", 1, status(503, ""));
        faults.add("HEAD", "/blobs/", 1, status(500, ""));
        faults.add("PUT", "/manifests/", 2, status(502, ""));
    });
    assert!(seen.iter().all(|it| !it.starts_with("PATCH")), "{seen:?}");
}

#[test]
fn pieces_go_on_where_the_registry_is() {
    // The large one may not come as a whole; then its piece is refused as being out of step.
    let seen = push("pieces", |faults| {
        faults.add("PUT", &origin().blob, 1, status(413, ""));
        faults.add("PATCH", "/blobs/uploads/", 1, status(416, ""));
    });
    assert!(seen.iter().any(|it| it.starts_with("PATCH")), "{seen:?}");
    assert!(
        seen.iter()
            .any(|it| it.starts_with("GET ") && it.contains("/uploads/")),
        "{seen:?}"
    );
}

#[test]
fn a_layer_that_is_sent_while_it_is_compressed_arrives() {
    let origin = origin();
    let context = Context::new("FROM scratch\nCOPY long /\n").with("long", noise(7_000_000));
    let faults = [
        None,
        Some(Fault::CutRequest(0)),
        Some(Fault::CutRequest(1_000_000)),
        Some(Fault::LoseAnswer),
        Some(status(411, "")),
        Some(status(503, "")),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let proxy = Faults::before(origin.registry.port());
        if let Some(fault) = &fault {
            proxy.add("PATCH", "/blobs/uploads/", 1, fault.clone());
        }
        let (rbuild, path) = (at_home(), format!("stream{number}"));
        let name = format!("{}/{path}", proxy.host());
        let args = ["-t", &name, "--output", "type=registry,compression=zstd"];
        rbuild.build(context.path(), &args);
        let seen = proxy.seen();
        assert!(seen.iter().any(|it| it.starts_with("PATCH")), "{seen:?}");
        assert_eq!(proxy.left(), 0, "{seen:?}");
        // All of it is verified as it comes.
        at_home()
            .run(["pull", &format!("{}/{path}", origin.registry.host())])
            .succeeded();
    }
}

#[test]
fn an_unchanged_image_costs_one_request() {
    let origin = origin();
    let proxy = Faults::before(origin.registry.port());
    let rbuild = at_home();
    let context = Context::new("FROM scratch\nCOPY file /\n").with("file", noise(10_000));
    for compression in ["gzip", "zstd", "uncompressed"] {
        let name = format!("{}/unchanged-{compression}", proxy.host());
        let output = format!("type=registry,compression={compression}");
        rbuild.build(context.path(), &["-t", &name, "--output", &output]);
        rbuild.build(context.path(), &["-t", &name]);
        let before = proxy.seen().len();
        let again = rbuild.run(["push", "--compression", compression, &name]);
        again.succeeded();
        let asked = proxy.seen().split_off(before);
        assert_eq!(asked.len(), 1, "{compression}: {asked:?}");
        assert!(asked[0].starts_with("HEAD "), "{compression}: {asked:?}");
    }
}

#[test]
fn tokens_that_expire_while_pushing_are_renewed() {
    push("tokens", |faults| faults.ask_for_tokens(3));
}

#[test]
fn a_push_that_fails_leaves_no_image() {
    let origin = origin();
    let faults = Faults::before(origin.registry.port());
    faults.add(
        "PUT",
        "/blobs/uploads/",
        usize::MAX / 2,
        Fault::CutRequest(10),
    );
    faults.add(
        "PATCH",
        "/blobs/uploads/",
        usize::MAX / 2,
        Fault::CutRequest(10),
    );
    let rbuild = at_home();
    rbuild.run(["pull", &origin.name()]).succeeded();
    let name = format!("{}/never", faults.host());
    rbuild.run(["tag", &origin.name(), &name]).succeeded();
    let outcome = rbuild.run(["push", &name]);
    outcome.failed_with(1);
    outcome.says(&["the connection broke"]);
    rbuild.assert_nothing_half_made();
    let never = format!("{}/never", origin.registry.host());
    at_home().run(["pull", &never]).failed_with(1);
}
