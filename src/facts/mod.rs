//! What can be known about a mail, and what is known so far.
//!
//! [`registry`] is the one list of fields: name, type, stage, which check finds it, and the text of
//! the reference. Rule conditions, log lines, Authentication-Results, the decision record and the
//! generated reference all take their names and types from it.
//!
//! [`Facts`] holds the values of one session and transaction. A field without a value is *not known
//! yet*; what it reads as once nothing more can become known is the field's default.

pub mod rate;
pub mod registry;
pub mod stage;
pub mod value;

pub use registry::{Field, FieldId};
pub use stage::Stage;
pub use value::{Type, Value};

/// The values known so far, sorted by field and key. A session in its greeting holds a handful of
/// them, so a sorted vector is both smaller and faster than a map.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    field: FieldId,
    key: Option<Box<str>>,
    value: Value,
}

impl Facts {
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a field without key, `None` while it is not known.
    pub fn get(&self, field: FieldId) -> Option<&Value> {
        self.find(field, None).ok().map(|at| &self.entries[at].value)
    }

    /// The value under a key, such as `dnsbl.zone["zen.example"]`. Keys are lower case.
    pub fn get_keyed(&self, field: FieldId, key: &str) -> Option<&Value> {
        self.find(field, Some(key)).ok().map(|at| &self.entries[at].value)
    }

    /// Sets or replaces a value. The type must be the registry's.
    pub fn set(&mut self, field: FieldId, value: impl Into<Value>) {
        self.put(field, None, value.into());
    }

    pub fn set_keyed(&mut self, field: FieldId, key: &str, value: impl Into<Value>) {
        self.put(field, Some(key), value.into());
    }

    fn put(&mut self, field: FieldId, key: Option<&str>, value: Value) {
        debug_assert!(
            field.get().ty.holds(&value),
            "{} holds a {:?}, not {value:?}",
            field.name(),
            field.get().ty
        );
        match self.find(field, key) {
            Ok(at) => self.entries[at].value = value,
            Err(at) => self.entries.insert(at, Entry { field, key: key.map(Into::into), value }),
        }
    }

    /// Forgets what belongs to one mail: every field of a stage from `stage` on.
    pub fn forget_from(&mut self, stage: Stage) {
        self.entries.retain(|e| e.field.get().stage < stage);
    }

    pub fn forget(&mut self, field: FieldId) {
        self.entries.retain(|e| e.field != field);
    }

    pub fn forget_keyed(&mut self, field: FieldId, key: &str) {
        if let Ok(at) = self.find(field, Some(key)) {
            self.entries.remove(at);
        }
    }

    /// Everything known, in the registry's order.
    pub fn iter(&self) -> impl Iterator<Item = (FieldId, Option<&str>, &Value)> {
        self.entries.iter().map(|e| (e.field, e.key.as_deref(), &e.value))
    }

    /// The values of a keyed field with their keys.
    pub fn keyed(&self, field: FieldId) -> impl Iterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .filter(move |e| e.field == field)
            .filter_map(|e| e.key.as_deref().map(|key| (key, &e.value)))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A string field's text, empty while unknown.
    pub fn text(&self, field: FieldId) -> &str {
        match self.get(field) {
            Some(Value::Str(text)) => text,
            _ => "",
        }
    }

    pub fn flag(&self, field: FieldId) -> bool {
        matches!(self.get(field), Some(Value::Bool(true)))
    }

    /// A list field's strings, empty while unknown.
    pub fn texts(&self, field: FieldId) -> impl Iterator<Item = &str> {
        let list = match self.get(field) {
            Some(Value::List(list)) => list.as_slice(),
            _ => &[],
        };
        list.iter().filter_map(|value| match value {
            Value::Str(text) => Some(&**text),
            _ => None,
        })
    }

    fn find(&self, field: FieldId, key: Option<&str>) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|e| e.field.cmp(&field).then_with(|| e.key.as_deref().cmp(&key)))
    }
}
