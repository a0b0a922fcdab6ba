//! The modes of `--chmod`: an octal number, or changes as `chmod(1)` takes them.
//!
//! BuildKit reads them as BSD's `setmode(3)` does, with a file creation mask of 0; so does this.

use std::fmt;
use std::str::FromStr;

/// The highest mode.
const MAX: u32 = 0o7777;
const SET_IDS: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const EXECUTE: u32 = 0o111;

/// What `--chmod` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chmod(Change);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// This mode, whatever it was.
    To(u32),
    /// Changes of what it was, one after another.
    By {
        /// As written.
        text: String,
        actions: Vec<Action>,
    },
}

/// `u+x`: one operator with what it is for and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Action {
    who: u32,
    operator: Operator,
    given: Given,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// Bits, and where `searchable` those of execution for a directory or what could be executed before (`X`).
    Bits { bits: u32, searchable: bool },
    /// What the owner, the group or the others have: a shift of the mode.
    CopyOf(u32),
}

/// A text that is no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMode;

impl Chmod {
    /// What a mode becomes.
    pub fn apply(&self, mode: u32, directory: bool) -> u32 {
        let actions = match &self.0 {
            Change::To(mode) => return *mode,
            Change::By { actions, .. } => actions,
        };
        let searchable = directory || mode & EXECUTE != 0;
        actions
            .iter()
            .fold(mode, |mode, action| action.apply(mode, searchable))
    }
}

impl Action {
    fn apply(self, mode: u32, executable: bool) -> u32 {
        let given = match self.given {
            Given::Bits { bits, searchable } if searchable && executable => bits | EXECUTE,
            Given::Bits { bits, .. } => bits,
            Given::CopyOf(shift) => {
                let one = (mode >> shift) & 0o7;
                one << 6 | one << 3 | one
            }
        };
        match self.operator {
            Operator::Add => mode | (given & self.who),
            Operator::Remove => mode & !(given & self.who),
            // The sticky bit is nobody's: it goes only where it is named.
            Operator::Set => (mode & !(self.who & !STICKY)) | (given & self.who),
        }
    }
}

impl FromStr for Chmod {
    type Err = NoMode;

    fn from_str(text: &str) -> Result<Self, NoMode> {
        let change = if text.starts_with(|first: char| first.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| NoMode)?;
            Change::To((mode <= MAX).then_some(mode).ok_or(NoMode)?)
        } else {
            let mut actions = Vec::new();
            for clause in text.split(',') {
                parse_clause(clause, &mut actions)?;
            }
            let text = text.to_owned();
            Change::By { text, actions }
        };
        Ok(Self(change))
    }
}

impl fmt::Display for Chmod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Change::To(mode) => write!(f, "{mode:o}"),
            Change::By { text, .. } => f.write_str(text),
        }
    }
}

/// Reads `ug+rw-x`: whom it is for, and one operator or more.
fn parse_clause(clause: &str, actions: &mut Vec<Action>) -> Result<(), NoMode> {
    let operators = clause.find(['+', '-', '=']).ok_or(NoMode)?;
    let (whom, mut rest) = clause.split_at(operators);
    let who = whom.chars().try_fold(0, |who, one| {
        Ok(who
            | match one {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o0007,
                'a' => 0o6777,
                _ => return Err(NoMode),
            })
    })?;
    while let Some(operator) = rest.chars().next() {
        let operator = match operator {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            '=' => Operator::Set,
            _ => return Err(NoMode),
        };
        rest = &rest[1..];
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        let (letters, behind) = rest.split_at(end);
        rest = behind;
        actions.push(action(who, operator, letters)?);
    }
    Ok(())
}

fn action(who: u32, operator: Operator, letters: &str) -> Result<Action, NoMode> {
    // Set-id and sticky bits are not given to the others alone.
    let special = who != 0o0007;
    let who = if who == 0 { 0o6777 } else { who };
    let shift = match letters {
        "u" => Some(6),
        "g" => Some(3),
        "o" => Some(0),
        _ => None,
    };
    if let Some(shift) = shift {
        let given = Given::CopyOf(shift);
        return Ok(Action {
            who,
            operator,
            given,
        });
    }
    let (mut bits, mut searchable) = (0, false);
    for letter in letters.chars() {
        match letter {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= EXECUTE,
            'X' => searchable = true,
            's' if special => bits |= SET_IDS,
            't' if special => bits |= STICKY,
            's' | 't' => {}
            _ => return Err(NoMode),
        }
    }
    Ok(Action {
        who: who | (bits & STICKY),
        operator,
        given: Given::Bits { bits, searchable },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, mode: u32, directory: bool) -> u32 {
        let chmod: Chmod = text.parse().expect("a mode");
        assert_eq!(chmod.to_string(), text.trim_start_matches('0'));
        chmod.apply(mode, directory)
    }

    #[test]
    fn modes_change_as_with_setmode() {
        for (text, before, file, directory) in [
            ("755", 0o600, 0o755, 0o755),
            ("04711", 0o600, 0o4711, 0o4711),
            ("+x", 0o644, 0o755, 0o755),
            ("go-w", 0o666, 0o644, 0o644),
            ("u=rwX,go=rX", 0o640, 0o644, 0o755),
            ("u=rwX,go=rX", 0o700, 0o755, 0o755),
            ("=rw,+X", 0o711, 0o777, 0o777),
            ("=rw,+X", 0o600, 0o666, 0o777),
            ("go=", 0o4777, 0o4700, 0o4700),
            ("g=u", 0o640, 0o660, 0o660),
            ("go=u-w", 0o751, 0o755, 0o755),
            ("u+s,g+s", 0o755, 0o6755, 0o6755),
            ("o+s", 0o755, 0o755, 0o755),
            ("a+s", 0o755, 0o6755, 0o6755),
            ("+t", 0o777, 0o1777, 0o1777),
            ("-t", 0o1777, 0o777, 0o777),
            ("u=rw", 0o4755, 0o655, 0o655),
            ("a=r", 0o1777, 0o1444, 0o1444),
            ("u+r-w+x", 0o200, 0o500, 0o500),
            ("a-X", 0o711, 0o600, 0o600),
        ] {
            assert_eq!(apply(text, before, false), file, "{text} of a file");
            assert_eq!(
                apply(text, before, true),
                directory,
                "{text} of a directory"
            );
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in [
            "", "8", "9", "77777", "10000", "0x1", "-1", "u", "u+q", "z+x", "u+x,", ",", "u+ug",
            "7+x",
        ] {
            assert!(text.parse::<Chmod>().is_err(), "{text}");
        }
    }
}
