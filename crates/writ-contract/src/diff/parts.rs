//! What goes into a call and what comes back: parameters, bodies, responses.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::{Root, Schemas, Site};
use super::verdict::{Authority, Caller, Topic};
use super::{Change, Found, Pair, shown};
use crate::outline::{Body, Node, Outline, Outlined, Parameter, Response};
use crate::schema::Dialect;

type Content<'d> = BTreeMap<&'d str, Option<Node<'d>>>;

/// The comparison of all parts of two documents.
pub(super) struct Parts<'s, 'o, 'n> {
    old: &'s Outline<'o>,
    new: &'s Outline<'n>,
    schemas: Schemas<'s, 'o, 'n>,
}

/// A change that is not one of a schema.
struct Plain<'p> {
    rule: &'p str,
    topic: Topic,
    caller: Caller,
    authority: Authority,
    old: Option<&'p Node<'p>>,
    new: Option<&'p Node<'p>>,
    what: String,
}

impl<'s, 'o, 'n> Parts<'s, 'o, 'n> {
    pub(super) fn new(old: &'s Outline<'o>, new: &'s Outline<'n>) -> Self {
        Self {
            old,
            new,
            schemas: Schemas::new(old, new),
        }
    }

    pub(super) fn compare(&mut self, pair: &Pair<'_, 'o, 'n>, found: &mut Found) {
        self.parameters(pair, found);
        self.body(pair, found);
        self.responses(pair, found);
    }

    fn plain(pair: &Pair<'_, '_, '_>, change: Plain<'_>, found: &mut Found) {
        let number = found.push(Change {
            rule: change.rule.to_owned(),
            topic: change.topic,
            caller: change.caller,
            authority: change.authority,
            old: change.old.map(|node| node.pointer.clone()),
            new: change.new.map(|node| node.pointer.clone()),
            what: change.what,
            operations: BTreeSet::new(),
        });
        found.reach(number, pair.place);
    }

    fn schema(
        &mut self,
        pair: &Pair<'_, 'o, 'n>,
        (old, new): (&Node<'o>, &Node<'n>),
        name: &str,
        site: Site,
        found: &mut Found,
    ) {
        let compared = self.schemas.compare(old, new, name, site, found);
        for change in self.schemas.changes(compared) {
            found.reach(change, pair.place);
        }
    }

