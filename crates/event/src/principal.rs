//! Who asks. Every read and every write carries one.

use std::{fmt, sync::Arc};

/// Before identity exists there is one principal, `local`: whoever can reach the loopback interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    pub fn local() -> Principal {
        Principal("local".into())
    }

    /// The one who has this name, if anybody has.
    pub fn from_name(name: &str) -> Option<Principal> {
        Some(Principal::local()).filter(|local| local.name() == name)
    }

    pub fn name(&self) -> &str {
        &self.0
    }

    /// May this principal see the bytes of rejected events? They can hold clear text of protected fields.
    pub fn may_open_payloads(&self) -> bool {
        &*self.0 == "local"
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
