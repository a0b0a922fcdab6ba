//! Image names: from what people write to the full form, by the rules of Docker's `distribution/reference`.

/// A name that is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReferenceError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name must be lowercase")]
    Uppercase,
    #[error("repository name must not have more than {MAX_NAME} characters")]
    TooLong,
    #[error("a name of 64 hexadecimal digits can be mistaken for an image id")]
    LooksLikeId,
}

const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;
const DEFAULT_REGISTRY: &str = "docker.io";

/// The short form of a full name, without what goes without saying.
pub(super) fn familiar(name: &str) -> &str {
    let name = name.strip_suffix(":latest").unwrap_or(name);
    let short = name.strip_prefix("docker.io/").unwrap_or(name);
    short.strip_prefix("library/").unwrap_or(short)
}

/// The full form of a name: registry, repository, and a tag unless there is a tag or digest: `busybox` is
/// `docker.io/library/busybox:latest`.
pub(super) fn normalise(name: &str) -> Result<String, ReferenceError> {
    if name.len() == 64
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    {
        return Err(ReferenceError::LooksLikeId);
    }
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    let (registry, path) = split_registry(rest);
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    let official = registry == DEFAULT_REGISTRY && !path.contains('/');
    let path = if official {
        format!("library/{path}")
    } else {
        path.to_owned()
    };
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::Uppercase);
    }
    let valid = is_registry(registry)
        && path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    if !valid {
        return Err(ReferenceError::Format);
    }
    if registry.len() + 1 + path.len() > MAX_NAME {
        return Err(ReferenceError::TooLong);
    }
    let tag = match (tag, digest) {
        (Some(tag), _) => format!(":{tag}"),
        (None, Some(_)) => String::new(),
        (None, None) => ":latest".to_owned(),
    };
    let digest = digest.map(|digest| format!("@{digest}"));
    Ok(format!(
        "{registry}/{path}{tag}{}",
        digest.unwrap_or_default()
    ))
}

/// The part in front of the first `/` is a registry when it could be no part of a repository's name.
fn split_registry(name: &str) -> (&str, &str) {
    let (registry, path) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == "index.docker.io" {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    (registry, path)
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, port)) => {
            let hex = address
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if address.is_empty() || !hex {
                return false;
            }
            (
                None,
                port.strip_prefix(':').or((!port.is_empty()).then_some("")),
            )
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(registry), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.is_none_or(|host| host.split('.').all(label))
        && port
            .is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let word = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let ends = bytes.first().is_some_and(word) && bytes.last().is_some_and(word);
    ends && component
        .split(|next: char| next.is_ascii_alphanumeric())
        .all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// Digests of images are SHA-256 or SHA-512.
fn is_digest(digest: &str) -> bool {
    let (length, hex) = match digest.split_once(':') {
        Some(("sha256", hex)) => (64, hex),
        Some(("sha512", hex)) => (128, hex),
        _ => return false,
    };
    hex.len() == length
        && hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_full_form() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let cases = [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("user/app", "docker.io/user/app:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            (
                "index.docker.io/library/busybox",
                "docker.io/library/busybox:latest",
            ),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("ghcr.io/x/y_z--w.v", "ghcr.io/x/y_z--w.v:latest"),
            ("busybox:Tag_1.x-y", "docker.io/library/busybox:Tag_1.x-y"),
        ];
        for (name, expected) in cases {
            assert_eq!(normalise(name).as_deref(), Ok(expected), "{name}");
        }
        assert_eq!(
            normalise(&format!("busybox@{digest}")),
            Ok(format!("docker.io/library/busybox@{digest}"))
        );
        assert_eq!(
            normalise(&format!("busybox:1@{digest}")),
            Ok(format!("docker.io/library/busybox:1@{digest}"))
        );
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            ":",
            "a:",
            "a@",
            "a@sha256:12",
            "-a",
            "a-",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a___b",
            "a..b",
            "a:b:c",
            "a:-x",
            "é",
            "https://a.b/c",
            "x.y:z/a",
            "[::1/a",
            "a?",
        ] {
            assert_eq!(normalise(name), Err(ReferenceError::Format), "{name}");
        }
        assert_eq!(normalise("Busybox"), Err(ReferenceError::Uppercase));
        assert_eq!(normalise(&"a".repeat(64)), Err(ReferenceError::LooksLikeId));
        let long = format!("a{}", "/b".repeat(200));
        assert_eq!(normalise(&long), Err(ReferenceError::TooLong));
    }
}
