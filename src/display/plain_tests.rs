//! Plain text against recorded builds.

use super::super::fixtures::{self, at, completed, log, started, vertex};
use super::*;

fn replay(events: &[Event], refresh_each: bool) -> String {
    let mut view = Plain::new(Vec::new(), false);
    for event in events {
        view.event(event);
        if refresh_each {
            view.refresh(event.at).expect("memory takes it");
        }
    }
    let last = events.last().map_or_else(|| at(0), |event| event.at);
    view.finish(last).expect("memory takes it");
    String::from_utf8(view.out).expect("text in, text out")
}

#[test]
fn a_good_build() {
    insta::assert_snapshot!(replay(&fixtures::good_build(), true));
}

#[test]
fn a_failing_build() {
    insta::assert_snapshot!(replay(&fixtures::failing_build(), true));
}

#[test]
fn a_build_shown_in_one_batch() {
    let text = replay(&fixtures::good_build(), false);
    assert!(
        text.contains("#4 [2/4] WORKDIR /src\n#4 CACHED\n\n"),
        "{text}"
    );
    assert!(
        text.contains("#1 transferring dockerfile: 142B done\n#1 DONE 0.0s\n\n"),
        "{text}"
    );
    assert!(text.contains("#6 DONE 1.2s\n"), "{text}");
}

#[test]
fn a_running_block_is_held_and_then_yields() {
    let mut events = vec![
        vertex(0, 0, "[a 1/1] RUN noisy"),
        vertex(0, 1, "[b 1/1] RUN quiet"),
        started(0, 0),
        started(1, 1),
    ];
    events.extend((1..80).map(|tenth| log(tenth * 100, 0, "noise\n")));
    events.push(log(8_050, 1, "word\n"));
    events.push(completed(8_100, 0));
    events.push(completed(8_200, 1));
    let text = replay(&events, true);
    let first_switch = text
        .find("#1 ...\n\n#2 [b 1/1] RUN quiet")
        .expect("the quiet step gets a turn");
    assert!(text[..first_switch].ends_with("#1 5.100 noise\n"), "{text}");
    assert!(text.ends_with("#2 DONE 8.2s\n"), "{text}");
}

#[test]
fn unseen_output_is_bounded() {
    let mut events = vec![
        vertex(0, 0, "a"),
        vertex(0, 1, "b"),
        started(0, 0),
        started(0, 1),
    ];
    let chunk = "y\n".repeat(100_000);
    events.push(log(10, 1, &chunk));
    events.push(log(20, 1, &chunk));
    let mut view = Plain::new(Vec::new(), false);
    for event in &events {
        view.event(event);
        view.refresh(event.at).expect("memory takes it");
    }
    assert!(view.rows[1].pending.len() <= MAX_HIDDEN);
}

#[test]
fn partial_lines_are_ended_before_anything_else_is_said() {
    let text = replay(
        &[
            vertex(0, 0, "a"),
            started(0, 0),
            log(10, 0, "Downloading..."),
            log(20, 0, "...."),
            log(30, 0, " ok"),
            completed(100, 0),
        ],
        true,
    );
    assert_eq!(text, "#1 a\n#1 0.010 Downloading....... ok\n#1 DONE 0.1s\n");
}

#[test]
fn transfers_are_told_in_steps() {
    let mut events = vec![vertex(0, 0, "pull"), started(0, 0)];
    events.extend(
        (0..=1000_u64)
            .map(|n| fixtures::transfer(n, 0, "sha256:aa", n * 1000, Some(1_000_000), n == 1000)),
    );
    let text = replay(&events, true);
    assert_eq!(text.matches("sha256:aa").count(), 21, "{text}");
    assert!(
        text.contains("#1 sha256:aa 1.00MB / 1.00MB 1.0s done\n"),
        "{text}"
    );
}

#[test]
fn what_runs_at_the_end_was_stopped() {
    let text = replay(
        &[
            vertex(0, 0, "a"),
            vertex(0, 1, "b"),
            vertex(0, 2, "never started"),
            started(0, 0),
            started(0, 1),
            log(10, 0, "partial"),
        ],
        true,
    );
    assert_eq!(
        text,
        "#1 a\n#1 0.010 partial\n#1 CANCELED\n\n#2 b\n#2 CANCELED\n"
    );
}
