//! What of a call's arguments is kept beside its record: the API's owner may want a digest of a value kept, or nothing (`audit`).

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Input, Value};

use crate::field::AuditMode;
use crate::operation::Operation;

/// What stands in place of a value of which nothing is kept.
const NOT_KEPT: &str = "(not kept)";

/// Arguments as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The arguments, with something else in place of what the owner wants out of records.
    pub input: Input,
    /// Where that is.
    pub masked: BTreeSet<String>,
}

impl Operation {
    /// The arguments as they are kept. `digest` makes of a value what is kept of it where that is a digest.
    #[must_use]
    pub fn kept(&self, input: &Input, digest: &dyn Fn(&Value) -> String) -> Kept {
        let mut keeping = Keeping {
            modes: self.audit_modes(),
            digest,
            masked: BTreeSet::new(),
        };
        let general = self.handling().audit.unwrap_or(AuditMode::Keep);
        let mut kept = input.clone();
        if general == AuditMode::Keep && keeping.modes.is_empty() {
            return Kept {
                input: kept,
                masked: keeping.masked,
            };
        }
        let groups = [
            ("path", &mut kept.path),
            ("query", &mut kept.query),
            ("header", &mut kept.header),
        ];
        for (group, values) in groups {
            let mut place = vec![group.to_owned()];
            keeping.members(values, &mut place, general);
        }
        if let Some(body) = &mut kept.body {
            keeping.value(body, &mut vec!["body".to_owned()], general);
        }
        Kept {
            input: kept,
            masked: keeping.masked,
        }
    }

    /// The places that the owner speaks of, as tokens.
    fn audit_modes(&self) -> Vec<(Vec<String>, AuditMode)> {
        let marks = self.marks().iter();
        let said = marks.filter_map(|marked| Some((&marked.pointer, marked.mark.audit?)));
        let plain = |token: &str| token.replace("~1", "/").replace("~0", "~");
        said.map(|(pointer, mode)| (pointer.split('/').skip(1).map(plain).collect(), mode))
            .collect()
    }
}

struct Keeping<'k> {
    modes: Vec<(Vec<String>, AuditMode)>,
    digest: &'k dyn Fn(&Value) -> String,
    masked: BTreeSet<String>,
}

impl Keeping<'_> {
    fn members(
        &mut self,
        members: &mut BTreeMap<String, Value>,
        place: &mut Vec<String>,
        general: AuditMode,
    ) {
        for (name, member) in members {
            place.push(name.clone());
            self.value(member, place, general);
            place.pop();
        }
    }

    /// What is said of the place itself counts before what is said of what it lies in.
    fn value(&mut self, value: &mut Value, place: &mut Vec<String>, general: AuditMode) {
        let fits = |mark: &[String]| {
            mark.iter()
                .zip(&*place)
                .all(|(token, own)| token == "*" || token == own)
        };
        let own = self
            .modes
            .iter()
            .filter(|(mark, _)| mark.len() == place.len() && fits(mark));
        let mode = own.map(|(_, mode)| *mode).max().unwrap_or(general);
        let below = self
            .modes
            .iter()
            .any(|(mark, mode)| mark.len() > place.len() && fits(mark) && *mode == AuditMode::Keep);
        if mode != AuditMode::Keep && !below && *value != Value::Null {
            // Whole, so that names of members do not stay.
            let kept = match mode {
                AuditMode::Hash => (self.digest)(value),
                AuditMode::Keep | AuditMode::Drop => NOT_KEPT.to_owned(),
            };
            *value = Value::from(kept);
            let tokens = place.iter();
            let tokens =
                tokens.map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")));
            self.masked.insert(tokens.collect());
            return;
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    place.push(index.to_string());
                    self.value(item, place, mode);
                    place.pop();
                }
            }
            Value::Object(members) => self.members(members, place, mode),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use writ_types::JsonLimits;

    use crate::fixture::{api, call, operation};
    use crate::{Contract, Reviews};

    const DOCUMENT: &str = r##"{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{
      "/pay/{id}":{"post":{"operationId":"pay","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
        "requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","properties":{
          "note":{"type":"string"},"who":{"type":"object","properties":{"name":{"type":"string"},"role":{"type":"string"}}},
          "map":{"type":"object","additionalProperties":{"type":"integer"}},
          "items":{"type":"array","items":{"type":"object","properties":{"pin":{"type":"string"}}}}}}}}},
        "responses":{"200":{"description":""}}}}}}"##;

    const BODY: &str = r#"{"note":"n","who":{"name":"Ann","role":"r"},"map":{"secret name":1},"items":[{"pin":"1"},{"pin":"2"}]}"#;

    /// What is kept of the body, and which places are not.
    fn kept(words: &[(&str, &str)]) -> (String, String) {
        let schema = "requestBody.content.*.schema.properties";
        let mut overlay = "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n  - target: $.paths['/pay/{id}'].post\n    update: {x-writ: {effect: write}}\n".to_owned();
        for (place, mode) in words {
            let target = match *place {
                "" => "$.paths['/pay/{id}'].post".to_owned(),
                place => format!("$.paths['/pay/{{id}}'].post.{schema}.{place}"),
            };
            overlay.push_str(&format!(
                "  - target: {target}\n    update: {{x-writ: {{audit: {mode}}}}}\n"
            ));
        }
        let reviews = Reviews {
            overlay: Some(overlay),
            ..Reviews::default()
        };
        let (contract, found) = Contract::compile(&api(), DOCUMENT.as_bytes(), &reviews);
        let contract = contract.unwrap_or_else(|| panic!("{found:?}"));
        let body = Some(("application/json", BODY.as_bytes()));
        let input = call(&contract, "POST", "/pay/7", &[], body).input;
        let kept = operation(&contract, "pay").kept(&input, &|_| "(digest)".to_owned());
        let masked: Vec<String> = kept.masked.into_iter().collect();
        (kept.input.to_value().to_string(), masked.join(" "))
    }

    #[test]
    fn what_the_owner_wants_out_of_records_is_not_kept() {
        let whole = format!(r#"{{"body":{BODY},"header":{{}},"path":{{"id":"7"}},"query":{{}}}}"#);
        let whole = writ_types::Value::parse(whole.as_bytes(), &JsonLimits::REQUEST).unwrap();
        for (words, gone, masked) in [
            (&[][..], &[][..], ""),
            (&[("note", "drop")], &["\"n\""], "/body/note"),
            (&[("note", "hash")], &["\"n\""], "/body/note"),
            (&[("who", "drop")], &["Ann", "\"r\""], "/body/who"),
            // What is said of a place counts before what is said around it.
            (
                &[("who", "drop"), ("who.properties.role", "keep")],
                &["Ann"],
                "/body/who/name",
            ),
            (&[("map", "drop")], &["secret name"], "/body/map"),
            (
                &[("items.items.properties.pin", "hash")],
                &["\"1\"", "\"2\""],
                "/body/items/0/pin /body/items/1/pin",
            ),
            (
                &[("", "drop"), ("note", "keep")],
                &["Ann", "secret name", "\"7\""],
                "/body/items /body/map /body/who /path/id",
            ),
        ] {
            let (text, places) = kept(words);
            assert_eq!(places, masked, "{words:?}");
            assert!(
                gone.iter().all(|gone| !text.contains(gone)),
                "{words:?}: {text}"
            );
            if masked.is_empty() {
                assert_eq!(text, whole.to_string());
            }
        }
        assert!(kept(&[("note", "hash")]).0.contains(r#""note":"(digest)""#));
        assert!(
            kept(&[("note", "drop")])
                .0
                .contains(r#""note":"(not kept)""#)
        );
    }
}
