//! A parser that is not ours must see the same stages and instructions in the Dockerfiles of the test cases.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use parse_dockerfile::Instruction;

/// Files that the other parser reads in another way than BuildKit does, each with the reason.
const KNOWN: [(&str, &str); 8] = [
    ("dashes-end-flags", "a lone `--` ends the flags"),
    ("entrypoint-empty", "`CMD` and `ENTRYPOINT []` may be empty"),
    ("run-heredocs", "a line may ask for several here-documents"),
    ("stage-duplicate", "two stages may have one name"),
    ("flag-dashes", "a lone `--` ends the flags"),
    ("stage-last-wins", "two stages may have one name"),
    (
        "extension-include",
        "it includes files, which are comments there",
    ),
    (
        "run-heredoc-piped",
        "a here-document may have a number in front",
    ),
];

#[test]
fn another_parser_sees_the_same() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/plans");
    let mut compared = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if KNOWN.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let case = std::fs::read_to_string(&path).unwrap();
        let (_, text) = case.split_once("--- Dockerfile\n").unwrap();
        let (text, _) = text.split_once("--- expected\n").unwrap();
        let ours = super::parse(name, text.as_bytes()).dockerfile.unwrap();
        let theirs = match parse_dockerfile::parse(text) {
            Ok(theirs) => theirs,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let stages: Vec<_> = ours
            .stages
            .iter()
            .map(|stage| (stage.base.text.as_str(), stage.instructions.len()))
            .collect();
        let expected: Vec<_> = theirs
            .stages()
            .map(|stage| (&*stage.from.image.value, stage.instructions.len()))
            .collect();
        assert_eq!(stages, expected, "{name}");
        let runs = ours
            .stages
            .iter()
            .flat_map(|stage| &stage.instructions)
            .filter(|instruction| instruction.keyword.text.eq_ignore_ascii_case("run"));
        let expected = theirs
            .instructions
            .iter()
            .filter(|instruction| matches!(instruction, Instruction::Run(_)));
        assert_eq!(runs.count(), expected.count(), "{name}");
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 40, "{compared}");
}
