//! One instruction: from its logical line to its typed form. Each function has the arguments of one keyword;
//! what they accept is what BuildKit accepts (`frontend/dockerfile/instructions/parse.go`).

use super::ast::{Argument, CommandLine, Healthcheck, Instruction, KeyValues, Kind, Onbuild};
use super::duration;
use super::files;
use super::flags::{Flags, Takes};
use super::heredoc::Heredoc;
use super::logical::{Slice, Word};
use super::run;
use super::split::{Json, Split, blank_separated, json_strings, quoted_words, split_line};
use crate::diagnostic::{Diagnostic, shortened};
use crate::language;
use crate::span::Span;

/// The keywords of all instructions.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// What the arguments of an instruction are read from.
pub(super) struct Request<'a> {
    /// The keyword in upper case.
    pub(super) name: String,
    pub(super) split: Split<'a>,
    pub(super) heredocs: Vec<Heredoc>,
    pub(super) escape: char,
    pub(super) span: Span,
}

impl<'a> Request<'a> {
    pub(super) fn new(line: &Slice<'a>, escape: char) -> Self {
        let split = split_line(line);
        Self {
            name: split.keyword.text().to_ascii_uppercase(),
            heredocs: Vec::new(),
            escape,
            span: line.span(),
            split,
        }
    }

    /// Whether here-documents may follow the line: instructions that take them, unless written as JSON.
    pub(super) fn takes_heredocs(&self) -> bool {
        match self.name.as_str() {
            "ADD" | "COPY" | "RUN" => matches!(json_strings(self.split.rest.text()), Json::No),
            "ONBUILD" => Self::new(&self.split.rest, self.escape).takes_trigger_heredocs(),
            _ => false,
        }
    }

    fn takes_trigger_heredocs(&self) -> bool {
        self.name != "ONBUILD" && self.takes_heredocs()
    }

