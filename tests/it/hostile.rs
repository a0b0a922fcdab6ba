//! Images whose documents and layers are absurd, through the doors they come in by: each is refused with one error, or is
//! of use as far as it goes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use testkit::command::{self, Outcome};
use testkit::context::Context;

use crate::rbuild;

/// Writes an archive of an image `evil` that has this config, as `docker save` would, with busybox's layer unless another
/// is given. `CONFIG` and `LAYER` are Python expressions; `ids` are the names of the layers.
fn archive(directory: &tempfile::TempDir, config: &str, layer: &str) -> PathBuf {
    let path = directory.path().join("evil.tar");
    let python = format!(
        r#"
import gzip, hashlib, io, json, sys, tarfile
def tar(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, kind, content in entries:
            i = tarfile.TarInfo(name); i.type = kind
            if kind == tarfile.REGTYPE: i.size = len(content); i.mode = 0o755; t.addfile(i, io.BytesIO(content))
            else: i.linkname = content; t.addfile(i)
    return out.getvalue()
D, F, L, H = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
busybox = ("bin/busybox", F, open("/bin/busybox", "rb").read())
layer = {layer}
ids = ["sha256:" + hashlib.sha256(layer).hexdigest()]
config = {config}
if not isinstance(config, bytes): config = json.dumps(config).encode()
manifest = json.dumps([{{"Config": "config.json", "RepoTags": ["evil:latest"], "Layers": ["layer.tar"]}}]).encode()
out = tarfile.open(sys.argv[1], "w")
for name, data in (("config.json", config), ("layer.tar", layer), ("manifest.json", manifest)):
    i = tarfile.TarInfo(name); i.size = len(data); out.addfile(i, io.BytesIO(data))
out.close()
"#
    );
    command::run(Command::new("python3").arg("-c").arg(python).arg(&path)).succeeded();
    path
}

/// It ended by itself, and said why where it failed.
#[track_caller]
fn assert_orderly(outcome: &Outcome, what: &str) {
    let known = [0, 1, 125, 126, 127];
    assert!(known.contains(&outcome.code), "{what}: {outcome:?}");
    assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome:?}");
    let told = outcome.code == 0 || outcome.stderr.contains("error");
    assert!(told && outcome.stderr.len() < 20_000, "{what}: {outcome:?}");
}

#[test]
fn absurd_configs_do_no_harm() {
    let fields = [
        r#""Env": ["", "=", "=x", "A", "PATH=", "A=" + "x" * 200000, "\u0000=\u0000"]"#,
        r#""Env": ["A"] * 20000"#,
        r#""Env": {"A": "B"}"#,
        r#""WorkingDir": "../../../../etc""#,
        r#""WorkingDir": "/" + "d/" * 3000"#,
        r#""WorkingDir": "/a\u0000b""#,
        r#""User": "99999999999999999999:-1""#,
        r#""User": "-1""#,
        r#""User": "root\nx:/""#,
        r#""StopSignal": "SIGNOTHING", "Healthcheck": {"Test": ["CMD"], "Interval": -9223372036854775808, "Retries": -1}"#,
        r#""Healthcheck": {"Interval": 1e300}"#,
        r#""Volumes": {"/": {}, "": {}, "../..": {}, "/proc": {}, "/a\u0000": {}}"#,
        r#""ExposedPorts": {"-1/tcp": {}, "x": {}, "99999999999/udp": {}}"#,
        r#""Entrypoint": [""], "Cmd": []"#,
        r#""Entrypoint": ["/bin/busybox", "true"] + ["x" * 1000] * 3000"#,
        r#""OnBuild": ["FROM evil", "ONBUILD RUN x", "RUN --mount=type=bind,source=/ true"]"#,
        r#""Labels": {"": "", "a\nb": "\u001b[2J"}"#,
        r#""Shell": [], "ArgsEscaped": True"#,
    ];
    let directory = testkit::scratch();
    let layer = "tar(busybox, ('bin/sh', L, 'busybox'))";
    for field in fields {
        let config = format!(
            r#"{{"os": "linux", "architecture": "amd64", "config": {{{field}}}, "rootfs": {{"type": "layers", "diff_ids": ids}}}}"#
        );
        let rbuild = rbuild();
        let path = archive(&directory, &config, layer);
        let loaded = rbuild.run(["load".as_ref(), "-i".as_ref(), path.as_os_str()]);
        assert_orderly(&loaded, field);
        if loaded.code != 0 {
            continue;
        }
        for args in [
            &["run", "--rm", "evil", "/bin/busybox", "true"][..],
            &["inspect", "evil"],
            &["history", "evil"],
            &["images"],
        ] {
            let outcome = rbuild.run(args);
            assert_orderly(&outcome, field);
            assert!(!outcome.stdout.contains('\u{1b}'), "{field}: {args:?}");
        }
        let context = Context::new("FROM evil\nRUN true\n");
        assert_orderly(&rbuild.try_build(context.path(), &[]), field);
    }
}

