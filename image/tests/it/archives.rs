//! Archives: what is written, and that we and others read it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use layer::Digest;
use rbuild_image::archive::{
    Archive, ArchiveFormat, ArchiveImage, ArchiveOptions, LoadedImage, write_archive, write_layout,
};
use rbuild_image::platform::Platform;
use rbuild_image::transfer::Unobserved;
use rbuild_image::{Compression, Content, Encoding, Error, ImageConfig};
use testkit::command::must;

use super::store::{Store, image_of, noise, sample, tar_of};

pub(crate) fn options(store: &Store, format: ArchiveFormat) -> ArchiveOptions {
    ArchiveOptions::new(format, store.scratch())
}

fn named(store: &Store, names: &[&str]) -> ArchiveImage {
    ArchiveImage {
        image: sample(store).into(),
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

pub(crate) fn written(store: &Store, images: &[ArchiveImage], options: &ArchiveOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_archive(images, options, store, &Unobserved, &mut bytes).unwrap();
    bytes
}

pub(crate) fn load(bytes: &[u8]) -> Result<(Vec<LoadedImage>, Store), Error> {
    let store = Store::new();
    let archive = Archive::read(bytes, &store.scratch())?;
    let images = archive.load(&Platform::new("linux", "amd64", ""), &store, &Unobserved)?;
    Ok((images, store))
}

/// The names and the bytes of a tar's entries.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0);
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    });
    entries.collect()
}

fn content<'a>(entries: &'a [(String, Vec<u8>)], name: &str) -> &'a str {
    let found = entries.iter().find(|(found, _)| found == name).unwrap();
    std::str::from_utf8(&found.1).unwrap()
}

#[test]
fn what_is_written_is_loaded() {
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let store = Store::new();
            let options = ArchiveOptions {
                encoding: Encoding::from(compression),
                ..options(&store, format)
            };
            let big = store.add(&tar_of("big", &noise(3_000_000, 1)));
            let second = ArchiveImage {
                image: image_of(vec![sample(&store).layers[0], big, big]).into(),
                names: Vec::new(),
            };
            let images = [
                named(&store, &["a:1", "localhost:5000/b/c:2", "a:1"]),
                second,
            ];
            let bytes = written(&store, &images, &options);
            assert!(
                bytes == written(&store, &images, &options),
                "not deterministic"
            );
            let (loaded, other) = load(&bytes).unwrap();
            assert_eq!(loaded.len(), 2);
            for (loaded, image) in loaded.iter().zip(&images) {
                let image = image.image.images().next().unwrap();
                assert_eq!(loaded.config, image.config);
                assert_eq!(loaded.id, Digest::of(&loaded.config));
                assert_eq!(loaded.layers, image.layers);
                assert!(loaded.manifest.is_some());
                for layer in &loaded.layers {
                    assert!(other.tar(layer) == store.tar(layer));
                }
            }
            let names: Vec<_> = loaded[0].names.iter().map(ToString::to_string).collect();
            assert_eq!(names, ["docker.io/library/a:1", "localhost:5000/b/c:2"]);
            assert_eq!(loaded[1].names, []);
        }
    }
}

#[test]
fn an_index_has_all_its_images() {
    let store = Store::new();
    let [here, there] = ["amd64", "s390x"].map(|architecture| {
        let mut image = sample(&store);
        let text = String::from_utf8(image.config).unwrap();
        image.config = text
            .replace("\"amd64\"", &format!("\"{architecture}\""))
            .into();
        image
    });
    let images = [ArchiveImage {
        image: Content::Index(vec![
            (Platform::new("linux", "s390x", ""), there.clone()),
            (Platform::new("linux", "amd64", ""), here.clone()),
        ]),
        names: vec!["app:v1".parse().unwrap()],
    }];
    let options = options(&store, ArchiveFormat::Docker);
    let mut bytes = Vec::new();
    let written = write_archive(&images, &options, &store, &Unobserved, &mut bytes).unwrap();
    let entries = entries(&bytes);
    let digest = written[0].digest.to_hex();
    let index = content(&entries, &format!("blobs/sha256/{digest}"));
    for platform in ["amd64", "s390x"] {
        assert!(
            index.contains(&format!("\"architecture\": \"{platform}\"")),
            "{index}"
        );
    }
    assert!(content(&entries, "index.json").contains(&digest));
    let docker = content(&entries, "manifest.json");
    let host = if cfg!(target_arch = "x86_64") {
        &here
    } else {
        &there
    };
    assert!(
        docker.contains(&Digest::of(&host.config).to_hex()),
        "{docker}"
    );
    for wanted in [&here, &there] {
        let platform = ImageConfig::parse("x", &wanted.config).unwrap().platform();
        let other = Store::new();
        let archive = Archive::read(&*bytes, &other.scratch()).unwrap();
        let loaded = archive.load(&platform, &other, &Unobserved).unwrap();
        assert_eq!(loaded[0].id, Digest::of(&wanted.config));
        assert_eq!(loaded[0].names[0].to_string(), "docker.io/library/app:v1");
    }
}

