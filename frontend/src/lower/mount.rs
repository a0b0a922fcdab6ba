//! `RUN --mount`: fields to mounts.

use solver::NodeId;

use super::stage::Scope;
use super::text;
use crate::decimal;
use crate::diagnostic::Diagnostic;
use crate::plan::{CacheMount, Mount, MountKind, SecretMount, Sharing, Source, SshMount};
use crate::span::Span;
use crate::syntax::ast::MountFlag;
use crate::syntax::logical::Word;

const KEYS: [&str; 20] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "required",
    "mode",
    "uid",
    "gid",
    "size",
    "env",
    CACHE_KEY,
];
/// The key that has a secret take part in its step's cache key: not BuildKit's.
pub(crate) const CACHE_KEY: &str = "cache-key";
const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARINGS: [&str; 3] = ["shared", "private", "locked"];
/// Mode of a secret's file.
const SECRET_MODE: u32 = 0o400;
/// Mode of an agent's socket.
const SSH_MODE: u32 = 0o600;

/// The fields of a mount, expanded and read.
#[derive(Debug, Default)]
struct Fields {
    kind: String,
    source: String,
    target: String,
    readonly: Option<bool>,
    id: String,
    sharing: Option<Sharing>,
    required: Option<bool>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    env: Option<String>,
    keyed: Option<bool>,
}

impl Scope<'_, '_> {
    /// The mounts of a `RUN`. The files that they read are added to `inputs`.
    pub(super) fn mounts(
        &mut self,
        flags: &[MountFlag],
        inputs: &mut Vec<NodeId>,
    ) -> Result<Vec<Mount>, Diagnostic> {
        let mut mounts = Vec::with_capacity(flags.len());
        let mut agents = 0;
        for (number, flag) in flags.iter().enumerate() {
            let fields = self.mount_fields(flag)?;
            check(&fields, flag)?;
            let stage = self.command.sources.get(number).copied().flatten();
            let from = match stage {
                Some(stage) if matches!(fields.kind.as_str(), "bind" | "cache") => {
                    Some(self.source(stage, "mount from", flag.span, inputs)?)
                }
                _ => None,
            };
            let mount = if fields.kind == "ssh" {
                agents += 1;
                self.ssh(fields, agents - 1, flag.span)?
            } else {
                self.mount(fields, from, flag.span)?
            };
            mounts.push(mount);
        }
        Ok(mounts)
    }

    fn mount_fields(&mut self, flag: &MountFlag) -> Result<Fields, Diagnostic> {
        let mut fields = Fields {
            kind: "bind".to_owned(),
            ..Fields::default()
        };
        for field in &flag.fields {
            let value = match &field.value {
                Some(value) => Some(self.expand(&Word {
                    text: value.clone(),
                    span: field.span,
                })?),
                None => None,
            };
            fields
                .set(&field.key, value.as_deref())
                .map_err(|error| error.at(field.span))?;
        }
        Ok(fields)
    }

    fn mount(&self, fields: Fields, from: Option<Source>, span: Span) -> Result<Mount, Diagnostic> {
        let source = text::absolute(&fields.source);
        let (target, kind) = match fields.kind.as_str() {
            "secret" => return self.secret(fields, span),
            "cache" => {
                let id = if fields.id.is_empty() {
                    text::clean(&fields.target)
                } else {
                    fields.id
                };
                let inside = (source != "/").then(|| (Source::Empty, source.clone()));
                let cache = MountKind::Cache(CacheMount {
                    id: match self.builder.given.get("BUILDKIT_CACHE_MOUNT_NS") {
                        Some(namespace) if !namespace.is_empty() => format!("{namespace}/{id}"),
                        _ => id,
                    },
                    sharing: fields.sharing.unwrap_or_default(),
                    from: from.map(|from| (from, source)).or(inside),
                    mode: fields.mode,
                    uid: fields.uid,
                    gid: fields.gid,
                    readonly: fields.readonly.unwrap_or(false),
                });
                (fields.target, cache)
            }
            "tmpfs" => (fields.target, MountKind::Tmpfs { size: fields.size }),
            _ => {
                let bind = MountKind::Bind {
                    from: from.unwrap_or(Source::Context),
                    source,
                    writable: !fields.readonly.unwrap_or(true),
                };
                (fields.target, bind)
            }
        };
        Ok(Mount {
            target: self.mount_target(&target, span)?,
            kind,
            span,
        })
    }

