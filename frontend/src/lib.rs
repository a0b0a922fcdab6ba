//! Dockerfile text to a plan of steps. Everything here is pure: no file is read, no image is fetched.
//!
//! - [`parse`] turns bytes into a [`Dockerfile`], or into every error it has, each with its place; [`parse_including`]
//!   asks for the files that it includes.
//! - [`lower()`] turns a Dockerfile, options and the base images it asked for into a [`plan::Plan`].
//! - [`ignore`] and [`pattern`] match paths as `.dockerignore` and `COPY` do.
//! - [`chmod`] holds the modes of `--chmod`.
//! - [`language`] holds the tables of the language, [`mod@lint`] the rules that a Dockerfile is checked by.
//! - [`remote`] reads URLs of files and of Git repositories.
//! - [`diagnostic`] holds findings as values, and renders them.
//!
//! What the text means is what BuildKit makes of it; where this crate is stricter, an error says so.

pub mod chmod;
mod decimal;
pub mod diagnostic;
mod expand;
pub mod ignore;
pub mod language;
pub mod lint;
mod lower;
pub mod pattern;
pub mod plan;
pub mod remote;
mod shell;
mod source;
mod span;
mod suggest;
mod syntax;

pub use lower::{
    Check, Checked, Entitlement, ImageRequest, Lowering, NamedContext, Need, Options, Outline,
    OutlineArg, OutlineSecret, Outlining, Target, TimeSource, check, context_name, familiar_name,
    lower, outline, targets,
};
pub use source::{Position, SourceText};
pub use span::Span;
pub use syntax::{Included, Load, MAX_FILE, Parsed, ast::Dockerfile, parse, parse_including};
