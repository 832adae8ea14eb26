//! Operation ids: the document's own where it is unique and well formed, a stable generated one where it is not.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Digest, OperationId, Pointer, Value};

use super::Draft;
use crate::diagnostic::Sink;
use crate::parse::percent;

/// An operation that has no id yet.
#[derive(Debug, Clone)]
pub(super) struct Nameless<'d> {
    pub(super) method: &'static str,
    pub(super) path: &'d str,
    pub(super) value: &'d Value,
    pub(super) pointer: Pointer,
    pub(super) shared: Option<(&'d Value, Pointer)>,
}

impl Nameless<'_> {
    fn own(&self) -> Option<&str> {
        self.value.member("operationId")?.as_str()
    }

    /// `METHOD:/template`; unique, because a path item has each method once.
    fn generated(&self) -> Option<OperationId> {
        let mut text = format!("{}:", self.method);
        for char in self.path.chars() {
            if char.is_whitespace() || char.is_control() {
                let mut buffer = [0; 4];
                percent::encode(char.encode_utf8(&mut buffer), &mut text);
            } else {
                text.push(char);
            }
        }
        text.parse().ok().or_else(|| {
            // Too long: its beginning and its digest.
            let digest = Digest::of(text.as_bytes()).to_string();
            let begin: String = text.chars().take(100).collect();
            format!("{begin}~{digest}").parse().ok()
        })
    }
}

/// Gives every operation an id. One that cannot have any is refused by an error.
pub(super) fn identify<'d>(found: Vec<Nameless<'d>>, sink: &mut Sink) -> Vec<Draft<'d>> {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for own in found.iter().filter_map(Nameless::own) {
        let count = uses.entry(own.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
    let generated: BTreeSet<OperationId> = found.iter().filter_map(Nameless::generated).collect();
    let mut drafts = Vec::new();
    for nameless in found {
        let own = nameless.own().and_then(|own| {
            let complaint = if uses.get(own).is_some_and(|count| *count > 1) {
                "the `operationId` is used more than once"
            } else {
                match own.parse::<OperationId>() {
                    Ok(id) if !generated.contains(&id) => return Some(id),
                    Ok(_) => "the `operationId` is what another operation is called without one",
                    Err(_) => "the `operationId` is no operation id (1 to 512 printable characters without white space)",
                }
            };
            let pointer = nameless.pointer.child("operationId");
            let shown: String = own.chars().take(100).collect();
            let message = format!("{complaint}; the operation is called `METHOD:/path`");
            sink.warning(&pointer, Some(&shown), message);
            None
        });
        let Some(id) = own.or_else(|| nameless.generated()) else {
            let message = "the path makes no operation id; give the operation an `operationId`";
            sink.error(&nameless.pointer, Some(nameless.path), message);
            continue;
        };
        drafts.push(Draft {
            method: nameless.method,
            path: nameless.path,
            value: nameless.value,
            pointer: nameless.pointer,
            shared: nameless.shared,
            id,
        });
    }
    drafts
}
