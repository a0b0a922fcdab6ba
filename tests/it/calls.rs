//! `--check` and `--call`: what is known of a Dockerfile without a build.

use serde_json::Value;
use testkit::command::Outcome;
use testkit::context::Context;
use testkit::rbuild::Rbuild;

use crate::rbuild;

fn call(rbuild: &Rbuild, context: &Context, flags: &[&str]) -> Outcome {
    let path = context.path().to_str().expect("a path that is text");
    rbuild.run([&["build"], flags, &[path]].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn rules(found: &Value) -> Vec<&str> {
    let warnings = found["warnings"].as_array().expect("a list");
    let names = warnings.iter().map(|warning| warning["ruleName"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

#[test]
fn a_check_finds_things_and_builds_nothing() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch AS Base\nCOPY a /\nCMD serve\n").with("a", "a");
    let outcome = call(&rbuild, &context, &["--check", "-t", "never"]);
    outcome.failed_with(1);
    assert!(
        outcome
            .stdout
            .starts_with("Check complete, 2 warnings have been found!\n"),
        "{}",
        outcome.stdout
    );
    for part in [
        "WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n\
         Stage name 'Base' should be lowercase\nDockerfile:1\n",
        " 3 | >>> CMD serve\n",
    ] {
        assert!(outcome.stdout.contains(part), "{}", outcome.stdout);
    }
    assert_eq!(rbuild.run(["images", "-q"]).succeeded(), "");

    context.dockerfile("# check=skip=StageNameCasing\nFROM scratch AS Base\nCOPY a /\n");
    let outcome = call(&rbuild, &context, &["--call=check"]);
    assert_eq!(outcome.succeeded(), "Check complete, no warnings found.\n");
}

#[test]
fn all_stages_are_checked_unless_one_is_asked_for() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch AS one\nCOPY $a /\nFROM scratch AS two\nCOPY $b /\n");
    let found = |flags: &[&str]| {
        let outcome = call(
            &rbuild,
            &context,
            &[&["--call=check,format=json"], flags].concat(),
        );
        outcome.failed_with(1);
        rules(&json(&outcome.stdout)).len()
    };
    assert_eq!(found(&[]), 2);
    assert_eq!(found(&["--target=one"]), 1);
}

#[test]
fn errors_are_told_with_what_else_was_found() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch AS Base\nCOPY --from=0 a b\nCOPPY a b\n");
    let outcome = call(&rbuild, &context, &["--call=check,format=json"]);
    outcome.failed_with(1);
    let found = json(&outcome.stdout);
    assert_eq!(
        found["buildError"]["message"],
        "unknown instruction: `COPPY`"
    );
    assert_eq!(
        found["buildError"]["location"]["ranges"][0]["start"]["line"],
        3
    );
    outcome.says(&["Dockerfile:3:1", "did you mean `COPY`?", "^^^^^"]);

    // A base image that cannot be had hides nothing else.
    context.dockerfile("FROM localhost:1/none AS Base\nRUN make | tee log\n");
    let outcome = call(&rbuild, &context, &["--call=check,format=json"]);
    outcome.failed_with(1);
    let found = json(&outcome.stdout);
    assert_eq!(rules(&found), ["StageNameCasing", "ShellPipeHidesFailure"]);
    assert_eq!(
        found["buildError"]["location"]["ranges"][0]["start"]["line"],
        1
    );
}

#[test]
fn ignored_sources_are_found_by_builds_and_checks() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch\nCOPY kept *.log /\n")
        .with("kept", "")
        .with(".dockerignore", "*.log\n");
    let message = "Attempting to Copy file \"*.log\" that is excluded by .dockerignore";
    let outcome = call(&rbuild, &context, &["--progress=plain"]);
    outcome.succeeded();
    outcome.says(&["CopyIgnoredFile", message]);
    let outcome = call(&rbuild, &context, &["--call=check,format=json"]);
    outcome.failed_with(1);
    let found = json(&outcome.stdout);
    assert_eq!(rules(&found), ["CopyIgnoredFile"]);
    assert_eq!(found["warnings"][0]["detail"], message);

    context.dockerfile("# check=error=true\nFROM scratch\nCOPY kept *.log /\n");
    let outcome = call(&rbuild, &context, &[]);
    outcome.failed_with(1);
    outcome.says(&[message, "Dockerfile:3:11"]);
}

#[test]
fn rules_for_commands_are_for_checks_only() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch AS other\nRUN cd /x; make\nFROM scratch\nCOPY a /\n")
        .with("a", "");
    let outcome = call(&rbuild, &context, &["--progress=plain"]);
    outcome.succeeded();
    assert!(!outcome.stderr.contains("ShellCd"), "{}", outcome.stderr);
    let outcome = call(&rbuild, &context, &["--call=check,format=sarif"]);
    outcome.failed_with(1);
    let found = json(&outcome.stdout);
    let result = &found["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "ShellCdUnchecked");
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        (&region["startLine"], &region["startColumn"]),
        (&2.into(), &5.into())
    );
    let skip = "BUILDKIT_DOCKERFILE_CHECK=skip=all";
    call(&rbuild, &context, &["--check", "--build-arg", skip]).succeeded();
}

#[test]
fn what_can_be_given_and_built_is_told() {
    let rbuild = rbuild();
    let context = Context::new(
        "# VERSION what is shipped\nARG VERSION=1\nARG unused\nFROM scratch AS base\nARG VERSION\n\
         # app the whole of it\nFROM base AS app\nARG NAME=app-$VERSION\n\
         RUN --mount=type=secret,id=token,required=true make\nFROM scratch\nCOPY a /\n",
    );
    let outcome = call(&rbuild, &context, &["--call=outline", "--target=app"]);
    assert_eq!(
        outcome.succeeded(),
        "TARGET:      app\nDESCRIPTION: the whole of it\n\n\
         BUILD ARG   VALUE   DESCRIPTION\nVERSION     1       what is shipped\nNAME        app-1\n\n\
         SECRET   REQUIRED\ntoken    true\n\n"
    );
    let outcome = call(&rbuild, &context, &["--call=targets"]);
    assert_eq!(
        outcome.succeeded(),
        "TARGET      DESCRIPTION\nbase\napp         the whole of it\n(default)\n"
    );
    let outcome = call(&rbuild, &context, &["--call=outline", "--target=ap"]);
    outcome.failed_with(1);
    outcome.says(&["did you mean `app`?"]);
}
