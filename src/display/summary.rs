//! What is said after the rows: the output of steps that failed, and the warnings.

/// A finding of the frontend, kept until the end.
#[derive(Debug, Clone)]
pub(crate) struct Warning {
    /// The rule, empty for none.
    pub rule: String,
    /// One line.
    pub message: String,
    /// Place, excerpt and caret.
    pub detail: String,
}

/// The last output of a failed step, between rules.
pub(crate) fn failure<'a>(out: &mut Vec<u8>, name: &str, lines: impl Iterator<Item = &'a [u8]>) {
    out.extend_from_slice(b"------\n > ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b":\n");
    for line in lines {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"------\n");
}

/// The list of warnings; with `debug`, each with its excerpt, if it has one.
pub(crate) fn warnings(out: &mut Vec<u8>, warnings: &[Warning], debug: bool) {
    let (count, plural) = match warnings.len() {
        0 => return,
        1 => (1, ""),
        n => (n, "s"),
    };
    let expanded = debug || warnings.iter().all(|warning| warning.detail.is_empty());
    let hint = if expanded {
        ""
    } else {
        " (use --debug to expand)"
    };
    out.extend_from_slice(format!("\n {count} warning{plural} found{hint}:\n").as_bytes());
    for warning in warnings {
        out.extend_from_slice(entry(warning).as_bytes());
        if debug && !warning.detail.is_empty() {
            out.extend_from_slice(warning.detail.trim_end().as_bytes());
            out.extend_from_slice(b"\n\n");
        }
    }
}

fn entry(warning: &Warning) -> String {
    let rule = if warning.rule.is_empty() {
        String::new()
    } else {
        format!("{}: ", warning.rule)
    };
    let place =
        line_number(&warning.detail).map_or_else(String::new, |line| format!(" (line {line})"));
    format!(" - {rule}{}{place}\n", warning.message)
}

/// The line that an excerpt's heading names: ` --> NAME:LINE:COLUMN`.
fn line_number(detail: &str) -> Option<u64> {
    let place = detail
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("--> "))?;
    place.rsplit(':').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(list: &[Warning], debug: bool) -> String {
        let mut out = Vec::new();
        warnings(&mut out, list, debug);
        String::from_utf8(out).expect("warnings are text")
    }

    #[test]
    fn warnings_are_listed_with_their_lines() {
        let list = [
            Warning {
                rule: "LegacyKeyValueFormat".to_owned(),
                message: "use `ENV key=value`".to_owned(),
                detail: "warning[LegacyKeyValueFormat]: at 1:2:3\n --> Dockerfile:3:1\n  |\n3 | ENV a b\n".to_owned(),
            },
            Warning {
                rule: String::new(),
                message: "something else".to_owned(),
                detail: String::new(),
            },
        ];
        assert_eq!(
            text(&list, false),
            "\n 2 warnings found (use --debug to expand):\n - LegacyKeyValueFormat: use `ENV key=value` (line 3)\n - \
             something else\n"
        );
        assert_eq!(
            text(&list[..1], true),
            "\n 1 warning found:\n - LegacyKeyValueFormat: use `ENV key=value` (line 3)\nwarning[LegacyKeyValueFormat]: at \
             1:2:3\n --> Dockerfile:3:1\n  |\n3 | ENV a b\n\n"
        );
        assert_eq!(text(&[], false), "");
    }
}
