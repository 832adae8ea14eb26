//! Keywords of any value: types, bounds, alternatives.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::Value;

use super::tell::{
    End, HIGH, LOW, Types, added_or_removed, bound, called, doubled, is_annotation, or_none,
    paired, several,
};
use super::{Change, Direction, Effect, Node, Place, Root, Run, Schema, of_schema, shown};

impl<'o, 'n> Run<'_, '_, 'o, 'n> {
    pub(super) fn change(&mut self, place: Place<'_>, word: &str, effect: Effect, what: &str) {
        let (topic, caller, authority) =
            of_schema(effect, place.site.polarity, place.site.direction);
        let number = self.found.push(Change {
            rule: format!("{}-{word}", place.site.subject()),
            topic,
            caller,
            authority,
            old: Some(place.old.pointer()),
            new: Some(place.new.pointer()),
            what: format!("{}: {what}", place.new.words()),
            operations: BTreeSet::new(),
        });
        if let Some(pair) = self.schemas.pairs.get_mut(self.pair) {
            pair.changes.push(number);
        }
    }

    /// Two schemas at a place; referenced ones become pairs of their own.
    pub(super) fn at(&mut self, old: &'o Value, new: &'n Value, place: Place<'_>) {
        if old.member("$ref").is_none() && new.member("$ref").is_none() {
            self.schema(old, new, place);
            return;
        }
        let old = Node {
            value: old,
            pointer: place.old.pointer(),
        };
        let new = Node {
            value: new,
            pointer: place.new.pointer(),
        };
        let pair = self
            .schemas
            .pair(&old, &new, &place.new.words(), place.site);
        if let Some(own) = self.schemas.pairs.get_mut(self.pair) {
            own.below.push(pair);
        }
    }

    pub(super) fn schema(&mut self, old: &'o Value, new: &'n Value, place: Place<'_>) {
        if old.as_object().is_none() || new.as_object().is_none() {
            self.plain(old, new, place);
            return;
        }
        let (old, new) = (self.schemas.old.schema(old), self.schemas.new.schema(new));
        if old.broken || new.broken {
            self.change(
                place,
                "unreadable",
                Effect::Differs,
                "a reference leads nowhere",
            );
            return;
        }
        // What two layers both say is no longer one value; then only equality proves that nothing changed.
        if (doubled(&old) || doubled(&new)) && old.layers != new.layers {
            self.change(
                place,
                "keyword-changed",
                Effect::Differs,
                "members beside `$ref`",
            );
        }
        if self.wrapped(&old, &new, place) {
            return;
        }
        self.types(&old, &new, place);
        self.bounds(&old, &new, place);
        self.values(&old, &new, place);
        self.text_rules(&old, &new, place);
        self.flags(&old, &new, place);
        self.lists(&old, &new, place);
        self.properties(&old, &new, place);
        self.additional(&old, &new, place);
        self.items(&old, &new, place);
        self.maps(&old, &new, place);
        self.restricting(&old, &new, place);
        self.discriminator(&old, &new, place);
        self.rest(&old, &new, place);
    }

    /// `true`, `false`, or what is no schema at all.
    pub(super) fn plain(&mut self, old: &Value, new: &Value, place: Place<'_>) {
        let everything = |value: &Value| {
            value == &Value::Bool(true) || value.as_object().is_some_and(BTreeMap::is_empty)
        };
        let nothing = |value: &Value| value == &Value::Bool(false);
        if old == new || (everything(old) && everything(new)) {
            return;
        }
        let effect = if everything(new) || nothing(old) {
            Effect::Grows
        } else if everything(old) || nothing(new) {
            Effect::Shrinks
        } else {
            Effect::Differs
        };
        self.change(place, "type-changed", effect, "another schema");
    }

