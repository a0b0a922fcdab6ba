//! `--platform`: what to build for.

use engine::build::Platform;

use super::BadValue;

/// This machine's own platform, as `docker buildx` calls it.
const LOCAL: &str = "local";

/// Reads a platform: `linux/arm64`, one part of that, or `local`.
pub(crate) fn platform(text: &str) -> Result<Platform, BadValue> {
    if text.eq_ignore_ascii_case(LOCAL) {
        return Ok(Platform::host());
    }
    text.parse()
        .map_err(|error: engine::build::PlatformError| BadValue::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_docker_reads_them() {
        let host = Platform::host();
        for text in ["local", "LOCAL", "linux"] {
            assert_eq!(platform(text).as_ref(), Ok(&host), "{text}");
        }
        let arm = platform("linux/arm64/v8").expect("a platform");
        assert_eq!(arm.to_string(), "linux/arm64");
        assert!(platform("").is_err());
    }
}
