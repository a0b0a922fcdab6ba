//! `--ssh`: the SSH agents that steps may use.

use std::path::PathBuf;
use std::str::FromStr;

use super::BadValue;

/// One `--ssh`: `ID`, or `ID=SOCKET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshArg {
    /// By what steps ask for it.
    pub id: String,
    /// The agent's socket; `None` for that of `$SSH_AUTH_SOCK`.
    pub socket: Option<PathBuf>,
}

impl FromStr for SshArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (id, socket) = match text.split_once('=') {
            Some((id, socket)) => (id, Some(socket)),
            None => (text, None),
        };
        if id.is_empty() || socket == Some("") {
            return Err(BadValue::new(format!(
                "`{text}` must be written `ID` or `ID=SOCKET`"
            )));
        }
        if socket.is_some_and(|socket| socket.contains(',')) {
            return Err(BadValue::new(format!(
                "`{text}` names several files; give the socket of one agent that has all the keys"
            )));
        }
        Ok(Self {
            id: id.to_owned(),
            socket: socket.map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_understood() {
        for (text, id, socket) in [
            ("default", "default", None),
            ("git=/run/agent", "git", Some("/run/agent")),
        ] {
            let arg: SshArg = text.parse().expect(text);
            assert_eq!(arg.id, id);
            assert_eq!(arg.socket, socket.map(PathBuf::from));
        }
        for text in ["", "=x", "a=", "a=x,y", "a=x,raw=true"] {
            assert!(text.parse::<SshArg>().is_err(), "{text}");
        }
    }
}
