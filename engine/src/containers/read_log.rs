//! Reading what a container wrote.

use std::collections::VecDeque;

use super::error::ContainerError;
use super::find::Held;
use super::log::{LogLine, LogReader};
use super::state::ContainerState;
use crate::engine::Engine;

impl Engine {
    /// Gives the output of a container that was kept, line by line, until there is no more or `each` says so with
    /// `false`; of what is there already only the last `tail` lines. With `follow` there is no more when the container
    /// has ended.
    pub async fn container_log(
        &self,
        name: &str,
        follow: bool,
        tail: Option<usize>,
        each: &mut dyn FnMut(LogLine) -> bool,
    ) -> Result<(), ContainerError> {
        let held = self.hold_container(name)?;
        let mut reader = LogReader::open(held.dir.log());
        if let Some(tail) = tail {
            for line in last_lines(&mut reader, tail)? {
                if !each(line) {
                    return Ok(());
                }
            }
        }
        loop {
            // Asked before the log is read to its end, so that nothing is missed.
            let may_grow = follow && self.may_write(&held)?;
            while let Some(line) = reader.next_line()? {
                if !each(line) {
                    return Ok(());
                }
            }
            if !may_grow {
                return Ok(());
            }
            reader.pause().await;
        }
    }

    /// Whether a container runs or is being started.
    fn may_write(&self, held: &Held) -> Result<bool, ContainerError> {
        match self.observe(&held.id, &held.dir) {
            Ok(ContainerState::Running { .. }) => Ok(true),
            Ok(ContainerState::Created) => self.is_supervised(&held.id),
            // Removed, and deleted.
            Ok(ContainerState::Exited { .. }) | Err(ContainerError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Reads what there is and keeps the end of it. A line that is kept in pieces counts once.
fn last_lines(
    reader: &mut LogReader,
    count: usize,
) -> Result<impl Iterator<Item = LogLine> + use<>, ContainerError> {
    let mut pieces: VecDeque<LogLine> = VecDeque::new();
    let mut lines = 0;
    let mut is_open = false;
    while let Some(piece) = reader.next_line()? {
        if !is_open {
            lines += 1;
        }
        is_open = !piece.text.ends_with('\n');
        pieces.push_back(piece);
        while lines > count {
            match pieces.pop_front() {
                Some(piece) if piece.text.ends_with('\n') => lines -= 1,
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(pieces.into_iter())
}
