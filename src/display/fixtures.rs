//! Event streams that the tests of the displays replay.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::event::{CacheHit, CacheMiss, Event, EventKind, Stream, Transfer, Vertex, VertexId};

/// The time this many milliseconds into a build.
pub(super) fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(millis)
}

pub(super) fn event(millis: u64, kind: EventKind) -> Event {
    Event {
        at: at(millis),
        kind,
    }
}

pub(super) fn vertex(millis: u64, id: u32, name: &str) -> Event {
    event(
        millis,
        EventKind::Vertex(Vertex {
            id: VertexId(id),
            digest: format!("sha256:{id:02}"),
            name: name.to_owned(),
            inputs: id.checked_sub(1).map(VertexId).into_iter().collect(),
        }),
    )
}

pub(super) fn started(millis: u64, id: u32) -> Event {
    event(millis, EventKind::Started(VertexId(id)))
}

pub(super) fn completed(millis: u64, id: u32) -> Event {
    event(millis, EventKind::Completed(VertexId(id)))
}

pub(super) fn cached(millis: u64, id: u32) -> Event {
    event(
        millis,
        EventKind::Cached(VertexId(id), CacheHit::Definition),
    )
}

pub(super) fn missed(millis: u64, id: u32, why: CacheMiss) -> Event {
    event(millis, EventKind::Missed(VertexId(id), why))
}

pub(super) fn log(millis: u64, id: u32, text: &str) -> Event {
    event(
        millis,
        EventKind::Log(VertexId(id), Stream::Stdout, Arc::from(text.as_bytes())),
    )
}

pub(super) fn transfer(
    millis: u64,
    id: u32,
    name: &str,
    current: u64,
    total: Option<u64>,
    done: bool,
) -> Event {
    event(
        millis,
        EventKind::Transfer(
            VertexId(id),
            Transfer {
                name: name.to_owned(),
                current,
                total,
                done,
            },
        ),
    )
}

/// The start of a build: definition, base image, context, a cached step.
fn beginning() -> Vec<Event> {
    vec![
        vertex(0, 0, "[internal] load build definition from Dockerfile"),
        started(0, 0),
        transfer(1, 0, "transferring dockerfile", 142, None, true),
        completed(2, 0),
        vertex(3, 1, "[1/4] FROM docker.io/library/debian:12"),
        vertex(3, 2, "[internal] load build context"),
        vertex(3, 3, "[2/4] WORKDIR /src"),
        vertex(3, 4, "[3/4] COPY . ."),
        vertex(3, 5, "[4/4] RUN make -j2"),
        started(4, 1),
        started(5, 2),
        transfer(6, 2, "transferring context", 2, None, true),
        completed(8, 2),
        transfer(10, 1, "sha256:abcdef", 0, Some(5_000_000), false),
        transfer(500, 1, "sha256:abcdef", 1_200_000, Some(5_000_000), false),
        transfer(900, 1, "sha256:abcdef", 5_000_000, Some(5_000_000), true),
        completed(950, 1),
        cached(951, 3),
        missed(952, 4, CacheMiss::InputsChanged),
        started(952, 4),
        completed(990, 4),
        missed(991, 5, CacheMiss::InputsChanged),
        started(1_000, 5),
        log(1_123, 5, "cc -c main.c\ncc -c util.c\n"),
        log(1_500, 5, "\u{1b}[32mlinking\u{1b}[0m\r50%\r100%\npart"),
    ]
}

/// A build whose last step is still running.
pub(super) fn running_build() -> Vec<Event> {
    beginning()
}

/// A build that goes well, with a warning.
pub(super) fn good_build() -> Vec<Event> {
    let mut events = beginning();
    events.extend([
        log(2_000, 5, "ial line\n"),
        completed(2_200, 5),
        event(
            2_300,
            EventKind::Warning {
                rule: "LegacyKeyValueFormat".to_owned(),
                message:
                    "\"ENV key=value\" should be used instead of legacy \"ENV key value\" format"
                        .to_owned(),
                detail: " --> Dockerfile:3:1\n  |\n3 | ENV a b\n".to_owned(),
            },
        ),
    ]);
    events
}

/// A build whose last step fails while another one runs.
pub(super) fn failing_build() -> Vec<Event> {
    let mut events = beginning();
    events.extend([
        vertex(1_600, 6, "[test 1/1] RUN sleep 60"),
        started(1_600, 6),
        log(2_000, 5, "ial line\nmake: *** [all] Error 1"),
        event(
            2_200,
            EventKind::Failed(
                VertexId(5),
                "process \"/bin/sh -c make -j2\" did not complete successfully: exit code: 2"
                    .to_owned(),
            ),
        ),
        event(2_250, EventKind::Cancelled(VertexId(6))),
    ]);
    events
}
