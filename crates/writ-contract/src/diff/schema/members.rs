//! Keywords of what stands below: properties, items, maps of schemas, and what has no rule.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use writ_types::Value;

use super::tell::{EMPTY, RESTRICTING, TEXTS, added_or_removed, is_known, required};
use super::{Direction, Effect, Place, Root, Run, Schema, Site, shown};

impl<'o, 'n> Run<'_, '_, 'o, 'n> {
    pub(super) fn properties(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        let whole = new;
        let (before, after) = (required(old), required(new));
        let old_list = old
            .keyword("properties")
            .and_then(Value::as_object)
            .unwrap_or(&EMPTY);
        let new_list = new
            .keyword("properties")
            .and_then(Value::as_object)
            .unwrap_or(&EMPTY);
        let names: BTreeSet<&str> = old_list
            .keys()
            .chain(new_list.keys())
            .map(String::as_str)
            .chain(before.iter().copied())
            .chain(after.iter().copied())
            .collect();
        let (old_below, new_below) = (place.old.name("properties"), place.new.name("properties"));
        let inside = Site {
            property: true,
            ..place.site
        };
        for name in names {
            let (old_at, new_at) = (old_below.name(name), new_below.name(name));
            let at = Place {
                old: &old_at,
                new: &new_at,
                site: inside,
            };
            let needed = (before.contains(name), after.contains(name));
            match (old_list.get(name), new_list.get(name)) {
                (Some(old), Some(new)) => {
                    self.requiredness(at, needed, new);
                    self.mutability(at, needed, (old, new));
                    self.at(old, new, at);
                }
                (None, Some(value)) => self.property_added(at, needed, value),
                (Some(value), None) => {
                    self.property_removed(at, needed, whole, value);
                }
                (None, None) => self.requiredness(at, needed, &Value::Null),
            }
        }
    }

    pub(super) fn requiredness(&mut self, at: Place<'_>, needed: (bool, bool), new: &'n Value) {
        let request = at.site.direction == Direction::Request;
        match needed {
            (false, true) => {
                let defaulted = request && self.schemas.new.schema(new).has("default");
                let word = if defaulted {
                    "became-required-with-default"
                } else {
                    "became-required"
                };
                self.change(at, word, Effect::Shrinks, "required");
            }
            (true, false) => self.change(at, "became-optional", Effect::Grows, "optional"),
            (false, false) | (true, true) => {}
        }
    }

    pub(super) fn mutability(
        &mut self,
        at: Place<'_>,
        needed: (bool, bool),
        values: (&'o Value, &'n Value),
    ) {
        let (old, new) = (
            self.schemas.old.schema(values.0),
            self.schemas.new.schema(values.1),
        );
        let need = if needed.1 { "required" } else { "optional" };
        let begin = match at.site.direction {
            Direction::Request => "request",
            Direction::Response => "response",
        };
        for (keyword, word) in [("readOnly", "read-only"), ("writeOnly", "write-only")] {
            if old.flag(keyword) == new.flag(keyword) {
                continue;
            }
            let not = if new.flag(keyword) { "" } else { "not-" };
            // What is read-only is refused in a request, so that becoming it narrows.
            let effect = match (at.site.direction, keyword, new.flag(keyword)) {
                (Direction::Request, "readOnly", true)
                | (Direction::Response, "writeOnly", true) => Effect::Shrinks,
                _ => Effect::Grows,
            };
            self.change(at, "", effect, &format!("{keyword} {}", new.flag(keyword)));
            if let Some(change) = self.found.changes.last_mut() {
                change.rule = format!("{begin}-{need}-property-became-{not}{word}");
            }
        }
    }

    pub(super) fn property_added(
        &mut self,
        at: Place<'_>,
        (_, needed): (bool, bool),
        value: &'n Value,
    ) {
        let schema = self.schemas.new.schema(value);
        let (rule, effect) = match at.site.direction {
            // Refused in a request: nothing is added to it.
            Direction::Request if schema.flag("readOnly") => return,
            Direction::Request if needed && at.site.root == Root::HeaderParameter => {
                ("new-required-request-header-property", Effect::Differs)
            }
            Direction::Request if needed && schema.has("default") => (
                "new-required-request-property-with-default",
                Effect::Differs,
            ),
            Direction::Request if needed => ("new-required-request-property", Effect::Differs),
            Direction::Request => ("new-optional-request-property", Effect::Grows),
            Direction::Response if schema.flag("writeOnly") => (
                "response-optional-write-only-property-added",
                Effect::Nothing,
            ),
            Direction::Response if needed => ("response-required-property-added", Effect::Grows),
            Direction::Response => ("response-optional-property-added", Effect::Grows),
        };
        self.change(at, "", effect, "new");
        if let Some(change) = self.found.changes.last_mut() {
            rule.clone_into(&mut change.rule);
            if at.site.direction == Direction::Response {
                change.caller = crate::diff::Caller::Compatible;
            }
        }
    }

