//! Debian's registry, on loopback, with the base images in it.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::supervise;

/// A registry that lives as long as the test process.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    storage: tempfile::TempDir,
}

impl Registry {
    /// Starts a registry that has `library/busybox:latest` and `library/debian:bookworm`. What is pushed to it stays
    /// in it: the kept images are linked into its storage, not shared with it.
    pub fn start() -> Self {
        let storage = crate::scratch();
        let kept = crate::bases::directory().join("storage");
        let copied = storage.path().join("storage");
        crate::command::run(Command::new("cp").arg("-al").arg(kept).arg(&copied)).succeeded();
        let port = supervise::free_port();
        let http = format!("http: {{addr: '127.0.0.1:{port}'}}\n");
        Self::serve(storage, &copied, port, &http)
    }

    /// Starts an empty registry with a configuration of its own: `configure` gives it for a port, and for a directory
    /// where its files may be.
    pub fn configured(configure: impl FnOnce(u16, &Path) -> String) -> Self {
        let storage = crate::scratch();
        let port = supervise::free_port();
        let config = configure(port, storage.path());
        let data = storage.path().join("storage");
        Self::serve(storage, &data, port, &config)
    }

    fn serve(storage: tempfile::TempDir, data: &Path, port: u16, configuration: &str) -> Self {
        let config = storage.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n{configuration}",
            data.display()
        );
        std::fs::write(&config, text).expect("the scratch directory can be written");
        let log =
            File::create(storage.path().join("log")).expect("the scratch directory can be written");
        let config = config.to_str().expect("scratch paths are UTF-8");
        supervise::server("docker-registry", &["serve", config], &[], log);
        supervise::wait_for_port(port);
        Self { port, storage }
    }

    /// Starts an empty registry that lets everyone do everything.
    pub fn empty() -> Self {
        Self::configured(|port, _| format!("http: {{addr: '127.0.0.1:{port}'}}\n"))
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory with its files.
    pub fn directory(&self) -> &Path {
        self.storage.path()
    }

    /// The registry that the tests of one process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Registry> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// `127.0.0.1:PORT`, as image names begin with it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes a byte in each layer that a repository's images have, as a broken disk would. The registry does not
    /// notice: it serves what it has.
    #[track_caller]
    pub fn corrupt_layers(&self, repository: &str) {
        let script = format!(
            "cd storage/docker/registry/v2; for link in repositories/{repository}/_layers/sha256/*/link; do \
               digest=$(cut -d: -f2 $link); data=blobs/sha256/${{digest:0:2}}/$digest/data; size=$(stat -c %s $data); \
               [ $size -gt 10000 ] || continue; cp $data copy; printf X | dd of=copy bs=1 seek=5000 conv=notrunc status=none; \
               mv copy $data; done"
        );
        crate::command::shell(self.storage.path(), &script);
    }

    /// The name of the image `busybox`.
    pub fn busybox(&self) -> String {
        format!("{}/library/busybox:latest", self.host())
    }

    /// The name of the image `debian`.
    pub fn debian(&self) -> String {
        format!("{}/library/debian:bookworm", self.host())
    }

    /// The text of a Dockerfile with this registry where the files of `testdata` name the default one.
    pub fn localize(&self, dockerfile: &[u8]) -> Vec<u8> {
        let (from, to) = (b"127.0.0.1:5000".as_slice(), self.host());
        let mut text = Vec::with_capacity(dockerfile.len());
        let mut rest = dockerfile;
        while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
            text.extend_from_slice(&rest[..at]);
            text.extend_from_slice(to.as_bytes());
            rest = &rest[at + from.len()..];
        }
        text.extend_from_slice(rest);
        text
    }
}
