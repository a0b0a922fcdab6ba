//! `--allow`: powers that steps may ask for.

use super::BadValue;
use engine::build::Entitlement;

const ALL: [Entitlement; 2] = [Entitlement::NetworkHost, Entitlement::SecurityInsecure];

/// Reads the name of an entitlement.
pub(crate) fn entitlement(text: &str) -> Result<Entitlement, BadValue> {
    let known = ALL.into_iter().find(|known| known.name() == text);
    known.ok_or_else(|| {
        let names = ALL.map(|known| format!("`{}`", known.name()));
        BadValue::new(format!(
            "`{text}` is not something to allow; use {}",
            names.join(" or ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entitlements_have_buildkits_names() {
        assert_eq!(entitlement("network.host"), Ok(Entitlement::NetworkHost));
        let insecure = entitlement("security.insecure");
        assert_eq!(insecure, Ok(Entitlement::SecurityInsecure));
        assert!(entitlement("device").is_err());
    }
}
