//! What there is in the language: the tables that errors speak from, and that its reference is made of.

pub use crate::lower::mount_keys;
pub use crate::syntax::{Flag, flags};

/// An instruction.
#[derive(Debug)]
pub struct Instruction {
    /// Its keyword.
    pub keyword: &'static str,
    /// How it is written.
    pub forms: &'static [&'static str],
    /// What it does: one sentence.
    pub summary: &'static str,
}

macro_rules! instructions {
    ($($keyword:literal: [$($form:literal),+], $summary:literal;)+) => {
        &[$(Instruction { keyword: $keyword, forms: &[$($form),+], summary: $summary }),+]
    };
}

/// All instructions, by name.
pub static INSTRUCTIONS: &[Instruction] = instructions! {
    "ADD": ["ADD [FLAGS] SOURCE... DEST", "ADD [FLAGS] [\"SOURCE\", ..., \"DEST\"]"],
        "Copies files of the context, and of URLs and Git repositories; archives of the context are unpacked.";
    "ARG": ["ARG NAME[=DEFAULT]..."],
        "Declares variables that `--build-arg` can set.";
    "CMD": ["CMD [\"PROGRAM\", \"ARGUMENT\", ...]", "CMD COMMAND"],
        "What a container runs, or the arguments of `ENTRYPOINT`.";
    "COPY": ["COPY [FLAGS] SOURCE... DEST", "COPY [FLAGS] [\"SOURCE\", ..., \"DEST\"]"],
        "Copies files of the context, of a stage or of an image.";
    "ENTRYPOINT": ["ENTRYPOINT [\"PROGRAM\", \"ARGUMENT\", ...]", "ENTRYPOINT COMMAND"],
        "What a container runs, with `CMD` or the arguments of `run` behind it.";
    "ENV": ["ENV NAME=VALUE..."],
        "Sets variables of later instructions and of containers.";
    "EXPOSE": ["EXPOSE PORT[-PORT][/PROTOCOL]..."],
        "Notes the ports that a container listens on.";
    "FROM": ["FROM [--platform=PLATFORM] IMAGE [AS NAME]"],
        "Begins a stage from an image, an earlier stage or nothing (`scratch`).";
    "HEALTHCHECK": ["HEALTHCHECK [FLAGS] CMD COMMAND", "HEALTHCHECK NONE"],
        "How to find out whether a container works.";
    "LABEL": ["LABEL NAME=VALUE..."],
        "Gives the image labels.";
    "MAINTAINER": ["MAINTAINER NAME"],
        "Sets the image's author. Deprecated: write a label.";
    "ONBUILD": ["ONBUILD INSTRUCTION"],
        "Keeps an instruction for the stages that begin from this image or stage.";
    "RUN": ["RUN [FLAGS] COMMAND", "RUN [FLAGS] [\"PROGRAM\", \"ARGUMENT\", ...]", "RUN [FLAGS] <<WORD"],
        "Runs a command, and keeps what it changes in the file system.";
    "SHELL": ["SHELL [\"PROGRAM\", \"ARGUMENT\", ...]"],
        "The program that runs commands of the shell form.";
    "STOPSIGNAL": ["STOPSIGNAL SIGNAL"],
        "The signal that asks a container to stop.";
    "USER": ["USER USER[:GROUP]"],
        "Who runs later commands and the container.";
    "VOLUME": ["VOLUME DIRECTORY...", "VOLUME [\"DIRECTORY\", ...]"],
        "Notes the directories whose content is kept outside of a container.";
    "WORKDIR": ["WORKDIR DIRECTORY"],
        "The directory of later instructions and of containers; it is made if it is not there.";
};

/// What a flag does; empty for one that nothing is known of.
pub fn flag_summary(keyword: &str, flag: &str) -> &'static str {
    match (keyword, flag) {
        ("FROM", "platform") => {
            "The platform of the image, such as `linux/arm64` or `$BUILDPLATFORM`."
        }
        ("RUN", "mount") => "Mounts something while the command runs; see below.",
        ("RUN", "network") => "`default`, `none`, or `host` (needs `--allow network.host`).",
        ("RUN", "security") => "`sandbox`, or `insecure` (needs `--allow security.insecure`).",
        ("RUN", "no-cache") => "Runs in every build. An [extension](extensions.md) of rbuild.",
        ("RUN", "cache-ttl") => {
            "How old a result may be, such as `1d`. An [extension](extensions.md) of rbuild."
        }
        ("RUN", "service") => {
            "Runs an image beside the command: `NAME` or `NAME,image=IMAGE`. An [extension](extensions.md) of rbuild."
        }
        ("RUN", "device") => "A CDI device.",
        ("COPY", "from") => "A stage, by name or number, an image or a named context.",
        ("COPY", "parents") => {
            "Keeps the directories of the sources, from `/./` on where that is written."
        }
        ("COPY" | "ADD", "chmod") => "The mode of what is copied, in octal or as `u=rwX,go=rX`.",
        ("COPY" | "ADD", "chown") => "The owner, `USER[:GROUP]`, by names or numbers.",
        ("COPY" | "ADD", "exclude") => "Leaves out what matches, by the rules of ignore files.",
        ("COPY" | "ADD", "link") => {
            "A layer of its own, which does not depend on what is below it."
        }
        ("COPY" | "ADD", "if-exists") => {
            "Skips sources that name nothing. An [extension](extensions.md) of rbuild."
        }
        ("ADD", "checksum") => {
            "What the source must be: `sha256:...` of a file, a commit of a repository."
        }
        ("ADD", "keep-git-dir") => "Keeps `.git` of a repository.",
        ("ADD", "unpack") => {
            "Whether archives are unpacked: those of the context are, those of URLs are not."
        }
        ("HEALTHCHECK", "interval") => "The time between two checks.",
        ("HEALTHCHECK", "timeout") => "How long a check may take.",
        ("HEALTHCHECK", "start-period") => {
            "How long a container may take to start; failures count only after it."
        }
        ("HEALTHCHECK", "start-interval") => "The time between two checks while it starts.",
        ("HEALTHCHECK", "retries") => "How many failures in a row make a container unhealthy.",
        _ => "",
    }
}

/// How an instruction is written, for a message.
pub(crate) fn usage(keyword: &str) -> Option<String> {
    let known = INSTRUCTIONS.iter().find(|known| known.keyword == keyword)?;
    Some(format!("write `{}`", known.forms.join("` or `")))
}
