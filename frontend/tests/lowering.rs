//! The rounds of lowering: which images are asked for, and when.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;

use rbuild_frontend::plan::{BaseImage, ContainerConfig, Platform, StepKind};
use rbuild_frontend::{Dockerfile, ImageRequest, Lowering, Need, Options, lower, parse};

fn dockerfile(text: &str) -> Dockerfile {
    parse("Dockerfile", text.as_bytes()).dockerfile.unwrap()
}

fn options() -> Options {
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: "arm64".to_owned(),
        variant: String::new(),
    };
    Options {
        platform: platform.clone(),
        build_platform: platform,
        ..Options::default()
    }
}

fn needs(lowering: Lowering) -> Vec<Need> {
    match lowering {
        Lowering::Needs(needs) => needs,
        other => panic!("no image is needed: {other:?}"),
    }
}

fn names(needs: &[Need]) -> Vec<&str> {
    needs
        .iter()
        .map(|need| need.image.reference.as_str())
        .collect()
}

#[test]
fn only_what_the_target_needs_is_asked_for() {
    let file = dockerfile(
        "FROM one AS a\nFROM two AS b\nCOPY --from=three x y\nFROM a AS c\n\
         RUN --mount=from=four,target=/x x\nFROM five\nCOPY --from=c x y\nCOPY --from=one x y\n",
    );
    let asked = |target: Option<&str>| {
        let options = Options {
            target: target.map(str::to_owned),
            ..options()
        };
        let needs = needs(lower(&file, &options, &BTreeMap::new()).unwrap());
        assert!(
            needs
                .iter()
                .all(|need| need.image.platform == options.platform)
        );
        names(&needs)
            .iter()
            .map(|name| name.trim_start_matches("docker.io/library/").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(None), ["one:latest", "five:latest", "four:latest"]);
    assert_eq!(asked(Some("b")), ["two:latest", "three:latest"]);
    assert_eq!(asked(Some("0")), ["one:latest"]);
}

#[test]
fn triggers_can_ask_for_more() {
    let file = dockerfile("FROM base\nRUN x\n");
    let mut images: BTreeMap<ImageRequest, BaseImage> = BTreeMap::new();
    let first = needs(lower(&file, &options(), &images).unwrap());
    assert_eq!(names(&first), ["docker.io/library/base:latest"]);
    assert_eq!((first[0].span.start, first[0].span.end), (5, 9));
    let base = BaseImage {
        id: "base id".to_owned(),
        has_layers: true,
        config: ContainerConfig {
            on_build: vec!["COPY --from=tools /a /b".to_owned()],
            ..ContainerConfig::default()
        },
        ..BaseImage::default()
    };
    images.insert(first[0].image.clone(), base);
    let second = needs(lower(&file, &options(), &images).unwrap());
    assert_eq!(names(&second), ["docker.io/library/tools:latest"]);
    let tools = BaseImage {
        has_layers: true,
        ..BaseImage::default()
    };
    images.insert(second[0].image.clone(), tools);
    let Lowering::Done(plan) = lower(&file, &options(), &images).unwrap() else {
        panic!("not done");
    };
    assert!(plan.images[0].spec.config.on_build.is_empty());
    let ids: Vec<_> = plan.graph.ids().collect();
    assert_eq!(ids.len(), 4);
    assert!(
        matches!(&plan.graph.get(ids[0]).kind, StepKind::Image(image) if image.id == "base id")
    );
    assert_eq!(plan.graph.inputs(ids[2]), [ids[0], ids[1]]);
    assert_eq!(plan.targets(), [ids[3]]);
}

#[test]
fn the_same_text_gives_the_same_plan() {
    let file = dockerfile(
        "FROM scratch AS a\nCOPY x y\nFROM scratch\nENV a=1 b=2\nARG c=3\nCOPY --from=a y z\nRUN x\n",
    );
    let plan =
        |file: &Dockerfile| format!("{:?}", lower(file, &options(), &BTreeMap::new()).unwrap());
    assert_eq!(plan(&file), plan(&file));
}
