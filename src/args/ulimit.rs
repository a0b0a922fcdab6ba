//! `--ulimit`: a limit of the processes of steps.

use std::str::FromStr;

use engine::build::{Limit, Resource};

use super::BadValue;

/// One limit, from `NAME=SOFT[:HARD]`; -1 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UlimitArg(pub Limit);

const NAMES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

impl FromStr for UlimitArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (name, values) = text
            .split_once('=')
            .ok_or_else(|| BadValue::new(format!("`{text}` must be written `NAME=SOFT[:HARD]`")))?;
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let (_, resource) = known.ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            BadValue::new(format!(
                "`{name}` is not a limit; use one of {}",
                names.join(", ")
            ))
        })?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let limit = Limit {
            resource: *resource,
            soft: number(soft)?,
            hard: number(hard)?,
        };
        let exceeds = match (limit.soft, limit.hard) {
            (Some(soft), Some(hard)) => soft > hard,
            (soft, hard) => soft.is_none() && hard.is_some(),
        };
        if exceeds {
            return Err(BadValue::new(format!(
                "the soft limit of `{name}` must not be above the hard one"
            )));
        }
        Ok(Self(limit))
    }
}

fn number(text: &str) -> Result<Option<u64>, BadValue> {
    if text == "-1" {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|_| !text.starts_with('+'));
    let bad = || BadValue::new(format!("`{text}` is not a number, or -1 for no limit"));
    number.map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_understood() {
        for (text, soft, hard) in [
            ("nofile=1024", Some(1024), Some(1024)),
            ("nofile=1024:2048", Some(1024), Some(2048)),
            ("core=0:-1", Some(0), None),
            ("stack=-1", None, None),
        ] {
            let UlimitArg(limit) = text.parse().expect(text);
            assert_eq!((limit.soft, limit.hard), (soft, hard), "{text}");
        }
        for text in [
            "nofile",
            "files=1",
            "nofile=a",
            "nofile=2:1",
            "nofile=-1:1",
            "nofile=+1",
        ] {
            assert!(text.parse::<UlimitArg>().is_err(), "{text}");
        }
    }
}
