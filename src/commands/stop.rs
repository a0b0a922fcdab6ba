//! `rbuild stop`, `kill`, `rm` and `wait`: what is done with several containers at a time.

use clap::Args;

use super::Context;
use crate::args::signal::SignalArg;
use crate::backend::Backend;
use crate::error::Error;
use crate::signals::interruptible;

/// Flags of `rbuild stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    /// Seconds until the container is killed
    #[arg(short = 't', long = "timeout", alias = "time", value_name = "SECONDS")]
    pub seconds: Option<u64>,
}

/// Flags of `rbuild kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    /// The signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    pub signal: SignalArg,
}

/// Flags of `rbuild rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    /// Kill the container if it runs
    #[arg(short, long)]
    pub force: bool,
}

/// Arguments of `rbuild wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
}

/// Stops containers.
pub(crate) async fn stop<B: Backend>(args: StopArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let seconds = args.seconds;
    cx.each("stop", args.containers, async |backend, name| {
        backend.stop(name, seconds).await?;
        Ok(name.to_owned())
    })
    .await
}

/// Sends containers a signal.
pub(crate) async fn kill<B: Backend>(args: KillArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let signal = args.signal.0;
    cx.each("kill", args.containers, async |backend, name| {
        backend.kill(name, signal).await?;
        Ok(name.to_owned())
    })
    .await
}

/// Removes containers.
pub(crate) async fn remove<B: Backend>(args: RmArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let force = args.force;
    cx.each("rm", args.containers, async |backend, name| {
        backend.remove(name, force).await?;
        Ok(name.to_owned())
    })
    .await
}

/// Waits for containers, and prints the exit code of each.
pub(crate) async fn wait<B: Backend>(args: WaitArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    interruptible(cx.each("wait", args.containers, async |backend, name| {
        Ok(backend.wait(name).await?.code().to_string())
    }))
    .await
}

#[cfg(test)]
mod tests {
    use crate::commands::fake::{Fake, run_command};

    #[test]
    fn the_rest_is_done_when_one_fails() {
        let backend = Fake::default();
        let done = run_command(&backend, &["stop", "-t", "3", "a", "missing", "b"]);
        assert_eq!(done.out, "a\nb\n");
        assert_eq!(
            done.err,
            "rbuild: error: no such container: `missing`\nhint: `rbuild ps -a` lists all containers\n"
        );
        assert_eq!(done.code, 1);
        assert_eq!(backend.calls(), ["stop a Some(3)", "stop b Some(3)"]);
    }

    #[test]
    fn signals_and_force_are_passed_on() {
        let backend = Fake::default();
        assert_eq!(run_command(&backend, &["kill", "-s", "USR1", "a"]).code, 0);
        assert_eq!(run_command(&backend, &["kill", "a"]).code, 0);
        assert_eq!(run_command(&backend, &["rm", "-f", "a"]).code, 0);
        assert_eq!(run_command(&backend, &["wait", "a"]).out, "143\n");
        assert_eq!(backend.calls(), ["kill a 10", "kill a 9", "remove a true"]);
    }
}
