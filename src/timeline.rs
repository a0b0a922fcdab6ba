//! Where the time of a build went: `--timings` and `--trace`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use engine::event::{Event, EventKind, Listener, Phase, Span, VertexId};
use serde_json::{Value, json};

/// Passes events on to a display and keeps what they say of time.
pub(crate) struct Timeline {
    display: Arc<dyn Listener>,
    began: SystemTime,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    names: BTreeMap<VertexId, String>,
    spans: Vec<(SystemTime, Span)>,
}

impl Timeline {
    pub(crate) fn new(display: Arc<dyn Listener>) -> Self {
        Self {
            display,
            began: SystemTime::now(),
            kept: Mutex::default(),
        }
    }

    /// A table of the phases, the longest first.
    pub(crate) fn summary(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut phases: BTreeMap<Phase, (Duration, usize)> = BTreeMap::new();
        for (_, span) in &kept.spans {
            let (time, count) = phases.entry(span.phase).or_default();
            *time += span.time;
            *count += 1;
        }
        let mut phases: Vec<_> = phases.into_iter().collect();
        phases.sort_by_key(|(_, (time, _))| std::cmp::Reverse(*time));
        let mut text = format!(
            "{:.1} ms in all; time of all threads together, by what it was for:\n",
            millis(self.began.elapsed().unwrap_or_default())
        );
        for (phase, (time, count)) in phases {
            let (name, time) = (name(phase), millis(time));
            // A string takes whatever is written to it.
            writeln!(text, "{time:>10.1} ms  {name} ({count})").ok();
        }
        text
    }

    /// The same as a trace in the form that Chrome's viewer and Perfetto read ("Trace Event Format"): a lane for each
    /// step, times in microseconds.
    pub(crate) fn trace(&self) -> Value {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = |vertex: Option<VertexId>| vertex.map_or(0, |id| id.0 + 1);
        let lanes = std::iter::once((None, "the build"));
        let lanes = lanes.chain(kept.names.iter().map(|(id, name)| (Some(*id), &**name)));
        let names = lanes.map(|(vertex, name)| {
            json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": lane(vertex), "args": {"name": name}})
        });
        let spans = kept.spans.iter().map(|(end, span)| {
            let length = end.duration_since(span.began).unwrap_or_default();
            json!({
                "ph": "X",
                "name": name(span.phase),
                "cat": name(span.phase),
                "pid": 1,
                "tid": lane(span.vertex),
                "ts": micros(span.began.duration_since(self.began).unwrap_or_default()),
                "dur": micros(length),
                "args": {"spent_ms": millis(span.time)},
            })
        });
        json!({"displayTimeUnit": "ms", "traceEvents": names.chain(spans).collect::<Vec<_>>()})
    }
}

impl Listener for Timeline {
    fn event(&self, event: Event) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &event.kind {
            EventKind::Span(span) => {
                kept.spans.push((event.at, *span));
                return;
            }
            EventKind::Vertex(vertex) => {
                kept.names.insert(vertex.id, vertex.name.clone());
            }
            _ => {}
        }
        drop(kept);
        self.display.event(event);
    }

    fn wants_spans(&self) -> bool {
        true
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Dockerfile => "reading the Dockerfile and its images' configs",
        Phase::Context => "finding files to copy",
        Phase::Hashing => "hashing the context",
        Phase::Keys => "cache keys",
        Phase::Waiting => "waiting",
        Phase::Mounts => "sandboxes and mounts",
        Phase::Processes => "processes",
        Phase::Copying => "writing copied files",
        Phase::Sealing => "sealing layers",
        Phase::Network => "registries",
        Phase::Output => "outputs",
        Phase::Compressing => "compressing layers for outputs",
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use engine::event::Vertex;

    use super::*;

    #[derive(Default)]
    struct Counting(Mutex<usize>);

    impl Listener for Counting {
        fn event(&self, _: Event) {
            *self.0.lock().expect("no panic") += 1;
        }
    }

    #[test]
    fn spans_are_summed_and_drawn_and_others_passed_on() {
        let display = Arc::new(Counting::default());
        let timeline = Timeline::new(Arc::clone(&display) as Arc<dyn Listener>);
        let began = timeline.began;
        let tell = |kind| {
            timeline.event(Event {
                at: began + Duration::from_millis(30),
                kind,
            });
        };
        tell(EventKind::Vertex(Vertex {
            id: VertexId(4),
            digest: String::new(),
            name: "[1/2] RUN make".to_owned(),
            inputs: Vec::new(),
        }));
        for (phase, millis) in [(Phase::Keys, 1), (Phase::Processes, 20), (Phase::Keys, 2)] {
            tell(EventKind::Span(Span {
                vertex: Some(VertexId(4)),
                phase,
                began: began + Duration::from_millis(10),
                time: Duration::from_millis(millis),
            }));
        }
        assert_eq!(*display.0.lock().expect("no panic"), 1);
        let summary = timeline.summary();
        let lines: Vec<_> = summary.lines().skip(1).map(str::trim).collect();
        assert_eq!(lines, ["20.0 ms  processes (1)", "3.0 ms  cache keys (2)"]);
        let trace = timeline.trace();
        let events = trace["traceEvents"].as_array().expect("a list");
        assert_eq!(events.len(), 5);
        assert_eq!(events[1]["args"]["name"], "[1/2] RUN make");
        assert_eq!(
            (&events[3]["name"], &events[3]["tid"]),
            (&json!("processes"), &json!(5))
        );
        assert_eq!(
            (&events[3]["ts"], &events[3]["dur"]),
            (&json!(10_000.0), &json!(20_000.0))
        );
    }
}
