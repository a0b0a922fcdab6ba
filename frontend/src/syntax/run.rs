//! `RUN` and its flags.

use super::ast::{Kind, MountFlag, RunFlags};
use super::flags::Takes;
use super::instruction::Request;
use super::logical::Word;
use crate::diagnostic::Diagnostic;

const FLAGS: [(&str, Takes); 4] = [
    ("device", Takes::Values),
    ("mount", Takes::Values),
    ("network", Takes::Value),
    ("security", Takes::Value),
];

pub(super) fn parse(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    let flags = request.flags(&FLAGS)?;
    let mounts = flags
        .values("mount")
        .iter()
        .map(mount)
        .collect::<Result<_, _>>()?;
    let command = request.command_line()?;
    if !command.shell && command.args.is_empty() {
        return Err(request.error("requires a command"));
    }
    let flags = RunFlags {
        mounts,
        network: flags.value("network"),
        security: flags.value("security"),
        devices: flags.values("device"),
    };
    Ok(Kind::Run(flags, command))
}

fn mount(flag: &Word) -> Result<MountFlag, Diagnostic> {
    let mut fields = Vec::new();
    let mut from = None;
    for field in comma_separated(flag)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
            None => (field.to_lowercase(), None),
        };
        if let Some(value) = &value
            && key == "from"
        {
            if value.trim_end_matches('$').contains('$') {
                return Err(Diagnostic::error(
                    "`from` doesn't support variable expansion",
                    flag.span,
                )
                .with_help("define an alias stage instead: `FROM $image AS name`"));
            }
            from = Some(value.clone()).filter(|value| !value.is_empty());
        } else {
            fields.push((key, value));
        }
    }
    Ok(MountFlag {
        fields,
        from,
        span: flag.span,
    })
}

/// The fields of one line of comma-separated values; a field in double quotes may hold commas, and `""` for a quote.
fn comma_separated(flag: &Word) -> Result<Vec<String>, Diagnostic> {
    let error = |message: &str| {
        Diagnostic::error(
            format!("invalid `--mount` value `{}`: {message}", flag.text),
            flag.span,
        )
    };
    let mut fields = Vec::new();
    let mut rest = flag.text.as_str();
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, tail) = rest
                .split_once(',')
                .map_or((rest, None), |(f, t)| (f, Some(t)));
            if field.contains('"') {
                return Err(error("a quote in a field that does not begin with one"));
            }
            fields.push(field.to_owned());
            match tail {
                Some(tail) => rest = tail,
                None => return Ok(fields),
            }
            continue;
        };
        let mut field = String::new();
        let mut tail = quoted;
        loop {
            let Some((part, behind)) = tail.split_once('"') else {
                return Err(error("a quote is not closed"));
            };
            field.push_str(part);
            match behind.strip_prefix('"') {
                Some(behind) => {
                    field.push('"');
                    tail = behind;
                }
                None => {
                    tail = behind;
                    break;
                }
            }
        }
        fields.push(field);
        match tail.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if tail.is_empty() => return Ok(fields),
            None => return Err(error("text behind a quoted field")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    fn fields(text: &str) -> Option<Vec<String>> {
        let word = Word {
            text: text.to_owned(),
            span: Span::default(),
        };
        comma_separated(&word).ok()
    }

    #[test]
    fn fields_are_separated() {
        let cases: [(&str, Option<&[&str]>); 7] = [
            ("type=bind,source=.", Some(&["type=bind", "source=."])),
            ("", Some(&[""])),
            ("a,,b", Some(&["a", "", "b"])),
            ("\"source=a,b\",rw", Some(&["source=a,b", "rw"])),
            ("\"a\"\"b\"", Some(&["a\"b"])),
            ("a\"b", None),
            ("\"ab", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|list| list.iter().map(|f| (*f).to_owned()).collect());
            assert_eq!(fields(text), expected, "{text}");
        }
    }
}
