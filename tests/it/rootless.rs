//! What an ordinary user can do: nearly all that root can, with the same result, and what not is said in one line.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::command::{self, Outcome};
use testkit::context::Context;
use testkit::registry::Registry;
use testkit::supervise::{PATIENCE, wait_until};
use testkit::user::{Ids, User};

use crate::rbuild;

const PROGRAM: &str = env!("CARGO_BIN_EXE_rbuild");
const EPOCH: (&str, &str) = ("SOURCE_DATE_EPOCH", "1700000000");
const BOTH: [Ids; 2] = [Ids::Many, Ids::Single];

fn user(ids: Ids) -> User {
    User::new(PROGRAM, ids)
}

/// A context with files that a step can change in every way.
fn context(dockerfile: &str) -> Context {
    let context = Context::new(dockerfile);
    command::shell(
        context.path(),
        r"mkdir -p src/dir/deep src/replaced; cd src
        echo plain > plain; : > empty; echo x > gone; echo old > replaced/old; echo in > dir/deep/in
        echo hard > hard1; ln hard1 hard2; ln -s plain link; chmod 2750 dir; echo cap > capable; chmod 755 capable
        setcap cap_net_raw=ep capable; setfattr -n user.any -v value plain",
    );
    context
}

/// Builds into an archive, which must work; gives its bytes.
fn archive(mut build: Command, context: &Path, dest: &Path) -> Vec<u8> {
    build
        .arg("--output")
        .arg(format!("type=oci,dest={}", dest.display()))
        .args(["--secret", "id=s,env=SECRET"])
        .env("SECRET", "hidden")
        .env(EPOCH.0, EPOCH.1)
        .arg(context);
    command::run(&mut build).succeeded();
    fs::read(dest).expect("the build wrote the archive")
}

/// Builds as root and as a user, and panics unless the archives are the same, byte for byte.
fn same_archive(ids: Ids, context: &Context) {
    let directory = testkit::scratch();
    let build = ["build", "-t", "same:1"];
    let roots = archive(
        rbuild().command(build),
        context.path(),
        &directory.path().join("image.tar"),
    );
    let user = user(ids);
    let dest = user.home().join("image.tar");
    let users = archive(user.command(build), &user.copy(context.path()), &dest);
    if roots != users {
        fs::copy(&dest, directory.path().join("user.tar")).expect("a directory can be written");
        let kept = directory.keep();
        panic!("{ids:?}: the archives in {} differ", kept.display());
    }
    user.run(["store", "check"]).succeeded();
    let list = format!("find .local/share/rbuild ! -user {}", user.id());
    let before = command::shell(user.home(), &list);
    assert_eq!(before.is_empty(), ids == Ids::Single, "{before}");
    user.run(["prune", "--all", "--force"]).succeeded();
    assert_eq!(command::shell(user.home(), &list), "", "{ids:?}");
}

#[test]
fn with_many_ids_a_build_gives_what_roots_gives() {
    same_archive(
        Ids::Many,
        &context(
            "FROM @busybox AS part\n\
             RUN mkdir -p /d/sub && echo x > /d/x && ln /d/x /d/hard && chown 7:8 /d/x /d/sub && chmod 4711 /d/hard\n\
             FROM @busybox\nCOPY --chown=5:6 src /src\n\
             RUN echo grown >> /src/plain && chown 65534:60000 /src/empty && chmod 6755 /src/empty && rm /src/gone && \
                 rm -r /src/replaced && mkdir /src/replaced && echo new > /src/replaced/new && mv /src/dir /src/moved && \
                 mkfifo /src/pipe && chmod 1777 /src/moved && echo 1 >> /src/hard2 && touch /src/capable\n\
             RUN --mount=type=cache,target=/c,uid=12,gid=13,mode=0750 stat -c '%u %g %a' /c > /cache && chown 9 /c && echo 1 > /c/x\n\
             RUN --mount=type=secret,id=s,uid=1000,mode=0400 stat -c '%u %a' /run/secrets/s > /secret && wc -c < /run/secrets/s > /size\n\
             RUN --mount=type=bind,from=part,source=/d,target=/mnt,rw echo changed > /mnt/x && stat -c %u /mnt/sub > /owner\n\
             RUN --network=none ip link > /links && hostname > /name\n\
             WORKDIR /home/w\nUSER 1000:1001\nRUN id > /tmp/id && echo mine > /tmp/mine\n\
             COPY --from=part /d /d\n",
        ),
    );
}

