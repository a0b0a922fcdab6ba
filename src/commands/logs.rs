//! `rbuild logs`.

use clap::Args;
use engine::event::Stream;

use super::{Context, inspect_time};
use crate::backend::{Backend, LogPiece, LogQuery};
use crate::error::Error;
use crate::printer::Printer;
use crate::signals::interruptible;

/// Flags of `rbuild logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The container: a name or an ID
    #[arg(value_name = "CONTAINER")]
    pub container: String,
    /// Go on until the container ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines, or `all`
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail)]
    pub tail: Tail,
    /// Print the time before each line
    #[arg(short, long)]
    pub timestamps: bool,
}

/// How many lines; `None` for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail(Option<usize>);

/// Prints a container's output, each stream on its own.
pub(crate) async fn run<B: Backend>(args: LogsArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let query = LogQuery {
        container: args.container,
        follow: args.follow,
        tail: args.tail.0,
    };
    let backend = cx.backend;
    let printer = &mut *cx.printer;
    let mut written = Ok(());
    let mut line_open = false;
    let mut each = |piece: LogPiece| {
        written = print(printer, &piece, args.timestamps && !line_open, args.follow);
        line_open = piece.bytes.last() != Some(&b'\n');
        written.is_ok()
    };
    interruptible(async { Ok(backend.logs(query, &mut each).await?) }).await?;
    written.map(|()| 0)
}

fn print(
    printer: &mut Printer,
    piece: &LogPiece,
    timestamp: bool,
    at_once: bool,
) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(piece.bytes.len() + 32);
    if timestamp {
        bytes.extend_from_slice(inspect_time(piece.at).as_bytes());
        bytes.push(b' ');
    }
    bytes.extend_from_slice(&piece.bytes);
    match piece.stream {
        Stream::Stdout => printer.bytes(&bytes)?,
        Stream::Stderr => printer.error_bytes(&bytes),
    }
    if at_once { printer.flush() } else { Ok(()) }
}

/// Docker takes negative numbers for `all`.
fn tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    let number: i64 = text
        .parse()
        .map_err(|_| format!("`{text}` is neither a number of lines nor `all`"))?;
    Ok(Tail(usize::try_from(number).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fake::{Fake, piece, run_command};

    #[test]
    fn streams_stay_apart_and_pieces_of_a_line_have_one_time() {
        let backend = Fake {
            logs: vec![
                piece(Stream::Stdout, "one\n"),
                piece(Stream::Stderr, "oops\n"),
                piece(Stream::Stdout, "tw"),
                piece(Stream::Stdout, "o\n"),
            ],
            ..Fake::default()
        };
        let done = run_command(&backend, &["logs", "c"]);
        assert_eq!(
            (done.out.as_str(), done.err.as_str()),
            ("one\ntwo\n", "oops\n")
        );
        let done = run_command(&backend, &["logs", "-t", "c"]);
        assert_eq!(
            done.out,
            "2023-11-14T22:13:20Z one\n2023-11-14T22:13:20Z two\n"
        );
        assert_eq!(done.err, "2023-11-14T22:13:20Z oops\n");
    }

    #[test]
    fn tails_are_understood() {
        assert_eq!(tail("all"), Ok(Tail(None)));
        assert_eq!(tail("-1"), Ok(Tail(None)));
        assert_eq!(tail("3"), Ok(Tail(Some(3))));
        assert!(tail("few").is_err());
    }
}
