//! Lists of images.

use super::*;
use crate::commands::fake::{self, Fake, run_command};

fn args() -> ImagesArgs {
    ImagesArgs {
        name: None,
        quiet: false,
        no_trunc: false,
        digests: false,
        format: Format::Table,
    }
}

fn listed(images: &[ImageSummary], args: &ImagesArgs) -> String {
    let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_007_301);
    let entries: Vec<_> = images.iter().flat_map(entries).collect();
    table_of(&entries, args, now)
}

#[test]
fn an_image_has_a_line_per_name() {
    let unnamed = ImageSummary {
        names: Vec::new(),
        digests: Vec::new(),
        created: None,
        ..fake::image().summary
    };
    let images = [fake::image().summary, unnamed];
    insta::assert_snapshot!(listed(&images, &args()), @"
    REPOSITORY           TAG       IMAGE ID       CREATED       SIZE
    busybox              latest    0123456789ab   2 hours ago   77.8MB
    localhost:5000/box   1         0123456789ab   2 hours ago   77.8MB
    <none>               <none>    0123456789ab   N/A           77.8MB
    ");
    let digests = ImagesArgs {
        digests: true,
        no_trunc: true,
        ..args()
    };
    insta::assert_snapshot!(listed(&images[..1], &digests), @"
    REPOSITORY           TAG       DIGEST      IMAGE ID                  CREATED       SIZE
    busybox              latest    sha256:77   sha256:0123456789abcdef   2 hours ago   77.8MB
    localhost:5000/box   1         <none>      sha256:0123456789abcdef   2 hours ago   77.8MB
    ");
}

#[test]
fn lists_can_be_narrowed() {
    let lines = |words: &[&str]| run_command(&Fake::default(), words).out.lines().count();
    assert_eq!(lines(&["images"]), 3);
    assert_eq!(lines(&["images", "busybox"]), 2);
    assert_eq!(lines(&["images", "busybox:latest"]), 2);
    assert_eq!(lines(&["images", "busybox:other"]), 1);
    assert_eq!(lines(&["images", "localhost:5000/box"]), 2);
    assert_eq!(
        run_command(&Fake::default(), &["images", "-q"]).out,
        "0123456789ab\n"
    );
    assert_eq!(lines(&["images", "--format", "json"]), 2);
}

#[test]
fn removal_tells_what_went() {
    let backend = Fake::default();
    let done = run_command(&backend, &["rmi", "-f", "busybox", "missing"]);
    assert_eq!(
        done.out,
        "Untagged: busybox\nDeleted: sha256:0123456789abcdef\n"
    );
    assert_eq!(
        (done.code, backend.calls()),
        (1, vec!["remove_image busybox true".to_owned()])
    );
}