#[test]
fn with_one_id_a_build_gives_what_roots_gives_where_it_makes_nothing_for_others() {
    same_archive(
        Ids::Single,
        &context(
            "FROM @busybox\nCOPY --chown=5:6 src /src\n\
             RUN echo grown >> /src/plain && chmod 6755 /src/empty && rm /src/gone && rm -r /src/replaced && \
                 mkdir /src/replaced && echo new > /src/replaced/new && touch -d @1234567890 /src/dir && \
                 echo 1 >> /src/hard2 && touch /src/capable && echo mine > /src/mine\n\
             RUN --mount=type=cache,target=/c echo 1 > /c/x && stat -c %u /c > /owner\n\
             RUN --mount=type=secret,id=s wc -c < /run/secrets/s > /size\n\
             RUN --network=none ip link > /links\n",
        ),
    );
}

#[test]
fn images_come_and_go() {
    let registry = Registry::shared();
    for ids in BOTH {
        let user = user(ids);
        let busybox = registry.busybox();
        user.run(["pull", &busybox]).succeeded();
        user.run(["tag", &busybox, "here"]).succeeded();
        user.run(["save", "-o", "here.tar", "here"]).succeeded();
        let pushed = format!("{}/test/user{}:1", registry.host(), user.id());
        user.run(["tag", "here", &pushed]).succeeded();
        user.run(["push", &pushed]).succeeded();
        for name in [&busybox, "here", &pushed] {
            user.run(["rmi", name]).succeeded();
        }
        assert_eq!(user.run(["images", "-q"]).succeeded(), "");
        user.run(["load", "-i", "here.tar"]).succeeded();
        for name in ["here", &pushed] {
            let said = user.run(["run", "--rm", name, "echo", "runs"]);
            assert_eq!(said.succeeded(), "runs\n", "{ids:?}: {name}");
        }
        let context = user.copy(context("FROM @busybox\nCOPY src /src\n").path());
        for kind in ["local", "tar", "docker"] {
            let output = format!("type={kind},dest={kind}");
            let mut build = user.command(["build", "--output", &output]);
            command::run(build.arg(&context)).succeeded();
        }
        let owners = command::shell(
            user.home(),
            "find local docker tar -printf '%U\\n' | sort -u",
        );
        assert_eq!(owners, format!("{}\n", user.id()), "{ids:?}");
    }
}

#[test]
fn containers_live_and_die() {
    let busybox = Registry::shared().busybox();
    for ids in BOTH {
        let user = user(ids);
        let run = |args: &[&str]| user.run(args).succeeded().trim_end().to_owned();
        let volume = user.home().join("volume");
        let volume = format!("{}:/volume", volume.display());
        run(&[
            "run",
            "-d",
            "--name",
            "box",
            "-v",
            &volume,
            &busybox,
            "sh",
            "-c",
            "echo said; exec sleep 1000",
        ]);
        wait_until(PATIENCE, "the container said nothing", || {
            run(&["logs", "box"]) == "said"
        });
        assert_eq!(
            run(&[
                "exec",
                "box",
                "sh",
                "-c",
                "echo 1 > /volume/file; cat /proc/1/comm"
            ]),
            "sleep"
        );
        assert_eq!(run(&["exec", "box", "id", "-u"]), "0");
        let owner = command::shell(user.home(), "stat -c %u volume/file");
        assert_eq!(owner.trim(), user.id().to_string());
        assert!(run(&["ps"]).contains("Up "));
        run(&["stop", "-t", "0", "box"]);
        assert_eq!(run(&["wait", "box"]), "137");
        run(&["rm", "box"]);
        let attached = user.run([
            "run",
            "--rm",
            "--network=none",
            &busybox,
            "sh",
            "-c",
            "exit 42",
        ]);
        attached.failed_with(42);
        assert_eq!(run(&["ps", "-aq"]), "");
    }
}

