//! Graphs as text: for Graphviz, for Mermaid, and as JSON.

use engine::build::{Drawing, EdgeKind};
use serde_json::{Value, json};

use super::label;
use crate::display::single_line;

/// The language of Graphviz.
pub(super) fn dot(drawing: &Drawing) -> String {
    let mut text = "digraph build {\n  node [shape=box];\n".to_owned();
    for (number, (name, _)) in drawing.stages.iter().enumerate() {
        let name = quoted(name);
        text.extend([format!(
            "  subgraph cluster_{number} {{\n    label={name};\n"
        )]);
        for (at, step) in steps_of(drawing, number) {
            let style = match (step.needed, step.target) {
                (false, _) => ", style=dashed, color=gray, fontcolor=gray",
                (true, true) => ", penwidth=2",
                (true, false) => "",
            };
            text.extend([format!(
                "    s{at} [label={}{style}];\n",
                quoted(&step.name)
            )]);
        }
        text += "  }\n";
    }
    for edge in &drawing.edges {
        let style = match edge.kind {
            EdgeKind::Extends => String::new(),
            kind => format!(" [style=dashed, label={}]", quoted(label(kind))),
        };
        text.extend([format!("  s{} -> s{}{style};\n", edge.from, edge.to)]);
    }
    text + "}\n"
}

/// The language of Mermaid.
pub(super) fn mermaid(drawing: &Drawing) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for (number, (name, _)) in drawing.stages.iter().enumerate() {
        text.extend([format!("  subgraph g{number}[\"{}\"]\n", entities(name))]);
        for (at, step) in steps_of(drawing, number) {
            let class = match (step.needed, step.target) {
                (false, _) => ":::unneeded",
                (true, true) => ":::target",
                (true, false) => "",
            };
            text.extend([format!("    s{at}[\"{}\"]{class}\n", entities(&step.name))]);
        }
        text += "  end\n";
    }
    for edge in &drawing.edges {
        let arrow = match edge.kind {
            EdgeKind::Extends => "-->".to_owned(),
            kind => format!("-. {} .->", label(kind)),
        };
        text.extend([format!("  s{} {arrow} s{}\n", edge.from, edge.to)]);
    }
    text + "  classDef unneeded stroke-dasharray: 4,color:gray\n  classDef target stroke-width:3px\n"
}

/// One object.
pub(super) fn json(drawing: &Drawing) -> String {
    let stage = |(name, needed): &(String, bool)| json!({"Name": name, "Needed": needed});
    let steps = drawing.steps.iter().map(|step| {
        json!({
            "Name": step.name,
            "Stage": drawing.stages[step.stage].0,
            "Line": step.line,
            "Needed": step.needed,
            "Target": step.target,
        })
    });
    let edges = drawing.edges.iter().map(|edge| {
        let kind = match edge.kind {
            EdgeKind::Extends => "extends",
            kind => label(kind),
        };
        json!({"From": edge.from, "To": edge.to, "Kind": kind})
    });
    let object = json!({
        "Stages": drawing.stages.iter().map(stage).collect::<Vec<Value>>(),
        "Steps": steps.collect::<Vec<Value>>(),
        "Edges": edges.collect::<Vec<Value>>(),
    });
    format!("{object:#}\n")
}

fn steps_of(
    drawing: &Drawing,
    stage: usize,
) -> impl Iterator<Item = (usize, &engine::build::DrawnStep)> {
    let steps = drawing.steps.iter().enumerate();
    steps.filter(move |(_, step)| step.stage == stage)
}

/// A text between quotes, as Graphviz reads it.
fn quoted(text: &str) -> String {
    let text = single_line(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

/// A text with the characters that mean something to Mermaid as its entities.
fn entities(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in single_line(text).chars() {
        match character {
            '"' | '<' | '>' | '&' | '#' | ';' | '`' | '[' | ']' => {
                escaped.extend(["#", &u32::from(character).to_string(), ";"]);
            }
            other => escaped.push(other),
        }
    }
    escaped
}
