//! `--add-host`: a name and an address for `/etc/hosts`.

use std::str::FromStr;

use engine::build::HostAddress;

use super::BadValue;

/// One line of `/etc/hosts`, from `NAME:ADDRESS` or `NAME=ADDRESS`; an IPv6 address may be in brackets, and
/// `host-gateway` is this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostArg {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub address: HostAddress,
}

impl FromStr for HostArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let at = text
            .find(['=', ':'])
            .ok_or_else(|| BadValue::new(format!("`{text}` must be written `NAME:ADDRESS`")))?;
        let (name, address) = (&text[..at], &text[at + 1..]);
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(BadValue::new(format!("`{name}` is not a host name")));
        }
        if address == "host-gateway" {
            return Ok(Self {
                name: name.to_owned(),
                address: HostAddress::Gateway,
            });
        }
        let bare = address
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(address);
        let address = bare
            .parse()
            .map_err(|_| BadValue::new(format!("`{address}` is not an IP address")))?;
        Ok(Self {
            name: name.to_owned(),
            address: HostAddress::Address(address),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_understood() {
        for (text, address) in [
            ("db:10.0.0.1", "10.0.0.1"),
            ("db=10.0.0.1", "10.0.0.1"),
            ("db:::1", "::1"),
            ("db:[fe80::1]", "fe80::1"),
        ] {
            let host: HostArg = text.parse().expect(text);
            assert_eq!(host.name, "db");
            let address = address.parse().expect(address);
            assert_eq!(host.address, HostAddress::Address(address));
        }
        let host: HostArg = "db:host-gateway".parse().expect("a host");
        assert_eq!(host.address, HostAddress::Gateway);
        for text in ["db", ":1.2.3.4", "db:name", "a b:1.2.3.4"] {
            assert!(text.parse::<HostArg>().is_err(), "{text}");
        }
    }
}
