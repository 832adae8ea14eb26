//! The typed input of one call, as its contract read it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{BoundPlace, BoundPointer, Value};

/// Parameters and body of one call, typed by the contract. Absent optional parameters are absent here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// Path parameters by name, decoded once.
    pub path: BTreeMap<String, Value>,
    /// Query parameters by name, decoded once.
    pub query: BTreeMap<String, Value>,
    /// Header parameters that the contract declares, by lower-case name.
    pub header: BTreeMap<String, Value>,
    /// The body, where its media type is JSON (or a form, read as an object).
    pub body: Option<Value>,
    /// Pointers (`/body/…`) of members that the contract does not declare but its open objects let through.
    pub extra: BTreeSet<String>,
    /// Pointers (`/body/…`) of members that are present and `null`: in a patch, null means clear.
    pub nulls: BTreeSet<String>,
}

impl Input {
    /// The value at a bound's pointer, if the call has one.
    #[must_use]
    pub fn at(&self, pointer: &BoundPointer) -> Option<&Value> {
        let group = match pointer.place() {
            BoundPlace::Body => return self.body.as_ref()?.at(pointer.inner()),
            BoundPlace::Path => &self.path,
            BoundPlace::Query => &self.query,
            BoundPlace::Header => &self.header,
        };
        let mut tokens = pointer.inner().tokens();
        let first = group.get(&*tokens.next()?)?;
        let rest = tokens.fold(crate::Pointer::root(), |pointer, token| {
            pointer.child(&token)
        });
        first.at(&rest)
    }

    /// [`Self::into_value`] of a copy.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.clone().into_value()
    }

    /// The whole input as one JSON object, `{path, query, header, body}`: what is kept encrypted beside a record.
    #[must_use]
    pub fn into_value(self) -> Value {
        let mut members = vec![
            ("path", Value::Object(self.path)),
            ("query", Value::Object(self.query)),
            ("header", Value::Object(self.header)),
        ];
        members.extend(self.body.map(|body| ("body", body)));
        Value::object(members)
    }
}