#[test]
fn documents_that_lie_or_never_end_are_refused() {
    let rootfs = r#""rootfs": {"type": "layers", "diff_ids": ids}"#;
    let platform = r#""os": "linux", "architecture": "amd64""#;
    let configs = [
        format!(r#"{{{platform}, "rootfs": {{"type": "layers", "diff_ids": ids * 2}}}}"#),
        format!(
            r#"{{{platform}, "rootfs": {{"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}}}"#
        ),
        format!(r#"{{{platform}, "rootfs": {{"type": "layers", "diff_ids": [-1]}}}}"#),
        format!(r#"{{{platform}, {rootfs}, "history": [{{}}] * 20000}}"#),
        format!(r#"{{{platform}, {rootfs}, "history": [{{"created_by": "x" * 9000000}}]}}"#),
        "b'[' * 1000000".to_owned(),
        r#"b'{"config":' * 1000000"#.to_owned(),
        "b'null'".to_owned(),
    ];
    let directory = testkit::scratch();
    let rbuild = rbuild();
    for config in configs {
        let path = archive(&directory, &config, "tar(busybox)");
        let outcome = rbuild.run(["load".as_ref(), "-i".as_ref(), path.as_os_str()]);
        outcome.failed_with(1);
        assert_orderly(&outcome, &config);
        rbuild.assert_nothing_half_made();
    }
    assert_eq!(rbuild.run(["images", "-q"]).succeeded(), "");
}

#[test]
fn layers_that_mean_harm_stay_in_their_place() {
    let outside = testkit::scratch();
    let up = format!("{}{}", "../".repeat(12), outside.path().display());
    let out = outside.path().display();
    let layers = [
        format!("tar(busybox, ('{up}/climbed', F, b'evil'))"),
        format!("tar(busybox, ('{out}/rooted', F, b'evil'))"),
        format!("tar(busybox, ('a', L, '{out}'), ('b', L, 'a'), ('b/through', F, b'evil'))"),
        format!("tar(busybox, ('a', L, '{up}'), ('a/x', L, '.'), ('a/x/x/through', F, b'evil'))"),
        format!("tar(busybox, ('a', H, '{out}'), ('b', H, '{up}/x'))"),
        "tar(busybox, ('d', D, ''), ('d', F, b''), ('d', L, 'd'), ('d', D, ''), ('d/f', F, b'twice'), ('d/f', F, b''))".to_owned(),
        "tar(busybox, *[('d/%06d' % i, F, b'') for i in range(2000)])".to_owned(),
        "tar(busybox, ('d/' * 300, D, ''))".to_owned(),
        "tar(busybox, ('n' * 300, F, b''))".to_owned(),
        "tar(busybox)[:5000]".to_owned(),
        "gzip.compress(tar(busybox))[:-20]".to_owned(),
    ];
    let directory = testkit::scratch();
    let config = r#"{"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids}}"#;
    for (layer, form) in layers
        .iter()
        .flat_map(|layer| [(layer, "erofs"), (layer, "directory")])
    {
        let rbuild = rbuild().with_layers(form);
        let path = archive(&directory, config, layer);
        let loaded = rbuild.run(["load".as_ref(), "-i".as_ref(), path.as_os_str()]);
        assert_orderly(&loaded, layer);
        if loaded.code == 0 {
            let outcome = rbuild.run(["run", "--rm", "evil", "/bin/busybox", "true"]);
            assert_orderly(&outcome, layer);
            let dest = testkit::scratch();
            let output = format!("type=local,dest={}", dest.path().join("tree").display());
            let context = Context::new("FROM evil\nFROM scratch\nCOPY --from=evil / /\n");
            let outcome = rbuild.try_build(context.path(), &["--output", &output]);
            assert_orderly(&outcome, layer);
        }
        let left = fs::read_dir(outside.path()).expect("it is there").count();
        assert_eq!(left, 0, "{layer} wrote outside");
    }
}

#[test]
fn contexts_deeper_than_paths_are_refused() {
    let context = Context::new("FROM scratch\nCOPY . /\n");
    let python = "import os\nfor _ in range(2100): os.mkdir('d'); os.chdir('d')";
    command::run(
        Command::new("python3")
            .args(["-c", python])
            .current_dir(context.path()),
    )
    .succeeded();
    let outcome = rbuild().try_build(context.path(), &[]);
    outcome.failed_with(1);
    outcome.says(&["`d` are nested too deep"]);
}

#[test]
fn directories_deeper_than_paths_do_no_harm() {
    let rbuild = rbuild();
    // 256 levels, twelve times.
    let dig = "p=d; for i in 1 2 3 4 5 6 7 8; do p=$p/$p; done; \
         for i in $(seq 12); do mkdir -p $p && cd -P $p || exit 1; done; echo x > file";
    let mount = Context::new(&format!(
        "FROM @busybox\nRUN --mount=type=cache,id=deep,target=/c cd /c; {dig}\n"
    ));
    rbuild.build(mount.path(), &[]);
    let root = Context::new(&format!("FROM @busybox\nRUN mkdir /r; cd /r; {dig}\n"));
    let outcome = rbuild.try_build(root.path(), &[]);
    outcome.failed_with(1);
    outcome.says(&["Dockerfile:2", "the path is longer than 4095 bytes"]);
    let used = rbuild.run(["du"]).succeeded().to_owned();
    assert!(used.contains("deep"), "{used}");
    let removed = rbuild.run(["prune", "--force"]).succeeded().to_owned();
    assert!(removed.contains("deep"), "{removed}");
    rbuild.run(["store", "check"]).succeeded();
    rbuild.assert_nothing_half_made();
    let trash = std::fs::read_dir(rbuild.store().join("trash"));
    assert_eq!(trash.map_or(0, Iterator::count), 0);
}
