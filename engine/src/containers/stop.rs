//! What is done to a running container from outside its supervisor: signals, and waiting for its end.

use std::time::Duration;

use runtime::Identity;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout_at};

use super::error::ContainerError;
use super::find::Held;
use super::signals;
use super::state::ContainerState;
use crate::engine::Engine;

/// How long a container has for ending in good order, as Docker's default.
const STOP_TIME: Duration = Duration::from_secs(10);
/// The first pause before looking again whether a supervisor has written the end down.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

impl Engine {
    /// Asks a container to end by its stop signal, and kills it after this time (10 seconds if there is none). One that
    /// does not run is left as it is.
    pub async fn stop_container(
        &self,
        name: &str,
        time: Option<Duration>,
    ) -> Result<(), ContainerError> {
        let held = self.hold_container(name)?;
        let config = held.dir.config()?;
        let asking = signals::parse(&config.stop_signal).unwrap_or(signals::TERM);
        match self.signal_container(&held, asking) {
            Err(ContainerError::NotRunning(_)) => return Ok(()),
            sent => sent?,
        }
        let deadline = Instant::now().checked_add(time.unwrap_or(STOP_TIME));
        let ended = match deadline {
            Some(deadline) => timeout_at(deadline, self.container_end(&held)).await,
            None => Ok(self.container_end(&held).await),
        };
        if let Ok(ended) = ended {
            return ended.map(drop);
        }
        match self.signal_container(&held, signals::KILL) {
            Err(ContainerError::NotRunning(_)) => {}
            sent => sent?,
        }
        self.container_end(&held).await.map(drop)
    }

    /// Sends a signal to the first process of a container.
    pub fn kill_container(&self, name: &str, signal: i32) -> Result<(), ContainerError> {
        self.signal_container(&self.hold_container(name)?, signal)
    }

    /// Waits until a container does not run, and gives its exit code: 0 for one that never did. Any number may wait.
    pub async fn wait_container(&self, name: &str) -> Result<i32, ContainerError> {
        let held = self.hold_container(name)?;
        Ok(match self.container_end(&held).await? {
            ContainerState::Exited { code, .. } => code,
            ContainerState::Created | ContainerState::Running { .. } => 0,
        })
    }

    pub(super) fn signal_container(&self, held: &Held, number: i32) -> Result<(), ContainerError> {
        let signal = runtime::signal(number).ok_or(ContainerError::BadSignal(number))?;
        let not_running = || ContainerError::NotRunning(held.id.short().to_owned());
        let ContainerState::Running { pid, ticks, .. } = self.observe(&held.id, &held.dir)? else {
            return Err(not_running());
        };
        let process = Identity {
            pid,
            start_time: ticks,
        };
        match process.signal(signal) {
            Err(runtime::Error::Gone) => Err(not_running()),
            sent => Ok(sent?),
        }
    }

    /// Waits until nobody runs a container, and gives how it is then.
    pub(super) async fn container_end(
        &self,
        held: &Held,
    ) -> Result<ContainerState, ContainerError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.observe(&held.id, &held.dir)? {
                ContainerState::Running { pid, ticks, .. } => {
                    let process = Identity {
                        pid,
                        start_time: ticks,
                    };
                    gone(process).await?;
                }
                // It is being started.
                ContainerState::Created if self.is_supervised(&held.id)? => {}
                state => return Ok(state),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Waits for the end of a process.
#[expect(unsafe_code, reason = "nothing else watches a descriptor from a task")]
async fn gone(process: Identity) -> Result<(), ContainerError> {
    let pidfd = match process.open() {
        Err(runtime::Error::Gone) => return Ok(()),
        opened => opened?,
    };
    let failed = |error| ContainerError::io("watch", "a process", error);
    // SAFETY: the descriptor is the watch's own, which never changes it.
    let watch = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    let watch = watch.map_err(|error| failed(error.into()))?;
    let ready = watch.readable().await.map_err(failed)?;
    drop(ready);
    Ok(())
}