    pub(super) fn property_removed(
        &mut self,
        at: Place<'_>,
        (needed, _): (bool, bool),
        new: &Schema<'n>,
        value: &'o Value,
    ) {
        let closed = new.keyword("additionalProperties") == Some(&Value::Bool(false));
        let schema = self.schemas.old.schema(value);
        let (rule, effect) = match at.site.direction {
            Direction::Request if schema.flag("readOnly") => return,
            Direction::Request if closed && !needed => {
                ("request-property-removed", Effect::Shrinks)
            }
            // An open object still takes it, now with any value; one that had to have it may now be without.
            Direction::Request => ("request-property-removed", Effect::Differs),
            Direction::Response if schema.flag("writeOnly") => (
                "response-optional-write-only-property-removed",
                Effect::Nothing,
            ),
            Direction::Response if needed => {
                ("response-required-property-removed", Effect::Shrinks)
            }
            Direction::Response => ("response-optional-property-removed", Effect::Shrinks),
        };
        self.change(at, "", effect, "gone");
        if let Some(change) = self.found.changes.last_mut() {
            rule.clone_into(&mut change.rule);
            change.caller = match (at.site.direction, needed) {
                (Direction::Response, true) => crate::diff::Caller::Breaking,
                (Direction::Response, false) | (Direction::Request, _) => {
                    crate::diff::Caller::Unclear
                }
            };
        }
    }

    pub(super) fn additional(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        let (before, after) = (
            old.keyword("additionalProperties"),
            new.keyword("additionalProperties"),
        );
        let open = |value: Option<&Value>| match value {
            None | Some(Value::Bool(true)) => true,
            Some(Value::Object(members)) => members.is_empty(),
            Some(_) => false,
        };
        let closed = |value: Option<&Value>| value == Some(&Value::Bool(false));
        let (old_at, new_at) = (
            place.old.name("additionalProperties"),
            place.new.name("additionalProperties"),
        );
        let at = Place {
            old: &old_at,
            new: &new_at,
            site: Site {
                property: true,
                ..place.site
            },
        };
        match (before, after) {
            _ if open(before) && open(after) || closed(before) && closed(after) => {}
            (_, _) if open(after) || closed(before) => {
                let what = "takes more undeclared members";
                self.change(place, "additional-properties-loosened", Effect::Grows, what);
            }
            (_, _) if open(before) || closed(after) => {
                let what = "takes fewer undeclared members";
                self.change(
                    place,
                    "additional-properties-tightened",
                    Effect::Shrinks,
                    what,
                );
            }
            (Some(old), Some(new)) => self.at(old, new, at),
            (_, _) => {}
        }
    }

    pub(super) fn items(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        let (old_at, new_at) = (place.old.name("items"), place.new.name("items"));
        let at = Place {
            old: &old_at,
            new: &new_at,
            site: place.site,
        };
        match (old.keyword("items"), new.keyword("items")) {
            (None, None) => {}
            (Some(old), Some(new)) => self.at(old, new, at),
            (None, Some(_)) => self.change(place, "items-added", Effect::Shrinks, "items"),
            (Some(_), None) => self.change(place, "items-removed", Effect::Grows, "items"),
        }
        let list = |schema: Option<&'_ Value>| schema.and_then(Value::as_array).map(<[Value]>::len);
        let (before, after) = (old.keyword("prefixItems"), new.keyword("prefixItems"));
        match (list(before), list(after)) {
            (None, None) => {}
            (None, Some(_)) => {
                self.change(place, "prefix-items-added", Effect::Differs, "prefixItems");
            }
            (Some(_), None) => {
                self.change(
                    place,
                    "prefix-items-removed",
                    Effect::Differs,
                    "prefixItems",
                );
            }
            (Some(left), Some(right)) => {
                if left != right {
                    let word = if left < right {
                        "prefix-items-added"
                    } else {
                        "prefix-items-removed"
                    };
                    self.change(place, word, Effect::Differs, "prefixItems");
                }
                let before: &'o [Value] = before.and_then(Value::as_array).unwrap_or_default();
                let after: &'n [Value] = after.and_then(Value::as_array).unwrap_or_default();
                let (old_at, new_at) =
                    (place.old.name("prefixItems"), place.new.name("prefixItems"));
                for (index, (old, new)) in before.iter().zip(after).enumerate() {
                    let (old_at, new_at) = (old_at.index(index), new_at.index(index));
                    let at = Place {
                        old: &old_at,
                        new: &new_at,
                        site: place.site,
                    };
                    self.at(old, new, at);
                }
            }
        }
    }

