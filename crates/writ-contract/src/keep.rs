//! What of a call's arguments is kept beside its record: the API's owner may want a digest of a value kept, or nothing (`audit`).

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Input, Projection, Value};

use crate::field::AuditMode;
use crate::operation::{Operation, Parsed};

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
    /// The arguments as they are kept. `digest` makes of a value what is kept of it where that is a digest. Of a call that does not follow the
    /// contract nobody can say what stands where, so nothing is kept of it where the owner wants anything out of records.
    #[must_use]
    pub fn kept(&self, parsed: &Parsed, digest: &dyn Fn(&Value) -> String) -> Kept {
        let mut keeping = Keeping {
            modes: self.audit_modes(),
            digest,
            masked: BTreeSet::new(),
        };
        let mut general = self.handling().audit.unwrap_or(AuditMode::Keep);
        let mut kept = parsed.input.clone();
        let hides = general != AuditMode::Keep
            || keeping
                .modes
                .iter()
                .any(|(_, mode)| *mode != AuditMode::Keep);
        if !hides {
            return Kept {
                input: kept,
                masked: keeping.masked,
            };
        }
        if !parsed.faults.is_empty() {
            keeping.modes.clear();
            general = AuditMode::Drop;
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

    /// Whether rules that look at so much of a call's arguments look at what stands at `place`, or at anything in it.
    #[must_use]
    pub fn looks_at(&self, place: &str, projection: &Projection) -> bool {
        let tokens: Vec<String> = tokens(place).collect();
        self.seen().looks_at(&tokens, projection)
    }

    /// The places that the owner speaks of, as tokens.
    fn audit_modes(&self) -> Vec<(Vec<String>, AuditMode)> {
        let marks = self.marks().iter();
        let said = marks.filter_map(|marked| Some((&marked.pointer, marked.mark.audit?)));
        said.map(|(pointer, mode)| (tokens(pointer).collect(), mode))
            .collect()
    }
}

fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    let plain = |token: &str| token.replace("~1", "/").replace("~0", "~");
    pointer.split('/').skip(1).map(plain)
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
    use writ_types::{JsonLimits, Projection};

    use crate::fixture::{api, call, operation};
    use crate::{Contract, Reviews};

    const DOCUMENT: &str = r##"{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{
      "/pay/{id}":{"post":{"operationId":"pay","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
        "requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","properties":{
          "note":{"type":"string"},"who":{"type":"object","properties":{"name":{"type":"string"},"role":{"type":"string"}}},
          "map":{"type":"object","additionalProperties":{"type":"integer"}},
          "items":{"type":"array","items":{"type":"object","properties":{"pin":{"type":"string"}}}},
          "tree":{"$ref":"#/components/schemas/Tree"}}}}}},
        "responses":{"200":{"description":""}}}}},
      "components":{"schemas":{"Tree":{"type":"object","properties":{"pin":{"type":"string"},"below":{"$ref":"#/components/schemas/Tree"}}}}}}"##;

    const BODY: &str = r#"{"note":"n","who":{"name":"Ann","role":"r"},"map":{"secret name":1},"items":[{"pin":"1"},{"pin":"2"}]}"#;

    /// What is kept of the body, and which places are not.
    fn kept(words: &[(&str, &str)], body: &str) -> (String, String) {
        let schema = "requestBody.content.*.schema.properties";
        let mut overlay = "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n  - target: $.paths['/pay/{id}'].post\n    update: {x-writ: {effect: write}}\n".to_owned();
        for (place, mode) in words {
            let target = match *place {
                "" => "$.paths['/pay/{id}'].post".to_owned(),
                place if place.starts_with('$') => place.to_owned(),
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
        let body = Some(("application/json", body.as_bytes()));
        let parsed = call(&contract, "POST", "/pay/7", &[], body);
        let kept = operation(&contract, "pay").kept(&parsed, &|_| "(digest)".to_owned());
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
            let (text, places) = kept(words, BODY);
            assert_eq!(places, masked, "{words:?}");
            assert!(
                gone.iter().all(|gone| !text.contains(gone)),
                "{words:?}: {text}"
            );
            if masked.is_empty() {
                assert_eq!(text, whole.to_string());
            }
        }
        let note = |mode| kept(&[("note", mode)], BODY).0;
        assert!(note("hash").contains(r#""note":"(digest)""#));
        assert!(note("drop").contains(r#""note":"(not kept)""#));
    }

    /// What a call has where the contract wants something else is nowhere that anybody marked.
    #[test]
    fn of_a_call_that_does_not_follow_the_contract_nothing_is_kept() {
        let body = r#"{"who":[{"name":"Ann"}]}"#;
        let (text, masked) = kept(&[("who.properties.name", "drop")], body);
        assert_eq!(masked, "/body /path/id");
        assert!(!text.contains("Ann"), "{text}");
        // Where nothing is marked all is kept, to say what was wrong.
        assert!(kept(&[("note", "keep")], body).0.contains("Ann"));
    }

    /// Places that a schema has again and again are not each marked.
    #[test]
    fn what_is_marked_deeper_than_anybody_looks_is_not_kept() {
        let body = r#"{"tree":{"pin":"0","below":{"pin":"1","below":{"pin":"2"}}}}"#;
        let (text, _) = kept(&[], body);
        assert!(text.contains(r#""pin":"2""#), "{text}");
        let document = "$.components.schemas.Tree.properties.pin";
        let (text, masked) = kept(&[(document, "drop")], body);
        assert_eq!(masked, "/body/tree/below /body/tree/pin");
        assert!(
            !text.contains(r#""pin":"1""#) && !text.contains(r#""pin":"2""#),
            "{text}"
        );
    }

    /// A rule that looks at something beside it does not look at it.
    #[test]
    fn rules_look_at_what_they_name_and_at_all_that_is_seen_with_it() {
        let (contract, found) = Contract::compile(&api(), DOCUMENT.as_bytes(), &Reviews::default());
        let contract = contract.unwrap_or_else(|| panic!("{found:?}"));
        let pay = operation(&contract, "pay");
        for (wanted, place, looks) in [
            (&["body", "note"][..], "/body/note", true),
            (&["body", "note"], "/body/who", false),
            (&["body", "note"], "/body", true),
            (&["path", "id"], "/body/note", false),
            (&["body"], "/body/who/name", true),
            (&["body", "who", "role"], "/body/who/role", true),
            (&["body", "who", "role"], "/body/who/name", false),
            (&["body", "who", "role"], "/body/who", true),
            (&["body", "map", "keys"], "/body/map", true),
            (&["body", "map", "count"], "/body/map/a~1b", true),
            (&["body", "items", "pin"], "/body/items/0/pin", true),
            (&["body", "items", "count"], "/body/items/0/pin", false),
            (&["body", "items", "count"], "/body/items", true),
        ] {
            let mut projection = Projection::Nothing;
            projection.insert(wanted);
            assert_eq!(
                pay.looks_at(place, &projection),
                looks,
                "{wanted:?} {place}"
            );
        }
    }
}
