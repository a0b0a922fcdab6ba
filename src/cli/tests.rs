//! Command lines.

use super::*;

fn parsed(words: &[&str]) -> Result<Cli, clap::Error> {
    parse(
        std::iter::once("rbuild")
            .chain(words.iter().copied())
            .map(OsString::from),
    )
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_command_it_is_a_build() {
    for words in [
        &["-t", "x", "."][..],
        &["."],
        &["build", "-t", "x", "."],
        &["--store", "/s", "-t", "x", "."],
        &["-D", "."],
        &["--registries", "/r", "."],
        &["--registries=/r", "-t", "x", "."],
        &["--layers=directory", "--progress", "plain", "."],
        &["--no-cache", ".", "--store=/s"],
    ] {
        let cli = parsed(words).expect("a command line");
        assert!(matches!(cli.command, Command::Build(_)), "{words:?}");
    }
    assert!(matches!(
        parsed(&["-D", "images"]).expect("a command line").command,
        Command::Images(_)
    ));
    assert!(matches!(
        parsed(&["version"]).expect("a command line").command,
        Command::Version
    ));
}

#[test]
fn help_and_version_are_not_builds() {
    for (words, kind) in [
        (&["--help"][..], ErrorKind::DisplayHelp),
        (&["help"], ErrorKind::DisplayHelp),
        (&["--version"], ErrorKind::DisplayVersion),
        (&["-v"], ErrorKind::DisplayVersion),
        (&["build", "--help"], ErrorKind::DisplayHelp),
        (&[], ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        (&["build"], ErrorKind::MissingRequiredArgument),
        (&["--nonsense", "."], ErrorKind::UnknownArgument),
    ] {
        assert_eq!(
            parsed(words).expect_err("no command").kind(),
            kind,
            "{words:?}"
        );
    }
}

#[test]
fn global_flags_may_stand_anywhere() {
    for words in [
        &["--store", "/s", "--layers", "erofs", "images"][..],
        &["images", "--store=/s", "--layers", "erofs"],
    ] {
        let cli = parsed(words).expect("a command line");
        assert_eq!(cli.global.store, Some(PathBuf::from("/s")));
        assert_eq!(cli.global.layers, LayersForm::Erofs);
    }
}

#[test]
fn flags_that_docker_has_are_told_from_typing_mistakes() {
    for words in [
        &["--squash", "."][..],
        &["build", "--cache-from=x", "."],
        &["run", "-p", "80:80", "x"],
        &["run", "--privileged", "x"],
        &["ps", "--filter", "a=b"],
    ] {
        let text = parsed(words).expect_err("an error").to_string();
        assert!(text.contains("is not supported yet"), "{text}");
    }
    let text = parsed(&["run", "--privilegde", "x"])
        .expect_err("an error")
        .to_string();
    assert!(!text.contains("supported yet"), "{text}");
}

#[test]
fn slips_in_the_names_of_commands_are_told() {
    let told = |arguments: &[&str]| {
        let arguments = std::iter::once("rbuild").chain(arguments.iter().copied());
        let parsed = parse(arguments.map(OsString::from));
        parsed.expect_err("no such command").to_string()
    };
    let text = told(&["biuld", "."]);
    assert!(
        text.contains("'biuld'") && text.contains("'build'"),
        "{text}"
    );
    assert!(told(&["imges", "ls"]).contains("'images'"));
    // What is a directory is a context.
    assert!(told(&["src", "x"]).contains("'x'"));
}
