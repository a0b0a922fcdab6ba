//! Outputs, and what other tools say of them.

use std::fs;
use std::path::Path;

use testkit::command::{self, must};
use testkit::context::Context;
use testkit::docker::Docker;
use testkit::image::Image;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;

use crate::rbuild;

fn context() -> Context {
    Context::new(
        "FROM @busybox\nCOPY --chown=3:4 hello /hello\nRUN ln /hello /hard && mkdir /sub && rm /bin/vi\n\
         ENV GREETING=hello\nLABEL org.example.a=b\nEXPOSE 80\nUSER nobody\nWORKDIR /sub\nCMD [\"cat\", \"/hard\"]\n",
    )
    .with("hello", "Hello from the image\n")
}

/// Builds to an output whose `dest` is in a fresh directory.
fn output(rbuild: &Rbuild, kind: &str, tag: &str) -> (tempfile::TempDir, String) {
    let directory = testkit::scratch();
    let dest = directory
        .path()
        .join("out")
        .to_str()
        .expect("scratch paths are UTF-8")
        .to_owned();
    rbuild.build(
        context().path(),
        &["-t", tag, "--output", &format!("type={kind},dest={dest}")],
    );
    (directory, dest)
}

#[test]
fn skopeo_reads_oci_and_docker_archives() {
    let rbuild = rbuild();
    for (kind, transport) in [("oci", "oci-archive"), ("docker", "docker-archive")] {
        let (_directory, dest) = output(&rbuild, kind, "hello:1");
        let inspected = must(
            "skopeo",
            &["inspect", "--config", &format!("{transport}:{dest}")],
        );
        let config: serde_json::Value =
            serde_json::from_str(&inspected).expect("skopeo prints JSON");
        assert_eq!(config["config"]["Labels"]["org.example.a"], "b", "{kind}");
        let copied = testkit::scratch();
        must(
            "skopeo",
            &[
                "copy",
                "-q",
                &format!("{transport}:{dest}"),
                &format!("dir:{}", copied.path().display()),
            ],
        );
        let tree = Image::from_directory(copied.path()).tree();
        assert!(
            tree.get(b"hello")
                .is_some_and(|node| (node.uid, node.gid) == (3, 4)),
            "{kind}"
        );
    }
}

#[test]
fn umoci_unpacks_a_layout() {
    let (directory, dest) = output(&rbuild(), "oci", "hello:1");
    command::shell(directory.path(), "mkdir layout && tar -C layout -xf out");
    let reference = Image::from_archive(Path::new(&dest)).manifest["schemaVersion"].clone();
    assert_eq!(reference, 2);
    let index = fs::read_to_string(directory.path().join("layout/index.json"))
        .expect("a layout has an index");
    assert!(
        index.contains("org.opencontainers.image.ref.name"),
        "{index}"
    );
    command::shell(directory.path(), "umoci unpack --image layout:1 bundle");
    let text = fs::read_to_string(directory.path().join("bundle/rootfs/hard"))
        .expect("umoci unpacked the file");
    assert_eq!(text, "Hello from the image\n");
    assert!(!directory.path().join("bundle/rootfs/bin/vi").exists());
}

#[test]
fn docker_loads_and_runs_it() {
    let docker = Docker::shared();
    let rbuild = rbuild();
    let (_directory, dest) = output(&rbuild, "docker", "hello:docker");
    let loaded = docker.run(&["load", "-i", &dest]);
    assert!(loaded.succeeded().contains("hello:docker"));
    let said = docker.run(&["run", "--rm", "--network=none", "hello:docker"]);
    assert_eq!(said.succeeded(), "Hello from the image\n");
    let directory = testkit::scratch();
    let saved = directory
        .path()
        .join("saved.tar")
        .to_str()
        .expect("scratch paths are UTF-8")
        .to_owned();
    rbuild.run(["load", "-i", &dest]).succeeded();
    rbuild
        .run(["save", "-o", &saved, "hello:docker"])
        .succeeded();
    docker.run(&["load", "-i", &saved]).succeeded();
    // And the other way round.
    let from_docker = directory
        .path()
        .join("docker.tar")
        .to_str()
        .expect("scratch paths are UTF-8")
        .to_owned();
    docker
        .run(&["tag", "hello:docker", "hello:from-docker"])
        .succeeded();
    docker
        .run(&["save", "-o", &from_docker, "hello:from-docker"])
        .succeeded();
    let rbuild = crate::rbuild();
    assert!(
        rbuild
            .run(["load", "-i", &from_docker])
            .succeeded()
            .contains("hello:from-docker")
    );
    assert_eq!(
        rbuild.run(["run", "--rm", "hello:from-docker"]).succeeded(),
        "Hello from the image\n"
    );
}

#[test]
fn podman_loads_it() {
    // Podman takes no long path for its `--runroot`.
    let storage = tempfile::tempdir().expect("a temporary directory");
    let root = storage.path().display();
    for kind in ["oci", "docker"] {
        let (_directory, dest) = output(&rbuild(), kind, &format!("localhost/hello:{kind}"));
        let podman = |args: &str| {
            command::shell(
                storage.path(),
                &format!(
                    "unshare --mount podman --root {root}/root --runroot {root}/run --storage-driver vfs {args}"
                ),
            )
        };
        podman(&format!("load -q -i {dest}"));
        let config = podman(&format!("image inspect localhost/hello:{kind}"));
        assert!(config.contains("GREETING=hello"), "{config}");
    }
}

