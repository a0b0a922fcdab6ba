//! Graphs as pictures. Sizes are in pixels.

use engine::build::{Drawing, EdgeKind};

use super::{label, layout};
use crate::display::single_line;
use crate::table::ellipsis;

/// A step's box.
const WIDTH: usize = 320;
const HEIGHT: usize = 32;
/// From one box to the next.
const ACROSS: usize = 60;
const DOWN: usize = 36;
/// Around all of it, and above the first row.
const MARGIN: usize = 20;
const HEADING: usize = 40;
/// Columns of a step's name that fit into its box.
const COLUMNS: usize = 44;

const STYLE: &str = "<style>text{font:12px monospace}.stage{font-weight:bold}rect{fill:#eef4ff;stroke:#345}\
    .target{stroke-width:3}.unneeded{fill:#f4f4f4;stroke:#999;stroke-dasharray:4}.gray{fill:#888}\
    .edge{fill:none;stroke:#345}.files{stroke-dasharray:4}</style>\n";
const ARROW: &str = "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
    markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n";

/// The picture.
pub(super) fn picture(drawing: &Drawing) -> String {
    let rows = layout::rows(drawing);
    let corner = |step: usize| {
        let column = drawing.steps[step].stage;
        (
            MARGIN + column * (WIDTH + ACROSS),
            MARGIN + HEADING + rows[step] * (HEIGHT + DOWN),
        )
    };
    let width = 2 * MARGIN + drawing.stages.len() * (WIDTH + ACROSS);
    let height = 2 * MARGIN
        + HEADING
        + rows
            .iter()
            .max()
            .map_or(0, |last| (last + 1) * (HEIGHT + DOWN));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n"
    );
    text.extend([STYLE, ARROW]);
    for (column, (name, needed)) in drawing.stages.iter().enumerate() {
        let gray = if *needed { "" } else { " gray" };
        let x = MARGIN + column * (WIDTH + ACROSS);
        let name = escaped(&ellipsis(&single_line(name), COLUMNS));
        let y = MARGIN + HEADING / 2;
        text.extend([format!(
            "<text class=\"stage{gray}\" x=\"{x}\" y=\"{y}\">{name}</text>\n"
        )]);
    }
    for edge in &drawing.edges {
        text += &line(corner(edge.from), corner(edge.to), edge.kind);
    }
    for (at, step) in drawing.steps.iter().enumerate() {
        let (x, y) = corner(at);
        let (class, gray) = match (step.needed, step.target) {
            (false, _) => ("unneeded", " class=\"gray\""),
            (true, true) => ("target", ""),
            (true, false) => ("step", ""),
        };
        let name = single_line(&step.name);
        let (whole, short) = (escaped(&name), escaped(&ellipsis(&name, COLUMNS)));
        let (text_x, text_y) = (x + 6, y + 20);
        text.extend([format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"4\"><title>{whole}</title></rect>\n\
             <text{gray} x=\"{text_x}\" y=\"{text_y}\">{short}</text>\n"
        )]);
    }
    text + "</svg>\n"
}

/// An edge from the bottom of one box to the top of another.
fn line(from: (usize, usize), to: (usize, usize), kind: EdgeKind) -> String {
    let (x, y) = (from.0 + WIDTH / 2, from.1 + HEIGHT);
    let (end_x, end_y) = (to.0 + WIDTH / 2, to.1);
    let (leave, arrive) = (y + DOWN / 2, end_y.saturating_sub(DOWN / 2));
    let files = match kind {
        EdgeKind::Extends => "",
        EdgeKind::Copies | EdgeKind::Mounts => " files",
    };
    format!(
        "<path class=\"edge{files}\" marker-end=\"url(#arrow)\" d=\"M{x} {y}C{x} {leave} {end_x} {arrive} {end_x} {end_y}\"><title>{}</title></path>\n",
        label(kind)
    )
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
