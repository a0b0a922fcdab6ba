//! User namespaces: what makes an ordinary user the superuser of its own sandboxes.
//!
//! In a namespace of its own the process has every power over what belongs to that namespace: mounts, processes, and
//! files of the ids that are mapped into it. Id 0 is the user. Ids from 1 on are those that `/etc/subuid` and
//! `/etc/subgid` give the user, mapped by `newuidmap` and `newgidmap`; without them there is id 0 alone.

mod enter;
mod holder;
mod ids;
mod subordinate;

pub use enter::{NamespaceError, Refusal, enter_user_namespace, join_user_namespace};
pub(crate) use holder::{Holder, hold};
pub use ids::{Ids, MissingId, is_superuser};
pub use subordinate::Shortfall;
