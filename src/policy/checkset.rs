//! Sets of checks, as bits: asking what a rule needs must not allocate.

use std::sync::LazyLock;

use crate::facts::FieldId;
use crate::facts::registry::FIELDS;

/// The names of all checks that find a field, in the registry's order.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names = Vec::new();
    for name in FIELDS.iter().filter_map(|field| field.check) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    debug_assert!(names.len() <= 32, "a CheckSet has 32 bits");
    names
});

#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CheckSet(u32);

impl CheckSet {
    pub const EMPTY: CheckSet = CheckSet(0);

    /// The set of one check; `None` when no field of the registry is found by it.
    pub fn of(name: &str) -> Option<CheckSet> {
        NAMES.iter().position(|known| *known == name).map(|bit| CheckSet(1 << bit))
    }

    /// The check that finds a field; empty for what the session itself knows.
    pub fn of_field(field: FieldId) -> CheckSet {
        field.get().check.and_then(CheckSet::of).unwrap_or_default()
    }

    /// Every check name of the registry.
    pub fn all_names() -> &'static [&'static str] {
        &NAMES
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, name: &str) -> bool {
        CheckSet::of(name).is_some_and(|one| self.intersects(one))
    }

    pub fn intersects(self, other: CheckSet) -> bool {
        self.0 & other.0 != 0
    }

    pub fn insert(&mut self, other: CheckSet) {
        self.0 |= other.0;
    }

    pub fn without(self, other: CheckSet) -> CheckSet {
        CheckSet(self.0 & !other.0)
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, name)| *name)
    }
}

impl std::fmt::Debug for CheckSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::registry::{CLIENT_IP, SPF};

    #[test]
    fn names_and_bits() {
        let mut set = CheckSet::of("spf").expect("known");
        set.insert(CheckSet::of("dkim").expect("known"));
        assert!(set.contains("spf") && set.contains("dkim") && !set.contains("arc"));
        assert_eq!(set.names().collect::<Vec<_>>(), ["spf", "dkim"]);
        assert_eq!(CheckSet::of("nonsense"), None);
        assert!(CheckSet::of_field(CLIENT_IP).is_empty());
        assert!(CheckSet::of_field(SPF).contains("spf"));
        assert!(CheckSet::all_names().len() <= 32);
    }
}
