//! Values as TOML spells them.

use std::path::PathBuf;

/// A value as TOML spells it.
pub(super) trait Spell {
    fn spell(&self) -> String;
}

impl Spell for String {
    fn spell(&self) -> String {
        self.clone()
    }
}

impl Spell for PathBuf {
    fn spell(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

impl Spell for uuid::Uuid {
    fn spell(&self) -> String {
        self.to_string()
    }
}

impl Spell for ipnet::IpNet {
    fn spell(&self) -> String {
        self.to_string()
    }
}

impl Spell for super::settings::ListenAddress {
    fn spell(&self) -> String {
        self.to_string()
    }
}