    fn parameters(&mut self, pair: &Pair<'_, 'o, 'n>, found: &mut Found) {
        let renamed = path_names(pair);
        let mut left: Vec<&Parameter<'n>> = pair.new.parameters.iter().collect();
        for old in &pair.old.parameters {
            let name = match (old.place, renamed.get(old.name)) {
                ("path", Some(name)) => name,
                _ => old.name,
            };
            let header = old.place == "header";
            let same = |new: &&Parameter<'n>| {
                new.place == old.place
                    && (new.name == name || header && new.name.eq_ignore_ascii_case(name))
            };
            let Some(at) = left.iter().position(same) else {
                removed(pair, old, found);
                continue;
            };
            let new = left.remove(at);
            self.parameter(pair, old, new, found);
        }
        for new in left {
            added(self.new, pair, new, found);
        }
    }

    fn parameter(
        &mut self,
        pair: &Pair<'_, 'o, 'n>,
        old: &Parameter<'o>,
        new: &Parameter<'n>,
        found: &mut Found,
    ) {
        let mut report = |rule: &str, topic, caller, authority, what: &str| {
            let change = Plain {
                rule,
                topic,
                caller,
                authority,
                old: Some(&old.node),
                new: Some(&new.node),
                what: format!("{}: {what}", shown(new.name)),
            };
            Self::plain(pair, change, found);
        };
        if old.name != new.name && old.place == "path" {
            let what = format!("was {}", shown(old.name));
            let (topic, caller) = (Topic::Operation, Caller::Compatible);
            report(
                "request-parameter-renamed",
                topic,
                caller,
                Authority::Neutral,
                &what,
            );
        }
        let inline = self.old.dialect == Dialect::Swagger && self.new.dialect == Dialect::Swagger;
        wire(self.old, old, self.new, new, &mut report);
        if !inline {
            words(old, new, &mut report);
        }
        match (&old.schema, &new.schema) {
            (Some(before), Some(after)) => {
                let root = if old.place == "header" {
                    Root::HeaderParameter
                } else {
                    Root::Parameter
                };
                let site = Site::request(root);
                self.schema(pair, (before, after), new.name, site, found);
            }
            (None, None) => {}
            (_, _) => report(
                "request-parameter-schema-changed",
                Topic::Request,
                Caller::Breaking,
                Authority::Unproven,
                "has a schema in one document only",
            ),
        }
    }

    fn body(&mut self, pair: &Pair<'_, 'o, 'n>, found: &mut Found) {
        let (old, new) = match (&pair.old.body, &pair.new.body) {
            (None, None) => return,
            (None, Some(new)) => {
                let required = is_required(new);
                let (rule, caller) = if required {
                    ("request-body-added-required", Caller::Breaking)
                } else {
                    ("request-body-added-optional", Caller::Compatible)
                };
                let change = Plain {
                    rule,
                    topic: Topic::Request,
                    caller,
                    authority: Authority::Widens,
                    old: None,
                    new: Some(&new.node),
                    what: "body: takes one now".to_owned(),
                };
                return Self::plain(pair, change, found);
            }
            (Some(old), None) => {
                let change = Plain {
                    rule: "request-body-removed",
                    topic: Topic::Request,
                    caller: Caller::Breaking,
                    authority: Authority::Narrows,
                    old: Some(&old.node),
                    new: None,
                    what: "body: takes none any more".to_owned(),
                };
                return Self::plain(pair, change, found);
            }
            (Some(old), Some(new)) => (old, new),
        };
        let became = match (is_required(old), is_required(new)) {
            (false, true) => Some((
                "request-body-became-required",
                Caller::Breaking,
                Authority::Narrows,
            )),
            (true, false) => Some((
                "request-body-became-optional",
                Caller::Compatible,
                Authority::Widens,
            )),
            (false, false) | (true, true) => None,
        };
        if let Some((rule, caller, authority)) = became {
            let change = Plain {
                rule,
                topic: Topic::Request,
                caller,
                authority,
                old: Some(&old.node),
                new: Some(&new.node),
                what: "body".to_owned(),
            };
            Self::plain(pair, change, found);
        }
        let nodes = (&old.node, &new.node);
        let site = Site::request(Root::Body);
        self.content(pair, (&old.media, &new.media), nodes, ("body", site), found);
        self.form(pair, old, new, found);
    }

    /// Swagger 2.0's form parameters: among themselves by name, against anything else as unknown.
    fn form(&mut self, pair: &Pair<'_, 'o, 'n>, old: &Body<'o>, new: &Body<'n>, found: &mut Found) {
        if old.form.is_empty() && new.form.is_empty() {
            return;
        }
        if old.form.is_empty() || new.form.is_empty() {
            let change = Plain {
                rule: "request-body-form-changed",
                topic: Topic::Request,
                caller: Caller::Unclear,
                authority: Authority::Unproven,
                old: Some(&old.node),
                new: Some(&new.node),
                what: "body: a form is described in another way".to_owned(),
            };
            return Self::plain(pair, change, found);
        }
        let mut left: Vec<&Parameter<'n>> = new.form.iter().collect();
        for before in &old.form {
            match left.iter().position(|after| after.name == before.name) {
                Some(at) => {
                    let after = left.remove(at);
                    self.parameter(pair, before, after, found);
                }
                None => removed(pair, before, found),
            }
        }
        for after in left {
            added(self.new, pair, after, found);
        }
    }

    fn content(
        &mut self,
        pair: &Pair<'_, 'o, 'n>,
        (old, new): (&Content<'o>, &Content<'n>),
        nodes: (&Node<'o>, &Node<'n>),
        (name, site): (&str, Site),
        found: &mut Found,
    ) {
        let request = site == Site::request(Root::Body);
        let (begin, topic) = if request {
            ("request-body", Topic::Request)
        } else {
            ("response", Topic::Response)
        };
        let ranges: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for range in ranges {
            let mut report = |word: &str, caller, authority| {
                let change = Plain {
                    rule: word,
                    topic,
                    caller,
                    authority,
                    old: Some(nodes.0),
                    new: Some(nodes.1),
                    what: format!("{name}: {}", shown(range)),
                };
                Self::plain(pair, change, found);
            };
            match (old.get(range), new.get(range)) {
                (None, _) => {
                    let authority = if request {
                        Authority::Widens
                    } else {
                        Authority::Unproven
                    };
                    let rule = format!("{begin}-media-type-added");
                    report(&rule, Caller::Compatible, authority);
                }
                (_, None) => {
                    let rule = format!("{begin}-media-type-removed");
                    report(&rule, Caller::Breaking, Authority::Narrows);
                }
                (Some(None), Some(None)) => {}
                (Some(Some(before)), Some(Some(after))) => {
                    self.schema(pair, (before, after), name, site, found);
                }
                (Some(None), Some(Some(_))) => {
                    let (rule, caller) = if request {
                        ("request-body-media-type-schema-added", Caller::Breaking)
                    } else {
                        ("response-body-media-type-schema-added", Caller::Compatible)
                    };
                    report(rule, caller, Authority::Narrows);
                }
                (Some(Some(_)), Some(None)) => {
                    let (rule, caller, authority) = if request {
                        let rule = "request-body-media-type-schema-removed";
                        (rule, Caller::Compatible, Authority::Widens)
                    } else {
                        let rule = "response-body-media-type-schema-removed";
                        (rule, Caller::Unclear, Authority::Unproven)
                    };
                    report(rule, caller, authority);
                }
            }
        }
    }

    fn responses(&mut self, pair: &Pair<'_, 'o, 'n>, found: &mut Found) {
        let (old, new) = (&pair.old.responses, &pair.new.responses);
        let codes: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for code in codes {
            let success = code.starts_with('2');
            let word = if success { "success" } else { "non-success" };
            let (before, after) = (old.get(code), new.get(code));
            let mut report = |rule: &str, topic, caller, authority, what: String| {
                let change = Plain {
                    rule,
                    topic,
                    caller,
                    authority,
                    old: before.map(|response| &response.node),
                    new: after.map(|response| &response.node),
                    what,
                };
                Self::plain(pair, change, found);
            };
            match (before, after) {
                (None, _) => {
                    let rule = format!("response-{word}-status-added");
                    // An error vouches for nothing, and answers are held against the pinned contract whatever is published.
                    let authority = if success {
                        Authority::Unproven
                    } else {
                        Authority::Neutral
                    };
                    let caller = Caller::Compatible;
                    report(&rule, Topic::Response, caller, authority, shown(code));
                }
                (_, None) => {
                    let rule = format!("response-{word}-status-removed");
                    let caller = if success {
                        Caller::Breaking
                    } else {
                        Caller::Compatible
                    };
                    report(
                        &rule,
                        Topic::Response,
                        caller,
                        Authority::Narrows,
                        shown(code),
                    );
                }
                (Some(before), Some(after)) => {
                    if before.node.text("description") != after.node.text("description") {
                        let rule = "response-description-changed";
                        let (caller, authority) = (Caller::Compatible, Authority::Unproven);
                        report(rule, Topic::Text, caller, authority, shown(code));
                    }
                    let name = format!("response {}", shown(code));
                    let media = (&before.media, &after.media);
                    let nodes = (&before.node, &after.node);
                    let site = Site::response(Root::Body);
                    self.content(pair, media, nodes, (&name, site), found);
                    self.headers(pair, before, after, found);
                }
            }
        }
    }

    fn headers(
        &mut self,
        pair: &Pair<'_, 'o, 'n>,
        old: &Response<'o>,
        new: &Response<'n>,
        found: &mut Found,
    ) {
        let names: BTreeSet<&str> = old
            .headers
            .keys()
            .chain(new.headers.keys())
            .copied()
            .collect();
        for name in names {
            let (before, after) = (old.headers.get(name), new.headers.get(name));
            let mut report = |rule: &str, caller, authority| {
                let change = Plain {
                    rule,
                    topic: Topic::Response,
                    caller,
                    authority,
                    old: before,
                    new: after,
                    what: format!("header {}", shown(name)),
                };
                Self::plain(pair, change, found);
            };
            match (before, after) {
                (None, _) => report(
                    "response-header-added",
                    Caller::Compatible,
                    Authority::Unproven,
                ),
                (Some(before), None) if before.flag("required") => report(
                    "required-response-header-removed",
                    Caller::Breaking,
                    Authority::Narrows,
                ),
                (Some(_), None) => report(
                    "optional-response-header-removed",
                    Caller::Unclear,
                    Authority::Narrows,
                ),
                (Some(before), Some(after)) => {
                    if before.flag("required") && !after.flag("required") {
                        let rule = "response-header-became-optional";
                        report(rule, Caller::Breaking, Authority::Unproven);
                    }
                    let before = before.member("schema").unwrap_or_else(|| before.clone());
                    let after = after.member("schema").unwrap_or_else(|| after.clone());
                    let name = format!("header {}", shown(name));
                    let site = Site::response(Root::Header);
                    self.schema(pair, (&before, &after), &name, site, found);
                }
            }
        }
    }
}

