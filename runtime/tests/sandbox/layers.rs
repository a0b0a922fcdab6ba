//! Root file systems of layers, and what is mounted in them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use runtime::{
    Error, Lower, MAX_LOWERS, Mount, Parent, Runtime, Source, Stub, StubKind, erofs_supported,
    prepare_stubs,
};

use crate::support::{Changes, base, failure, output, runtime, shell};

fn mount(target: &str, source: Source) -> Mount {
    Mount {
        target: target.into(),
        source,
        read_only: false,
    }
}

fn read_only(target: &str, source: Source) -> Mount {
    Mount {
        read_only: true,
        ..mount(target, source)
    }
}

fn text(content: &str) -> Source {
    Source::File {
        content: content.into(),
        mode: 0o644,
        uid: 0,
        gid: 0,
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn changes_go_to_the_upper_directory_and_nothing_else() {
    let changes = Changes::new();
    let mut spec =
        shell("echo new > /work/new; rm /etc/hosts; chmod 700 /tmp; echo x > /dev/shm/x");
    spec.root.upper = Some(changes.spec());
    output(spec);
    assert_eq!(names(&changes.upper()), ["etc", "tmp", "work"]);
    assert_eq!(names(&changes.upper().join("work")), ["new"]);
    let hosts = fs::symlink_metadata(changes.upper().join("etc/hosts")).unwrap();
    assert_eq!(hosts.rdev(), 0);
    assert!(base().join("etc/hosts").exists());
    // The same directories serve again.
    let mut spec = shell("cat /work/new");
    spec.root.upper = Some(changes.spec());
    assert_eq!(output(spec), "new");
}

#[test]
fn a_root_without_upper_is_read_only() {
    let script = "touch /work/x 2>/dev/null || echo refused";
    assert_eq!(output(shell(script)), "refused");
}

#[test]
fn two_hundred_layers_are_merged_with_the_last_on_top() {
    let layers = tempfile::tempdir().unwrap();
    let mut spec = shell("ls /work | wc -l; cat /work/top /work/5");
    for number in 0..200 {
        let work = layers.path().join(format!("{number}, odd:\\name/work"));
        fs::create_dir_all(&work).unwrap();
        fs::write(work.join(number.to_string()), format!("{number}\n")).unwrap();
        fs::write(work.join("top"), format!("{number}\n")).unwrap();
        spec.root
            .lowers
            .push(Lower::Directory(work.parent().unwrap().to_owned()));
    }
    assert_eq!(output(spec), "201\n199\n5");
}

#[test]
fn a_layer_that_comes_twice_counts_at_the_top() {
    let layers = tempfile::tempdir().unwrap();
    let layer = |name: &str| {
        let work = layers.path().join(name).join("work");
        fs::create_dir_all(&work).unwrap();
        fs::write(work.join("file"), name).unwrap();
        Lower::Directory(layers.path().join(name))
    };
    let (a, b) = (layer("a"), layer("b"));
    let mut spec = shell("cat /work/file");
    spec.root.lowers.extend([a.clone(), b, a]);
    assert_eq!(output(spec), "a");
}

#[test]
fn too_many_layers_are_refused_in_words() {
    let mut spec = shell("true");
    let layers = (0..=MAX_LOWERS).map(|number| Lower::Directory(format!("/none/{number}").into()));
    spec.root.lowers = layers.collect();
    let error = failure(spec);
    let expected = "501 layers are more than the 500 that can be mounted over one another";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_missing_layer_is_named() {
    let mut spec = shell("true");
    spec.root.lowers.push(Lower::Directory("/no/such".into()));
    assert!(matches!(failure(spec), Error::Layer { layer, .. } if layer == Path::new("/no/such")));
    let mut spec = shell("true");
    spec.root.lowers.push(Lower::Erofs {
        index: "/no/index".into(),
        tar: None,
    });
    assert!(matches!(failure(spec), Error::Layer { layer, .. } if layer == Path::new("/no/index")));
}

#[test]
fn erofs_images_are_layers() {
    erofs_supported(&std::env::temp_dir()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image.erofs");
    let status = Command::new("mkfs.erofs")
        .args([image.as_path(), base()])
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    let lower = Lower::Erofs {
        index: image,
        tar: None,
    };
    let runtime = Runtime::new().unwrap();
    let changes = Changes::new();
    for round in 0..3 {
        let mut spec = shell("cat /etc/hosts; echo more >> /etc/hosts");
        spec.root.lowers = vec![lower.clone()];
        spec.root.upper = Some(changes.spec());
        let output = crate::support::finish(runtime.spawn(spec).unwrap());
        assert_eq!(output.stdout.lines().count(), 1 + round);
    }
    let view = runtime.view(std::slice::from_ref(&lower)).unwrap();
    runtime.forget(&lower).unwrap();
    // What was made of it still has it.
    let hosts = rustix::fs::openat(
        &view,
        "etc/hosts",
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
    );
    assert_eq!(crate::support::read(hosts.unwrap()), "from the image\n");
}

#[test]
fn a_view_merges_without_a_sandbox() {
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join("added"), "x").unwrap();
    let lowers = [
        Lower::Directory(base().to_owned()),
        Lower::Directory(top.path().to_owned()),
    ];
    let view = runtime().view(&lowers).unwrap();
    for path in ["added", "bin/busybox"] {
        rustix::fs::accessat(
            &view,
            path,
            rustix::fs::Access::EXISTS,
            rustix::fs::AtFlags::empty(),
        )
        .unwrap();
    }
    let made = rustix::fs::mkdirat(&view, "no", rustix::fs::Mode::RWXU);
    assert_eq!(made, Err(rustix::io::Errno::ROFS));
    assert!(runtime().view(&[]).is_ok());
}

#[test]
fn host_paths_are_bound() {
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("file"), "host\n").unwrap();
    let bind = |name: &str| Source::Bind {
        path: host.path().join(name),
        recursive: true,
    };
    let mut spec = shell(
        "cat /mnt/file /etc/hosts; echo in > /mnt/new; (echo no > /work/new) 2>/dev/null || echo kept",
    );
    spec.mounts = vec![
        mount("/mnt", bind("")),
        read_only(
            "/work",
            Source::Open(fs::File::open(host.path()).unwrap().into()),
        ),
        read_only("/etc/hosts", bind("file")),
    ];
    assert_eq!(output(spec), "host\nhost\nkept");
    assert_eq!(fs::read_to_string(host.path().join("new")).unwrap(), "in\n");
}

#[test]
fn files_and_file_systems_in_memory() {
    let secret = Source::File {
        content: b"hunter2".to_vec(),
        mode: 0o400,
        uid: 5,
        gid: 6,
    };
    let tmpfs = Source::Tmpfs {
        size: Some(1 << 20),
        mode: 0o1777,
    };
    let mut spec = shell(
        "cat /etc/passwd /etc/hosts; stat -c %a:%u:%g /etc/passwd; echo more >> /etc/hosts && wc -l < /etc/hosts
        stat -c %a /mnt; dd if=/dev/zero of=/mnt/x bs=1M count=2 2>/dev/null || echo full
        (echo x >> /etc/passwd) 2>/dev/null || echo kept",
    );
    spec.mounts = vec![
        read_only("/etc/passwd", secret),
        mount("/etc/hosts", text("127.0.0.1 localhost\n")),
        mount("/mnt", tmpfs),
    ];
    let expected = "hunter2127.0.0.1 localhost\n400:5:6\n2\n1777\nfull\nkept";
    assert_eq!(output(spec), expected);
}

#[test]
fn views_of_other_layers_are_mounted() {
    let stage = tempfile::tempdir().unwrap();
    fs::create_dir_all(stage.path().join("out/bin")).unwrap();
    fs::write(stage.path().join("out/bin/tool"), "built\n").unwrap();
    std::os::unix::fs::symlink("/out", stage.path().join("link")).unwrap();
    let view = |path: &str| Source::View {
        lowers: vec![Lower::Directory(stage.path().to_owned())],
        path: path.into(),
        directory: !path.ends_with("tool"),
    };
    let mut spec = shell(
        "cat /mnt/out/bin/tool /work/bin/tool /etc/hosts
        echo changed > /work/bin/tool; cat /work/bin/tool; (echo x > /mnt/x) 2>/dev/null || echo kept",
    );
    spec.mounts = vec![
        read_only("/mnt", view("")),
        mount("/work", view("/link")),
        read_only("/etc/hosts", view("out/bin/tool")),
    ];
    assert_eq!(output(spec), "built\nbuilt\nbuilt\nchanged\nkept");
    let tool = fs::read_to_string(stage.path().join("out/bin/tool")).unwrap();
    assert_eq!(tool, "built\n");
    let mut spec = shell("true");
    spec.mounts = vec![mount("/mnt", view("../../etc/nothing"))];
    let error = failure(spec);
    assert_eq!(error.to_string(), "cannot make the file system for `/mnt`");
}

#[test]
fn mount_points_leave_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let stubs = directory.path().join("stubs");
    fs::create_dir(&stubs).unwrap();
    let looks = |path: &str| {
        let metadata = fs::metadata(base().join(path)).unwrap();
        Parent {
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: (metadata.mtime(), metadata.mtime_nsec() as u32),
        }
    };
    fs::set_permissions(base().join("root"), fs::Permissions::from_mode(0o710)).unwrap();
    let stub = |path: &str, kind, parents| Stub {
        path: path.into(),
        kind,
        parents,
    };
    let made = [
        stub("/run/secrets/key", StubKind::File, vec![]),
        stub("/root/cache", StubKind::Directory, vec![looks("root")]),
        stub("/etc/resolv.conf", StubKind::File, vec![looks("etc")]),
    ];
    prepare_stubs(&stubs, &looks(""), &made).unwrap();
    let changes = Changes::new();
    let mut spec = shell(
        "cat /run/secrets/key /etc/resolv.conf; ls /root/cache; stat -c '%a %u %Y' /root /etc; stat -c %Y /",
    );
    spec.root.upper = Some(changes.spec());
    spec.root.stubs = Some(stubs);
    spec.mounts = vec![
        read_only("/run/secrets/key", text("k\n")),
        read_only("/etc/resolv.conf", text("nameserver 1.1.1.1\n")),
        mount(
            "/root/cache",
            Source::Bind {
                path: base().join("work"),
                recursive: false,
            },
        ),
    ];
    let line = |path: &str| {
        let looks = looks(path);
        format!("{:o} {} {}", looks.mode & 0o7777, looks.uid, looks.mtime.0)
    };
    // The root directory is the upper one's.
    let top = fs::metadata(changes.upper()).unwrap().mtime();
    let expected = format!(
        "k\nnameserver 1.1.1.1\n{}\n{}\n{top}",
        line("root"),
        line("etc")
    );
    assert_eq!(output(spec), expected);
    assert_eq!(names(&changes.upper()), [""; 0]);
}

#[test]
fn stubs_take_no_way_around() {
    let directory = tempfile::tempdir().unwrap();
    let looks = Parent {
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
    };
    for path in ["/../out", "/a/../../out", "/"] {
        let stub = Stub {
            path: path.into(),
            kind: StubKind::File,
            parents: vec![],
        };
        assert!(
            prepare_stubs(directory.path(), &looks, &[stub]).is_err(),
            "{path}"
        );
    }
}

#[test]
fn places_below_dev_are_made() {
    let bind = Source::Bind {
        path: base().join("etc"),
        recursive: false,
    };
    let mut spec = shell("/bin/sh /dev/pipes/deep/script; ls /dev/etc/hosts; stat -c %F /dev/shm");
    spec.mounts = vec![
        read_only("/dev/pipes/deep/script", text("echo from a pipe\n")),
        read_only("/dev/etc", bind),
        mount(
            "/dev/shm",
            Source::Tmpfs {
                size: None,
                mode: 0o700,
            },
        ),
    ];
    assert_eq!(output(spec), "from a pipe\n/dev/etc/hosts\ndirectory");
}