#[test]
fn processes_of_other_ids_are_reached_from_outside() {
    let busybox = Registry::shared().busybox();
    let user = user(Ids::Many);
    let run = |args: &[&str]| user.run(args).succeeded().trim_end().to_owned();
    for name in ["one", "two"] {
        run(&[
            "run",
            "-d",
            "--name",
            name,
            "-u",
            "1000:1001",
            &busybox,
            "sleep",
            "1000",
        ]);
        assert_eq!(run(&["exec", name, "id", "-u"]), "1000");
        assert_eq!(run(&["exec", "-u", "5", name, "id", "-u"]), "5");
    }
    run(&["kill", "one"]);
    assert_eq!(run(&["wait", "one"]), "137");
    run(&["rm", "-f", "one", "two"]);
    assert_eq!(run(&["ps", "-aq"]), "");
}

/// Runs a script as root in a network of its own with one address, where anybody may make tunnels.
fn in_small_network(user: &User, script: &str) -> Outcome {
    let script = format!(
        "mount -t tmpfs none /mnt; mknod /mnt/tun c 10 200; chmod 666 /mnt/tun; mount --bind /mnt/tun /dev/net/tun; \
         echo nameserver 192.0.2.53 > /mnt/resolv; mount --bind /mnt/resolv /etc/resolv.conf; \
         ip link set lo up; ip link add wire type veth peer name end; ip link set end up; ip link set wire up; \
         ip addr add 192.0.2.7/24 dev wire; ip route add default via 192.0.2.1; cd {home}; \
         rbuild() {{ setpriv --reuid {id} --regid {id} --clear-groups env HOME={home} ./rbuild \"$@\"; }}; {script}",
        home = user.home().display(),
        id = user.id(),
    );
    command::run(Command::new("unshare").args(["--mount", "--net", "sh", "-euc", &script]))
}

#[test]
fn the_default_network_is_ones_own() {
    for ids in BOTH {
        let user = user(ids);
        let busybox = Registry::shared().busybox();
        user.run(["pull", &busybox]).succeeded();
        user.run(["tag", &busybox, "box"]).succeeded();
        user.copy(Context::new("FROM box\nRUN readlink /proc/self/ns/net > /net\nRUN readlink /proc/self/ns/net >> /net\n").path());
        let said = in_small_network(
            &user,
            "net='readlink /proc/self/ns/net'; rbuild run --rm --network=host box $net; $net; \
             rbuild run --rm box ip -o -4 addr show wire; rbuild run -d --name live box sleep 1000 > /dev/null; \
             rbuild info | grep ^Commands: ; rbuild exec live $net; rbuild exec live $net; rbuild build -q -t net context > /dev/null; \
             rbuild run --rm net cat /net; rbuild rm -f live > /dev/null",
        );
        let lines: Vec<_> = said.succeeded().lines().collect();
        let [host, outside, address, info, exec, again, first, second] = lines[..] else {
            panic!("{ids:?}: {lines:?}");
        };
        assert_eq!(host, outside, "{ids:?}");
        assert!(address.contains(" 192.0.2.7/24 "), "{ids:?}: {address}");
        assert_eq!(
            info,
            "Commands: run in a network of their own, connected by `pasta`"
        );
        assert_eq!(exec, again, "{ids:?}");
        assert_eq!(first, second, "{ids:?}");
        assert!(exec != outside && first != outside, "{ids:?}: {lines:?}");
        nothing_runs(&user);
    }
}