#[test]
fn buildah_builds_on_what_was_pushed() {
    let name = format!("{}/test/pushed:1", Registry::shared().host());
    let rbuild = rbuild();
    rbuild.build(context().path(), &["-t", &name]);
    rbuild.run(["push", &name]).succeeded();
    let inspected = must(
        "skopeo",
        &["inspect", "--tls-verify=false", &format!("docker://{name}")],
    );
    assert!(inspected.contains("org.example.a"), "{inspected}");
    // What is there already is not sent again.
    let again = rbuild.run(["push", &name]);
    again.succeeded();
    let fresh = crate::rbuild();
    fresh.run(["pull", &name]).succeeded();
    assert_eq!(
        fresh.run(["run", "--rm", &name]).succeeded(),
        "Hello from the image\n"
    );
}

#[test]
fn an_output_can_be_standard_output() {
    let rbuild = rbuild();
    let context = context();
    let directory = testkit::scratch();
    let file = fs::File::create(directory.path().join("stream"))
        .expect("the scratch directory can be written");
    let mut command = rbuild.command(["build", "--progress=plain", "--output", "type=oci,dest=-"]);
    let status = command
        .arg(context.path())
        .stdout(file)
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.expect("the program can be run").success());
    assert!(
        Image::from_archive(&directory.path().join("stream"))
            .tree()
            .get(b"hello")
            .is_some()
    );
    let file = fs::File::create(directory.path().join("files"))
        .expect("the scratch directory can be written");
    let mut command = rbuild.command(["build", "--progress=plain", "-o", "-"]);
    assert!(
        command
            .arg(context.path())
            .stdout(file)
            .status()
            .expect("the program can be run")
            .success()
    );
    assert!(command::shell(directory.path(), "tar -tf files").contains("hello"));
}

#[test]
fn files_that_describe_the_build_are_written() {
    let directory = testkit::scratch();
    let path = |name: &str| {
        directory
            .path()
            .join(name)
            .to_str()
            .expect("scratch paths are UTF-8")
            .to_owned()
    };
    let (iid, metadata) = (path("iid"), path("metadata"));
    let rbuild = rbuild();
    rbuild.build(
        context().path(),
        &[
            "-t",
            "named:1",
            "--iidfile",
            &iid,
            "--metadata-file",
            &metadata,
        ],
    );
    let id = fs::read_to_string(iid).expect("the build wrote the ID");
    let metadata: serde_json::Value =
        serde_json::from_slice(&fs::read(metadata).expect("the build wrote the metadata"))
            .expect("metadata is JSON");
    assert_eq!(metadata["containerimage.config.digest"], id.as_str());
    assert!(
        metadata["containerimage.digest"]
            .as_str()
            .is_some_and(|digest| digest.starts_with("sha256:"))
    );
    assert_eq!(
        rbuild
            .run(["images", "-q", "--no-trunc"])
            .succeeded()
            .trim(),
        id
    );
    let quiet = rbuild.run([
        "build",
        "-q",
        context().path().to_str().expect("scratch paths are UTF-8"),
    ]);
    assert_eq!(
        (quiet.succeeded().trim(), quiet.stderr.as_str()),
        (id.as_str(), ""),
        "quiet prints the ID and nothing else"
    );
}

#[test]
fn names_can_be_given_and_taken() {
    let rbuild = rbuild();
    rbuild.build(context().path(), &["-t", "one", "-t", "two:2"]);
    rbuild.run(["tag", "one", "three:3"]).succeeded();
    let listed = rbuild.run(["images"]).succeeded().to_owned();
    for (name, tag) in [("one", "latest"), ("two", "2"), ("three", "3")] {
        assert!(
            listed
                .lines()
                .any(|line| line.split_whitespace().take(2).eq([name, tag])),
            "{listed}"
        );
    }
    assert!(
        rbuild
            .run(["history", "one"])
            .succeeded()
            .contains("CMD [\"cat\" \"/hard\"]")
    );
    rbuild.run(["rmi", "one", "two:2"]).succeeded();
    assert_eq!(
        rbuild.run(["run", "--rm", "three:3"]).succeeded(),
        "Hello from the image\n"
    );
    rbuild.run(["rmi", "three:3"]).succeeded();
    assert_eq!(rbuild.run(["images", "-q"]).succeeded(), "");
}

#[test]
fn progress_for_machines_is_json_lines() {
    let rbuild = rbuild();
    let outcome = command::run(
        rbuild
            .command(["build", "--progress=rawjson"])
            .arg(context().path()),
    );
    outcome.succeeded();
    let lines: Vec<serde_json::Value> = outcome
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let vertexes: Vec<_> = lines
        .iter()
        .filter_map(|line| line["vertexes"].as_array())
        .flatten()
        .collect();
    assert!(vertexes.iter().any(|vertex| {
        vertex["name"]
            .as_str()
            .is_some_and(|name| name.contains("RUN ln /hello"))
    }));
    assert!(vertexes.iter().any(|vertex| !vertex["completed"].is_null()));
}
