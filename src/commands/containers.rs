//! `rbuild ps`.

use std::time::SystemTime;

use clap::Args;
use serde_json::json;

use super::{Context, Format, ago, lines, list_time};
use crate::backend::{Backend, ContainerNetwork, ContainerState, ContainerSummary};
use crate::display::single_line;
use crate::error::Error;
use crate::table::{self, ellipsis, short_id};
use crate::units;

/// Columns of a command before it is cut, its quotes not counted.
const COMMAND_WIDTH: usize = 20;

/// Flags of `rbuild ps`.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Also containers that are not running
    #[arg(short, long)]
    pub all: bool,
    /// Print only IDs
    #[arg(short, long)]
    pub quiet: bool,
    /// Print IDs and commands in full
    #[arg(long)]
    pub no_trunc: bool,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// Lists containers.
pub(crate) async fn ps<B: Backend>(args: &PsArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let containers = cx.backend.containers(args.all).await?;
    let text = list(&containers, args, SystemTime::now());
    cx.printer.bytes(text.as_bytes())?;
    Ok(0)
}

fn list(containers: &[ContainerSummary], args: &PsArgs, now: SystemTime) -> String {
    if args.quiet {
        return lines(containers.iter().map(|container| id(container, args)));
    }
    match args.format {
        Format::Json => containers
            .iter()
            .map(|container| json_line(container, args, now))
            .collect(),
        Format::Table => {
            let rows: Vec<_> = containers
                .iter()
                .map(|container| {
                    [
                        id(container, args).to_owned(),
                        container.image.clone(),
                        command(container, args),
                        ago(container.created, now),
                        status(container.state, now),
                        String::new(),
                        container.name.clone(),
                    ]
                })
                .collect();
            let heading = [
                "CONTAINER ID",
                "IMAGE",
                "COMMAND",
                "CREATED",
                "STATUS",
                "PORTS",
                "NAMES",
            ];
            table::layout(heading, &rows)
        }
    }
}

fn json_line(container: &ContainerSummary, args: &PsArgs, now: SystemTime) -> String {
    let object = json!({
        "Command": command(container, args),
        "CreatedAt": list_time(container.created),
        "ID": id(container, args),
        "Image": container.image,
        "Labels": "",
        "LocalVolumes": "0",
        "Mounts": "",
        "Names": container.name,
        "Networks": network(container.network),
        "Ports": "",
        "RunningFor": ago(container.created, now),
        "State": state(container.state),
        "Status": status(container.state, now),
    });
    format!("{object}\n")
}

fn id<'a>(container: &'a ContainerSummary, args: &PsArgs) -> &'a str {
    if args.no_trunc {
        &container.id
    } else {
        short_id(&container.id)
    }
}

fn command(container: &ContainerSummary, args: &PsArgs) -> String {
    let command = single_line(&container.command.join(" "));
    if args.no_trunc {
        format!("\"{command}\"")
    } else {
        format!("\"{}\"", ellipsis(&command, COMMAND_WIDTH))
    }
}

/// `running`, as Docker's JSON has it.
pub(super) fn state(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running { .. } => "running",
        ContainerState::Exited { .. } => "exited",
    }
}

/// `host`, as Docker's JSON has it.
pub(super) fn network(network: ContainerNetwork) -> &'static str {
    match network {
        ContainerNetwork::Default => "default",
        ContainerNetwork::Host => "host",
        ContainerNetwork::None => "none",
    }
}

fn status(state: ContainerState, now: SystemTime) -> String {
    let since = |time| units::age(now.duration_since(time).unwrap_or_default());
    match state {
        ContainerState::Created => "Created".to_owned(),
        ContainerState::Running { since: started, .. } => format!("Up {}", since(started)),
        ContainerState::Exited { code, at } => format!("Exited ({code}) {} ago", since(at)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn args() -> PsArgs {
        PsArgs {
            all: true,
            quiet: false,
            no_trunc: false,
            format: Format::Table,
        }
    }

    fn containers(now: SystemTime) -> Vec<ContainerSummary> {
        let hours = |n: u64| now - Duration::from_secs(n * 3600);
        let container = |name: &str, command: &[&str], state| ContainerSummary {
            id: name.repeat(64),
            name: format!("name_{name}"),
            image: "busybox".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            created: hours(3),
            state,
            network: ContainerNetwork::Default,
        };
        vec![
            container(
                "a",
                &["sh", "-c", "while true; do sleep 1; done"],
                ContainerState::Running {
                    since: hours(2),
                    pid: 7,
                },
            ),
            container(
                "b",
                &["true"],
                ContainerState::Exited {
                    code: 0,
                    at: hours(1),
                },
            ),
            container("c", &["x\ny"], ContainerState::Created),
        ]
    }

    #[test]
    fn the_table_reads_as_dockers() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        insta::assert_snapshot!(list(&containers(now), &args(), now), @r#"
        CONTAINER ID   IMAGE     COMMAND                  CREATED       STATUS                         PORTS     NAMES
        aaaaaaaaaaaa   busybox   "sh -c while true; d…"   3 hours ago   Up 2 hours                               name_a
        bbbbbbbbbbbb   busybox   "true"                   3 hours ago   Exited (0) About an hour ago             name_b
        cccccccccccc   busybox   "x y"                    3 hours ago   Created                                  name_c
        "#);
    }

    #[test]
    fn ids_and_json_are_for_machines() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let quiet = PsArgs {
            quiet: true,
            no_trunc: true,
            ..args()
        };
        assert_eq!(
            list(&containers(now)[1..2], &quiet, now),
            format!("{}\n", "b".repeat(64))
        );
        let json = PsArgs {
            format: Format::Json,
            ..args()
        };
        let text = list(&containers(now), &json, now);
        let first: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("a line")).expect("an object");
        assert_eq!(first["State"], "running");
        assert_eq!(first["Status"], "Up 2 hours");
        assert_eq!(first["CreatedAt"], "2023-11-14 19:13:20 +0000 UTC");
    }
}