#[test]
fn the_documents_are_those_of_buildkit() {
    let store = Store::new();
    let image = named(&store, &["app:v1"]);
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let options = ArchiveOptions {
        created: Some(created),
        ..options(&store, ArchiveFormat::Docker)
    };
    let mut bytes = Vec::new();
    let images = std::slice::from_ref(&image);
    let written = write_archive(images, &options, &store, &Unobserved, &mut bytes).unwrap();
    let entries = entries(&bytes);
    let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.is_sorted());
    assert_eq!(names[..2], ["blobs/", "blobs/sha256/"]);
    assert_eq!(
        names[names.len() - 3..],
        ["index.json", "manifest.json", "oci-layout"]
    );
    assert_eq!(
        content(&entries, "oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
    let manifest = &written[0];
    assert_eq!(
        content(&entries, "index.json"),
        format!(
            concat!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","#,
                r#""manifests":[{{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","#,
                r#""digest":"{}","size":{},"#,
                r#""annotations":{{"io.containerd.image.name":"docker.io/library/app:v1","#,
                r#""org.opencontainers.image.created":"2023-11-14T22:13:20Z","#,
                r#""org.opencontainers.image.ref.name":"v1"}},"#,
                r#""platform":{{"architecture":"amd64","os":"linux"}}}}]}}"#,
            ),
            manifest.digest, manifest.size
        )
    );
    let file = |digest: &Digest| format!("blobs/sha256/{}", digest.to_hex());
    let image = image.image.images().next().unwrap();
    let layers: Vec<_> = image
        .layers
        .iter()
        .map(|layer| file(layer.digest()))
        .collect();
    assert_eq!(
        content(&entries, "manifest.json"),
        format!(
            r#"[{{"Config":"{}","RepoTags":["app:v1"],"Layers":["{}"]}}]"#,
            file(&Digest::of(&image.config)),
            layers.join("\",\"")
        )
    );
    for (name, content) in &entries {
        if let Some(hex) = name
            .strip_prefix("blobs/sha256/")
            .filter(|hex| !hex.is_empty())
        {
            assert_eq!(Digest::of(content).to_hex(), hex);
        }
    }
}

#[test]
fn a_layout_is_written_to_a_directory() {
    let store = Store::new();
    let target = testkit::scratch();
    let directory = target.path().join("new/layout");
    let image = [named(&store, &["app:v1"])];
    let options = options(&store, ArchiveFormat::Oci);
    for _ in 0..2 {
        write_layout(&image, &options, &store, &Unobserved, &directory).unwrap();
    }
    let blobs = fs::read_dir(directory.join("blobs/sha256"))
        .unwrap()
        .count();
    assert_eq!(blobs, 5);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 3);
    let stat = must(
        "umoci",
        &["stat", "--image", &format!("{}:v1", directory.display())],
    );
    assert!(stat.contains("COPY"), "{stat}");
    let bundle = target.path().join("bundle");
    let bundle = bundle.to_str().unwrap();
    must(
        "umoci",
        &[
            "unpack",
            "--image",
            &format!("{}:v1", directory.display()),
            bundle,
        ],
    );
    let unpacked = fs::read(format!("{bundle}/rootfs/two")).unwrap();
    assert_eq!(unpacked, b"two");
}

#[test]
fn an_image_without_layers_has_its_place() {
    let store = Store::new();
    let image = ArchiveImage {
        image: image_of(Vec::new()).into(),
        names: vec!["empty".parse().unwrap()],
    };
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        let bytes = written(
            &store,
            std::slice::from_ref(&image),
            &options(&store, format),
        );
        let (loaded, _) = load(&bytes).unwrap();
        assert_eq!(loaded[0].layers, []);
    }
}

