use super::{Diagnostic, render};
use crate::source::SourceText;
use crate::span::Span;

const TEXT: &str = "FROM busybox\nRUN one \\\n  two \\\n  three\nCOPY\tä 漢字 x\n\x1b[31m\u{0}\n";

fn show(diagnostic: &Diagnostic) -> String {
    render(diagnostic, &SourceText::new("dir/Dockerfile", TEXT), false)
}

fn span(part: &str) -> Span {
    let start = TEXT.find(part).map_or(0, |at| at as u32);
    Span::new(start, start + part.len() as u32)
}

#[test]
fn a_word_is_underlined() {
    let shown = show(&Diagnostic::error("no such image", span("busybox")).with_help("look again"));
    let expected = "\
error: no such image
 --> dir/Dockerfile:1:6
  |
1 | FROM busybox
  |      ^^^^^^^
  = help: look again
";
    assert_eq!(shown, expected);
}

#[test]
fn carets_stand_right_behind_tabs_and_wide_characters() {
    let expected = "\
warning: odd
 --> dir/Dockerfile:5:8
  |
5 | COPY    ä 漢字 x
  |           ^^^^
";
    assert_eq!(show(&Diagnostic::warning("odd", span("漢字"))), expected);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let expected = "\
error: odd
 --> dir/Dockerfile:6:1
  |
6 | \u{fffd}[31m\u{fffd}
  | ^^^^^^
";
    assert_eq!(
        show(&Diagnostic::error("odd", span("\x1b[31m\u{0}"))),
        expected
    );
}

#[test]
fn lines_of_a_long_place_are_marked() {
    let shown = show(
        &Diagnostic::error("exit code 1", span("RUN one \\\n  two \\\n  three"))
            .with_note("begins here", span("FROM")),
    );
    let expected = "\
error: exit code 1
 --> dir/Dockerfile:2:1
  |
2 | > RUN one \\
3 | >   two \\
4 | >   three
  = note: begins here
 ::: dir/Dockerfile:1:1
  |
1 | FROM busybox
  | ^^^^
";
    assert_eq!(shown, expected);
}

#[test]
fn very_long_places_are_cut() {
    let text = "x\n".repeat(50);
    let source = SourceText::new("f", text.as_str());
    let shown = render(
        &Diagnostic::error("long", Span::new(0, 100)),
        &source,
        false,
    );
    assert_eq!(shown.lines().count(), 3 + 7 + 1);
    assert!(shown.ends_with("7 | > x\n   | ...\n"), "{shown}");
}

#[test]
fn the_end_of_the_text_is_a_place() {
    let source = SourceText::new("f", "FROM a\nRUN ");
    let shown = render(&Diagnostic::error("end", Span::new(11, 11)), &source, false);
    assert_eq!(shown, "error: end\n --> f:2:5\n  |\n2 | RUN\n  |     ^\n");
    let shown = render(
        &Diagnostic::error("beyond", Span::new(99, 100)),
        &source,
        false,
    );
    assert!(shown.contains("f:2:5"), "{shown}");
}

#[test]
fn what_has_no_place_names_the_file() {
    let shown = show(&Diagnostic::error("empty", None));
    assert_eq!(shown, "error: empty\n --> dir/Dockerfile\n");
}

#[test]
fn colours_are_there_when_asked_for() {
    let source = SourceText::new("f", "FROM a");
    let diagnostic =
        Diagnostic::warning("w", Span::new(5, 6)).with_rule(&crate::lint::json_args::RULE);
    let expected = "\x1b[1;33mwarning[JSONArgsRecommended]\x1b[0m: w
 \x1b[1;34m-->\x1b[0m f:1:6
  \x1b[1;34m|\x1b[0m
\x1b[1;34m1 |\x1b[0m FROM a
  \x1b[1;34m|\x1b[0m      \x1b[1;33m^\x1b[0m
";
    assert_eq!(render(&diagnostic, &source, true), expected);
}
