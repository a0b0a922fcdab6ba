//! Tests of the grammar of remote sources.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;

fn git(text: &str) -> GitSource {
    GitSource::parse(text).unwrap().unwrap()
}

fn wrong(text: &str) -> String {
    GitSource::parse(text).unwrap().unwrap_err().to_string()
}

#[test]
fn repositories_are_told_from_paths_and_files() {
    for text in [
        "https://example.com/a/b.git",
        "HTTPS://example.com/a/b.git#main",
        "http://example.com/b.git?ref=main",
        "git://example.com/b",
        "ssh://git@example.com:22/b",
        "git@example.com:a/b.git",
        "someone@host:repo",
    ] {
        assert!(GitSource::parse(text).is_some(), "{text}");
    }
    for text in [
        "https://example.com/a.tar",
        "https://example.com/b.git/archive.tar",
        "ftp://example.com/b.git",
        "file:///b.git",
        "dir.git",
        "a@b",
        "-x@host:repo",
        "user@-oProxyCommand=x:repo",
        "./git@host:path/x y",
        "github.com/a/b",
    ] {
        assert!(GitSource::parse(text).is_none(), "{text}");
    }
    assert!(GitSource::parse_context("github.com/a/b#main").is_some());
}

#[test]
fn fragments_and_queries_say_what_is_wanted() {
    let source = git("https://h/r.git#v1:/a/../b/./c/");
    assert_eq!(source.url, "https://h/r.git");
    assert_eq!(source.reference.as_deref(), Some("v1"));
    assert_eq!(source.subdir, "b/c");
    assert!(source.submodules);
    let source =
        git("https://h/r.git?tag=v1&subdir=x&keep-git-dir&submodules=false&mtime=checkout");
    assert_eq!(source.reference.as_deref(), Some("refs/tags/v1"));
    assert_eq!((source.subdir.as_str(), source.submodules), ("x", false));
    assert_eq!(source.keep_git_dir, Some(true));
    assert_eq!(source.mtime, GitMtime::Checkout);
    assert_eq!(
        git("git@h:r.git?branch=b").reference.as_deref(),
        Some("refs/heads/b")
    );
    let source = git("https://h/r.git?commit=0123456789");
    assert_eq!(source.reference.as_deref(), Some("0123456789"));
    assert_eq!(source.commit.as_deref(), Some("0123456789"));
    assert_eq!(git("https://h/r.git#:../../x").subdir, "x");
    assert_eq!(
        git("https://h/r.git#feature%2Fx").reference.as_deref(),
        Some("feature/x")
    );
}

#[test]
fn what_git_might_misunderstand_is_refused() {
    for text in [
        "https://h/r.git#--upload-pack=x",
        "https://h/r.git#a..b",
        "https://h/r.git#a b",
        "https://h/r.git#a%0ab",
        "https://h/r.git?ref=-x",
        "https://h/r.git#+a:b^",
    ] {
        let parsed = GitSource::parse(text);
        assert!(
            parsed.is_none_or(|parsed| parsed.is_err()) || text.contains("+a:"),
            "{text}"
        );
    }
    assert!(
        GitSource::parse("ssh://-oProxyCommand=x/r")
            .unwrap()
            .is_err()
    );
    assert!(
        GitSource::parse("ssh://a@-oProxyCommand=x/r")
            .unwrap()
            .is_err()
    );
    assert!(wrong("https://h/r.git?what=1").contains("unexpected query"));
    assert!(wrong("https://h/r.git?ref=a&ref=b").contains("multiple values"));
    assert!(wrong("https://h/r.git?ref=").contains("no value"));
    assert!(wrong("https://h/r.git?tag=a&branch=b").contains("conflicts"));
    assert!(wrong("https://h/r.git?ref=b#a").contains("conflicts"));
    assert!(wrong("https://h/r.git?commit=xyz").contains("not a Git commit"));
    assert!(wrong("https://h/r.git?submodules=maybe").contains("submodules"));
}

#[test]
fn flags_agree_with_the_url_or_are_refused() {
    let source = git("https://h/r.git?commit=0123456&keep-git-dir=false");
    assert!(source.clone().with_checksum("0123456").is_ok());
    assert!(source.clone().with_checksum("6543210").is_err());
    assert!(source.clone().with_checksum("sha256:00").is_err());
    assert!(source.with_git_dir(true).is_err());
    assert_eq!(
        git("https://h/r.git")
            .with_checksum("0123456")
            .unwrap()
            .reference
            .as_deref(),
        Some("0123456")
    );
}

#[test]
fn urls_name_files() {
    let cases = [
        ("https://h/a/b.tar?x=1#y", Some("b.tar")),
        ("https://h/a/b/", Some("b")),
        ("https://h/a%20b", Some("a b")),
        ("https://h", None),
        ("https://h/", None),
        ("https://h/..", None),
        ("https://h/%2e%2e", None),
        ("https://h/a%2f..", None),
        ("https://h/%00", None),
    ];
    for (url, name) in cases {
        assert_eq!(file_name(url).as_deref(), name, "{url}");
    }
}

#[test]
fn passwords_are_not_shown() {
    assert_eq!(redacted("https://a:b@h/x"), "https://xxxxx:xxxxx@h/x");
    assert_eq!(redacted("https://token@h/x"), "https://xxxxx@h/x");
    assert_eq!(redacted("ssh://git@h/x"), "ssh://git@h/x");
    assert_eq!(redacted("git@h:x"), "git@h:x");
    assert_eq!(redacted("https://h/a@b"), "https://h/a@b");
}

#[test]
fn checksums_of_files_are_sha256() {
    let source = HttpSource::new("https://h/x", "x", HttpForm::File).unwrap();
    let digest = format!("sha256:{}", "0".repeat(64));
    assert!(source.clone().with_checksum(&digest).is_ok());
    assert!(source.clone().with_checksum("sha256:0").is_err());
    assert!(source.with_checksum(&"0".repeat(64)).is_err());
    assert!(HttpSource::new("https:///x", "x", HttpForm::File).is_err());
}
