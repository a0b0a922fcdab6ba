//! HTTPS with an authority of one's own, and with client certificates.
//!
//! A registry on loopback is spoken to in plain HTTP; `0.0.0.0` leads to the same place and is not loopback.

use std::fs;
use std::sync::OnceLock;

use testkit::command;
use testkit::context::Context;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;

use crate::at_home;

/// An authority, and what it says of the registry and of us; and somebody else.
const CERTIFICATES: &str = "
    echo 'subjectAltName=IP:0.0.0.0' > names
    authority() {
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$1 -keyout $1.key -out $1.pem
    }
    sign() {
        openssl req -newkey rsa:2048 -nodes -subj /CN=$1 -keyout $1.key -out $1.request
        openssl x509 -req -in $1.request -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out $1.pem
    }
    authority authority
    authority other
    sign registry
    sign me
    cat me.pem me.key > both.pem";

/// A registry that talks HTTPS, with those only who have a certificate of its authority.
fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        Registry::configured(|port, directory| {
            command::shell(directory, CERTIFICATES);
            let path = directory.display();
            format!(
                "http: {{addr: '0.0.0.0:{port}', tls: {{certificate: {path}/registry.pem, \
                 key: {path}/registry.key, clientcas: ['{path}/authority.pem']}}}}\n"
            )
        })
    })
}

/// Pushes an image with this in the registry's `hosts.toml`, where `@` stands for the directory of the certificates.
fn push(rbuild: &Rbuild, text: &str) -> command::Outcome {
    let registry = registry();
    let host = format!("0.0.0.0:{}", registry.port());
    let place = rbuild.store().join("registries").join(&host);
    fs::create_dir_all(&place).expect("a store");
    let directory = registry.directory().to_str().expect("a path");
    fs::write(place.join("hosts.toml"), text.replace('@', directory)).expect("a store");
    let context = Context::new("FROM scratch\nCOPY file /\n").with("file", "file");
    let name = format!("{host}/image");
    rbuild.build(context.path(), &["-t", &name]);
    let registries = rbuild.store().join("registries");
    let mut command = rbuild.command(["push", &name]);
    command::run(command.env("RBUILD_REGISTRIES", &registries))
}

#[test]
fn an_authority_and_a_client_certificate_open_the_way() {
    let pairs = [
        "ca = \"@/authority.pem\"\nclient = [[\"@/me.pem\", \"@/me.key\"]]\n",
        "ca = [\"@/other.pem\", \"@/authority.pem\"]\nclient = \"@/both.pem\"\n",
        "skip_verify = true\nclient = \"@/both.pem\"\n",
    ];
    for text in pairs {
        let rbuild = at_home();
        push(&rbuild, text).succeeded();
    }
}

#[test]
fn nobody_is_trusted_or_let_in_without() {
    let cases = [
        ("", "its certificate is not trusted"),
        ("ca = \"@/other.pem\"\n", "its certificate is not trusted"),
        (
            "ca = \"@/authority.pem\"\n",
            "cannot reach registry `0.0.0.0`",
        ),
        ("ca = \"@/absent.pem\"\n", "cannot read certificates in `"),
        ("ca = \"@/me.key\"\n", "there are none"),
        (
            "ca = \"@/authority.pem\"\nclient = [[\"@/me.pem\", \"@/other.key\"]]\n",
            "cannot be used with the key in",
        ),
    ];
    for (text, expected) in cases {
        let rbuild = at_home();
        let outcome = push(&rbuild, text);
        outcome.failed_with(1);
        outcome.says(&[expected]);
    }
}
