//! `RUN` and its flags.

use std::ops::Range;

use super::ast::{Kind, MountField, MountFlag, RunFlags, ServiceFlag};
use super::flags::Takes;
use super::instruction::Request;
use super::logical::Word;
use crate::diagnostic::{Diagnostic, shortened};
use crate::span::Span;

/// The longest name of a host (RFC 1035).
const MAX_HOST_NAME: usize = 253;

pub(super) const FLAGS: [(&str, Takes); 7] = [
    ("cache-ttl", Takes::Value),
    ("device", Takes::Values),
    ("mount", Takes::Values),
    ("network", Takes::Value),
    ("no-cache", Takes::Bool),
    ("security", Takes::Value),
    ("service", Takes::Values),
];

pub(super) fn parse(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    let flags = request.flags(&FLAGS)?;
    let mounts = flags
        .values("mount")
        .iter()
        .map(mount)
        .collect::<Result<_, _>>()?;
    let services = flags
        .values("service")
        .iter()
        .map(service)
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
        no_cache: flags.switch("no-cache"),
        cache_ttl: flags.value("cache-ttl"),
        services,
    };
    Ok(Kind::Run(flags, command))
}

/// `NAME`, a stage or image, or `NAME,image=IMAGE`.
fn service(flag: &Word) -> Result<ServiceFlag, Diagnostic> {
    let error = |message: String| Diagnostic::error(message, flag.span);
    let (first, image) = match flag.text.split_once(',') {
        None => (flag.text.as_str(), None),
        Some((first, rest)) => match rest.split_once('=') {
            Some(("image", image)) if !image.is_empty() && !image.contains(',') => {
                (first, Some(image))
            }
            _ => {
                return Err(
                    error(format!("unexpected `{}` in `--service`", shortened(rest)))
                        .with_help("write `--service=NAME` or `--service=NAME,image=IMAGE`"),
                );
            }
        },
    };
    let image = image.unwrap_or(first);
    if image.contains('$') {
        return Err(
            error("`--service` doesn't support variable expansion".to_owned())
                .with_help("define an alias stage instead: `FROM $image AS name`"),
        );
    }
    let name = if image == first {
        let last = first.rsplit('/').next().unwrap_or(first);
        last.split(['@', ':']).next().unwrap_or(last)
    } else {
        first
    };
    let is_part = |part: &str| {
        let inner = |next: char| next.is_ascii_alphanumeric() || matches!(next, '-' | '_');
        !part.is_empty() && !part.starts_with('-') && part.chars().all(inner)
    };
    if name.len() > MAX_HOST_NAME
        || name.eq_ignore_ascii_case("localhost")
        || !name.split('.').all(is_part)
    {
        return Err(error(format!(
            "`{}` can't be the name of a service",
            shortened(name)
        ))
        .with_help("it is a host name, such as `db`: `--service=db,image=IMAGE`"));
    }
    Ok(ServiceFlag {
        name: name.to_owned(),
        image: image.to_owned(),
        span: flag.span,
    })
}

fn mount(flag: &Word) -> Result<MountFlag, Diagnostic> {
    let mut fields = Vec::new();
    let mut from = None;
    for (field, place) in comma_separated(flag)? {
        let span = span_of(flag, &place);
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
            None => (field.to_lowercase(), None),
        };
        if let Some(value) = &value
            && key == "from"
        {
            if value.trim_end_matches('$').contains('$') {
                return Err(
                    Diagnostic::error("`from` doesn't support variable expansion", span)
                        .with_help("define an alias stage instead: `FROM $image AS name`"),
                );
            }
            from = Some(value.clone()).filter(|value| !value.is_empty());
        } else {
            fields.push(MountField { key, value, span });
        }
    }
    Ok(MountFlag {
        fields,
        from,
        span: flag.span,
    })
}

/// Where a part of a flag's value stands: within the flag if that is written as it reads, without quotes or escapes.
fn span_of(flag: &Word, part: &Range<usize>) -> Span {
    let Span { start, end } = flag.span;
    let written = (end - start) as usize;
    if written != "--mount=".len() + flag.text.len() {
        return flag.span;
    }
    let value = end - flag.text.len() as u32;
    Span::new(value + part.start as u32, value + part.end as u32)
}

/// The fields of one line of comma-separated values, and where in it they are.
fn comma_separated(flag: &Word) -> Result<Vec<(String, Range<usize>)>, Diagnostic> {
    let mut fields = Vec::new();
    let mut rest = Some(flag.text.as_str());
    while let Some(text) = rest {
        let (field, behind) = first_field(text).map_err(|problem| {
            Diagnostic::error(
                format!("invalid `--mount` value `{}`: {problem}", flag.text),
                flag.span,
            )
        })?;
        let behind_field = behind.map_or(0, |behind| behind.len() + 1);
        let start = flag.text.len() - text.len();
        fields.push((field, start..flag.text.len() - behind_field));
        rest = behind;
    }
    Ok(fields)
}

/// The first field and what is behind its comma. A field in double quotes may hold commas, and `""` for a quote.
fn first_field(text: &str) -> Result<(String, Option<&str>), &'static str> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (field, behind) = match text.split_once(',') {
            Some((field, behind)) => (field, Some(behind)),
            None => (text, None),
        };
        if field.contains('"') {
            return Err("a quote in a field that does not begin with one");
        }
        return Ok((field.to_owned(), behind));
    };
    let mut field = String::new();
    loop {
        let (part, behind) = rest.split_once('"').ok_or("a quote is not closed")?;
        field.push_str(part);
        if let Some(behind) = behind.strip_prefix('"') {
            field.push('"');
            rest = behind;
        } else if let Some(behind) = behind.strip_prefix(',') {
            return Ok((field, Some(behind)));
        } else if behind.is_empty() {
            return Ok((field, None));
        } else {
            return Err("text behind a quoted field");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Option<Vec<String>> {
        let word = Word {
            text: text.to_owned(),
            span: Span::default(),
        };
        let fields = comma_separated(&word).ok()?;
        Some(fields.into_iter().map(|(field, _)| field).collect())
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