/// Writes an archive of an image `app:v1` to a file.
fn in_file(store: &Store, directory: &Path, format: ArchiveFormat) -> String {
    let path = directory.join("archive.tar");
    let bytes = written(store, &[named(store, &["app:v1"])], &options(store, format));
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn skopeo_reads_our_archives_and_we_read_its() {
    let (store, directory) = (Store::new(), testkit::scratch());
    for (format, transport) in [
        (ArchiveFormat::Oci, "oci-archive"),
        (ArchiveFormat::Docker, "docker-archive"),
    ] {
        let path = in_file(&store, directory.path(), format);
        let source = format!("{transport}:{path}");
        let shown = must("skopeo", &["inspect", &source]);
        assert!(shown.contains("\"Architecture\": \"amd64\""), "{shown}");
        for target in ["oci-archive", "docker-archive"] {
            let copy = directory.path().join(format!("{transport}-{target}.tar"));
            let copy = copy.to_str().unwrap();
            must(
                "skopeo",
                &[
                    "copy",
                    &source,
                    &format!("{target}:{copy}:example.org/copy:x"),
                ],
            );
            let (loaded, other) = load(&fs::read(copy).unwrap()).unwrap();
            let layers = sample(&store).layers;
            assert_eq!(loaded[0].layers, layers, "{transport} {target}");
            assert_eq!(loaded[0].names[0].to_string(), "example.org/copy:x");
            for layer in &layers {
                assert!(other.tar(layer) == store.tar(layer));
            }
        }
    }
}

#[test]
fn compressed_archives_and_files_are_read() {
    let (store, directory) = (Store::new(), testkit::scratch());
    let path = in_file(&store, directory.path(), ArchiveFormat::Docker);
    for program in ["cat", "gzip -c", "zstd -c -q", "xz -c", "bzip2 -c"] {
        testkit::command::shell(directory.path(), &format!("{program} < {path} > packed"));
        let file = File::open(directory.path().join("packed")).unwrap();
        let target = Store::new();
        let archive = Archive::open(file, &target.scratch()).unwrap();
        let platform = Platform::new("linux", "amd64", "");
        let loaded = archive.load(&platform, &target, &Unobserved).unwrap();
        assert_eq!(loaded[0].layers.len(), 3, "{program}");
        assert_eq!(target.layers(), 3, "{program}");
        // A second time there is nothing to do.
        archive.load(&platform, &target, &Unobserved).unwrap();
        assert_eq!(target.drafts(), 3, "{program}");
    }
}

#[test]
fn archives_of_old_versions_of_docker_are_read() {
    let (store, directory) = (Store::new(), testkit::scratch());
    let image = sample(&store);
    let path = directory.path();
    // As versions up to 24 wrote it: a directory a layer, equal layers linked, layers of which one is compressed.
    fs::write(path.join("config"), &image.config).unwrap();
    for (layer, name) in image.layers.iter().zip(["l1", "l2", "l3"]) {
        fs::create_dir(path.join(name)).unwrap();
        fs::write(path.join(name).join("data"), store.tar(layer)).unwrap();
    }
    let list = r#"[{"Config":"CONFIG.json","RepoTags":["old:1"],"Layers":["l1/layer.tar","l2/layer.tar","l3/layer.tar"]}]"#;
    let mut file = File::create(path.join("list")).unwrap();
    file.write_all(list.as_bytes()).unwrap();
    let script = "hex=$(sha256sum < config | cut -d' ' -f1); mv config $hex.json; sed s/CONFIG/$hex/ list > manifest.json
        mv l1/data l1/layer.tar; ln l2/data l2/layer.tar; mkdir shared; gzip -c l3/data > shared/data
        rm l3/data; ln -s ../shared/data l3/layer.tar
        tar -cf archive.tar --sort=name ./manifest.json $hex.json l1 l2 l3 shared";
    testkit::command::shell(path, script);
    let (loaded, other) = load(&fs::read(path.join("archive.tar")).unwrap()).unwrap();
    assert_eq!(loaded[0].layers, image.layers);
    assert_eq!(loaded[0].names[0].familiar(), "old:1");
    assert!(loaded[0].manifest.is_none());
    for layer in &image.layers {
        assert!(other.tar(layer) == store.tar(layer));
    }
}

#[test]
fn docker_and_podman_load_our_archives() {
    let (store, directory) = (Store::new(), testkit::scratch());
    let image = sample(&store);
    let id = Digest::of(&image.config);
    let docker = testkit::docker::Docker::shared();
    for compression in [Compression::None, Compression::Gzip] {
        let options = ArchiveOptions {
            encoding: Encoding::from(compression),
            ..options(&store, ArchiveFormat::Docker)
        };
        let name = format!("loaded/{compression}:v1");
        let image = named(&store, &[&name]);
        let path = directory.path().join("archive.tar");
        fs::write(&path, written(&store, &[image], &options)).unwrap();
        let path = path.to_str().unwrap();
        docker.run(&["load", "-i", path]).succeeded();
        let shown = docker.run(&["image", "inspect", "-f", "{{.Id}}", &name]);
        assert_eq!(shown.succeeded().trim(), id.to_string());
        // It takes no long path for its `--runroot`.
        let root = tempfile::tempdir().unwrap();
        let root = root.path().to_str().unwrap();
        // It leaves mounts behind; these go with the namespace.
        let podman = |args: &[&str]| {
            let mut all = vec!["--mount", "podman", "--root", root, "--runroot", root];
            all.extend(["--storage-driver", "vfs"]);
            all.extend(args);
            must("unshare", &all)
        };
        podman(&["load", "-i", path]);
        let shown = podman(&["image", "inspect", "-f", "{{.Id}}", &name]);
        assert_eq!(shown.trim(), id.to_hex());
        // And what docker saves, we load.
        let saved = directory.path().join("saved.tar");
        docker
            .run(&["save", "-o", saved.to_str().unwrap(), &name])
            .succeeded();
        let (loaded, _) = load(&fs::read(saved).unwrap()).unwrap();
        assert_eq!((loaded[0].id, loaded[0].names[0].familiar()), (id, name));
    }
}
