//! File systems of a size that a test chooses.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::command;

/// An ext4 file system in a file, mounted until the end of the test.
#[derive(Debug)]
pub struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    /// One of so many megabytes.
    #[track_caller]
    pub fn new(megabytes: u64) -> Self {
        let directory = crate::scratch();
        let image = directory.path().join("image");
        let file = File::create(&image).expect("the scratch directory can be written");
        file.set_len(megabytes << 20)
            .expect("the scratch directory can be written");
        let disk = Self { directory };
        std::fs::create_dir(disk.path()).expect("the scratch directory can be written");
        let script =
            "PATH=$PATH:/sbin:/usr/sbin; mkfs.ext4 -q -m 0 image; mount -o loop image mounted";
        command::shell(disk.directory.path(), script);
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    /// Fills what is left of it with a file, and gives its path.
    #[track_caller]
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("fill");
        let script = format!(
            "dd if=/dev/zero of={} bs=1M status=none || true",
            name(&path)
        );
        command::shell(self.directory.path(), &script);
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path = self.path();
        // Lazily: a process that was killed a moment ago may still be on its way out.
        command::run(std::process::Command::new("umount").args(["-l", name(&path)]));
    }
}

fn name(path: &Path) -> &str {
    path.to_str().expect("scratch paths are UTF-8")
}
