//! What is small and becomes large, or asks for memory: it takes its room on disk at most, and what is too much is refused.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use testkit::command;
use testkit::context::Context;
use testkit::disk::Disk;

use crate::rbuild;

/// How much the bombs become: more than the program may take of memory, and little enough to be written in a moment.
const LARGE: u64 = 96 << 20;
/// How much memory the program may take, whatever it is given.
const MEMORY_MAX: u64 = 56 << 20;

/// Functions of Python that make the bombs: tar archives with something large in them, compressed without ever being whole.
/// Each gives the compressed bytes and the digest of the others.
const PYTHON: &str = r#"
import bz2, hashlib, io, json, lzma, struct, sys, tarfile, zlib
LARGE, PIECE = int(sys.argv[2]), bytes(1 << 17)

def header(name, size, kind=tarfile.REGTYPE):
    i = tarfile.TarInfo(name); i.size, i.type = size, kind
    return i.tobuf(tarfile.USTAR_FORMAT)

def zeros(name, kind=tarfile.REGTYPE):
    yield header(name, LARGE, kind)
    for _ in range(LARGE // len(PIECE)): yield PIECE

def pieces(*parts):
    for part in parts: yield from part
    yield bytes(1024)

class Gzip:
    def __init__(self, level=1): self.c = zlib.compressobj(level, zlib.DEFLATED, 31)
    def compress(self, b): return self.c.compress(b)
    def flush(self): return self.c.flush()

class Xz:
    def __init__(self): self.c = lzma.LZMACompressor(preset=0)
    def compress(self, b): return self.c.compress(b)
    def flush(self): return self.c.flush()

class Zstd:
    # Blocks as they are, and for zeros one byte that is repeated; `window` is a power of two.
    def __init__(self, window=20): self.start = b"\x28\xb5\x2f\xfd\0" + bytes([(window - 10) << 3])
    def block(self, b, last=0):
        kind, body = (1, b"\0") if b == PIECE else (0, b)
        return (len(b) << 3 | kind << 1 | last).to_bytes(3, "little") + body
    def compress(self, b):
        start, self.start = self.start, b""
        return start + self.block(b)
    def flush(self): return self.block(b"", 1)

def pack(compressor, pieces):
    out, sha = io.BytesIO(), hashlib.sha256()
    for piece in pieces:
        sha.update(piece); out.write(compressor.compress(piece))
    out.write(compressor.flush())
    return out.getvalue(), sha.hexdigest()

def greedy_xz():
    # The decoder is told of a dictionary of 4 GiB: the last of the filter's bytes in the header of the first block.
    xz, digest = pack(Xz(), pieces([header("file", 0)]))
    xz = bytearray(xz)
    length = (xz[12] + 1) * 4
    at = xz.index(b"\x21\x01", 12, 12 + length) + 2
    xz[at] = 40
    xz[12 + length - 4:12 + length] = struct.pack("<I", zlib.crc32(xz[12:12 + length - 4]))
    return bytes(xz), digest

def many(count):
    # One header, changed in place: its name, and the sum of its bytes.
    block = bytearray(header("d/%07d" % 0, 0))
    for at in range(0, count, 256):
        piece = bytearray()
        for number in range(at, min(at + 256, count)):
            block[2:9], block[148:156] = b"%07d" % number, b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
            piece += block
        yield bytes(piece)

def bomb(form, gigabytes):
    # A file of so many gigabytes of zeros, without compressing more than one of them: members of gzip and blocks of
    # zstd may follow each other as often as one likes.
    size = gigabytes << 30
    i = tarfile.TarInfo("zeros"); i.size = size
    start = i.tobuf(tarfile.GNU_FORMAT)
    if form == "gzip":
        member = lambda parts: pack(Gzip(9), parts)[0]
        return member([start]) + member([PIECE] * (1 << 13)) * gigabytes + member([bytes(1024)])
    z = Zstd()
    return z.compress(start) + z.block(PIECE) * (size // len(PIECE)) + z.block(bytes(1024)) + z.flush()

def image(layer, digest):
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]}})
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["evil:latest"], "Layers": ["layer.tar"]}])
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, data in (("config.json", config.encode()), ("layer.tar", layer), ("manifest.json", manifest.encode())):
            i = tarfile.TarInfo(name); i.size = len(data); t.addfile(i, io.BytesIO(data))
    return out.getvalue()
"#;

/// Writes what an expression of Python gives to a file.
fn write(path: &Path, expression: &str) {
    let python = format!("{PYTHON}\nopen(sys.argv[1], \"wb\").write({expression})");
    let mut command = Command::new("python3");
    command
        .arg("-c")
        .arg(python)
        .arg(path)
        .arg(LARGE.to_string());
    command::run(&mut command).succeeded();
}

#[test]
fn layers_that_become_large_take_little_memory() {
    let directory = testkit::scratch();
    let path = directory.path().join("evil.tar");
    for compressor in ["Gzip()", "Zstd()"] {
        let layer = format!("image(*pack({compressor}, pieces(zeros('zeros'))))");
        write(&path, &layer);
        let rbuild = rbuild();
        let load = rbuild.command(["load".as_ref(), "-i".as_ref(), path.as_os_str()]);
        let (loaded, memory) = command::measure(&load);
        loaded.succeeded();
        assert!(memory < MEMORY_MAX, "{compressor}: {memory} bytes");
    }
}

#[test]
fn archives_of_add_that_become_large_take_little_memory() {
    let context = Context::new("FROM scratch\nADD evil.tar /\n");
    for compressor in ["Xz()", "Zstd()"] {
        let archive = format!("pack({compressor}, pieces(zeros('zeros')))[0]");
        write(&context.join("evil.tar"), &archive);
        let rbuild = rbuild();
        let mut build = rbuild.command(["build", "--progress=plain"]);
        let (outcome, memory) = command::measure(build.arg(context.path()));
        outcome.succeeded();
        assert!(memory < MEMORY_MAX, "{compressor}: {memory} bytes");
    }
}