/// What of a parameter shows on the wire, beside its schema.
fn wire(
    before: &Outline<'_>,
    old: &Parameter<'_>,
    after: &Outline<'_>,
    new: &Parameter<'_>,
    report: &mut impl FnMut(&str, Topic, Caller, Authority, &str),
) {
    match (old.node.flag("required"), new.node.flag("required")) {
        (false, true) if old.place != "path" => report(
            "request-parameter-became-required",
            Topic::Request,
            Caller::Breaking,
            Authority::Narrows,
            "required",
        ),
        (true, false) if old.place != "path" => report(
            "request-parameter-became-optional",
            Topic::Request,
            Caller::Compatible,
            Authority::Widens,
            "optional",
        ),
        _ => {}
    }
    if style(before, old) != style(after, new) {
        report(
            "request-parameter-style-changed",
            Topic::Request,
            Caller::Breaking,
            Authority::Unproven,
            "is written in another way",
        );
    }
    if old.node.flag("allowEmptyValue") != new.node.flag("allowEmptyValue") {
        report(
            "request-parameter-empty-value-changed",
            Topic::Request,
            Caller::Unclear,
            Authority::Unproven,
            "allowEmptyValue",
        );
    }
}

/// What is said of a parameter; of one of Swagger 2.0 its schema says it.
fn words(
    old: &Parameter<'_>,
    new: &Parameter<'_>,
    report: &mut impl FnMut(&str, Topic, Caller, Authority, &str),
) {
    let texts = ["description", "example", "examples"];
    let differs = |name: &&str| old.node.value.member(name) != new.node.value.member(name);
    if texts.iter().any(differs) {
        report(
            "request-parameter-description-changed",
            Topic::Text,
            Caller::Compatible,
            Authority::Unproven,
            "description",
        );
    }
    if old.node.flag("deprecated") != new.node.flag("deprecated") {
        let rule = if new.node.flag("deprecated") {
            "request-parameter-deprecated"
        } else {
            "request-parameter-reactivated"
        };
        let (topic, caller) = (Topic::Request, Caller::Compatible);
        report(rule, topic, caller, Authority::Neutral, "deprecated");
    }
}

