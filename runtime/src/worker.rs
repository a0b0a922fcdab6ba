//! A thread that owns a state which belongs to the thread itself: its namespaces, its current directory.

use std::sync::mpsc;
use std::thread;

use crate::error::Error;

type Task<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A handle to the thread, which lives as long as the handle.
#[derive(Debug)]
pub(crate) struct Worker<S> {
    tasks: mpsc::Sender<Task<S>>,
}

impl<S: 'static> Worker<S> {
    /// Starts a thread with the state that `start` makes on it. All signals are held back there.
    pub(crate) fn start(
        name: &str,
        start: impl FnOnce() -> Result<S, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (tasks, queue) = mpsc::channel::<Task<S>>();
        let (started, outcome) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                let signals = crate::sys::set_signal_mask(u64::MAX);
                let state = signals
                    .map_err(Error::system("hold signals back"))
                    .and_then(|()| start());
                let (state, outcome) = match state {
                    Ok(state) => (Some(state), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                // Whoever started the thread waits for this, or has gone and closed the queue.
                drop(started.send(outcome));
                if let Some(mut state) = state {
                    for task in queue {
                        task(&mut state);
                    }
                }
            })
            .map_err(|source| Error::System {
                action: "start a thread",
                source,
            })?;
        outcome.recv().map_err(|_| Error::Closed)??;
        Ok(Self { tasks })
    }

    /// Has something done on the thread after all that was asked for before.
    pub(crate) fn post(&self, task: impl FnOnce(&mut S) + Send + 'static) -> Result<(), Error> {
        self.tasks.send(Box::new(task)).map_err(|_| Error::Closed)
    }

    /// Does something on the thread and waits for its result.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, result) = mpsc::sync_channel(1);
        // The caller waits for the reply.
        self.post(move |state| drop(reply.send(task(state))))?;
        result.recv().map_err(|_| Error::Closed)
    }
}
