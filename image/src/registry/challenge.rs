//! The `WWW-Authenticate` header, by RFC 9110, 11.6.1.

/// One way to authenticate that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password.
    Basic,
    /// A token, to be got elsewhere.
    Bearer {
        /// Where.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what, in the server's opinion.
        scope: Option<String>,
    },
}

/// The challenges of one header, in its order, unknown ones left out.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = header;
    while let Some((scheme, parameters, next)) = next_challenge(rest) {
        rest = next;
        let get = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            challenges.push(Challenge::Bearer {
                realm,
                service: get("service"),
                scope: get("scope"),
            });
        }
    }
    challenges
}

type Parameters = Vec<(String, String)>;

/// A scheme and its parameters, and what follows them.
fn next_challenge(text: &str) -> Option<(&str, Parameters, &str)> {
    let (scheme, mut rest) = token(separators(text))?;
    let mut parameters = Vec::new();
    while let Some((key, value, next)) = parameter(separators(rest)) {
        parameters.push((key.to_owned(), value));
        rest = next;
    }
    Some((scheme, parameters, rest))
}

/// `key=value` or `key="value"`; not a scheme, which has no equals sign.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (key, rest) = token(text)?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = if let Some(quoted) = rest.strip_prefix('"') {
        unquote(quoted)?
    } else {
        let (value, rest) = token(rest)?;
        (value.to_owned(), rest)
    };
    Some((key, value, rest))
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | '=' | '"'))
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn separators(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || c == ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_are_read() {
        let hub = r#"Bearer realm="https://a/token",service="b",scope="repository:x:pull,push""#;
        let cases = [
            (
                hub,
                vec![bearer(
                    "https://a/token",
                    Some("b"),
                    Some("repository:x:pull,push"),
                )],
            ),
            ("Basic realm=\"x, y\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                "Negotiate, Basic realm=x, BEARER Realm = \"q\\\"r\" , service=s",
                vec![Challenge::Basic, bearer("q\"r", Some("s"), None)],
            ),
            ("Bearer service=\"no realm\"", vec![]),
            ("", vec![]),
            ("Bearer realm=\"unclosed", vec![]),
            ("= , \" ==", vec![]),
            ("Digest a=b, c=\"d\"", vec![]),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header), expected, "{header}");
        }
    }
}
