//! What `rbuild build --verify` says of a build that is not reproducible.

use std::fmt::Write as _;

use engine::build::Difference;

use crate::display::single_line;

/// Where two builds differ first, and in what.
pub(super) fn report(difference: &Difference) -> String {
    let place = if difference.made_by.is_empty() {
        "in the image's config".to_owned()
    } else {
        format!("in the layer of `{}`", single_line(&difference.made_by))
    };
    let path = single_line(&difference.path);
    let mut text = format!("ERROR: two builds differ {place}: `{path}`\n");
    for (what, first, second) in &difference.aspects {
        let [first, second] = [first, second].map(|value| single_line(value));
        // A string takes whatever is written to it.
        writeln!(text, "  {what}:\n    first:  {first}\n    second: {second}").ok();
    }
    if difference.only_times {
        text += "hint: nothing but times differs; `--build-arg SOURCE_DATE_EPOCH=0` gives everything one time\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_and_aspects_are_told() {
        let text = report(&Difference {
            made_by: "RUN date > /now".to_owned(),
            path: "/now".to_owned(),
            aspects: vec![("mode", "644".to_owned(), "755".to_owned())],
            only_times: false,
        });
        assert_eq!(
            text,
            "ERROR: two builds differ in the layer of `RUN date > /now`: `/now`\n  mode:\n    first:  644\n    second: 755\n"
        );
    }
}
