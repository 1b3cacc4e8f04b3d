//! A JSON object taken apart one level deep: its members by name, each value as it is written.
//!
//! What is *not* here: what any member means.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// An object's members, each value as its text.
pub(super) struct Members<'a>(SmallVec<[(Cow<'a, str>, &'a RawValue); 12]>);

impl<'a> Members<'a> {
    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// The member's value, unless it is null.
    pub(super) fn get(&self, wanted: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| *value).filter(|value| value.get() != "null")
    }

    /// The member, if it is a string.
    pub(super) fn text(&self, wanted: &str) -> Option<String> {
        serde_json::from_str(self.get(wanted)?.get()).ok()
    }
}

/// A member's name, borrowed unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = SmallVec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}
