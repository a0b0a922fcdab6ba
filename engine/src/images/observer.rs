//! Shows transfers of layers in a row of progress.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use image::transfer::{Observer, Phase, Update};
use layer::DiffId;

use crate::progress::{Row, Spending};

/// The least time between two words on one layer.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells a row what becomes of the layers.
#[derive(Debug)]
pub(crate) struct RowObserver {
    row: Row,
    /// When each layer was last spoken of, and in which phase.
    told: Mutex<HashMap<DiffId, (Phase, Instant)>>,
    /// Layers that are being compressed.
    compressing: Mutex<HashMap<DiffId, Spending>>,
}

impl RowObserver {
    pub(crate) fn new(row: Row) -> Self {
        Self {
            row,
            told: Mutex::default(),
            compressing: Mutex::default(),
        }
    }

    /// Whether enough time has gone by since the last word on this layer. The ends of phases are always told.
    fn is_due(&self, update: &Update) -> bool {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_end = matches!(update.phase, Phase::Done | Phase::Exists | Phase::Mounted);
        let due = match told.get(&update.layer) {
            Some((phase, at)) => *phase != update.phase || now.duration_since(*at) >= PAUSE,
            None => true,
        };
        if due || is_end {
            told.insert(update.layer, (update.phase, now));
        }
        due || is_end
    }

    /// Tells for how long each layer is compressed.
    fn spend(&self, update: &Update) {
        let lock = self.compressing.lock();
        let mut compressing = lock.unwrap_or_else(PoisonError::into_inner);
        if update.phase == Phase::Compressing && update.done < update.total {
            let begin = || self.row.spend(crate::event::Phase::Compressing);
            compressing.entry(update.layer).or_insert_with(begin);
        } else {
            compressing.remove(&update.layer);
        }
    }

    /// The phase before this one, as far as it was told of.
    fn before(&self, layer: &DiffId) -> Option<Phase> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(layer).map(|(phase, _)| *phase)
    }
}

impl Observer for RowObserver {
    fn update(&self, update: &Update) {
        self.spend(update);
        let compressing = format!("compressing {}", update.layer);
        let was_compressing = self.before(&update.layer) == Some(Phase::Compressing);
        if !self.is_due(update) {
            return;
        }
        let total = (update.total > 0).then_some(update.total);
        if update.phase == Phase::Compressing {
            return self.row.transfer(compressing, update.done, total, false);
        }
        if was_compressing {
            self.row.transfer(compressing, 0, None, true);
        }
        let name = match update.blob {
            Some(blob) => blob.to_string(),
            None => update.layer.to_string(),
        };
        let done = !matches!(update.phase, Phase::Downloading | Phase::Uploading);
        let current = if done { update.total } else { update.done };
        self.row.transfer(name, current, total, done);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use layer::Digest;

    use super::*;
    use crate::event::{Event, EventKind, Listener};
    use crate::progress::Progress;

    #[derive(Default)]
    struct Heard {
        transfers: Mutex<Vec<(String, u64, bool)>>,
        spent: Mutex<Vec<crate::event::Phase>>,
    }

    impl Listener for Heard {
        fn event(&self, event: Event) {
            match event.kind {
                EventKind::Transfer(_, transfer) => {
                    let mut heard = self.transfers.lock().expect("no other thread panicked");
                    heard.push((transfer.name, transfer.current, transfer.done));
                }
                EventKind::Span(span) => {
                    let mut spent = self.spent.lock().expect("no other thread panicked");
                    spent.push(span.phase);
                }
                _ => {}
            }
        }

        fn wants_spans(&self) -> bool {
            true
        }
    }

    #[test]
    fn beginnings_and_ends_are_told_and_little_between() {
        let heard = Arc::new(Heard::default());
        let row = Progress::new(Arc::clone(&heard) as Arc<dyn Listener>).start("row");
        let observer = RowObserver::new(row);
        let (layer, blob) = (DiffId::new(Digest::of(b"tar")), Digest::of(b"blob"));
        let tell = |phase, blob, done| {
            observer.update(&Update {
                layer,
                blob,
                phase,
                done,
                total: 100,
            });
        };
        for done in 0..=100 {
            tell(Phase::Compressing, None, done);
        }
        let spent = heard
            .spent
            .lock()
            .expect("no other thread panicked")
            .clone();
        assert_eq!(spent, [crate::event::Phase::Compressing]);
        for done in 0..100 {
            tell(Phase::Uploading, Some(blob), done);
        }
        tell(Phase::Done, Some(blob), 100);
        let heard = heard.transfers.lock().expect("no other thread panicked");
        let ends: Vec<_> = heard.iter().filter(|(_, _, done)| *done).collect();
        assert_eq!(
            ends,
            [
                &(format!("compressing {layer}"), 0, true),
                &(blob.to_string(), 100, true)
            ]
        );
        assert!(heard.len() < 20, "{} of 200 were told", heard.len());
    }
}