    fn secret(&self, fields: Fields, span: Span) -> Result<Mount, Diagnostic> {
        let mut id = if fields.source.is_empty() {
            fields.id
        } else {
            fields.source
        };
        if id.is_empty() {
            text::base_name(&fields.target).clone_into(&mut id);
        }
        let file = fields.env.is_none() || !fields.target.is_empty();
        let target = if fields.target.is_empty() {
            format!("/run/secrets/{}", text::base_name(&id))
        } else {
            fields.target
        };
        let secret = SecretMount {
            id,
            file,
            env: fields.env,
            required: fields.required.unwrap_or(false),
            keyed: fields.keyed.unwrap_or(false),
            mode: fields.mode.unwrap_or(SECRET_MODE),
            uid: fields.uid.unwrap_or(0),
            gid: fields.gid.unwrap_or(0),
        };
        Ok(Mount {
            target: self.mount_target(&target, span)?,
            kind: MountKind::Secret(secret),
            span,
        })
    }

    /// The socket of an agent, the one of this number in its command.
    fn ssh(&self, fields: Fields, number: usize, span: Span) -> Result<Mount, Diagnostic> {
        let id = if fields.id.is_empty() {
            "default".to_owned()
        } else {
            fields.id
        };
        let target = if fields.target.is_empty() {
            format!("/run/buildkit/ssh_agent.{number}")
        } else {
            fields.target
        };
        let ssh = SshMount {
            id,
            required: fields.required.unwrap_or(false),
            mode: fields.mode.unwrap_or(SSH_MODE),
            uid: fields.uid.unwrap_or(0),
            gid: fields.gid.unwrap_or(0),
        };
        Ok(Mount {
            target: self.mount_target(&target, span)?,
            kind: MountKind::Ssh(ssh),
            span,
        })
    }

    /// The absolute path of a mount.
    fn mount_target(&self, target: &str, span: Span) -> Result<String, Diagnostic> {
        let path = text::joined(self.state.directory(), target);
        if path == "/" {
            return Err(
                Diagnostic::error(format!("invalid mount target `{path}`"), span)
                    .with_help("name a directory below the root with `target=`"),
            );
        }
        Ok(path)
    }
}

/// What is wrong with a field, and what may have been meant.
struct FieldError {
    message: String,
    meant: Option<&'static str>,
}

impl FieldError {
    fn new(message: String) -> Self {
        Self {
            message,
            meant: None,
        }
    }

    fn value(key: &str, value: &str) -> Self {
        Self::new(format!("invalid value for `{key}`: `{value}`"))
    }

    fn near(message: String, word: &str, known: &[&'static str]) -> Self {
        Self {
            message,
            meant: crate::suggest::nearest(word, known.iter().copied()),
        }
    }

    fn at(self, span: Span) -> Diagnostic {
        let error = Diagnostic::error(self.message, span);
        match self.meant {
            Some(meant) => error.with_help(format!("did you mean `{meant}`?")),
            None => error,
        }
    }
}

impl Fields {
    fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), FieldError> {
        let Some(value) = value else {
            return self.set_switch(key);
        };
        match key {
            "type" => known("mount type", value, &TYPES)?.clone_into(&mut self.kind),
            "source" | "src" => value.clone_into(&mut self.source),
            "target" | "dst" | "destination" => value.clone_into(&mut self.target),
            "id" => value.clone_into(&mut self.id),
            "env" => self.env = Some(value.to_owned()),
            "readonly" | "ro" => self.readonly = Some(boolean(key, value)?),
            "readwrite" | "rw" => self.readonly = Some(!boolean(key, value)?),
            "required" => self.required = Some(boolean(key, value)?),
            CACHE_KEY => self.keyed = Some(boolean(key, value)?),
            "sharing" => {
                self.sharing = Some(match known("sharing value", value, &SHARINGS)? {
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => Sharing::Shared,
                });
            }
            "mode" => self.mode = Some(number(key, value, 8)?),
            "uid" => self.uid = Some(number(key, value, 10)?),
            "gid" => self.gid = Some(number(key, value, 10)?),
            "size" => {
                self.size = Some(bytes(value).ok_or_else(|| FieldError::value(key, value))?);
            }
            _ => {
                return Err(FieldError::near(
                    format!("unexpected key `{key}` in `{key}={value}`"),
                    key,
                    &KEYS,
                ));
            }
        }
        Ok(())
    }

