//! One `hosts.toml`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{HostsError, HostsProblem};
use crate::registry::endpoint::is_loopback;

/// What a `hosts.toml` says.
#[derive(Debug)]
pub(crate) struct HostsFile {
    /// The mirrors, in their order.
    pub(crate) mirrors: Vec<Host>,
    /// The registry itself.
    pub(crate) server: Host,
}

/// A server with the API of registries.
#[derive(Debug)]
pub(crate) struct Host {
    /// Where the API begins, `/v2` with it; `None` for where the registry's name leads.
    pub(crate) address: Option<Url>,
    pub(crate) capabilities: Capabilities,
    /// Files with certificates of authorities that are trusted beside the system's.
    pub(crate) authorities: Vec<PathBuf>,
    /// Certificates that show who we are.
    pub(crate) client: Option<Certificate>,
    /// Whether any certificate is taken.
    pub(crate) skip_verify: bool,
    /// Sent with each request.
    pub(crate) headers: HeaderMap,
    /// How long a connection may take to come about.
    pub(crate) connect_timeout: Option<Duration>,
}

/// What a host may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// For what has a digest.
    pub(crate) pull: bool,
    /// For what a tag leads to.
    pub(crate) resolve: bool,
    /// To take images.
    pub(crate) push: bool,
}

/// A client certificate and its key; both may be in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Capabilities {
    /// All of them.
    pub(crate) const ALL: Self = Self {
        pull: true,
        resolve: true,
        push: true,
    };
}

impl Default for Host {
    fn default() -> Self {
        Self {
            address: None,
            capabilities: Capabilities::ALL,
            authorities: Vec::new(),
            client: None,
            skip_verify: false,
            headers: HeaderMap::new(),
            connect_timeout: None,
        }
    }
}

type Value<'a> = Spanned<DeValue<'a>>;
type Problem = (Range<usize>, HostsProblem);

impl HostsFile {
    /// Reads the text of the file at `path`, from whose directory relative paths in it start.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, HostsError> {
        let directory = path.parent().unwrap_or(Path::new("."));
        parse(text, directory).map_err(|(span, problem)| {
            let before = &text[..span.start.min(text.len())];
            let line_at = before.rfind('\n').map_or(0, |end| end + 1);
            HostsError::Content {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_at..].chars().count() + 1,
                problem,
            }
        })
    }
}

fn parse(text: &str, directory: &Path) -> Result<HostsFile, Problem> {
    let document = DeTable::parse(text).map_err(|error| {
        let problem = HostsProblem::Syntax(error.message().to_owned());
        (error.span().unwrap_or_default(), problem)
    })?;
    let mut server = Section::new(directory);
    let mut mirrors = Vec::new();
    for (key, value) in document.get_ref() {
        match key.get_ref().as_ref() {
            "server" => server.address = Some((text_of(value)?, value.span())),
            "host" => {
                for (address, value) in table_of(value)? {
                    let mut mirror = Section::new(directory);
                    mirror.address = Some((address.get_ref(), address.span()));
                    for (key, value) in table_of(value)? {
                        mirror.set(key, value)?;
                    }
                    mirrors.push(mirror.finish()?);
                }
            }
            _ => server.set(key, value)?,
        }
    }
    Ok(HostsFile {
        mirrors,
        server: server.finish()?,
    })
}

/// What stands under one `[host."…"]`, or before the first.
struct Section<'a> {
    directory: &'a Path,
    address: Option<(&'a str, Range<usize>)>,
    override_path: bool,
    host: Host,
}

