//! Where steps are drawn: a column for each stage, and a row for each step's distance from the beginning, so that edges
//! only lead down and no two steps meet.

use engine::build::Drawing;

/// The row of each step: one more than that of the last it has something of.
pub(super) fn rows(drawing: &Drawing) -> Vec<usize> {
    let mut rows = vec![0; drawing.steps.len()];
    // Steps come after those that they build on.
    for to in 0..rows.len() {
        let before = drawing.edges.iter().filter(|edge| edge.to == to);
        rows[to] = before.map(|edge| rows[edge.from] + 1).max().unwrap_or(0);
    }
    rows
}