#[test]
fn nothing_outlives_a_program_that_is_killed() {
    for ids in BOTH {
        let user = user(ids);
        let busybox = Registry::shared().busybox();
        user.run(["pull", &busybox]).succeeded();
        user.run(["tag", &busybox, "box"]).succeeded();
        let script = format!(
            "rbuild run -d --name shot box sleep 1000 > /dev/null; rbuild exec shot true; \
             kill -KILL $(pgrep -u {} -f container-supervisor)",
            user.id()
        );
        in_small_network(&user, &script).succeeded();
        nothing_runs(&user);
        let list = user.run(["ps", "-a"]).succeeded().to_owned();
        assert!(list.contains("Exited"), "{ids:?}: {list}");
        user.run(["rm", "shot"]).succeeded();
    }
}

/// Waits until no process of a user is left but such that only wait to be collected.
#[track_caller]
fn nothing_runs(user: &User) {
    let id = user.id().to_string();
    wait_until(
        PATIENCE,
        "what a user's containers need outlives them",
        || command::run(Command::new("pgrep").args(["-u", &id, "-r", "S,R,D"])).code == 1,
    );
}

/// Builds a Dockerfile, which must fail.
fn failing(user: &User, dockerfile: &str) -> Outcome {
    let context = user.copy(Context::new(dockerfile).path());
    let outcome = command::run(user.command(["build", "--progress=plain"]).arg(&context));
    outcome.failed_with(1);
    outcome
}

#[test]
fn what_one_id_cannot_do_is_said() {
    let user = user(Ids::Single);
    let only = "only the one id of the user who runs this: `/etc/subuid` has no range for `rbuild";
    failing(&user, "FROM @busybox\nUSER 1000\nRUN true\n").says(&["there is no user 1000", only]);
    failing(
        &user,
        "FROM @busybox\nRUN --mount=type=secret,id=x,gid=7 --mount=type=cache,target=/c,uid=7 true\n",
    )
    .says(&["there is no user 7", only]);
    failing(&user, "FROM @busybox\nRUN chown 7 /etc/passwd\n").says(&[
        "chown: /etc/passwd: Invalid argument",
        "hint: if it changes users or owners: only one id is there, as `/etc/subuid` has no range",
    ]);
    let info = user.run(["info"]).succeeded().to_owned();
    assert!(
        info.contains(
            "\nUser:     an ordinary one, with no id but its own: `/etc/subuid` has no range for"
        ) && info.contains("\nLayers:   unpacked into directories: not permitted to mount EROFS\n"),
        "{info}"
    );
    let busybox = Registry::shared().busybox();
    let run = user.run(["run", "--rm", "-u", "33", &busybox, "true"]);
    run.says(&["there is no user 33", only]).failed_with(125);
    let run = user.run(["--layers=erofs", "run", "--rm", &busybox, "true"]);
    run.says(&["cannot mount layers as they are: not permitted to mount EROFS"])
        .failed_with(125);
    let many = self::user(Ids::Many);
    let run = many.run(["run", "--rm", "-u", "70000", &busybox, "true"]);
    run.says(&["there is no user 70000 in the user namespace"])
        .failed_with(125);
}

#[test]
fn without_namespaces_there_is_still_building_without_run() {
    let user = user(Ids::Many);
    let nowhere = |context: &Path| {
        // Within a namespace that forbids further ones.
        let script = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces; \
             exec setpriv --ambient-caps=-all --inh-caps=-all {} build --progress=plain {}",
            user.program().display(),
            context.display()
        );
        let mut unshare = user.other_command("unshare");
        unshare.args([
            "--user",
            "--map-user=1234",
            "--map-group=1234",
            "--keep-caps",
        ]);
        command::run(unshare.args(["sh", "-euc", &script]))
    };
    let copy = user.copy(context("FROM @busybox\nCOPY src /src\nWORKDIR /w\n").path());
    nowhere(&copy).succeeded();
    let run = user.copy(Context::new("FROM @busybox\nRUN true\n").path());
    nowhere(&run).says(&[
        "cannot run anything here: an ordinary user needs a user namespace, and the kernel gives none: \
         `user.max_user_namespaces` is 0",
    ]);
}
