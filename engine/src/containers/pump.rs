//! Carries what a process writes to the log and to whoever is attached.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::log::LogWriter;
use crate::event::Stream;

/// Bytes carried at once: what a pipe holds.
const BUFFER: usize = 64 << 10;
/// How long, as in Docker, output is waited for once its process has ended: others may have been given the stream.
const GRACE: Duration = Duration::from_secs(2);
/// How much may still be carried after that: what was written before the end lies in the pipe, which holds no more
/// (`/proc/sys/fs/pipe-max-size`), however slowly the attached reads.
const LATE: usize = 1 << 20;

/// One stream on its way. The attached may go, and the disk may be full: the process must be able to write on.
#[derive(Debug)]
pub(super) struct Pump {
    /// Where it comes from.
    pub(super) from: OwnedFd,
    /// Whose end ends it; readable from then on.
    pub(super) process: OwnedFd,
    /// Who is attached.
    pub(super) to: Option<File>,
    /// Where it is kept, and as which stream.
    pub(super) log: Option<(Arc<LogWriter>, Stream)>,
}

impl Pump {
    /// Carries on a thread of its own, until the stream's end.
    pub(super) fn start(self, name: &str) -> io::Result<JoinHandle<()>> {
        let thread = Builder::new().name(name.to_owned()).stack_size(128 << 10);
        thread.spawn(move || self.run())
    }

    fn run(mut self) {
        let mut buffer = vec![0; BUFFER];
        let mut last_moment = None;
        let mut late = 0;
        while late < LATE && self.has_more(&mut last_moment) {
            match rustix::io::read(&self.from, &mut buffer[..]) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                // A terminal that nobody has open any more fails with `EIO`.
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    if has_passed(last_moment) {
                        late += length;
                    }
                    self.pass(&buffer[..length]);
                }
            }
        }
    }

    fn pass(&mut self, piece: &[u8]) {
        if let Some((log, stream)) = &self.log
            && log.write(*stream, piece).is_err()
        {
            self.log = None;
        }
        if let Some(to) = &mut self.to
            && to.write_all(piece).is_err()
        {
            self.to = None;
        }
    }

    /// Waits for something to read, or the end: `true`. `false` when the process has ended and nothing more came.
    fn has_more(&self, last_moment: &mut Option<Instant>) -> bool {
        loop {
            let left = last_moment.map(|moment| moment.saturating_duration_since(Instant::now()));
            let mut watched = [
                PollFd::new(&self.from, PollFlags::IN),
                PollFd::new(&self.process, PollFlags::IN),
            ];
            // Once it has ended it would always be ready.
            let count = if left.is_some() { 1 } else { 2 };
            let timeout = left.map(|left| Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            });
            match poll(&mut watched[..count], timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(_) => return false,
                Ok(_) => {}
            }
            if last_moment.is_none() && !watched[1].revents().is_empty() {
                *last_moment = Some(Instant::now() + GRACE);
            }
            if !watched[0].revents().is_empty() {
                return true;
            }
            if has_passed(*last_moment) {
                return false;
            }
        }
    }
}

fn has_passed(moment: Option<Instant>) -> bool {
    moment.is_some_and(|moment| moment <= Instant::now())
}

/// A copy of a descriptor.
pub(super) fn duplicate(fd: &impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Child, Command};

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::super::log::LogReader;
    use super::*;

    /// A process that ends after so many seconds, and a descriptor of it.
    fn process(seconds: &str) -> (Child, OwnedFd) {
        let child = Command::new("sleep").arg(seconds).spawn();
        let child = child.expect("sleep can be run");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it is ours");
        (child, pidfd)
    }

    fn pipe() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (reader.into(), writer.into())
    }

    #[test]
    fn everything_is_carried_to_both() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        let log = Arc::new(LogWriter::create(&path).expect("writable"));
        let (mut child, pidfd) = process("0");
        let ((from, from_end), (to_end, to)) = (pipe(), pipe());
        let pump = Pump {
            from,
            process: pidfd,
            to: Some(to.into()),
            log: Some((Arc::clone(&log), Stream::Stdout)),
        };
        let pumping = pump.start("pump").expect("a thread");
        let sent = "0123456789abcde\n".repeat(50_000);
        let mut writer = File::from(from_end);
        let text = sent.clone();
        let writing = std::thread::spawn(move || writer.write_all(text.as_bytes()));
        let mut received = String::new();
        File::from(to_end)
            .read_to_string(&mut received)
            .expect("the end of the pipe");
        assert!(received == sent);
        writing.join().expect("no panic").expect("all was written");
        pumping.join().expect("no panic");
        child.wait().expect("it is ours");
        let mut reader = LogReader::open(path);
        let mut lines = 0;
        while let Some(line) = reader.next_line().expect("a readable log") {
            assert_eq!(line.text, "0123456789abcde\n");
            lines += 1;
        }
        assert_eq!(lines, 50_000);
    }

    #[test]
    fn the_attached_may_go() {
        let (mut child, pidfd) = process("0");
        let ((from, from_end), (to_end, to)) = (pipe(), pipe());
        drop(to_end);
        let pump = Pump {
            from,
            process: pidfd,
            to: Some(to.into()),
            log: None,
        };
        let pumping = pump.start("pump").expect("a thread");
        let mut writer = File::from(from_end);
        for _ in 0..100 {
            writer
                .write_all(&[0; 10_000])
                .expect("somebody reads to the end");
        }
        drop(writer);
        pumping.join().expect("no panic");
        child.wait().expect("it is ours");
    }

    #[test]
    fn a_stream_that_stays_open_is_left_soon_after_the_end() {
        let (mut child, pidfd) = process("0.1");
        let ((from, from_end), (to_end, to)) = (pipe(), pipe());
        let pump = Pump {
            from,
            process: pidfd,
            to: Some(to.into()),
            log: None,
        };
        let start = Instant::now();
        let pumping = pump.start("pump").expect("a thread");
        let mut writer = File::from(from_end);
        writer.write_all(b"last words").expect("written");
        let mut received = String::new();
        File::from(to_end)
            .read_to_string(&mut received)
            .expect("the end of the pipe");
        assert_eq!(received, "last words");
        pumping.join().expect("no panic");
        assert!((1..10).contains(&start.elapsed().as_secs()));
        child.wait().expect("it is ours");
        drop(writer);
    }
}
