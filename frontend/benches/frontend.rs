//! Dockerfile to plan, and ignore files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use rbuild_frontend::ignore::Ignore;
use rbuild_frontend::plan::{BaseImage, ContainerConfig, Platform};
use rbuild_frontend::{ImageRequest, Lowering, Options, lower, parse};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    dockerfiles(&mut criterion);
    ignore_files(&mut criterion);
    criterion.final_summary();
}

/// Twenty stages of ten instructions.
fn text() -> String {
    let mut text = String::from("ARG BASE=debian:bookworm\n");
    for stage in 0..20 {
        write!(
            text,
            "FROM $BASE AS stage{stage}\n\
             ARG VERSION=1.{stage}\n\
             ENV PATH=/opt/bin:$PATH VERSION=\"${{VERSION:-0}}\"\n\
             WORKDIR /src\n\
             COPY --chown=1000:1000 package.json package-lock.json ./\n\
             RUN --mount=type=cache,target=/root/.npm npm ci && \\\n    npm cache verify\n\
             COPY . .\n\
             RUN <<EOF\nset -e\nmake VERSION=$VERSION\nEOF\n\
             EXPOSE 80{stage}\n\
             USER 1000\n\
             CMD [\"node\", \"server.js\"]\n"
        )
        .unwrap();
        if stage > 0 {
            writeln!(text, "COPY --from=stage{} /src/out /out", stage - 1).unwrap();
        }
    }
    text
}

fn dockerfiles(criterion: &mut Criterion) {
    let text = text();
    let mut group = criterion.benchmark_group("Dockerfile of 20 stages");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| parse("Dockerfile", black_box(text.as_bytes())));
    });
    let dockerfile = parse("Dockerfile", text.as_bytes()).dockerfile.unwrap();
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        variant: String::new(),
    };
    let options = Options {
        platform: platform.clone(),
        build_platform: platform.clone(),
        ..Options::default()
    };
    let base = BaseImage {
        id: "sha256:00".to_owned(),
        author: String::new(),
        platform,
        config: ContainerConfig::default(),
        history: Vec::new(),
        has_layers: true,
    };
    let images: BTreeMap<ImageRequest, BaseImage> =
        match lower(&dockerfile, &options, &BTreeMap::new()).unwrap() {
            Lowering::Needs(needs) => needs
                .into_iter()
                .map(|need| (need.image, base.clone()))
                .collect(),
            other => panic!("no image is needed: {other:?}"),
        };
    group.bench_function("lower", |bencher| {
        bencher.iter(|| {
            let lowering = lower(&dockerfile, &options, &images).unwrap();
            assert!(matches!(lowering, Lowering::Done(_)));
            lowering
        });
    });
}

fn ignore_files(criterion: &mut Criterion) {
    let rules = b"# usual ones\n.git\nnode_modules\n**/*.log\n**/target\ndocs/**\n!docs/README.md\n*.tmp\n/build\n";
    let ignore = Ignore::parse(rules).unwrap();
    let paths: Vec<String> = (0..1_000)
        .map(|file| format!("src/part{}/module{file}/file{file}.js", file % 20))
        .collect();
    let mut group = criterion.benchmark_group("ignore file of 8 rules");
    group.bench_function("parse", |bencher| {
        bencher.iter(|| Ignore::parse(black_box(rules)).unwrap());
    });
    group.throughput(Throughput::Elements(paths.len() as u64));
    group.bench_function("1,000 paths", |bencher| {
        bencher.iter(|| {
            let excluded = |path: &&String| ignore.excluded(path.as_bytes());
            assert_eq!(paths.iter().filter(excluded).count(), 0);
        });
    });
}
