//! The base images of the tests.

use std::collections::BTreeMap;

use rbuild_frontend::plan::{BaseImage, ContainerConfig, History, Platform};
use rbuild_frontend::{ImageRequest, Options};

/// A build for the platform that the images have.
pub(crate) fn options() -> Options {
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        variant: String::new(),
    };
    Options {
        platform: platform.clone(),
        build_platform: platform,
        ..Options::default()
    }
}

/// The images there are.
pub(crate) fn image(request: &ImageRequest) -> Option<BaseImage> {
    let strings = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
    let mut image = BaseImage {
        id: format!("id of {}", request.reference),
        platform: request.platform.clone(),
        has_layers: true,
        history: vec![History {
            created: Some("2020-01-01T00:00:00Z".to_owned()),
            created_by: "base".to_owned(),
            ..History::default()
        }],
        ..BaseImage::default()
    };
    let name = request.reference.strip_prefix("docker.io/library/")?;
    match name {
        "busybox:latest" => image.config.cmd = Some(strings(&["sh"])),
        "debian:12" => {
            image.author = String::from("someone");
            image.config = ContainerConfig {
                env: strings(&["PATH=/bin", "LANG=C"]),
                working_dir: "/srv".to_owned(),
                user: "app".to_owned(),
                entrypoint: Some(strings(&["/init"])),
                cmd: Some(strings(&["serve"])),
                exposed_ports: strings(&["80/tcp"]),
                shell: Some(strings(&["/bin/bash", "-c"])),
                labels: BTreeMap::from([("from".to_owned(), "base".to_owned())]),
                ..ContainerConfig::default()
            };
        }
        "trigger:latest" => {
            image.config.on_build = strings(&[
                "ARG V=1",
                "RUN echo $V",
                "COPY --from=busybox /bin/sh /sh",
                "COPY <<EOF /conf\nv=$V\nEOF",
            ]);
        }
        "broken-trigger:latest" => image.config.on_build = strings(&["FORM busybox"]),
        "stage-trigger:latest" => image.config.on_build = strings(&["COPY --from=tools /t /t"]),
        "empty:latest" => {
            image.has_layers = false;
            image.history.clear();
        }
        "arm:latest" => image.platform.architecture = String::from("arm64"),
        _ => return None,
    }
    Some(image)
}