    /// A key without a value.
    fn set_switch(&mut self, key: &str) -> Result<(), FieldError> {
        match key {
            "readonly" | "ro" => self.readonly = Some(true),
            "readwrite" | "rw" => self.readonly = Some(false),
            "required" => self.required = Some(true),
            CACHE_KEY => self.keyed = Some(true),
            _ => {
                return Err(FieldError::near(
                    format!("invalid field `{key}` must be a key=value pair"),
                    key,
                    &KEYS,
                ));
            }
        }
        Ok(())
    }
}

fn known(what: &str, value: &str, list: &[&'static str]) -> Result<&'static str, FieldError> {
    let lower = value.to_lowercase();
    let found = list.iter().find(|known| **known == lower);
    found
        .copied()
        .ok_or_else(|| FieldError::near(format!("unsupported {what} `{value}`"), value, list))
}

/// The booleans of Go's `strconv.ParseBool`.
fn boolean(key: &str, value: &str) -> Result<bool, FieldError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(FieldError::value(key, value)),
    }
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, FieldError> {
    let plain = !value.starts_with('+');
    let number = u32::from_str_radix(value, radix).ok().filter(|_| plain);
    number.ok_or_else(|| FieldError::value(key, value))
}

/// A size such as `64m` or `1.5 GiB`, in powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let end = text
        .rfind(|next: char| next.is_ascii_digit() || next == '.')
        .map(|at| at + 1)?;
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let (scale, rest) = match unit.chars().next() {
        None | Some('b') => (1_u64, unit.as_str()),
        Some(letter) => {
            let power = "kmgtp".find(letter)?;
            (1 << (10 * (power + 1)), &unit[1..])
        }
    };
    let suffix = matches!((scale, rest), (_, "" | "b") | (2.., "ib" | "i"));
    decimal::scaled(number, scale).filter(|_| suffix)
}

/// Keys that only some types of mounts have.
const KEYS_OF_SOME: [(&str, &[&str]); 8] = [
    ("required", &["secret", "ssh"]),
    ("env", &["secret"]),
    (CACHE_KEY, &["secret"]),
    ("size", &["tmpfs"]),
    ("sharing", &["cache"]),
    ("mode", &["cache", "secret", "ssh"]),
    ("uid", &["cache", "secret", "ssh"]),
    ("gid", &["cache", "secret", "ssh"]),
];

/// The types of mounts, and the keys that only some of them have.
pub fn mount_keys() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    TYPES.iter().map(|kind| {
        let own = KEYS_OF_SOME
            .iter()
            .filter(|(_, kinds)| kinds.contains(kind));
        (*kind, own.map(|(key, _)| *key).collect())
    })
}

/// What a type of mount cannot have.
fn check(fields: &Fields, flag: &MountFlag) -> Result<(), Diagnostic> {
    let kind = fields.kind.as_str();
    let error = |message: String| Err(Diagnostic::error(message, flag.span));
    for (key, kinds) in KEYS_OF_SOME {
        let given = flag.fields.iter().find(|field| field.key == key);
        if let Some(field) = given.filter(|_| !kinds.contains(&kind)) {
            let message = format!("unexpected key `{key}` for mount type `{kind}`");
            return Err(Diagnostic::error(message, field.span));
        }
    }
    if kind == "ssh" && flag.from.is_some() {
        return error("ssh mount should not have a `from`".to_owned());
    }
    if kind == "ssh" && !fields.source.is_empty() {
        return error("ssh mount should not have a `source`: name the agent with `id`".to_owned());
    }
    if kind != "secret" {
        return Ok(());
    }
    if flag.from.is_some() {
        return error("secret mount should not have a `from`".to_owned());
    }
    if fields.source.is_empty() && fields.target.is_empty() && fields.id.is_empty() {
        return error(
            "invalid secret mount: one of `id`, `source`, `target` is required".to_owned(),
        );
    }
    if !fields.source.is_empty() && !fields.id.is_empty() {
        return error("both `source` and `id` can't be set".to_owned());
    }
    if fields.env.as_deref() == Some("") {
        return error("invalid value for `env`: it is empty".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_powers_of_1024() {
        let cases = [
            ("0", Some(0)),
            ("512", Some(512)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1.5 k", Some(1536)),
            ("8b", Some(8)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("1kk", None),
            ("1ib", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
