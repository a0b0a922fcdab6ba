//! `rbuild graph`: draws the graph of a build.

mod layout;
mod svg;
mod text;

use std::sync::Arc;

use clap::Args;
use engine::build::{Drawing, EdgeKind};

use super::Context;
use super::build::{self, BuildArgs};
use crate::backend::Backend;
use crate::error::Error;
use crate::signals::interruptible;

/// Flags of `rbuild graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// How the graph is written
    #[arg(long, value_name = "FORMAT", default_value = "dot")]
    pub format: GraphFormat,
    #[command(flatten)]
    pub build: BuildArgs,
}

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum GraphFormat {
    /// For Graphviz
    Dot,
    /// For Mermaid, which many sites show in Markdown
    Mermaid,
    /// A picture
    Svg,
    /// For programs
    Json,
}

/// Draws the stages and steps of a Dockerfile, those that the target does not need as well.
pub(crate) async fn run<B: Backend>(args: GraphArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    let format = args.format;
    let mode = build::mode(&args.build);
    let typed = build::typed(&args.build).await?;
    let request = build::request(args.build, cx.settings, typed)?;
    let (display, _) = cx.display(mode, "Reading")?;
    let display = Arc::new(display);
    let listener = Arc::clone(&display);
    let drawn = interruptible(async { Ok(cx.backend.draw(request, listener).await?) }).await;
    display.finish();
    cx.printer.bytes(write(&drawn?, format).as_bytes())?;
    Ok(0)
}

fn write(drawing: &Drawing, format: GraphFormat) -> String {
    match format {
        GraphFormat::Dot => text::dot(drawing),
        GraphFormat::Mermaid => text::mermaid(drawing),
        GraphFormat::Svg => svg::picture(drawing),
        GraphFormat::Json => text::json(drawing),
    }
}

/// A word for an edge; the plain case needs none.
fn label(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Extends => "",
        EdgeKind::Copies => "copies",
        EdgeKind::Mounts => "mounts",
    }
}

#[cfg(test)]
mod tests {
    use engine::build::{DrawnStep, Edge};

    use super::*;

    fn drawing() -> Drawing {
        let step = |name: &str, stage, needed, target| DrawnStep {
            name: name.to_owned(),
            stage,
            line: Some(1),
            needed,
            target,
        };
        let edge = |from, to, kind| Edge { from, to, kind };
        Drawing {
            stages: vec![
                ("base".to_owned(), true),
                ("final".to_owned(), true),
                ("odd \"<&>\"".to_owned(), false),
            ],
            steps: vec![
                step("[base 1/1] FROM busybox", 0, true, false),
                step("[final 1/1] COPY --from=base a \"b\" <&>", 1, true, true),
                step("[odd 1/1] RUN [x]", 2, false, false),
            ],
            edges: vec![edge(0, 1, EdgeKind::Copies), edge(0, 2, EdgeKind::Extends)],
        }
    }

    #[test]
    fn dot_and_mermaid_name_everything_once() {
        let dot = write(&drawing(), GraphFormat::Dot);
        for line in [
            "    label=\"odd \\\"<&>\\\"\";\n",
            "    s1 [label=\"[final 1/1] COPY --from=base a \\\"b\\\" <&>\", penwidth=2];\n",
            "    s2 [label=\"[odd 1/1] RUN [x]\", style=dashed, color=gray, fontcolor=gray];\n",
            "  s0 -> s1 [style=dashed, label=\"copies\"];\n",
            "  s0 -> s2;\n",
        ] {
            assert_eq!(dot.matches(line).count(), 1, "{line} in {dot}");
        }
        let mermaid = write(&drawing(), GraphFormat::Mermaid);
        for line in [
            "  subgraph g2[\"odd #34;#60;#38;#62;#34;\"]\n",
            "    s2[\"#91;odd 1/1#93; RUN #91;x#93;\"]:::unneeded\n",
            "  s0 -. copies .-> s1\n",
            "  s0 --> s2\n",
        ] {
            assert_eq!(mermaid.matches(line).count(), 1, "{line} in {mermaid}");
        }
    }

    #[test]
    fn json_has_what_there_is() {
        let text = write(&drawing(), GraphFormat::Json);
        let value: serde_json::Value = serde_json::from_str(&text).expect("an object");
        assert_eq!(value["Steps"][2]["Needed"], false);
        assert_eq!(value["Steps"][1]["Target"], true);
        assert_eq!(value["Edges"][0]["Kind"], "copies");
    }

    #[test]
    fn the_picture_is_whole_and_escaped() {
        let text = write(&drawing(), GraphFormat::Svg);
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert_eq!(text.matches("<rect ").count(), 3);
        assert_eq!(text.matches("<path class=\"edge").count(), 2);
        assert!(text.contains("&quot;b&quot; &lt;&amp;&gt;"), "{text}");
        assert!(!text.contains("\"<&>\""), "{text}");
    }
}