    /// Keywords with schemas, or lists of names, by name.
    pub(super) fn maps(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        for (keyword, word, schemas) in [
            ("patternProperties", "pattern-property", true),
            ("dependentSchemas", "dependent-schema", true),
            ("dependentRequired", "dependent-required", false),
        ] {
            let (before, after) = (old.keyword(keyword), new.keyword(keyword));
            let old_map = before.and_then(Value::as_object).unwrap_or(&EMPTY);
            let new_map = after.and_then(Value::as_object).unwrap_or(&EMPTY);
            let (old_at, new_at) = (place.old.name(keyword), place.new.name(keyword));
            let names: BTreeSet<&String> = old_map.keys().chain(new_map.keys()).collect();
            for name in names {
                let (left, right) = (old_map.get(name), new_map.get(name));
                let (old_at, new_at) = (old_at.name(name), new_at.name(name));
                let at = Place {
                    old: &old_at,
                    new: &new_at,
                    site: place.unknown().site,
                };
                match (left, right) {
                    (Some(old), Some(new)) if schemas => self.at(old, new, at),
                    (left, right) if left == right => {}
                    (left, right) => {
                        let (end, effect) = added_or_removed(left, right);
                        self.change(at.with(place.site), &format!("{word}-{end}"), effect, name);
                    }
                }
            }
        }
    }

    pub(super) fn restricting(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        for (keyword, word) in RESTRICTING {
            let (old_at, new_at) = (place.old.name(keyword), place.new.name(keyword));
            let at = Place {
                old: &old_at,
                new: &new_at,
                site: place.unknown().site,
            };
            match (old.keyword(keyword), new.keyword(keyword)) {
                (None, None) => {}
                (Some(old), Some(new)) => self.at(old, new, at),
                (left, right) => {
                    let (end, effect) = added_or_removed(left, right);
                    // `then` and `else` say nothing without `if`, and the reverse: which of them restricts is their whole.
                    let alone = !matches!(keyword, "if" | "then" | "else");
                    let at = if alone { place } else { place.unknown() };
                    self.change(at, &format!("{word}-{end}"), effect, keyword);
                }
            }
        }
        let (old_at, new_at) = (place.old.name("not"), place.new.name("not"));
        let flipped = Site {
            polarity: place.site.polarity.flipped(),
            ..place.site
        };
        let at = Place {
            old: &old_at,
            new: &new_at,
            site: flipped,
        };
        match (old.keyword("not"), new.keyword("not")) {
            (None, None) => {}
            (Some(old), Some(new)) => self.at(old, new, at),
            (left, right) => {
                let (end, effect) = added_or_removed(left, right);
                self.change(place, &format!("not-{end}"), effect, "not");
            }
        }
    }

    pub(super) fn discriminator(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        let (before, after) = (old.keyword("discriminator"), new.keyword("discriminator"));
        // Swagger 2.0 writes the name alone.
        let name = |value: Option<&Value>| {
            let value = value?;
            let name = value
                .as_str()
                .or_else(|| value.member("propertyName")?.as_str());
            name.map(str::to_owned)
        };
        let mapping =
            |value: Option<&Value>| value.and_then(|value| value.member("mapping")).cloned();
        let word = match (before, after) {
            (None, None) => return,
            (None, Some(_)) => "discriminator-added",
            (Some(_), None) => "discriminator-removed",
            (Some(_), Some(_)) if name(before) != name(after) => {
                "discriminator-property-name-changed"
            }
            (Some(_), Some(_)) if mapping(before) != mapping(after) => {
                let size =
                    |map: Option<Value>| map.and_then(|map| map.as_object().map(BTreeMap::len));
                match size(mapping(before)).cmp(&size(mapping(after))) {
                    Ordering::Less => "discriminator-mapping-added",
                    Ordering::Equal => "discriminator-mapping-changed",
                    Ordering::Greater => "discriminator-mapping-deleted",
                }
            }
            (Some(_), Some(_)) => return,
        };
        self.change(place, word, Effect::Differs, "discriminator");
    }

    /// Texts, and what has no rule: it must be equal.
    pub(super) fn rest(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        // A parameter of Swagger 2.0 is its own schema; beside one of OpenAPI 3 its text was compared already.
        let inline = place.new.last.is_none()
            && place.site.root != Root::Body
            && self.schemas.old.dialect != self.schemas.new.dialect;
        let texts: Vec<&str> = TEXTS
            .into_iter()
            .filter(|name| !(inline && *name == "description"))
            .filter(|name| old.keyword(name) != new.keyword(name))
            .collect();
        if !texts.is_empty() {
            self.change(
                place,
                "description-changed",
                Effect::Text,
                &texts.join(", "),
            );
        }
        let names: BTreeSet<&str> = old
            .layers
            .iter()
            .chain(&new.layers)
            .filter_map(|layer| layer.as_object())
            .flat_map(|members| members.keys().map(String::as_str))
            .filter(|name| !is_known(name))
            .collect();
        for name in names {
            if old.keyword(name) != new.keyword(name) {
                self.change(place, "keyword-changed", Effect::Differs, &shown(name));
            }
        }
    }
}
