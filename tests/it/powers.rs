//! What a build gives its steps beside files: powers, limits, agents and names.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use testkit::context::Context;

use crate::rbuild;

#[test]
fn powers_are_given_only_where_they_are_allowed() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox\n\
         RUN grep -q 'Seccomp:.0' /proc/self/status && exit 1; ! mount -t tmpfs none /mnt\n\
         RUN --security=insecure grep -q 'Seccomp:.0' /proc/self/status && \
           mkdir -p /mnt && mount -t tmpfs none /mnt && \
           mknod /zero c 1 5 && head -c 1 /zero && \
           echo $(cat /proc/sys/net/ipv4/ip_forward) > /proc/sys/net/ipv4/ip_forward && \
           ! grep -E '^[^ ]+ /sys [^ ]+ ro' /proc/self/mounts\n",
    );
    let refused = rbuild.try_build(context.path(), &[]);
    refused.failed_with(1);
    refused.says(&[
        "`security.insecure` is not allowed",
        "--allow security.insecure",
    ]);
    rbuild.build(context.path(), &["--allow=security.insecure"]);
    context.dockerfile("FROM @busybox\nRUN --network=host true\n");
    rbuild.try_build(context.path(), &[]).failed_with(1);
    rbuild.build(context.path(), &["--allow", "network.host"]);
    rbuild.build(context.path(), &["--network=host"]);
}

#[test]
fn limits_hold_and_are_part_of_the_key() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox\n\
         RUN echo files=$(ulimit -n)-$(ulimit -Hn) shm=$(df -k /dev/shm | awk 'END { print $2 }')\n",
    );
    let flags = ["--shm-size=1m", "--ulimit=nofile=100:200"];
    let said = rbuild.build(context.path(), &flags);
    assert!(said.contains("files=100-200 shm=1024"), "{said}");
    let again = rbuild.build(context.path(), &flags);
    assert!(again.contains("CACHED"), "{again}");
    let said = rbuild.build(context.path(), &[]);
    assert!(said.contains("shm=65536"), "{said}");
}

#[test]
fn stages_named_by_no_cache_filter_run_again() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox AS first\nRUN echo one > /one\n\
         FROM @busybox AS second\nRUN echo two > /two\nCOPY --from=first /one /one\n",
    );
    rbuild.build(context.path(), &[]);
    let again = rbuild.build(context.path(), &["--no-cache-filter=third,SECOND"]);
    let cached = |step: &str| {
        let line = again.lines().find(|line| line.ends_with(step));
        let line = line.unwrap_or_else(|| panic!("no `{step}` in:\n{again}"));
        let number = line.split(' ').next().expect("lines have a number");
        again.contains(&format!("{number} CACHED"))
    };
    assert!(cached("RUN echo one > /one"), "{again}");
    assert!(!cached("RUN echo two > /two"), "{again}");
}

#[test]
fn the_gateway_is_this_machine() {
    let rbuild = rbuild();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("the step connects");
        client.write_all(b"from outside\n").expect("the step reads");
    });
    let context = Context::new(&format!(
        "FROM @busybox\nRUN nc outside.test {port} < /dev/null > /said && cat /said\n"
    ));
    let said = rbuild.build(context.path(), &["--add-host=outside.test:host-gateway"]);
    server.join().expect("the server ends");
    assert!(said.contains("from outside"), "{said}");
}

/// An agent that has no keys, and counts what it is asked.
fn agent(socket: &std::path::Path) -> std::sync::mpsc::Receiver<u8> {
    let listener = UnixListener::bind(socket).expect("the socket can be made");
    let (send, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let send = send.clone();
            std::thread::spawn(move || answer(client, &send));
        }
    });
    requests
}

fn answer(mut client: UnixStream, send: &std::sync::mpsc::Sender<u8>) {
    let mut length = [0; 4];
    while client.read_exact(&mut length).is_ok() {
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut message).expect("a whole message");
        send.send(message[0]).expect("the test listens");
        // SSH_AGENT_IDENTITIES_ANSWER with none.
        let empty = [0, 0, 0, 5, 12, 0, 0, 0, 0];
        client.write_all(&empty).expect("the client reads");
    }
}

#[test]
fn steps_reach_an_agent_for_what_is_harmless() {
    let rbuild = rbuild();
    let directory = testkit::scratch();
    let socket = directory.path().join("agent");
    let requests = agent(&socket);
    // Asks for identities (11), then for the removal of all keys (19).
    let context = Context::new(
        "FROM @debian\n\
         RUN --mount=type=ssh,required,mode=0660,uid=3,gid=4 \
           stat -c 'socket %a %u:%g' $SSH_AUTH_SOCK && perl -MIO::Socket::UNIX -e \
           '$s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die; \
            for $kind (11, 19) { print $s pack(\"NC\", 1, $kind); $s->flush; \
              read $s, $length, 4; read $s, $answer, unpack(\"N\", $length); \
              print \"answer \", unpack(\"H*\", $answer), \"\\n\" }'\n",
    );
    let missing = rbuild.try_build(context.path(), &[]);
    missing.failed_with(1);
    missing.says(&["no SSH agent `default` is given; pass it with `--ssh default`"]);
    let given = format!("--ssh=default={}", socket.display());
    let said = rbuild.build(context.path(), &[&given]);
    for line in ["socket 660 3:4", "answer 0c00000000", "answer 05"] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(requests.try_iter().collect::<Vec<_>>(), [11]);
    let context = Context::new(
        "FROM @busybox\nRUN --mount=type=ssh,id=other test ! -e /run/buildkit/ssh_agent.0\n",
    );
    rbuild.build(context.path(), &[]);
}
