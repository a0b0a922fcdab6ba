#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::ast::{Dockerfile, Instruction, Kind};
use super::{parse, parse_trigger};
use crate::source::SourceText;
use crate::span::Span;

fn parsed(text: &str) -> (SourceText, Dockerfile) {
    let parsed = parse("Dockerfile", text.as_bytes());
    (parsed.text, parsed.dockerfile.unwrap())
}

fn at(source: &SourceText, span: Span) -> &str {
    &source.text()[span.start as usize..span.end as usize]
}

fn instruction(dockerfile: &Dockerfile, index: usize) -> &Instruction {
    &dockerfile.stages[0].instructions[index]
}

#[test]
fn every_word_knows_its_place() {
    let (source, dockerfile) = parsed(
        "\u{feff}from --platform=linux/amd64 busybox  as  Name\n\
         ENV one=1 \\\n    two='2 3' \\\n  # comment\n  three=4\n\
         COPY --from=x --chown=a:b \\\n  src/ü dest\n\
         RUN --mount=type=cache,target=/x \\\n  --network=none make\n",
    );
    let stage = &dockerfile.stages[0];
    assert_eq!(at(&source, stage.keyword.span), "from");
    assert_eq!(at(&source, stage.base.span), "busybox");
    assert_eq!(stage.platform.as_ref().unwrap().text, "linux/amd64");
    assert_eq!(
        at(&source, stage.platform.as_ref().unwrap().span),
        "--platform=linux/amd64"
    );
    let (keyword, name) = stage.named.as_ref().unwrap();
    assert_eq!(at(&source, keyword.span), "as");
    assert_eq!(at(&source, name.span), "Name");
    assert_eq!(stage.name.as_deref(), Some("name"));

    let Kind::Env(pairs) = &instruction(&dockerfile, 0).kind else {
        panic!();
    };
    let places: Vec<_> = pairs
        .pairs
        .iter()
        .map(|(key, _)| at(&source, key.span))
        .collect();
    assert_eq!(places, ["one=1", "two='2 3'", "three=4"]);

    let Kind::Copy(flags, sources) = &instruction(&dockerfile, 1).kind else {
        panic!();
    };
    assert_eq!(at(&source, flags.from.as_ref().unwrap().span), "--from=x");
    assert_eq!(at(&source, sources.paths[0].span), "src/ü");
    assert_eq!(at(&source, sources.dest.span), "dest");

    let Kind::Run(flags, command) = &instruction(&dockerfile, 2).kind else {
        panic!();
    };
    assert_eq!(
        at(&source, flags.mounts[0].span),
        "--mount=type=cache,target=/x"
    );
    assert_eq!(at(&source, command.span), "make");
    assert_eq!(
        at(&source, instruction(&dockerfile, 2).span),
        "RUN --mount=type=cache,target=/x \\\n  --network=none make"
    );
}

#[test]
fn heredocs_are_kept_as_written() {
    let (source, dockerfile) = parsed(
        "FROM a\nRUN <<-ONE cat 3<<'TWO' \\\n && x\n\tone $x\r\n# no comment\n\tONE\ntwo \\\nTWO\nUSER u\n",
    );
    let Kind::Run(_, command) = &instruction(&dockerfile, 0).kind else {
        panic!();
    };
    let [one, two] = command.heredocs.as_slice() else {
        panic!();
    };
    assert_eq!(one.content, "\tone $x\r\n# no comment\n");
    assert_eq!((one.expand, one.strip_tabs), (true, true));
    assert_eq!(two.content, "two \\\n");
    assert_eq!((two.expand, two.strip_tabs), (false, false));
    assert_eq!(at(&source, two.span), "two \\\n");
    assert!(matches!(instruction(&dockerfile, 1).kind, Kind::User(_)));
}

#[test]
fn json_and_other_instructions_take_no_heredoc() {
    for text in [
        "FROM a\nRUN [\"cat\", \"<<EOF\"]\nUSER u\n",
        "FROM a\nCMD cat <<EOF\nUSER u\n",
        "FROM a\nENV a=<<EOF\nUSER u\n",
        "FROM a\nONBUILD CMD <<EOF\nUSER u\n",
    ] {
        let (_, dockerfile) = parsed(text);
        assert!(
            matches!(instruction(&dockerfile, 1).kind, Kind::User(_)),
            "{text}"
        );
    }
}

#[test]
fn comments_belong_to_what_they_stand_above() {
    let (_, dockerfile) = parsed(
        "# about a\nFROM a\n# far away\n\n# first\n  # second\nRUN x \\\n # inside\n y\nRUN z\n",
    );
    assert_eq!(dockerfile.stages[0].comments, ["about a"]);
    assert_eq!(instruction(&dockerfile, 0).comments, ["first", "second"]);
    assert!(instruction(&dockerfile, 1).comments.is_empty());
    assert_eq!(instruction(&dockerfile, 0).code, "RUN x  y");
}

#[test]
fn lines_are_joined_as_in_buildkit() {
    let cases = [
        ("RUN a \\\n  b", "RUN a   b"),
        ("RUN a\\\nb", "RUN ab"),
        ("RUN a \\  \t\nb", "RUN a b"),
        ("RUN a \\\\\nUSER b", "RUN a \\\\"),
        ("RUN a \\", "RUN a"),
        ("\\\nRUN a", "RUN a"),
        ("RUN a \\\n\\\nb", "RUN a b"),
        ("RUN a # b", "RUN a # b"),
    ];
    for (text, code) in cases {
        let (_, dockerfile) = parsed(&format!("FROM a\n{text}\n"));
        assert_eq!(instruction(&dockerfile, 0).code, code, "{text}");
    }
}

#[test]
fn triggers_are_single_instructions() {
    let span = Span::new(1, 2);
    let trigger = parse_trigger("COPY <<EOF /x\n$y\nEOF", span).unwrap();
    assert_eq!((trigger.span, trigger.keyword.span), (span, span));
    let Kind::Copy(_, sources) = trigger.kind else {
        panic!();
    };
    assert_eq!(sources.heredocs[0].0.content, "$y\n");
    for text in [
        "",
        "# nothing",
        "RUN a\nRUN b",
        "FROM a",
        "ONBUILD RUN a",
        "NOPE",
    ] {
        let error = parse_trigger(text, span).unwrap_err();
        assert_eq!(error.span, Some(span), "{text}");
    }
}

#[test]
fn stage_names_are_listed() {
    let (_, dockerfile) = parsed("ARG a\nFROM x AS One\nFROM y\nFROM z as three\n");
    let names: Vec<_> = dockerfile.stage_names().collect();
    assert_eq!(names, [Some("one"), None, Some("three")]);
}