#[test]
fn bombs_are_refused_where_they_grow_as_no_layer_does() {
    let directory = testkit::scratch();
    let path = directory.path().join("evil.tar");
    // Far less than the bombs want, and than they may have before they are found out.
    let disk = Disk::new(64);
    let store = disk.path().join("store");
    let rbuild = rbuild();
    for form in ["gzip", "zstd"] {
        write(&path, &format!("image(bomb('{form}', 9), '0' * 64)"));
        let mut load = rbuild.command(["--store".as_ref(), store.as_os_str()]);
        load.args(["load".as_ref(), "-i".as_ref(), path.as_os_str()]);
        let (outcome, memory) = command::measure(&load);
        outcome.failed_with(1);
        outcome.says(&["it is a decompression bomb"]);
        assert!(memory < MEMORY_MAX, "{form}: {memory} bytes");
        let left = std::fs::read_dir(store.join("tmp")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{form}");
    }
}

#[test]
fn what_asks_for_much_memory_is_refused() {
    let directory = testkit::scratch();
    let path = directory.path().join("evil.tar");
    let cases = [
        (
            "image(*pack(Zstd(31), pieces([header('file', 0)])))",
            "Frame requires too much memory",
        ),
        ("image(*greedy_xz())", "memory"),
        (
            "image(*pack(Gzip(), pieces(zeros('x', tarfile.XHDTYPE), [header('file', 0)])))",
            "extended header",
        ),
        (
            "image(*pack(Zstd(), pieces(zeros('x', tarfile.GNUTYPE_LONGNAME), [header('file', 0)])))",
            "extended header",
        ),
        // Documents of an archive that is compressed as a whole.
        (
            "pack(Gzip(), pieces(zeros('manifest.json')))[0]",
            "`manifest.json`",
        ),
        (
            "pack(Zstd(), pieces(zeros('index.json'), [header('oci-layout', 0)]))[0]",
            "`index.json`",
        ),
    ];
    let rbuild = rbuild();
    for (archive, expected) in cases {
        write(&path, archive);
        let load = rbuild.command(["load".as_ref(), "-i".as_ref(), path.as_os_str()]);
        let (outcome, memory) = command::measure(&load);
        outcome.failed_with(1);
        outcome.says(&[expected]);
        assert!(memory < MEMORY_MAX, "{archive}: {memory} bytes");
        rbuild.assert_nothing_half_made();
    }
    assert_eq!(rbuild.run(["images", "-q"]).succeeded(), "");
}

/// Answers whatever is asked with a manifest of so many megabytes, as far as that is read.
fn endless(client: &TcpStream, megabytes: usize) -> std::io::Result<()> {
    let mut asked = BufReader::new(client).lines();
    while asked
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.manifest.v1+json\r\nconnection: close\r\n\r\n";
    let mut client = client;
    client.write_all(head.as_bytes())?;
    client.write_all(b"{\"schemaVersion\": 2, \"x\": \"")?;
    let piece = vec![b'x'; 1 << 20];
    (0..megabytes).try_for_each(|_| client.write_all(&piece))
}

#[test]
fn a_manifest_of_a_hundred_megabytes_is_not_read_to_its_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // It is not to be taken whole.
            thread::spawn(move || endless(&client, 100).ok());
        }
    });
    let rbuild = rbuild();
    let pull = rbuild.command(["pull", &format!("127.0.0.1:{port}/endless")]);
    let (outcome, memory) = command::measure(&pull);
    outcome.failed_with(1);
    outcome.says(&["the limit is 8388608"]);
    assert!(memory < MEMORY_MAX, "{memory} bytes");
}

#[test]
fn a_directory_of_many_entries_is_of_use() {
    // A million takes a minute and 1.1 GB.
    let entries: u64 = match std::env::var_os("RBUILD_TORTURE") {
        Some(_) => 1_000_000,
        None => 60_000,
    };
    let directory = testkit::scratch();
    let path = directory.path().join("evil.tar");
    write(
        &path,
        &format!("image(*pack(Gzip(), pieces(many({entries}))))"),
    );
    let rbuild = rbuild();
    let load = rbuild.command(["load".as_ref(), "-i".as_ref(), path.as_os_str()]);
    let (loaded, memory) = command::measure(&load);
    loaded.succeeded();
    // What the limit of four million entries promises, and what the program takes for itself.
    let allowed = entries * 512 + (48 << 20);
    assert!(memory < allowed, "{memory} bytes, and not {allowed}");
    let context = Context::new(
        "FROM scratch\nCOPY --from=evil /d/005[0-9]?99 /found/\nCOPY --from=evil /d /all/\n",
    );
    let dest = directory.path().join("tree.tar");
    let output = format!("type=tar,dest={}", dest.display());
    let mut build = rbuild.command(["build", "--progress=plain", "--output", &output]);
    let (outcome, memory) = command::measure(build.arg(context.path()));
    outcome.succeeded();
    // A step has all it copies in mind at once.
    let allowed = entries * 2048 + (48 << 20);
    assert!(memory < allowed, "{memory} bytes, and not {allowed}");
    let names = "tar -tf tree.tar | cut -d/ -f1 | sort | uniq -c | tr -s ' \\n' ' '";
    let counted = command::shell(directory.path(), names);
    let expected = format!("{} all {} found", entries + 1, 100 + 1);
    assert_eq!(counted.trim(), expected);
}