fn is_required(body: &Body<'_>) -> bool {
    if body.form.is_empty() {
        body.node.flag("required")
    } else {
        body.form.iter().any(|field| field.node.flag("required"))
    }
}

fn removed(pair: &Pair<'_, '_, '_>, old: &Parameter<'_>, found: &mut Found) {
    let change = Plain {
        rule: "request-parameter-removed",
        topic: Topic::Request,
        caller: Caller::Unclear,
        authority: Authority::Narrows,
        old: Some(&old.node),
        new: None,
        what: format!("{}: gone", shown(old.name)),
    };
    Parts::plain(pair, change, found);
}

fn added(outline: &Outline<'_>, pair: &Pair<'_, '_, '_>, new: &Parameter<'_>, found: &mut Found) {
    let defaulted = new
        .schema
        .as_ref()
        .is_some_and(|schema| outline.schema(schema.value).has("default"));
    let (rule, caller) = match (new.place, new.node.flag("required"), defaulted) {
        ("path", _, _) => ("new-request-path-parameter", Caller::Breaking),
        (_, true, true) => (
            "new-required-request-default-parameter-to-existing-path",
            Caller::Breaking,
        ),
        (_, true, false) => ("new-required-request-parameter", Caller::Breaking),
        (_, false, true) => (
            "new-optional-request-default-parameter-to-existing-path",
            Caller::Compatible,
        ),
        (_, false, false) => ("new-optional-request-parameter", Caller::Compatible),
    };
    let change = Plain {
        rule,
        topic: Topic::Request,
        caller,
        authority: Authority::Widens,
        old: None,
        new: Some(&new.node),
        what: format!("{} {}: new", new.place, shown(new.name)),
    };
    Parts::plain(pair, change, found);
}

