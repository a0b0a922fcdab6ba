//! Cgroups that limit what is started in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::command;

/// A cgroup that is gone at the end of the test, with what is in it.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// One of the unified hierarchy.
    pub fn unified() -> Self {
        Self::below(
            &mounted(|kind, _| kind == "cgroup2").expect("the unified hierarchy is mounted"),
        )
    }

    /// One where a controller works: of the controller's own hierarchy if it has one, else of the unified one.
    pub fn of(controller: &str) -> Self {
        let own = |kind: &str, options: &str| {
            kind == "cgroup" && options.split(',').any(|option| option == controller)
        };
        if let Some(root) = mounted(own) {
            return Self::below(&root);
        }
        let cgroup = Self::unified();
        let root = cgroup.path.parent().expect("it is below the root");
        fs::write(
            root.join("cgroup.subtree_control"),
            format!("+{controller}"),
        )
        .expect("the kernel has the controller");
        cgroup
    }

    fn below(root: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("rbuild-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("root makes cgroups");
        Self { path }
    }

    /// Its name in its hierarchy.
    pub fn name(&self) -> String {
        let name = self.path.file_name().expect("it has one");
        name.to_string_lossy().into_owned()
    }

    /// What one of its files says.
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).expect("the cgroup has the file")
    }

    /// Writes to one of its files.
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path.join(file), text).expect("the cgroup has the file");
    }

    /// Starts a command in it, and forgets what that says.
    pub fn start(&self, command: &Command) -> Child {
        let mut inside = Command::new("sh");
        inside
            .args(["-euc", "echo 0 > $0/cgroup.procs; exec \"$@\""])
            .arg(&self.path)
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        inside.spawn().expect("there is a shell")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let script = format!(
            "cd {}; for process in $(find . -name cgroup.procs -exec cat {{}} +); do kill -KILL $process || true; done; \
             cd /; find {0} -depth -type d -exec rmdir {{}} +",
            self.path.display()
        );
        // Failing here would hide what failed the test.
        let gone = || command::run(Command::new("sh").args(["-uc", &script])).code == 0;
        (0..1_000).any(|_| {
            let gone = gone();
            if !gone {
                thread::sleep(Duration::from_millis(20));
            }
            gone
        });
    }
}

/// Where a hierarchy is mounted that is of the right kind and has the right options.
fn mounted(right: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    mounts.lines().find_map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        right(fields[2], fields[3]).then(|| PathBuf::from(fields[1]))
    })
}
