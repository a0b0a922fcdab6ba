//! Tables as Docker prints them: columns three spaces apart, at least ten wide.

use crate::display::width;

const MIN_WIDTH: usize = 10;
const GAP: usize = 3;

/// Lays rows out under a heading; every row has as many cells as the heading.
pub(crate) fn layout<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(|title| MIN_WIDTH.max(width(title) + GAP));
    for row in rows {
        for (column, cell) in widths.iter_mut().zip(row) {
            *column = (*column).max(width(cell) + GAP);
        }
    }
    let mut text = String::new();
    line(&mut text, heading.iter().copied(), &widths);
    for row in rows {
        line(&mut text, row.iter().map(String::as_str), &widths);
    }
    text
}

fn line<'a>(text: &mut String, cells: impl ExactSizeIterator<Item = &'a str>, widths: &[usize]) {
    let last = cells.len().saturating_sub(1);
    for (index, (cell, columns)) in cells.zip(widths).enumerate() {
        text.push_str(cell);
        if index < last {
            text.extend(std::iter::repeat_n(' ', columns - width(cell)));
        }
    }
    text.push('\n');
}

/// An identifier as people see it: twelve digits without the algorithm.
pub(crate) fn short_id(id: &str) -> &str {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// Cuts a text to `columns`, the last of them an ellipsis.
pub(crate) fn ellipsis(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    format!("{}…", crate::display::truncate(text, columns - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let rows = [
            ["busybox".to_owned(), "latest".to_owned(), "4MB".to_owned()],
            [
                "localhost:5000/some/app".to_owned(),
                "1".to_owned(),
                "1GB".to_owned(),
            ],
        ];
        assert_eq!(
            layout(["REPOSITORY", "TAG", "SIZE"], &rows),
            "REPOSITORY                TAG       SIZE\n\
             busybox                   latest    4MB\n\
             localhost:5000/some/app   1         1GB\n"
        );
    }

    #[test]
    fn identifiers_and_texts_are_cut() {
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("abc"), "abc");
        assert_eq!(ellipsis("a long text", 6), "a lon…");
        assert_eq!(ellipsis("short", 6), "short");
    }
}
