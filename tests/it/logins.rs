//! Logging in to a registry that wants users and passwords.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use testkit::command::{self, Outcome};
use testkit::context::Context;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;

use crate::at_home;

/// `me` with the password `secret`, as `htpasswd -B` writes it.
const USERS: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A registry that lets in `me` with the password `secret`.
fn guarded() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        Registry::configured(|port, directory| {
            let users = directory.join("users");
            fs::write(&users, USERS).expect("a scratch directory");
            format!(
                "http: {{addr: '127.0.0.1:{port}'}}\nauth: {{htpasswd: {{realm: r, path: {}}}}}\n",
                users.display()
            )
        })
    })
}

/// Builds a small image under a name of the guarded registry.
fn with_image(rbuild: &Rbuild, path: &str) -> String {
    let name = format!("{}/{path}", guarded().host());
    let context = Context::new("FROM scratch\nCOPY file /\n").with("file", path);
    rbuild.build(context.path(), &["-t", &name]);
    name
}

/// Logs in with a password on standard input.
fn log_in(rbuild: &Rbuild, password: &str, environment: &[(&str, &str)]) -> Outcome {
    let host = guarded().host();
    let args = ["login", "-u", "me", "--password-stdin", &host];
    let mut command = rbuild.command(args);
    command.envs(environment.iter().copied());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let stdin = child.stdin.take();
    // One that fails early does not read it.
    stdin.map(|mut stdin| stdin.write_all(format!("{password}\n").as_bytes()).ok());
    let output = child.wait_with_output().expect("it was started");
    Outcome::new("rbuild login".to_owned(), &output)
}

fn docker_config(rbuild: &Rbuild) -> PathBuf {
    rbuild.store().join(".docker/config.json")
}