impl<'a> Section<'a> {
    fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            address: None,
            override_path: false,
            host: Host::default(),
        }
    }

    fn set(
        &mut self,
        key: &Spanned<toml::de::DeString<'_>>,
        value: &Value<'_>,
    ) -> Result<(), Problem> {
        match key.get_ref().as_ref() {
            "capabilities" => self.host.capabilities = capabilities(value)?,
            "ca" => self.host.authorities = self.authorities(value)?,
            "client" => self.host.client = Some(self.client(value)?),
            "skip_verify" => self.host.skip_verify = switch(value)?,
            "override_path" => self.override_path = switch(value)?,
            "header" => self.host.headers = headers(value)?,
            "dial_timeout" => self.host.connect_timeout = Some(timeout(value)?),
            other => {
                let problem = format!("`{other}` is not known");
                return Err((key.span(), HostsProblem::Syntax(problem)));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Host, Problem> {
        if let Some((text, span)) = self.address {
            let address = address(text, self.override_path);
            let problem = || (span, HostsProblem::Address(text.to_owned()));
            self.host.address = Some(address.ok_or_else(problem)?);
        }
        Ok(self.host)
    }

    fn authorities(&self, value: &Value<'_>) -> Result<Vec<PathBuf>, Problem> {
        let paths = texts(value).ok_or((value.span(), HostsProblem::Authorities))?;
        Ok(paths.iter().map(|path| self.directory.join(path)).collect())
    }

    /// containerd takes many pairs and shows the one that fits; one is what there is in practice.
    fn client(&self, value: &Value<'_>) -> Result<Certificate, Problem> {
        let pair = match value.get_ref() {
            DeValue::String(path) => Some((path.as_ref(), path.as_ref())),
            DeValue::Array(items) => match items.iter().collect::<Vec<_>>()[..] {
                [only] => match texts(only).as_deref() {
                    Some([path] | [path, ""]) => Some((*path, *path)),
                    Some([certificate, key]) => Some((*certificate, *key)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let (certificate, key) = pair.ok_or((value.span(), HostsProblem::Client))?;
        Ok(Certificate {
            certificate: self.directory.join(certificate),
            key: self.directory.join(key),
        })
    }
}

/// The address of an API: `/v2` follows, unless it is there or the path is to be taken as it is.
fn address(text: &str, override_path: bool) -> Option<Url> {
    let text = if text.contains("://") {
        text.to_owned()
    } else if is_loopback(text.split('/').next().unwrap_or(text)) {
        format!("http://{text}")
    } else {
        format!("https://{text}")
    };
    let mut url = Url::parse(&text).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return None;
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if override_path || path.ends_with("/v2") {
        url.set_path(&path);
    } else {
        url.set_path(&format!("{path}/v2"));
    }
    Some(url)
}

fn capabilities(value: &Value<'_>) -> Result<Capabilities, Problem> {
    let DeValue::Array(items) = value.get_ref() else {
        return Err(wrong_type(value, "a list"));
    };
    let mut found = Capabilities {
        pull: false,
        resolve: false,
        push: false,
    };
    for item in items {
        match text_of(item)? {
            "pull" => found.pull = true,
            "resolve" => found.resolve = true,
            "push" => found.push = true,
            other => {
                let problem = HostsProblem::Capability(other.to_owned());
                return Err((item.span(), problem));
            }
        }
    }
    Ok(found)
}

fn headers(value: &Value<'_>) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in table_of(value)? {
        let bad_name = |_| (name.span(), HostsProblem::Header);
        let header = HeaderName::try_from(name.get_ref().as_ref()).map_err(bad_name)?;
        for text in texts(value).ok_or((value.span(), HostsProblem::Header))? {
            let bad_value = |_| (value.span(), HostsProblem::Header);
            headers.append(&header, HeaderValue::try_from(text).map_err(bad_value)?);
        }
    }
    Ok(headers)
}

fn timeout(value: &Value<'_>) -> Result<Duration, Problem> {
    let text = text_of(value)?;
    let time: Option<jiff::SignedDuration> = text.parse().ok();
    time.and_then(|time| Duration::try_from(time).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| (value.span(), HostsProblem::Timeout(text.to_owned())))
}

fn switch(value: &Value<'_>) -> Result<bool, Problem> {
    let DeValue::Boolean(switch) = value.get_ref() else {
        return Err(wrong_type(value, "`true` or `false`"));
    };
    Ok(*switch)
}

fn text_of<'a>(value: &'a Value<'_>) -> Result<&'a str, Problem> {
    let text = value.get_ref().as_str();
    text.ok_or_else(|| wrong_type(value, "a text"))
}

fn table_of<'a, 'b>(value: &'a Value<'b>) -> Result<&'a DeTable<'b>, Problem> {
    let table = value.get_ref().as_table();
    table.ok_or_else(|| wrong_type(value, "a table"))
}

/// A text, or a list of them.
fn texts<'a>(value: &'a Value<'_>) -> Option<Vec<&'a str>> {
    match value.get_ref() {
        DeValue::String(text) => Some(vec![text.as_ref()]),
        DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
        _ => None,
    }
}

fn wrong_type(value: &Value<'_>, wanted: &str) -> Problem {
    let found = value.get_ref().type_str();
    let problem = HostsProblem::Syntax(format!("{wanted} is wanted here, not {found}"));
    (value.span(), problem)
}
