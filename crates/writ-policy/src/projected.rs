//! Attribute types as a projection leaves them.

use std::collections::BTreeMap;

use writ_types::{AttrField, AttrType, Projection};

/// The fields that a projected record has.
pub(crate) fn attributes(
    fields: &BTreeMap<String, AttrField>,
    projection: &Projection,
) -> BTreeMap<String, AttrField> {
    fields
        .iter()
        .map(|(name, field)| (name, field, projection.child(name)))
        .filter(|(_, _, wanted)| !wanted.is_nothing())
        .map(|(name, field, wanted)| {
            let ty = match &field.ty {
                AttrType::Record(fields) => AttrType::Record(attributes(fields, wanted)),
                AttrType::Bool
                | AttrType::Long
                | AttrType::String
                | AttrType::Decimal
                | AttrType::Datetime
                | AttrType::Set(_) => field.ty.clone(),
            };
            let required = field.required;
            (name.clone(), AttrField { ty, required })
        })
        .collect()
}
