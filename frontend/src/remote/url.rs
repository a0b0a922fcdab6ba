//! URLs as far as a builder must understand them, and what is found under those of HTTP.

use super::RemoteError;

/// Longer URLs can only be mistakes.
const MAX_URL: usize = 8192;
/// A file's name is no longer (Linux's `NAME_MAX`).
const MAX_NAME: usize = 255;

/// What a URL of HTTP leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpSource {
    /// The URL.
    pub url: String,
    /// The name that the file gets.
    pub name: String,
    /// The digest that its bytes must have: `sha256:` and hexadecimal digits.
    pub checksum: Option<String>,
    /// What is made of it.
    pub form: HttpForm,
}

/// What is made of what a URL leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpForm {
    /// One file.
    File,
    /// The files of an archive; one file where it is none.
    Archive,
}

impl HttpSource {
    /// A source without a checksum.
    ///
    /// # Errors
    /// The text is no URL.
    pub fn new(url: &str, name: &str, form: HttpForm) -> Result<Self, RemoteError> {
        let parts = Parts::of(url).ok_or_else(|| RemoteError::Url(redacted(url)))?;
        if parts.host().is_empty() {
            return Err(RemoteError::Url(redacted(url)));
        }
        Ok(Self {
            url: url.to_owned(),
            name: name.to_owned(),
            checksum: None,
            form,
        })
    }

    /// The same with a digest that its bytes must have.
    ///
    /// # Errors
    /// The text is no digest.
    pub fn with_checksum(self, checksum: &str) -> Result<Self, RemoteError> {
        let digits = checksum.strip_prefix("sha256:");
        if !digits.is_some_and(|digits| digits.len() == 64 && is_lower_hex(digits)) {
            return Err(RemoteError::Digest(checksum.to_owned()));
        }
        Ok(Self {
            checksum: Some(checksum.to_owned()),
            ..self
        })
    }
}

/// Whether a source is a URL of HTTP rather than a path.
pub fn is_url(source: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| starts_with_ignoring_case(source, scheme))
}

/// The last component of a URL's path, percent signs decoded; `None` where there is none that a file could have.
pub fn file_name(url: &str) -> Option<String> {
    let path = decoded(Parts::of(url)?.path())?;
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    let good = !matches!(name, "" | "." | "..")
        && name.len() <= MAX_NAME
        && !name.chars().any(char::is_control);
    good.then(|| name.to_owned())
}

/// The host of a URL, without login and port.
pub fn host(url: &str) -> Option<&str> {
    let host = Parts::of(url)?.host();
    (!host.is_empty()).then_some(host)
}

/// A URL as messages show it: without a password, and without what a terminal would act on.
pub fn redacted(url: &str) -> String {
    let plain = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).collect() };
    let Some((scheme, rest)) = url.split_once("://") else {
        return plain(url);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((login, host)) => {
            let hidden = if login.contains(':') {
                "xxxxx:xxxxx"
            } else {
                "xxxxx"
            };
            // The user of SSH is no secret.
            if starts_with_ignoring_case(scheme, "ssh") && !login.contains(':') {
                authority.to_owned()
            } else {
                format!("{hidden}@{host}")
            }
        }
        None => authority.to_owned(),
    };
    plain(&format!("{scheme}://{authority}{rest}"))
}

/// A URL with a scheme, in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    /// Login, host and port.
    pub(super) authority: &'a str,
    path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) fragment: Option<&'a str>,
    /// Everything before query and fragment.
    pub(super) base: &'a str,
}

impl<'a> Parts<'a> {
    /// `None` for what has no scheme, or characters that no URL has.
    pub(super) fn of(url: &'a str) -> Option<Self> {
        let (scheme, _) = url.split_once("://")?;
        let named = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let clean = !url.contains(|c: char| c.is_control() || c == ' ' || c == '\\');
        if !named || !clean || url.len() > MAX_URL {
            return None;
        }
        let (rest, fragment) = split(url, '#');
        let (base, query) = split(rest, '?');
        let rest = &base[scheme.len() + 3..];
        let end = rest.find('/').unwrap_or(rest.len());
        Some(Self {
            scheme,
            authority: &rest[..end],
            path: &rest[end..],
            query,
            fragment,
            base,
        })
    }

    pub(super) fn path(&self) -> &'a str {
        self.path
    }

    /// The host, without login and port.
    pub(super) fn host(&self) -> &'a str {
        let host = self.authority.rsplit('@').next().unwrap_or_default();
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        }
    }
}

/// What stands before and behind the first `mark`.
pub(super) fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

/// Decodes percent signs. `None` if they are not followed by two digits, or if the result is no text.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        // Two digits make a byte.
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
