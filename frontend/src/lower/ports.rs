//! Ports of `EXPOSE`: `80`, `80/udp`, `8000-8010`, and the forms with an address or host port, of which only the
//! container's port counts.

use std::net::IpAddr;

/// What is wrong with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PortError {
    #[error("no port specified")]
    Empty,
    #[error("the protocol is not tcp, udp or sctp")]
    Protocol,
    #[error("not a port number or range")]
    Range,
    #[error("invalid IP address")]
    Address,
    #[error("the ranges of container and host ports differ in length")]
    Lengths,
}

/// The `port/protocol` entries that a word of `EXPOSE` stands for.
pub(super) fn parse(text: &str) -> Result<Vec<String>, PortError> {
    let (host, container) = text
        .rsplit_once(':')
        .map_or((None, text), |(host, container)| (Some(host), container));
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    if ports.is_empty() {
        return Err(PortError::Empty);
    }
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(PortError::Protocol),
    };
    let (first, last) = range(ports)?;
    if let Some(host) = host {
        check_host(host, last - first)?;
    }
    Ok((first..=last)
        .map(|port| format!("{port}/{protocol}"))
        .collect())
}

fn range(text: &str) -> Result<(u16, u16), PortError> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or(PortError::Range)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(PortError::Range);
    }
    Ok((first, last))
}

/// `[address:]port`, in front of a container's port.
fn check_host(host: &str, length: u16) -> Result<(), PortError> {
    let (address, port) = host.rsplit_once(':').unwrap_or(("", host));
    let address = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(PortError::Address);
    }
    if port.is_empty() {
        return Ok(());
    }
    let (first, last) = range(port)?;
    if last - first != length && length != 0 {
        return Err(PortError::Lengths);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_listed() {
        let cases: [(&str, Result<&[&str], PortError>); 17] = [
            ("80", Ok(&["80/tcp"])),
            ("53/UDP", Ok(&["53/udp"])),
            ("80/", Ok(&["80/tcp"])),
            ("80-82/sctp", Ok(&["80/sctp", "81/sctp", "82/sctp"])),
            ("8080:80", Ok(&["80/tcp"])),
            ("127.0.0.1:80:80", Ok(&["80/tcp"])),
            ("[::1]:80:80", Ok(&["80/tcp"])),
            ("127.0.0.1::80", Ok(&["80/tcp"])),
            ("8000-8010:80", Ok(&["80/tcp"])),
            ("", Err(PortError::Empty)),
            ("/tcp", Err(PortError::Empty)),
            ("80/icmp", Err(PortError::Protocol)),
            ("65536", Err(PortError::Range)),
            ("82-80", Err(PortError::Range)),
            ("a", Err(PortError::Range)),
            ("x.y:1:80", Err(PortError::Address)),
            ("1-3:80-81", Err(PortError::Lengths)),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|list| list.iter().map(|p| (*p).to_owned()).collect());
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
