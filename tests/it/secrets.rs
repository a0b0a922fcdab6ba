//! A secret is where it was asked for, and nowhere else.

use std::path::Path;
use std::process::Command;

use testkit::context::Context;
use testkit::image::Image;

use crate::rbuild;

const VALUE: &str = "correct-horse-battery-staple";

#[track_caller]
pub(crate) fn assert_absent(value: &str, directory: &Path) {
    let found = Command::new("grep")
        .args(["-rlaF", value])
        .arg(directory)
        .output()
        .expect("grep is installed");
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        "",
        "the secret is on disk"
    );
}

#[test]
fn secrets_come_from_files_and_from_the_environment_and_stay_nowhere() {
    let context = Context::new(
        "FROM @busybox\n\
         RUN --mount=type=secret,id=file wc -c < /run/secrets/file > /size\n\
         RUN --mount=type=secret,id=variable,target=/etc/inner sha256sum < /etc/inner > /sum\n\
         RUN --mount=type=secret,id=file,env=TOKEN test -n \"$TOKEN\" && test ! -e /run/secrets/file\n\
         RUN --mount=type=secret,id=file cat /run/secrets/file\n",
    );
    let hidden = testkit::scratch();
    let file = hidden.path().join("secret");
    std::fs::write(&file, VALUE).expect("the scratch directory can be written");
    let rbuild = rbuild();
    let archive = hidden.path().join("image.tar");
    let mut command = rbuild.command(["build", "--progress=plain", "-t", "secretive", "--secret"]);
    command
        .arg(format!("id=file,src={}", file.display()))
        .args(["--secret", "id=variable,env=VARIABLE"]);
    command
        .arg("--output")
        .arg(format!("type=oci,dest={}", archive.display()))
        .arg(context.path());
    let outcome = testkit::command::run(command.env("VARIABLE", VALUE));
    outcome.succeeded();
    assert!(
        !outcome.stderr.contains(VALUE),
        "the log shows the secret:\n{}",
        outcome.stderr
    );
    assert_absent(VALUE, rbuild.store());
    let image = Image::from_archive(&archive);
    assert!(!image.config.to_string().contains(VALUE));
    let size = image.tree().get(b"size").map(|node| node.kind.clone());
    assert!(
        matches!(size, Some(testkit::tree::Kind::File { size: 3, .. })),
        "the step saw all {} bytes",
        VALUE.len()
    );
}

#[test]
fn another_value_does_not_run_the_step_again() {
    let context = Context::new(
        "FROM @busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null; date +%N > /stamp\nCMD [\"cat\", \"/stamp\"]\n",
    );
    let rbuild = rbuild();
    let stamp = |value: &str| {
        let mut command = rbuild.command(["build", "-t", "stamped", "--secret", "id=s,env=S"]);
        testkit::command::run(command.env("S", value).arg(context.path())).succeeded();
        rbuild
            .run(["run", "--rm", "stamped"])
            .succeeded()
            .to_owned()
    };
    assert_eq!(stamp("one"), stamp("two"));
}

#[test]
fn a_secret_of_binary_bytes_arrives_whole() {
    let bytes: Vec<u8> = (0..=255).collect();
    let hidden = testkit::scratch();
    let file = hidden.path().join("secret");
    std::fs::write(&file, &bytes).expect("the scratch directory can be written");
    let context = Context::new(
        "FROM @busybox\nRUN --mount=type=secret,id=s,mode=0444,uid=1,gid=2 od -An -tu1 -v /run/secrets/s > /bytes && stat -c '%a %u %g' /run/secrets/s > /stat\nCMD cat /bytes /stat\n",
    );
    let rbuild = rbuild();
    rbuild.build(
        context.path(),
        &[
            "-t",
            "built",
            "--secret",
            &format!("id=s,src={}", file.display()),
        ],
    );
    let said = rbuild.run(["run", "--rm", "built"]).succeeded().to_owned();
    let mut words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words.split_off(256), ["444", "1", "2"]);
    let numbers: Vec<u8> = words
        .iter()
        .map(|word| word.parse().expect("od prints numbers"))
        .collect();
    assert_eq!(numbers, bytes);
}
