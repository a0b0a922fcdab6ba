//! Mounts that nobody else sees: layers, overlays of them, and the small file systems of a sandbox.

mod erofs;
mod loop_device;
mod overlay;
mod space;
mod tree;

pub use erofs::{Unsupported, erofs_supported};
pub use overlay::{Lower, MAX_LOWERS, Upper};
pub(crate) use overlay::{Marks, Overlay, OverlayUpper};
pub(crate) use space::MountSpace;
pub(crate) use tree::{bind, file_system, finish};
