#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::compression::Compression;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn manifest() -> Manifest {
    let types = MediaTypes::Oci;
    let blob = |media_type: String, size| Descriptor::new(media_type, Digest::of(b""), size);
    Manifest::new(
        types,
        blob(types.config().into(), 7),
        vec![blob(types.layer(Compression::Gzip), 9)],
    )
}

#[test]
fn a_manifest_is_written_as_buildkit_writes_it() {
    let expected = format!(
        r#"{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {{
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": "{EMPTY}",
    "size": 7
  }},
  "layers": [
    {{
      "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
      "digest": "{EMPTY}",
      "size": 9
    }}
  ]
}}"#
    );
    let (bytes, descriptor) = manifest().encode();
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
    assert_eq!(descriptor, Descriptor::of(media_type::OCI_MANIFEST, &bytes));
    descriptor.check(&bytes).unwrap();
    assert!(descriptor.check(b"x").is_err());
    let read = Document::parse("x", media_type::OCI_MANIFEST, &bytes).unwrap();
    assert_eq!(read, Document::Manifest(manifest()));
}

#[test]
fn an_index_is_read_with_its_platforms() {
    let json = format!(
        r#"{{"schemaVersion":2,"manifests":[
        {{"mediaType":"{}","digest":"{EMPTY}","size":1,
          "platform":{{"architecture":"arm","os":"linux","variant":"v7","os.features":null}},
          "annotations":{{"a":"b"}},"unknown":1}}]}}"#,
        media_type::DOCKER_MANIFEST
    );
    let Document::Index(index) = Document::parse("x", "", json.as_bytes()).unwrap() else {
        panic!("not an index");
    };
    let platform = index.manifests[0].platform.as_ref().unwrap();
    assert_eq!(platform.to_string(), "linux/arm/v7");
    assert_eq!(index.manifests[0].annotations["a"], "b");
}

#[test]
fn what_is_not_an_image_is_refused_with_its_reason() {
    let blob =
        |media_type: &str| format!(r#"{{"mediaType":"{media_type}","digest":"{EMPTY}","size":1}}"#);
    let image = |config: &str, layer: &str| {
        format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            blob(config),
            blob(layer)
        )
    };
    let (oci, docker) = (MediaTypes::Oci, MediaTypes::Docker);
    let good = image(oci.config(), &docker.layer(Compression::Zstd));
    Document::parse("x", "application/json", good.as_bytes()).unwrap();
    let both = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}}"#,
        blob(oci.config())
    );
    let cases = [
        ("", "{", "it is not what its type says"),
        ("", "[]", "it is not what its type says"),
        ("", r#"{"schemaVersion":2}"#, "it is not what its type says"),
        (
            "",
            r#"{"schemaVersion":1,"fsLayers":[]}"#,
            "it is of Docker's schema 1",
        ),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "{}",
            "it is of Docker's schema 1",
        ),
        (media_type::OCI_INDEX, &good, "it is ambiguous"),
        ("", &both, "it is ambiguous"),
        (
            "",
            r#"{"schemaVersion":2,"mediaType":"text/x","manifests":[]}"#,
            "its media type `text/x`",
        ),
        (
            "",
            &image("application/vnd.cncf.helm.config.v1+json", ""),
            "it describes `application/vnd.cncf.helm",
        ),
        (
            "",
            &image(oci.config(), "application/vnd.in-toto+json"),
            "it describes `application/vnd.in-toto+json`",
        ),
        (
            "",
            &good.replace("sha256:e3", "sha256:zz"),
            "it is not what its type says",
        ),
    ];
    for (announced, json, expected) in cases {
        let Err(Error::Manifest { source, .. }) = Document::parse("x", announced, json.as_bytes())
        else {
            panic!("{json} was read");
        };
        let message = source.to_string();
        assert!(message.starts_with(expected), "{json}: {message}");
    }
    let large = vec![b' '; SIZE_MAX as usize + 1];
    assert!(Document::parse("x", "", &large).is_err());
}
