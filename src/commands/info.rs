//! `rbuild info`.

use super::Context;
use crate::backend::Backend;
use crate::error::Error;

/// Prints what works here for this user, and why the rest does not.
pub(crate) async fn run<B: Backend>(cx: &mut Context<'_, B>) -> Result<u8, Error> {
    for (name, text) in cx.backend.info().await? {
        cx.printer
            .line(&format!("{:10}{text}", format!("{name}:")))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use crate::commands::fake::{Fake, run_command};

    #[test]
    fn texts_stand_under_one_another() {
        let done = run_command(&Fake::default(), &["info"]);
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(
            done.out,
            "Store:    /store\nLayers:   mounted as they are\n"
        );
    }
}