    pub(super) fn flags(&self, known: &[(&'static str, Takes)]) -> Result<Flags, Diagnostic> {
        Flags::read(&self.split.flags, known)
    }

    pub(super) fn error(&self, message: impl std::fmt::Display) -> Diagnostic {
        let error = Diagnostic::error(format!("{} {message}", self.name), self.span);
        match language::usage(&self.name) {
            Some(usage) => error.with_help(usage),
            None => error,
        }
    }

    /// The words of a list that is JSON or separated by blanks.
    pub(super) fn list(&self) -> Result<Vec<Word>, Diagnostic> {
        let rest = &self.split.rest;
        match json_strings(rest.text()) {
            Json::Strings(strings) => Ok(strings
                .into_iter()
                .map(|string| rest.word_of(string))
                .collect()),
            Json::OtherValues => Err(not_strings(rest)),
            Json::No => Ok(blank_separated(rest)),
        }
    }

    /// The command of `RUN`, `CMD` and `ENTRYPOINT`.
    pub(super) fn command_line(&self) -> Result<CommandLine, Diagnostic> {
        let rest = &self.split.rest;
        let (args, shell) = command(rest)?;
        Ok(CommandLine {
            args,
            shell,
            heredocs: self.heredocs.clone(),
            span: if rest.is_empty() {
                self.span
            } else {
                rest.span()
            },
        })
    }

    /// The rest of the line as one argument.
    fn only_argument(&self) -> Result<Word, Diagnostic> {
        if self.split.rest.is_empty() {
            return Err(self.error("requires exactly one argument"));
        }
        Ok(self.split.rest.word())
    }

    fn at_least_one<T>(&self, list: Vec<T>) -> Result<Vec<T>, Diagnostic> {
        if list.is_empty() {
            return Err(self.error("requires at least one argument"));
        }
        Ok(list)
    }
}

fn not_strings(rest: &Slice<'_>) -> Diagnostic {
    Diagnostic::error(
        "when using JSON array syntax, arrays must be comprised of strings only",
        rest.span(),
    )
}

/// Arguments, and whether they are for the shell. What looks like JSON and is not, is.
fn command(rest: &Slice<'_>) -> Result<(Vec<String>, bool), Diagnostic> {
    match json_strings(rest.text()) {
        Json::Strings(strings) => Ok((strings, false)),
        Json::OtherValues => Err(not_strings(rest)),
        Json::No if rest.is_empty() => Ok((Vec::new(), true)),
        Json::No => Ok((vec![rest.text().to_owned()], true)),
    }
}

/// Reads an instruction other than `FROM`.
pub(super) fn parse(request: &Request<'_>, line: &Slice<'_>) -> Result<Instruction, Diagnostic> {
    let kind = match request.name.as_str() {
        "ADD" => files::add(request)?,
        "ARG" => arg(request)?,
        "CMD" => Kind::Cmd(plain_command(request)?),
        "COPY" => files::copy(request)?,
        "ENTRYPOINT" => Kind::Entrypoint(plain_command(request)?),
        "ENV" => Kind::Env(key_values(request)?),
        "EXPOSE" => expose(request)?,
        "HEALTHCHECK" => Kind::Healthcheck(healthcheck(request)?),
        "LABEL" => Kind::Label(key_values(request)?),
        "MAINTAINER" => Kind::Maintainer(one_argument(request)?),
        "ONBUILD" => onbuild(request)?,
        "RUN" => run::parse(request)?,
        "SHELL" => shell(request)?,
        "STOPSIGNAL" => Kind::Stopsignal(one_argument(request)?),
        "USER" => Kind::User(one_argument(request)?),
        "VOLUME" => volume(request)?,
        "WORKDIR" => Kind::Workdir(one_argument(request)?),
        _ => return Err(unknown(request)),
    };
    Ok(Instruction {
        kind,
        keyword: request.split.keyword.word(),
        code: line.text().to_owned(),
        span: request.span,
        comments: Vec::new(),
    })
}

fn unknown(request: &Request<'_>) -> Diagnostic {
    let keyword = &request.split.keyword;
    let message = format!("unknown instruction: `{}`", shortened(keyword.text()));
    Diagnostic::error(message, keyword.span()).with_suggestion(keyword.text(), KEYWORDS)
}

fn one_argument(request: &Request<'_>) -> Result<Word, Diagnostic> {
    let word = request.only_argument()?;
    request.flags(&[])?;
    Ok(word)
}

fn plain_command(request: &Request<'_>) -> Result<CommandLine, Diagnostic> {
    request.flags(&[])?;
    request.command_line()
}

fn arg(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    request.flags(&[])?;
    let words = quoted_words(&request.split.rest, request.escape);
    let mut arguments = Vec::new();
    for word in request.at_least_one(words)? {
        let (name, default) = match word.text.split_once('=') {
            Some((name, default)) => (name, Some(default)),
            None => (word.text.as_str(), None),
        };
        if name.is_empty() {
            return Err(Diagnostic::error("ARG names can not be blank", word.span));
        }
        let at = |text: &str| Word {
            text: text.to_owned(),
            span: word.span,
        };
        arguments.push(Argument {
            name: at(name),
            default: default.map(at),
        });
    }
    Ok(Kind::Arg(arguments))
}

fn key_values(request: &Request<'_>) -> Result<KeyValues, Diagnostic> {
    request.flags(&[])?;
    let rest = &request.split.rest;
    let words = request.at_least_one(quoted_words(rest, request.escape))?;
    let legacy = !words[0].text.contains('=');
    let mut pairs = Vec::new();
    if legacy {
        let text = rest.text();
        let Some(end) = text.find(super::split::is_blank) else {
            return Err(request.error("must have two arguments"));
        };
        let value = rest.rest(end).trim();
        pairs.push((rest.part(0..end).word(), value.word()));
    } else {
        for word in words {
            let Some((key, value)) = word.text.split_once('=') else {
                return Err(Diagnostic::error(
                    format!(
                        "can't find = in `{}`, must be of the form: name=value",
                        word.text
                    ),
                    word.span,
                ));
            };
            if key.is_empty() {
                return Err(Diagnostic::error(
                    format!("{} names can not be blank", request.name),
                    word.span,
                ));
            }
            let at = |text: &str| Word {
                text: text.to_owned(),
                span: word.span,
            };
            pairs.push((at(key), at(value)));
        }
    }
    Ok(KeyValues { pairs, legacy })
}

fn expose(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    let mut ports = request.at_least_one(blank_separated(&request.split.rest))?;
    request.flags(&[])?;
    ports.sort_by(|left, right| left.text.cmp(&right.text));
    Ok(Kind::Expose(ports))
}

fn volume(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    let mut volumes = request.at_least_one(request.list()?)?;
    request.flags(&[])?;
    for volume in &mut volumes {
        volume.text = volume.text.trim().to_owned();
        if volume.text.is_empty() {
            return Err(request.error("specified can not be an empty string"));
        }
    }
    Ok(Kind::Volume(volumes))
}

fn shell(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    request.flags(&[])?;
    let (args, for_shell) = command(&request.split.rest)?;
    let args = request.at_least_one(args)?;
    if for_shell {
        return Err(request.error("requires the arguments to be in JSON form"));
    }
    Ok(Kind::Shell(args))
}

fn onbuild(request: &Request<'_>) -> Result<Kind, Diagnostic> {
    request.flags(&[])?;
    let rest = &request.split.rest;
    if rest.is_empty() {
        return Err(request.error("requires at least one argument"));
    }
    let mut trigger = Request::new(rest, request.escape);
    match trigger.name.as_str() {
        "ONBUILD" => {
            return Err(Diagnostic::error(
                "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
                trigger.split.keyword.span(),
            ));
        }
        "FROM" | "MAINTAINER" => {
            return Err(Diagnostic::error(
                format!("{} isn't allowed as an ONBUILD trigger", trigger.name),
                trigger.split.keyword.span(),
            ));
        }
        _ => {}
    }
    let mut expression = rest.text().to_owned();
    for document in &request.heredocs {
        expression.push('\n');
        expression.push_str(&document.content);
        expression.push_str(&document.name);
    }
    // The trigger must be one that a later build can read.
    trigger.heredocs.clone_from(&request.heredocs);
    let trigger = Box::new(parse(&trigger, rest)?.kind);
    Ok(Kind::Onbuild(Onbuild {
        expression,
        trigger,
    }))
}

pub(super) const HEALTHCHECK_FLAGS: [(&str, Takes); 5] = [
    ("interval", Takes::Value),
    ("timeout", Takes::Value),
    ("start-period", Takes::Value),
    ("start-interval", Takes::Value),
    ("retries", Takes::Value),
];

fn healthcheck(request: &Request<'_>) -> Result<Healthcheck, Diagnostic> {
    let rest = &request.split.rest;
    let text = rest.text();
    if text.is_empty() {
        return Err(request.error("requires at least one argument"));
    }
    let flags = request.flags(&HEALTHCHECK_FLAGS)?;
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (kind, command_text) = (rest.part(0..end), rest.rest(end).trim());
    let (args, for_shell) = command(&command_text)?;
    match kind.text().to_ascii_uppercase().as_str() {
        "NONE" if args.is_empty() => {
            return Ok(Healthcheck {
                test: vec!["NONE".to_owned()],
                ..Healthcheck::default()
            });
        }
        "NONE" => return Err(request.error("NONE takes no arguments")),
        "CMD" if args.is_empty() => {
            return Err(Diagnostic::error(
                "missing command after HEALTHCHECK CMD",
                request.span,
            ));
        }
        "CMD" => {}
        other => {
            return Err(Diagnostic::error(
                format!("unknown type `{other}` in HEALTHCHECK (try CMD)"),
                kind.span(),
            ));
        }
    }
    let form = if for_shell { "CMD-SHELL" } else { "CMD" };
    Ok(Healthcheck {
        test: std::iter::once(form.to_owned()).chain(args).collect(),
        interval: interval(&flags, "interval")?,
        timeout: interval(&flags, "timeout")?,
        start_period: interval(&flags, "start-period")?,
        start_interval: interval(&flags, "start-interval")?,
        retries: retries(&flags)?,
    })
}

/// The shortest duration a health check may have: a millisecond.
const MIN_INTERVAL: u64 = 1_000_000;

fn interval(flags: &Flags, name: &str) -> Result<u64, Diagnostic> {
    let Some(value) = flags.value(name) else {
        return Ok(0);
    };
    match duration::parse(&value.text) {
        None => Err(Diagnostic::error(
            format!("invalid duration `{}` for `--{name}`", value.text),
            value.span,
        )
        .with_help("write a number and a unit, such as `30s` or `1m30s`")),
        Some(nanoseconds @ 1..MIN_INTERVAL) => Err(Diagnostic::error(
            format!("`--{name}` cannot be less than 1ms, but is {nanoseconds}ns"),
            value.span,
        )),
        Some(nanoseconds) => Ok(nanoseconds),
    }
}

fn retries(flags: &Flags) -> Result<u64, Diagnostic> {
    let Some(value) = flags.value("retries") else {
        return Ok(0);
    };
    let number = value.text.parse::<i32>().ok();
    number
        .and_then(|number| u64::try_from(number).ok())
        .ok_or_else(|| {
            Diagnostic::error(
                format!("`--retries` must be a number from 0, not `{}`", value.text),
                value.span,
            )
        })
}
