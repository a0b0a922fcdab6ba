//! Answers for people, as `docker build` writes them.

use std::fmt::Write as _;

use engine::build::examine::{Checked, Outline, SourceText, Span, Target};

use super::detail;

/// What was found.
pub(super) fn check(checked: &Checked) -> String {
    let mut text = match checked.warnings.len() {
        0 if checked.errors.is_empty() => return "Check complete, no warnings found.\n".to_owned(),
        0 => return String::new(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for finding in &checked.warnings {
        let name = finding.rule.map_or("", |rule| rule.name);
        let _ = write!(text, "\nWARNING: {name}");
        if let Some(url) = finding.rule.and_then(engine::build::examine::Rule::url) {
            let _ = write!(text, " - {url}");
        }
        let _ = writeln!(text, "\n{}", printable(&detail(finding)));
        if let Some(span) = finding.span {
            excerpt(&mut text, &checked.source, span);
        }
    }
    if !checked.errors.is_empty() {
        text.push('\n');
    }
    text
}

/// The lines of a place, with some around them.
fn excerpt(text: &mut String, source: &SourceText, span: Span) {
    const RULE: &str = "--------------------";
    let (source, span) = source.origin(span);
    let count = source.line_count();
    let first = source.position(span.start).line;
    let last = source
        .position(span.end.saturating_sub(1).max(span.start))
        .line
        .min(count);
    let (mut start, mut end) = (first, last);
    let wanted = if first == last { 4 } else { 2 };
    let mut added = 0;
    // BuildKit counts each round as a line, too.
    while added < wanted {
        if start > 1 {
            start -= 1;
            added += 1;
        }
        if end < count {
            end += 1;
            added += 1;
        }
        added += 1;
    }
    let _ = writeln!(text, "{}:{first}\n{RULE}", printable(source.name()));
    for number in start..=end {
        let mark = if (first..=last).contains(&number) {
            ">>>"
        } else {
            "   "
        };
        let line = format!(" {number:3} | {mark} {}", printable(source.line(number)));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "{RULE}");
}

/// Without characters that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' => '\t',
            character if character.is_control() => char::REPLACEMENT_CHARACTER,
            character => character,
        })
        .collect()
}

/// What can be given to a build.
pub(super) fn outline(outline: &Outline) -> String {
    let mut text = String::new();
    if !outline.name.is_empty() || !outline.description.is_empty() {
        let name = match outline.name.as_str() {
            "" => "(default)",
            name => name,
        };
        let mut rows = vec![vec!["TARGET:".to_owned(), name.to_owned()]];
        if !outline.description.is_empty() {
            rows.push(vec!["DESCRIPTION:".to_owned(), outline.description.clone()]);
        }
        table(&mut text, 1, &rows);
        text.push('\n');
    }
    if !outline.args.is_empty() {
        let mut rows = vec![heading(&["BUILD ARG", "VALUE", "DESCRIPTION"])];
        rows.extend(
            outline
                .args
                .iter()
                .map(|arg| vec![arg.name.clone(), arg.value.clone(), arg.description.clone()]),
        );
        table(&mut text, 3, &rows);
        text.push('\n');
    }
    for (title, list) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if list.is_empty() {
            continue;
        }
        let mut rows = vec![heading(&[title, "REQUIRED"])];
        rows.extend(list.iter().map(|secret| {
            let required = if secret.required { "true" } else { "" };
            vec![secret.id.clone(), required.to_owned()]
        }));
        table(&mut text, 3, &rows);
        text.push('\n');
    }
    text
}

/// What can be built.
pub(super) fn targets(targets: &[Target]) -> String {
    let mut rows = vec![heading(&["TARGET", "DESCRIPTION"])];
    rows.extend(targets.iter().map(|target| {
        let name = match (target.name.as_str(), target.default) {
            ("", true) => "(default)".to_owned(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        };
        vec![name, target.description.clone()]
    }));
    let mut text = String::new();
    table(&mut text, 3, &rows);
    text
}

fn heading(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|&cell| cell.to_owned()).collect()
}

/// Columns as wide as they need to be, and some blanks.
fn table(text: &mut String, gap: usize, rows: &[Vec<String>]) {
    use crate::display::width;
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .map(|row| width(&printable(&row[column])))
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut line = String::new();
        for (cell, widest) in row.iter().zip(&widths) {
            let cell = printable(cell);
            let blanks = widest + gap - width(&cell);
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
