//! The only place that writes to standard output, which is data, and to standard error, which is talk. (Displays own
//! standard error while they run.)

use std::io::{self, Write};

use crate::error::Error;

/// Writes for one command.
pub(crate) struct Printer {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
}

impl std::fmt::Debug for Printer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Printer")
    }
}

impl Printer {
    /// The program's own streams. Standard output is written in large pieces: call [`Printer::flush`] at the end.
    pub(crate) fn standard() -> Self {
        Self {
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
        }
    }

    #[cfg(test)]
    pub(crate) fn new(out: impl Write + 'static, err: impl Write + 'static) -> Self {
        Self {
            out: Box::new(out),
            err: Box::new(err),
        }
    }

    /// A line of data.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Error> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Data as it is.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(Error::output)
    }

    /// Bytes that belong on standard error, such as a container's own.
    pub(crate) fn error_bytes(&mut self, bytes: &[u8]) {
        // There is no place left to say that standard error is closed.
        drop(self.err.write_all(bytes));
    }

    /// Talk: text with its line ends.
    pub(crate) fn say(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// Writes out what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(Error::output)
    }
}
