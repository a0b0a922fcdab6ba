//! What the store keeps: how surely, how long, and in how much space; and whether it is sound.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use cache::{Collector, Roots};

pub use cache::{
    Checked, Comparison, Damage, Durability, Filter, Item, Kept, Kind, Limits, Pattern, Problem,
    Property, Prune, Usage,
};

use crate::engine::{Engine, Settings};
use crate::images::keeps_image;

/// The first argument of a program that is to call [`collect`] and nothing else.
pub const COLLECTOR: &str = "store-collector";

/// How surely and how long the store keeps things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// What outlasts a power failure.
    pub durability: Durability,
    /// What is removed after a command that added something.
    pub collection: Collection,
}

/// What is removed after a command that added something, or after which less is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Collection {
    /// Nothing.
    #[default]
    Off,
    /// What exceeds the default shares of the disk.
    Shares,
    /// What exceeds these limits.
    Limits(Limits),
}

impl Engine {
    /// What takes space in the store. Blocks.
    pub fn usage(&self) -> Result<Usage, cache::Error> {
        Usage::take(self.store(), &self.roots()?, keeps_image)
    }

    /// Removes what is not needed, the one that was used longest ago first. Blocks.
    pub fn prune(&self, prune: &Prune) -> Result<Vec<Item>, cache::Error> {
        self.with_collector(|collector| Ok(collector.collect(prune)?.items))
    }

    /// What [`Engine::prune`] would remove. Blocks.
    pub fn would_prune(&self, prune: &Prune) -> Result<Vec<Item>, cache::Error> {
        self.with_collector(|collector| Ok(collector.choose(prune)?.items))
    }

    /// Checks the store, and with `repair` drops what is damaged, so that it is built or pulled again. Blocks.
    pub fn check_store(&self, repair: bool) -> Result<Checked, cache::Error> {
        self.store().sweep()?;
        let unpacking = self.unpacking().map_err(|error| cache::Error::Forms {
            source: Box::new(error),
        })?;
        self.store().check(&|| self.roots(), unpacking, repair)
    }

    fn roots(&self) -> Result<Roots, cache::Error> {
        self.container_roots().map_err(|error| cache::Error::Roots {
            source: Box::new(error),
        })
    }

    fn with_collector<T>(
        &self,
        work: impl FnOnce(&Collector<'_>) -> Result<T, cache::Error>,
    ) -> Result<T, cache::Error> {
        let roots = || self.roots();
        work(&Collector::new(self.store(), &roots, &keeps_image))
    }

    /// Has the store collected when the result is dropped, at the end of what may add to it or take from what is needed.
    pub(crate) fn collecting(&self) -> CollectOnDrop<'_> {
        CollectOnDrop(self)
    }

    /// Has a process of its own collect, if this one has added to what may be collected. It goes on when this one ends, so
    /// nobody waits for it; should it fail to start, the next command tries again.
    fn collect_behind(&self) {
        let limits = match self.settings().retention.collection {
            Collection::Off => return,
            Collection::Shares => None,
            Collection::Limits(limits) => Some(limits),
        };
        if !self.store().has_grown() {
            return;
        }
        let Some(limits) = limits.or_else(|| Some(Limits::of(self.store().disk().ok()?))) else {
            return;
        };
        let numbers = [limits.max_used, limits.reserved, limits.min_free];
        let started = Command::new("/proc/self/exe")
            .arg0("rbuild")
            .arg(COLLECTOR)
            .arg(self.store().root())
            .args(numbers.map(|number| number.to_string()))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        drop(started);
    }
}

/// Has the store collected at its end, also where what it was made for is given up.
#[derive(Debug)]
#[must_use]
pub(crate) struct CollectOnDrop<'a>(&'a Engine);

impl Drop for CollectOnDrop<'_> {
    fn drop(&mut self) {
        self.0.collect_behind();
    }
}

/// Collects in this process, as its arguments say.
pub fn collect() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(2).collect();
    match collect_as_told(arguments) {
        Some(Ok(())) => ExitCode::SUCCESS,
        // There is nobody to tell.
        Some(Err(_)) | None => ExitCode::FAILURE,
    }
}

fn collect_as_told(arguments: Vec<OsString>) -> Option<Result<(), cache::Error>> {
    let [store, max_used, reserved, min_free]: [OsString; 4] = arguments.try_into().ok()?;
    let number = |text: OsString| text.to_str()?.parse().ok();
    let prune = Prune {
        limits: Limits {
            max_used: number(max_used)?,
            reserved: number(reserved)?,
            min_free: number(min_free)?,
        },
        ..Prune::default()
    };
    // Not in the session of the terminal, whose end would be this process's.
    rustix::process::setsid().ok();
    rustix::process::nice(10).ok();
    let engine = Engine::open(Settings::of_store(store.into()));
    Some(engine.and_then(|engine| {
        engine.with_collector(|collector| collector.collect_in_turn(&prune).map(drop))
    }))
}
