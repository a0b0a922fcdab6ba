//! Colours of rows: Docker's defaults, `BUILDKIT_COLORS`, and none under `NO_COLOR`.

/// The escape parameters of each kind of row; `None` for the terminal's own colour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Colors {
    /// Complete.
    pub run: Option<String>,
    /// Stopped.
    pub cancel: Option<String>,
    /// Failed.
    pub error: Option<String>,
    /// With a finding.
    pub warning: Option<String>,
    /// Step output and notes.
    pub faint: Option<String>,
}

impl Colors {
    /// Chooses by the values of `NO_COLOR` and `BUILDKIT_COLORS`
    /// (`run=green:warning=yellow:error=red:cancel=255,165,0`). An entry that is not understood is skipped: a typing
    /// mistake in an environment must not stop a build.
    pub(crate) fn choose(no_color: Option<&str>, settings: Option<&str>) -> Self {
        if no_color.is_some_and(|value| !value.is_empty()) {
            return Self::default();
        }
        let mut colors = Self {
            run: named("blue"),
            cancel: named("yellow"),
            error: named("red"),
            warning: named("yellow"),
            faint: Some("2".to_owned()),
        };
        for entry in settings.unwrap_or_default().split(':') {
            let Some((key, value)) = entry.split_once('=') else {
                continue;
            };
            let Some(color) = named(value).or_else(|| rgb(value)) else {
                continue;
            };
            match key {
                "run" => colors.run = Some(color),
                "cancel" => colors.cancel = Some(color),
                "error" => colors.error = Some(color),
                "warning" => colors.warning = Some(color),
                _ => {}
            }
        }
        colors
    }
}

/// Wraps `text` in a colour.
pub(crate) fn paint(text: &str, color: Option<&str>) -> String {
    match color {
        Some(parameters) => format!("\x1b[{parameters}m{text}\x1b[0m"),
        None => text.to_owned(),
    }
}

fn named(name: &str) -> Option<String> {
    const NAMES: [&str; 8] = [
        "black", "red", "green", "yellow", "blue", "magenta", "cyan", "white",
    ];
    let (name, base) = match name.strip_prefix("light-") {
        Some(name) => (name, 90),
        None => (name, 30),
    };
    let index = NAMES
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name))?;
    Some((base + index).to_string())
}

fn rgb(value: &str) -> Option<String> {
    let channels: Vec<u8> = value
        .split(',')
        .map(|channel| channel.trim().parse().ok())
        .collect::<Option<_>>()?;
    match channels[..] {
        [red, green, blue] => Some(format!("38;2;{red};{green};{blue}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_wins() {
        assert_eq!(
            Colors::choose(Some("1"), Some("run=red")),
            Colors::default()
        );
        assert_ne!(Colors::choose(Some(""), None), Colors::default());
    }

    #[test]
    fn settings_change_single_colors() {
        let colors = Colors::choose(
            None,
            Some("run=light-green:error=255,165,0:nonsense:cancel=mauve:warning=1,2"),
        );
        assert_eq!(colors.run.as_deref(), Some("92"));
        assert_eq!(colors.error.as_deref(), Some("38;2;255;165;0"));
        assert_eq!(colors.cancel.as_deref(), Some("33"));
        assert_eq!(colors.warning.as_deref(), Some("33"));
    }

    #[test]
    fn painting_is_undone() {
        assert_eq!(paint("x", Some("31")), "\x1b[31mx\x1b[0m");
        assert_eq!(paint("x", None), "x");
    }
}
