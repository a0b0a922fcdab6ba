//! `--call=subrequests.describe`: what can be asked of a Dockerfile, in the words of BuildKit.

use std::fmt::Write as _;

use serde::Serialize;

use super::json::pretty;

#[derive(Serialize)]
struct Request {
    name: &'static str,
    version: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    description: &'static str,
    opts: &'static [Named],
    inputs: Option<()>,
    metadata: &'static [Named],
    refs: Option<()>,
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    description: &'static str,
}

const fn named(name: &'static str, description: &'static str) -> Named {
    Named { name, description }
}

const fn request(
    name: &'static str,
    description: &'static str,
    opts: &'static [Named],
    metadata: &'static [Named],
) -> Request {
    Request {
        name,
        version: "1.0.0",
        kind: "rpc",
        description,
        opts,
        inputs: None,
        metadata,
        refs: None,
    }
}

const RESULTS: &[Named] = &[named("result.json", ""), named("result.txt", "")];

static REQUESTS: [Request; 4] = [
    request(
        "frontend.lint",
        "Lint a Dockerfile",
        &[],
        &[
            named("result.json", ""),
            named("result.txt", ""),
            named("result.statuscode", ""),
        ],
    ),
    request(
        "frontend.outline",
        "List all parameters current build target supports",
        &[named("target", "Target build stage")],
        RESULTS,
    ),
    request(
        "frontend.targets",
        "List all targets current build supports",
        &[],
        RESULTS,
    ),
    request(
        "frontend.subrequests.describe",
        "List available subrequest types",
        &[],
        RESULTS,
    ),
];

pub(super) fn json() -> String {
    pretty(&REQUESTS)
}

pub(super) fn text() -> String {
    let rows = REQUESTS.iter().map(|request| {
        let name = request.name.trim_start_matches("frontend.");
        [name, request.version, request.description]
    });
    let rows: Vec<_> = std::iter::once(["NAME", "VERSION", "DESCRIPTION"])
        .chain(rows)
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let mut text = String::new();
    for [name, version, description] in &rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:first$} {version:second$} {description}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_asked_is_listed_as_docker_lists_it() {
        assert_eq!(
            text(),
            "NAME                 VERSION DESCRIPTION\n\
             lint                 1.0.0   Lint a Dockerfile\n\
             outline              1.0.0   List all parameters current build target supports\n\
             targets              1.0.0   List all targets current build supports\n\
             subrequests.describe 1.0.0   List available subrequest types\n"
        );
        let list: serde_json::Value = serde_json::from_str(&json()).expect("JSON");
        assert_eq!(list[1]["opts"][0]["name"], "target");
        assert_eq!(list[3]["name"], "frontend.subrequests.describe");
        assert_eq!(list[3]["inputs"], serde_json::Value::Null);
    }
}
