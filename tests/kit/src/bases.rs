//! The base images of the tests, made once by `scripts/bases` and kept in the target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The directory that `scripts/bases make` filled: `storage` is a registry's, `busybox` an OCI layout, and
/// `busybox-root` that image's root file system.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let script = crate::checkout().join("scripts/bases");
        let output = Command::new(&script)
            .arg("make")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output();
        let output =
            output.unwrap_or_else(|error| panic!("cannot run `{}`: {error}", script.display()));
        assert!(
            output.status.success(),
            "`{} make` failed",
            script.display()
        );
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}
