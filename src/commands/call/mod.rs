//! `rbuild build --call`: what is known of a Dockerfile, without a build. Texts and JSON are those of `docker build`.

mod describe;
mod json;
mod sarif;
mod text;

#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use engine::build::examine::{Checked, Group};
use engine::event::Listener;

use super::Context;
use crate::args::call::{CallArg, Format, Method};
use crate::backend::{Backend, BuildRequest};
use crate::display::Mode;
use crate::error::Error;
use crate::signals::interruptible;

/// Does what was asked for, and gives the program's exit code.
pub(crate) async fn run<B: Backend>(
    call: CallArg,
    method: Method,
    request: BuildRequest,
    mode: Option<Mode>,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let (display, _) = cx.display(mode, "Reading")?;
    let display = Arc::new(display);
    let listener = Arc::clone(&display) as Arc<dyn Listener>;
    let backend = cx.backend;
    let answer = async {
        Ok(match method {
            Method::Check => {
                let examined = backend.check(request, listener).await?;
                let text = check(&examined.checked, call.format);
                let found = !examined.checked.warnings.is_empty() && !call.ignore_status;
                (text, u8::from(found), examined.failure)
            }
            Method::Outline => {
                let outline = backend.outline(request, listener).await?;
                let text = match call.format {
                    Format::Json => json::outline(&outline.value, &outline.source),
                    _ => text::outline(&outline.value),
                };
                (text, 0, None)
            }
            Method::Targets => {
                let targets = backend.targets(request, listener).await?;
                let text = match call.format {
                    Format::Json => json::targets(&targets.value, &targets.source),
                    _ => text::targets(&targets.value),
                };
                (text, 0, None)
            }
            Method::Describe => {
                let text = match call.format {
                    Format::Json => describe::json(),
                    _ => describe::text(),
                };
                (text, 0, None)
            }
        })
    };
    let answer = interruptible(answer).await;
    display.finish();
    let (text, code, failure) = answer?;
    cx.printer.bytes(text.as_bytes())?;
    match failure {
        Some(failure) => {
            // The answer comes first where both streams go to one place.
            cx.printer.flush()?;
            Err(failure.into())
        }
        None => Ok(code),
    }
}

fn check(checked: &Checked, format: Format) -> String {
    match format {
        Format::Text => text::check(checked),
        Format::Json => json::check(checked),
        Format::Sarif => sarif::check(checked),
    }
}

/// What is said of a finding. What BuildKit says needs no more words; of rbuild's own rules it is said what to do.
fn detail(finding: &engine::build::examine::Diagnostic) -> String {
    match (finding.rule, &finding.help) {
        (Some(rule), Some(help)) if matches!(rule.group, Group::Shell | Group::Extension) => {
            format!("{}: {help}", finding.message)
        }
        _ => finding.message.clone(),
    }
}