fn json_of(path: &PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

#[test]
fn a_login_opens_the_registry_until_the_logout() {
    let rbuild = at_home();
    let (name, host) = (with_image(&rbuild, "opened"), guarded().host());
    let refused = rbuild.run(["push", &name]);
    refused.failed_with(1);
    refused.says(&["does not allow", "log in first"]);

    let config = docker_config(&rbuild);
    fs::create_dir_all(config.parent().expect("a directory")).expect("a store");
    fs::write(
        &config,
        r#"{"HttpHeaders":{"x":"y"},"auths":{"a.io":{"auth":"eDp5"}}}"#,
    )
    .expect("a store");
    let done = log_in(&rbuild, "secret", &[]);
    assert_eq!(done.succeeded(), "Login Succeeded\n");
    done.says(&["stored unencrypted in '", ".docker/config.json'"]);
    let expected = json!({
        "HttpHeaders": {"x": "y"},
        "auths": {"a.io": {"auth": "eDp5"}, host.as_str(): {"auth": "bWU6c2VjcmV0"}},
    });
    assert_eq!(json_of(&config), expected);
    let mode = fs::metadata(&config).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    rbuild.run(["push", &name]).succeeded();
    let again = rbuild.run(["login", &host]);
    assert_eq!(again.succeeded(), "Login Succeeded\n");
    again.says(&["Authenticating with existing credentials..."]);
    // Another tool understands what was written.
    let inspect = format!("docker://{name}");
    let config = config.to_str().expect("a path");
    command::must(
        "skopeo",
        &[
            "inspect",
            "--tls-verify=false",
            "--authfile",
            config,
            &inspect,
        ],
    );

    let out = rbuild.run(["logout", &host]);
    assert_eq!(
        out.succeeded(),
        format!("Removing login credentials for {host}\n")
    );
    rbuild.run(["pull", &name]).failed_with(1);
}

#[test]
fn a_wrong_password_is_not_kept() {
    let rbuild = at_home();
    let outcome = log_in(&rbuild, "wrong", &[]);
    outcome.failed_with(1);
    outcome.says(&["does not allow logging in as `me`"]);
    assert!(!outcome.stderr.contains("wrong"), "{outcome:?}");
    assert!(!docker_config(&rbuild).exists());
    let host = guarded().host();
    let outcome = rbuild.run(["login", &host]);
    outcome.failed_with(1);
    outcome.says(&["cannot perform an interactive login from a non TTY device"]);
}

#[test]
fn the_file_of_the_variable_is_the_only_one() {
    let rbuild = at_home();
    let name = with_image(&rbuild, "team/app");
    let file = rbuild.store().join("auth.json");
    let variable = ("REGISTRY_AUTH_FILE", file.to_str().expect("a path"));
    log_in(&rbuild, "secret", &[variable]).succeeded();
    assert!(!docker_config(&rbuild).exists());
    let push = |expected: i32| {
        let mut command = rbuild.command(["push", &name]);
        command::run(command.env(variable.0, variable.1)).failed_with(expected);
    };
    push(0);
    // As containers-auth.json(5) has it, the longest name counts.
    let host = guarded().host();
    let (wrong, right) = (
        json!({"auth": "bWU6d3Jvbmc="}),
        json!({"auth": "bWU6c2VjcmV0"}),
    );
    let set = |team: &Value, other: &Value| {
        let auths = json!({host.as_str(): other, format!("{host}/team"): team});
        fs::write(&file, json!({"auths": auths}).to_string()).expect("a store");
    };
    set(&right, &wrong);
    push(0);
    set(&wrong, &right);
    push(1);
    rbuild.run(["push", &name]).failed_with(1);
}

#[test]
fn helpers_keep_what_files_should_not() {
    let rbuild = at_home();
    let (name, host) = (with_image(&rbuild, "helped"), guarded().host());
    let programs = testkit::scratch();
    let helper = programs.path().join("docker-credential-test");
    let kept = programs.path().join("kept");
    let script = format!(
        "#!/bin/sh\ninput=$(cat)\ncase $1 in\n\
         store) echo \"$input\" > {0} ;;\n\
         get) [ -e {0} ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
              grep -q \"\\\"$input\\\"\" {0} && cat {0} ;;\n\
         erase) rm {0} ;;\nesac\n",
        kept.display()
    );
    command::script(&helper, &script);
    let path = format!(
        "{}:{}",
        programs.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let run = |args: &[&str]| command::run(rbuild.command(args).env("PATH", &path));
    let config = docker_config(&rbuild);
    fs::create_dir_all(config.parent().expect("a directory")).expect("a store");
    let helpers = json!({host.as_str(): "test"});
    fs::write(
        &config,
        json!({"credsStore": "absent", "credHelpers": helpers}).to_string(),
    )
    .expect("a store");

    run(&["push", &name]).failed_with(1);
    let done = log_in(&rbuild, "secret", &[("PATH", &path)]);
    assert_eq!(done.succeeded(), "Login Succeeded\n");
    assert!(!done.stderr.contains("unencrypted"), "{done:?}");
    let expected = json!({"ServerURL": host, "Username": "me", "Secret": "secret"});
    assert_eq!(json_of(&kept), expected);
    assert_eq!(json_of(&config)["auths"], json!({host.as_str(): {}}));
    run(&["push", &name]).succeeded();
    run(&["logout", &host]).succeeded();
    assert!(!kept.exists());
    run(&["pull", &name]).failed_with(1);

    command::script(&helper, "#!/bin/sh\necho the keychain is locked\nexit 2\n");
    let outcome = run(&["pull", &name]);
    outcome.failed_with(1);
    outcome.says(&["`docker-credential-test get` failed: the keychain is locked"]);
}

#[test]
fn a_damaged_file_is_one_error_with_its_place() {
    let rbuild = at_home();
    let config = docker_config(&rbuild);
    fs::create_dir_all(config.parent().expect("a directory")).expect("a store");
    fs::write(&config, "{\"auths\":\n  {\"a.io\": secret}}").expect("a store");
    let outcome = rbuild.run(["pull", &format!("{}/image", guarded().host())]);
    outcome.failed_with(1);
    outcome.says(&[".docker/config.json:2:"]);
    assert!(!outcome.stderr.contains("secret"), "{outcome:?}");
}

#[test]
fn a_password_that_is_typed_is_not_shown() {
    let rbuild = at_home();
    let host = guarded().host();
    let plain = rbuild.command(["login", &host]);
    let program = plain.get_program().to_str().expect("a path").to_owned();
    let mut command = Command::new("script");
    command
        .args(["-qec", &format!("{program} login {host}"), "/dev/null"])
        .env("RBUILD_STORE", rbuild.store())
        .env("HOME", rbuild.store())
        .env_remove("REGISTRY_AUTH_FILE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("`script` can be run");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut said = String::new();
    for (question, answer) in [("Username: ", "me\n"), ("Password: ", "secret\n")] {
        while !said.ends_with(question) {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("it asks");
            said.push(char::from(byte[0]));
        }
        stdin.write_all(answer.as_bytes()).expect("it reads");
    }
    stdout.read_to_string(&mut said).expect("it ends");
    assert!(child.wait().expect("it was started").success(), "{said}");
    assert!(
        said.contains("Login Succeeded") && !said.contains("secret"),
        "{said}"
    );
    let user = &json_of(&docker_config(&rbuild))["auths"][&host]["auth"];
    assert_eq!(user, "bWU6c2VjcmV0");
}
