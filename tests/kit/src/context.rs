//! Build contexts that a test writes itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::registry::Registry;

/// A directory with a Dockerfile, gone at the end of the test.
#[derive(Debug)]
pub struct Context {
    directory: tempfile::TempDir,
}

impl Context {
    /// A context with this Dockerfile, in which `@busybox` and `@debian` stand for the base images.
    pub fn new(dockerfile: &str) -> Self {
        let context = Self {
            directory: crate::scratch(),
        };
        context.dockerfile(dockerfile);
        context
    }

    /// Replaces the Dockerfile.
    pub fn dockerfile(&self, text: &str) {
        let mut text = text.to_owned();
        if text.contains('@') {
            let registry = Registry::shared();
            text = text
                .replace("@busybox", &registry.busybox())
                .replace("@debian", &registry.debian());
        }
        fs::write(self.join("Dockerfile"), text).expect("the context can be written");
    }

    /// Writes a file, and the directories on the way to it.
    #[must_use]
    pub fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content);
        self
    }

    /// Makes a symbolic link.
    #[must_use]
    pub fn with_link(self, name: &str, target: &str) -> Self {
        symlink(target, self.join(name)).expect("the context can be written");
        self
    }

    /// Writes a file, and the directories on the way to it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .expect("the context can be written");
        fs::write(path, content).expect("the context can be written");
    }

    /// Where a file of the context is.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The context's directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}