    /// The schema became one alternative of `oneOf`.
    pub(super) fn wrapped(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) -> bool {
        let alternatives = new.keyword("oneOf").and_then(Value::as_array);
        let Some(alternatives) = alternatives else {
            return false;
        };
        let same = |alternative: &&'n Value| {
            let inner = self.schemas.new.schema(alternative);
            inner.reference.is_some() && inner.reference == old.reference
                || old.reference.is_none() && old.layers.first() == Some(alternative)
        };
        if old.has("oneOf") || new.has("type") || !alternatives.iter().any(|one| same(&one)) {
            return false;
        }
        self.change(
            place,
            "wrapped-in-one-of",
            Effect::Differs,
            "became one of several alternatives",
        );
        true
    }

    pub(super) fn types(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        let (before, after) = (Types::of(old), Types::of(new));
        let what = || format!("type {before} -> {after}");
        let word = match (before.is_list || after.is_list, before.step(&after)) {
            (_, Effect::Nothing) => None,
            (false, Effect::Grows) => Some(("type-generalized", Effect::Grows)),
            (false, Effect::Shrinks) => Some(("type-specialized", Effect::Shrinks)),
            (true, Effect::Grows) => Some(("list-of-types-widened", Effect::Grows)),
            (true, Effect::Shrinks) => Some(("list-of-types-narrowed", Effect::Shrinks)),
            (_, _) => Some(("type-changed", Effect::Differs)),
        };
        if let Some((word, effect)) = word {
            self.change(place, word, effect, &what());
        }
        match (before.null, after.null) {
            (false, true) => self.change(place, "became-nullable", Effect::Grows, "takes null"),
            (true, false) => {
                self.change(
                    place,
                    "became-not-nullable",
                    Effect::Shrinks,
                    "takes no null",
                );
            }
            (false, false) | (true, true) => {}
        }
        let (before, after) = (old.text("format"), new.text("format"));
        if before != after {
            let what = format!(
                "format {} -> {}",
                shown(before.unwrap_or("none")),
                shown(after.unwrap_or("none"))
            );
            // A format that calls are checked against restricts; what any other means is the upstream's to say.
            let checked = |format: Option<&str>| {
                format
                    .is_none_or(|format| ["int32", "int64", "date", "date-time"].contains(&format))
            };
            let effect = match (before, after) {
                (None, after) if checked(after) => Effect::Shrinks,
                (before, None) if checked(before) => Effect::Grows,
                _ => Effect::Differs,
            };
            self.change(place, "format-changed", effect, &what);
        }
    }

    pub(super) fn bounds(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        for (end_of, table) in [(End::High, HIGH), (End::Low, LOW)] {
            for (keyword, word) in table {
                let (before, after) = (old.keyword(keyword), new.keyword(keyword));
                if before == after {
                    continue;
                }
                let (end, effect) = bound(before, after, end_of);
                let what = format!("{keyword} {} -> {}", or_none(before), or_none(after));
                self.change(place, &format!("{word}-{end}"), effect, &what);
            }
        }
        let (before, after) = (old.keyword("multipleOf"), new.keyword("multipleOf"));
        if before != after {
            let (end, effect) = added_or_removed(before, after);
            let what = format!("multipleOf {} -> {}", or_none(before), or_none(after));
            self.change(place, &format!("multiple-of-{end}"), effect, &what);
        }
    }

    pub(super) fn values(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        let list = |schema: &Schema<'_>| {
            let list = schema.keyword("enum")?.as_array()?;
            Some(list.to_vec())
        };
        match (list(old), list(new)) {
            (None, None) => {
                if old.keyword("enum") != new.keyword("enum") {
                    self.change(place, "enum-changed", Effect::Differs, "enum");
                }
            }
            (None, Some(values)) => {
                let what = format!("only {}", several(values.iter()));
                self.change(place, "became-enum", Effect::Shrinks, &what);
            }
            (Some(values), None) => {
                let what = format!("no longer only {}", several(values.iter()));
                self.change(place, "enum-removed", Effect::Grows, &what);
            }
            (Some(before), Some(after)) => {
                let added = after.iter().filter(|value| !before.contains(value));
                let removed = before.iter().filter(|value| !after.contains(value));
                if added.clone().next().is_some() {
                    let what = format!("also {}", several(added));
                    self.change(place, "enum-value-added", Effect::Grows, &what);
                }
                if removed.clone().next().is_some() {
                    let what = format!("no longer {}", several(removed));
                    let root = !place.site.property && place.site.direction == Direction::Response;
                    if root && place.site.root == Root::Body {
                        self.renamed_rule(place, "response-mediatype-enum-value-removed", &what);
                    } else {
                        self.change(place, "enum-value-removed", Effect::Shrinks, &what);
                    }
                }
            }
        }
        for (keyword, word, default) in [
            ("const", "const", false),
            ("default", "default-value", true),
        ] {
            let (before, after) = (old.keyword(keyword), new.keyword(keyword));
            if before == after {
                continue;
            }
            let (end, effect) = added_or_removed(before, after);
            let what = format!("{keyword} {} -> {}", or_none(before), or_none(after));
            let effect = if default { Effect::Default } else { effect };
            self.change(place, &format!("{word}-{end}"), effect, &what);
        }
    }

    /// A rule whose id does not begin with its subject.
    pub(super) fn renamed_rule(&mut self, place: Place<'_>, rule: &str, what: &str) {
        self.change(place, "", Effect::Shrinks, what);
        if let Some(change) = self.found.changes.last_mut() {
            rule.clone_into(&mut change.rule);
        }
    }

    pub(super) fn text_rules(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        let (before, after) = (old.keyword("pattern"), new.keyword("pattern"));
        if before != after {
            let what = format!("pattern {} -> {}", or_none(before), or_none(after));
            let anything = [".*", "^.*$", "(.*)"];
            let (word, effect) = match (before, after) {
                (None, _) => ("pattern-added", Effect::Shrinks),
                (_, None) => ("pattern-removed", Effect::Grows),
                (_, Some(Value::String(text))) if anything.contains(&text.as_str()) => {
                    ("pattern-generalized", Effect::Grows)
                }
                _ => ("pattern-changed", Effect::Differs),
            };
            self.change(place, word, effect, &what);
        }
        for (keyword, word) in [
            ("contentEncoding", "content-encoding-changed"),
            ("contentMediaType", "content-media-type-changed"),
        ] {
            let (before, after) = (old.keyword(keyword), new.keyword(keyword));
            if before != after {
                let what = format!("{keyword} {} -> {}", or_none(before), or_none(after));
                self.change(place, word, Effect::Differs, &what);
            }
        }
    }

    pub(super) fn flags(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        if old.flag("uniqueItems") != new.flag("uniqueItems") {
            let (word, effect) = if new.flag("uniqueItems") {
                ("unique-items-set", Effect::Shrinks)
            } else {
                ("unique-items-unset", Effect::Grows)
            };
            self.change(place, word, effect, "uniqueItems");
        }
        if old.flag("deprecated") != new.flag("deprecated") {
            let word = if new.flag("deprecated") {
                "deprecated"
            } else {
                "reactivated"
            };
            self.change(place, word, Effect::Nothing, word);
        }
    }

    pub(super) fn lists(&mut self, old: &Schema<'o>, new: &Schema<'n>, place: Place<'_>) {
        for (keyword, word) in [
            ("allOf", "all-of"),
            ("anyOf", "any-of"),
            ("oneOf", "one-of"),
        ] {
            let list = |schema: Option<&'_ Value>| schema.and_then(Value::as_array).is_some();
            let (before, after) = (old.keyword(keyword), new.keyword(keyword));
            if before.is_none() && after.is_none() {
                continue;
            }
            if (before.is_some() && !list(before)) || (after.is_some() && !list(after)) {
                if before != after {
                    self.change(place, "keyword-changed", Effect::Differs, keyword);
                }
                continue;
            }
            let (old_at, new_at) = (place.old.name(keyword), place.new.name(keyword));
            let place = Place {
                old: &old_at,
                new: &new_at,
                site: place.site,
            };
            let before: &'o [Value] = before.and_then(Value::as_array).unwrap_or_default();
            let after: &'n [Value] = after.and_then(Value::as_array).unwrap_or_default();
            self.alternatives(keyword, word, before, after, place);
        }
    }

    pub(super) fn alternatives(
        &mut self,
        keyword: &str,
        word: &str,
        before: &'o [Value],
        after: &'n [Value],
        place: Place<'_>,
    ) {
        let below = if keyword == "oneOf" {
            place.unknown()
        } else {
            place
        };
        let (pairs, removed, added) = paired(before, after);
        for (left, right) in pairs {
            if let (Some(old), Some(new)) = (before.get(left), after.get(right)) {
                let (old_at, new_at) = (below.old.index(left), below.new.index(right));
                let place = Place {
                    old: &old_at,
                    new: &new_at,
                    site: below.site,
                };
                self.at(old, new, place);
            }
        }
        // The first alternative restricts, a further one admits; one more part of `allOf` always restricts.
        let all = keyword == "allOf";
        for (list, numbers, gone) in [(after, added, false), (before, removed, true)] {
            let mut plain = Vec::new();
            for number in numbers {
                let Some(value) = list.get(number) else {
                    continue;
                };
                if all && is_annotation(value) {
                    let end = if gone { "removed" } else { "added" };
                    let word = format!("{word}-{end}-annotation-only");
                    self.change(place, &word, Effect::Text, &called(value));
                } else {
                    plain.push(called(value));
                }
            }
            if plain.is_empty() {
                continue;
            }
            let only_side = if gone {
                after.is_empty()
            } else {
                before.is_empty()
            };
            let grows = gone == (all || only_side);
            let effect = match (keyword, grows) {
                // With one alternative less of exactly one, what fitted two may fit one.
                ("oneOf", false) if !only_side => Effect::Differs,
                (_, true) => Effect::Grows,
                (_, false) => Effect::Shrinks,
            };
            let end = if gone { "removed" } else { "added" };
            self.change(place, &format!("{word}-{end}"), effect, &plain.join(", "));
        }
    }
}