/// What each path parameter of the old document is called in the new one, by its place in the template.
fn path_names<'n>(pair: &Pair<'_, '_, 'n>) -> BTreeMap<String, &'n str> {
    let names = |operation: &Outlined<'_>| -> Vec<String> {
        let parts = operation.path.split('{').skip(1);
        parts
            .filter_map(|part| part.split_once('}'))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let (old, new) = (names(pair.old), names(pair.new));
    if old.len() != new.len() {
        return BTreeMap::new();
    }
    let declared = |name: &str| {
        let parameter = pair
            .new
            .parameters
            .iter()
            .find(|one| one.place == "path" && one.name == name);
        parameter.map(|parameter| parameter.name)
    };
    old.into_iter()
        .zip(new)
        .filter_map(|(old, new)| Some((old, declared(&new)?)))
        .collect()
}

/// How a parameter's value is written, where that makes a difference: of lists and objects.
fn style(outline: &Outline<'_>, parameter: &Parameter<'_>) -> (String, bool) {
    let node = &parameter.node;
    let usual = match parameter.place {
        "path" | "header" => "simple",
        _ => "form",
    };
    let schema = parameter.schema.as_ref();
    let schema = schema.map(|schema| outline.schema(schema.value));
    let composed = schema.as_ref().is_some_and(|schema| {
        schema.is_type("array") || schema.is_type("object") || schema.is_untyped()
    });
    if outline.dialect == Dialect::Swagger {
        let (style, explode) = match node.text("collectionFormat").unwrap_or("csv") {
            "csv" => (usual, false),
            "multi" => (usual, true),
            "ssv" => ("spaceDelimited", false),
            "pipes" => ("pipeDelimited", false),
            other => (other, false),
        };
        return if composed {
            (style.to_owned(), explode)
        } else {
            (usual.to_owned(), true)
        };
    }
    let style = node.text("style").unwrap_or(usual);
    let explode = node
        .value
        .member("explode")
        .and_then(writ_types::Value::as_bool)
        .unwrap_or(style == "form");
    let plain = !composed && matches!(style, "form" | "simple");
    (style.to_owned(), plain || explode)
}
