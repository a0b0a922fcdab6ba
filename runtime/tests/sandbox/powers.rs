//! What a process in a sandbox may do.

use runtime::{Capabilities, Capability, Limit, Resource, User};

use crate::support::{Changes, output, run, shell};

fn status(lines: &str) -> String {
    format!("grep -E '^({lines}):' /proc/self/status")
}

#[test]
fn roots_capabilities_are_dockers() {
    let sets = output(shell(&status("Cap[A-Z][a-z]*")));
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000";
    assert_eq!(sets, expected);
}

#[test]
fn another_users_capabilities_are_only_what_can_be_gained() {
    let mut spec = shell(&status("Cap(Prm|Eff|Bnd)"));
    spec.process.user = user(1000, 1000);
    let expected =
        "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb";
    assert_eq!(output(spec), expected);
}

#[test]
fn all_capabilities_are_those_the_caller_has() {
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find(|line| line.starts_with("CapPrm")).unwrap();
    let mut spec = shell(&status("CapPrm"));
    spec.process.capabilities = Capabilities::ALL;
    assert_eq!(output(spec), own);
}

#[test]
fn filter_and_privileges_show_in_the_status() {
    assert_eq!(
        output(shell(&status("Seccomp|NoNewPrivs"))),
        "NoNewPrivs:\t0\nSeccomp:\t2"
    );
    let mut spec = shell(&status("Seccomp|NoNewPrivs"));
    spec.process.no_new_privileges = true;
    assert_eq!(output(spec), "NoNewPrivs:\t1\nSeccomp:\t2");
    let mut spec = shell(&status("Seccomp"));
    spec.process.filter_calls = false;
    assert_eq!(output(spec), "Seccomp:\t0");
}

#[test]
fn mounting_is_refused_even_with_the_capability_less_filter() {
    let mounting = "mount -t tmpfs none /mnt 2>&1; mount -o remount,rw /proc/sys 2>&1";
    let output = run(shell(mounting));
    assert!(!output.status.success());
    assert!(output.stdout.contains("ermission denied") || output.stdout.contains("not permitted"));
    // With the power to administer, the filter lets it through.
    let mut spec = shell("mount -t tmpfs none /mnt && echo mounted");
    spec.process.capabilities = Capabilities::DEFAULT.with(Capability::SysAdmin);
    assert_eq!(crate::support::output(spec), "mounted");
}

#[test]
fn system_calls_are_filtered_as_dockers() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path());
    let mut spec = shell("");
    spec.process.args = vec!["/mnt/calls".to_owned()];
    spec.mounts = vec![runtime::Mount {
        target: "/mnt".into(),
        source: runtime::Source::Bind {
            path: program.parent().unwrap().to_owned(),
            recursive: false,
        },
        read_only: true,
    }];
    let expected = "keyctl 1\nadd_key 1\nunshare 1\nmount 1\nbpf 1\nuserfaultfd 1\nio_uring_setup 1\n\
        clone3 38\nclone_newuser 1\nnewer 38\npersonality_linux 0\npersonality_odd 1\nsocket_inet 0\n\
        socket_vsock 1\nsocket_alg 1\nptrace 0\nopen_by_handle_at 1";
    assert_eq!(output(spec), expected);
}

/// A static program that says what each call's error number is.
fn compile(directory: &std::path::Path) -> std::path::PathBuf {
    let source = r#"
        #define _GNU_SOURCE
        #include <errno.h>
        #include <sched.h>
        #include <stdio.h>
        #include <sys/socket.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        static void try(const char *name, long number, long a, long b, long c) {
            errno = 0;
            long result = syscall(number, a, b, c, 0, 0, 0);
            printf("%s %d\n", name, result < 0 ? errno : 0);
        }
        int main(void) {
            try("keyctl", SYS_keyctl, 0, 0, 0);
            try("add_key", SYS_add_key, 0, 0, 0);
            try("unshare", SYS_unshare, CLONE_NEWUSER, 0, 0);
            try("mount", SYS_mount, 0, 0, 0);
            try("bpf", SYS_bpf, 0, 0, 0);
            try("userfaultfd", SYS_userfaultfd, 0, 0, 0);
            try("io_uring_setup", SYS_io_uring_setup, 1, 0, 0);
            try("clone3", SYS_clone3, 0, 0, 0);
            try("clone_newuser", SYS_clone, CLONE_NEWUSER, 0, 0);
            try("newer", 5000, 0, 0, 0);
            try("personality_linux", SYS_personality, 0, 0, 0);
            try("personality_odd", SYS_personality, 0x0400000, 0, 0);
            try("socket_inet", SYS_socket, AF_INET, SOCK_DGRAM, 0);
            try("socket_vsock", SYS_socket, AF_VSOCK, SOCK_STREAM, 0);
            try("socket_alg", SYS_socket, AF_ALG, SOCK_SEQPACKET, 0);
            try("ptrace", SYS_ptrace, 0, 0, 0);
            try("open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0);
            return 0;
        }"#;
    let (file, program) = (directory.join("calls.c"), directory.join("calls"));
    std::fs::write(&file, source).unwrap();
    let status = std::process::Command::new("cc")
        .args(["-static", "-O1", "-o"])
        .args([&program, &file])
        .status()
        .unwrap();
    assert!(status.success());
    program
}

fn user(uid: u32, gid: u32) -> User {
    User {
        uid,
        gid,
        groups: vec![gid],
        ..User::root()
    }
}

#[test]
fn user_and_groups_are_the_given_ones() {
    let mut spec = shell(
        "id -u; id -g; id -G; echo x > /dev/stdout; touch /work/file && stat -c %u:%g /work/file",
    );
    spec.process.user = User {
        groups: vec![1000, 10, 44],
        ..user(1234, 1000)
    };
    let changes = Changes::new();
    spec.root.upper = Some(changes.spec());
    let refused = run(spec);
    // The directory is root's, and nothing of root's power is left.
    assert_eq!(refused.stdout, "1234\n1000\n1000 10 44\nx\n");
    assert!(refused.stderr.contains("ermission denied"), "{refused:?}");
}

#[test]
fn limits_are_set_and_impossible_ones_cut() {
    let mut spec = shell("ulimit -n; ulimit -H -n; ulimit -c");
    let limit = |resource, soft, hard| Limit {
        resource,
        soft,
        hard,
    };
    spec.process.limits = vec![
        limit(Resource::Nofile, Some(100), Some(200)),
        limit(Resource::Core, Some(0), Some(0)),
    ];
    assert_eq!(output(spec), "100\n200\n0");
    let hard = rustix::process::getrlimit(Resource::Nofile)
        .maximum
        .unwrap();
    let mut spec = shell("ulimit -n");
    spec.process.limits = vec![limit(Resource::Nofile, Some(hard * 2), Some(hard * 2))];
    let got: u64 = output(spec).parse().unwrap();
    assert!(got == hard || got == hard * 2, "{got}");
}
