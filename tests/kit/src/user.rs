//! Ordinary users of the machine, who run the program without any power.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::command::{self, Outcome};

/// Which ids a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Its own and 65536 more (`/etc/subuid`, `/etc/subgid`).
    Many,
    /// Only its own.
    Single,
}

/// A user with a home, in which the program and its store are. At the end of the test all are gone.
#[derive(Debug)]
pub struct User {
    name: String,
    id: u32,
    home: PathBuf,
}

/// `useradd` and its relatives lock the files of accounts and do not wait long for one another.
static ACCOUNTS: Mutex<()> = Mutex::new(());

impl User {
    /// Makes a user who has the program at `program`.
    pub fn new(program: &str, ids: Ids) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("rbuild{}x{number}", std::process::id());
        let count = match ids {
            Ids::Many => 65536,
            Ids::Single => 0,
        };
        let counts = [
            format!("SUB_UID_COUNT={count}"),
            format!("SUB_GID_COUNT={count}"),
        ];
        {
            let _accounts = ACCOUNTS.lock();
            // Without the files `useradd` gives nobody ids.
            command::must("touch", &["/etc/subuid", "/etc/subgid"]);
            let [users, groups] = &counts;
            command::must(
                "useradd",
                &[
                    "--create-home",
                    "--user-group",
                    "-K",
                    users,
                    "-K",
                    groups,
                    &name,
                ],
            );
        }
        let id = command::must("id", &["--user", &name]);
        let user = Self {
            id: id.trim().parse().expect("an id is a number"),
            home: Path::new("/home").join(&name),
            name,
        };
        // By another process: were the file open here, what another thread starts just then would keep it so, and the
        // program could not be executed.
        let copy = user.program();
        let copy = copy.to_str().expect("homes are UTF-8");
        command::must("install", &["--mode=755", program, copy]);
        user
    }

    /// Where everything is that the user has.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The number of the user and of its group.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The user's copy of the program.
    pub fn program(&self) -> PathBuf {
        self.home.join("rbuild")
    }

    /// Gives the user a copy of a directory, with all that its files have but their owners.
    #[track_caller]
    pub fn copy(&self, directory: &Path) -> PathBuf {
        let copy = self.home.join("context");
        // A change of owner takes capabilities away, so attributes come last.
        let script = format!(
            "rm -rf {to}; cp -r --no-preserve=ownership --preserve=mode,timestamps,links {from} {to}; \
             chown -hR {id}:{id} {to}; cd {from}; getfattr -Rhd -m - . 2>/dev/null | (cd {to}; setfattr -h --restore=-)",
            from = directory.display(),
            to = copy.display(),
            id = self.id,
        );
        command::shell(directory, &script);
        copy
    }

    /// Gives the user a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.join(name);
        fs::write(&path, content).expect("a home can be written");
        chown(&path, Some(self.id), Some(self.id)).expect("the superuser gives files away");
        path
    }

    /// A command of the program, run by the user in a clean environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.other_command(self.program());
        command.args(args);
        command
    }

    /// Any program, run by the user in a clean environment.
    pub fn other_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .uid(self.id)
            .gid(self.id)
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home);
        command
    }

    /// Runs a command of the program to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        command::run(&mut self.command(args))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _accounts = ACCOUNTS.lock();
        // Failing here would hide what failed the test.
        let removed = Command::new("userdel")
            .args(["--force", "--remove", &self.name])
            .output();
        drop(removed);
    }
}
