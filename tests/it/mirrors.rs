//! The configuration of registries: mirrors and what happens when they fail, plain HTTP, files with mistakes.

use std::fs;
use std::path::Path;

use testkit::command;
use testkit::faults::{Fault, Faults};
use testkit::rbuild::Rbuild;

use crate::at_home;
use crate::registries::{assert_whole, origin};

/// A name that leads nowhere but by the configuration.
const NAME: &str = "registry.invalid/image";

/// Writes the configuration of the user's registries.
fn configure(rbuild: &Rbuild, registry: &str, text: &str) {
    let place = rbuild
        .store()
        .join(".config/rbuild/registries")
        .join(registry);
    fs::create_dir_all(&place).expect("the store can be written");
    fs::write(place.join("hosts.toml"), text).expect("the store can be written");
}

/// A registry behind a proxy, with another proxy as its mirror.
fn mirrored(rbuild: &Rbuild, capabilities: &str) -> (Faults, Faults) {
    let port = origin().registry.port();
    let (mirror, server) = (Faults::before(port), Faults::before(port));
    let text = format!(
        "server = \"http://{}\"\n[host.\"http://{}\"]\ncapabilities = [{capabilities}]\n",
        server.host(),
        mirror.host()
    );
    configure(rbuild, "registry.invalid", &text);
    (mirror, server)
}

#[test]
fn a_mirror_that_has_all_is_all_that_is_asked() {
    let rbuild = at_home();
    let (mirror, server) = mirrored(&rbuild, "\"pull\", \"resolve\"");
    rbuild.run(["pull", NAME]).succeeded();
    assert_whole(&rbuild);
    assert_eq!(server.seen(), [] as [&str; 0]);
    let asked = mirror.seen();
    assert!(
        asked.iter().all(|it| it.ends_with("?ns=registry.invalid")),
        "{asked:?}"
    );
    // What is pushed goes to the registry itself.
    rbuild
        .run(["tag", NAME, "registry.invalid/pushed"])
        .succeeded();
    rbuild.run(["push", "registry.invalid/pushed"]).succeeded();
    assert_eq!(mirror.seen(), asked);
    assert!(server.seen().iter().any(|it| it.starts_with("PUT ")));
}

#[test]
fn tags_are_not_asked_of_a_mirror_that_may_be_behind() {
    let rbuild = at_home();
    let (mirror, server) = mirrored(&rbuild, "\"pull\"");
    rbuild.run(["pull", NAME]).succeeded();
    assert_whole(&rbuild);
    assert!(
        mirror.seen().iter().all(|it| it.contains("/blobs/")),
        "{:?}",
        mirror.seen()
    );
    assert!(
        server.seen().iter().all(|it| it.contains("/manifests/")),
        "{:?}",
        server.seen()
    );
}

#[test]
fn the_registry_has_what_its_mirror_has_not() {
    let blob = &origin().blob;
    let cases = [
        ("/manifests/", Fault::Status(404, String::new())),
        ("/manifests/", Fault::Status(401, String::new())),
        (blob, Fault::Status(404, String::new())),
        (blob, Fault::Status(503, String::new())),
        (blob, Fault::Cut(0)),
        (blob, Fault::Flip(1_000_000)),
        ("/manifests/", Fault::Flip(50)),
        ("/blobs/", Fault::Flip(20)),
    ];
    for (part, fault) in cases {
        let rbuild = at_home();
        let (mirror, server) = mirrored(&rbuild, "\"pull\", \"resolve\"");
        mirror.add("GET", part, usize::MAX / 2, fault.clone());
        let outcome = rbuild.run(["pull", NAME]);
        outcome.succeeded();
        assert_whole(&rbuild);
        assert!(!server.seen().is_empty(), "{fault:?}");
        // It is told of once, unless it just lacks something.
        let told = outcome
            .stderr
            .matches(&format!(" - `{}` was passed over: ", mirror.host()))
            .count();
        let lacks = matches!(fault, Fault::Status(404, _));
        assert_eq!(told, usize::from(!lacks), "{fault:?}: {outcome:?}");
    }
}

#[test]
fn a_mirror_that_is_not_there_is_passed_over() {
    let rbuild = at_home();
    // Nobody listens there on any machine, and nobody is given it.
    let nobody = 1;
    let server = Faults::before(origin().registry.port());
    let text = format!(
        "server = \"http://{}\"\n[host.\"http://127.0.0.1:{nobody}\"]\n",
        server.host()
    );
    configure(&rbuild, "registry.invalid", &text);
    let pulled = rbuild.run(["pull", NAME]);
    pulled.succeeded();
    pulled.says(&[&format!(
        " 1 warning found:\n - `127.0.0.1:{nobody}` was passed over: cannot reach registry"
    )]);
    assert_whole(&rbuild);
    // When all fail, all are named, and once.
    let absent = rbuild.run(["pull", "registry.invalid/absent"]);
    absent.failed_with(1);
    absent.says(&[
        &format!("its mirrors failed (`127.0.0.1:{nobody}`: cannot reach"),
        "`registry.invalid` does not have `registry.invalid/absent:latest`",
    ]);
}

#[test]
fn mistakes_are_shown_with_their_place() {
    let rbuild = at_home();
    configure(
        &rbuild,
        "registry.invalid",
        "server = \"http://127.0.0.1\"\nmirror = 1\n",
    );
    let outcome = rbuild.run(["pull", NAME]);
    outcome.failed_with(1);
    outcome.says(&["registries/registry.invalid/hosts.toml:2:1: `mirror` is not known"]);
}

#[test]
fn the_flag_and_the_variable_name_another_directory() {
    let rbuild = at_home();
    configure(
        &rbuild,
        "registry.invalid",
        "server = \"http://127.0.0.1:1\"\n",
    );
    let other = testkit::scratch();
    let write = |directory: &Path| {
        let place = directory.join("_default");
        fs::create_dir_all(&place).expect("a scratch directory");
        let text = format!(
            "server = \"http://127.0.0.1:{}\"\n",
            origin().registry.port()
        );
        fs::write(place.join("hosts.toml"), text).expect("a scratch directory");
    };
    write(other.path());
    let path = other.path().to_str().expect("a path");
    rbuild.run(["--registries", path, "pull", NAME]).succeeded();
    let mut command = rbuild.command(["pull", NAME]);
    command::run(command.env("RBUILD_REGISTRIES", path)).succeeded();
    rbuild.run(["pull", NAME]).failed_with(1);
}
