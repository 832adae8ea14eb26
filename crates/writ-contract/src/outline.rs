//! A document seen as its operations, with references followed and both generations in one form.
//!
//! The compiled contract keeps what a call needs; lint and diff also need what it leaves out: texts, responses, security,
//! every keyword of a schema. They read the document itself, through this. Nothing here refuses anything: a reference that
//! leads nowhere is a part that is not there, and the reader has said so.

mod schema;
mod text;

use std::collections::BTreeMap;

use writ_types::{OperationId, Pointer, Value};

use crate::diagnostic::Sink;
use crate::document::follow;
use crate::reader::{Draft, dialect, drafts};
use crate::schema::Dialect;

pub(crate) use schema::{Schema, Step};
pub(crate) use text::{first_word, words};

/// A value of the document and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node<'d> {
    pub(crate) value: &'d Value,
    pub(crate) pointer: Pointer,
}

impl<'d> Node<'d> {
    pub(crate) fn member(&self, name: &str) -> Option<Self> {
        Some(Node {
            value: self.value.member(name)?,
            pointer: self.pointer.child(name),
        })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'d str> {
        self.value.member(name)?.as_str()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.value.member(name).and_then(Value::as_bool) == Some(true)
    }
}

/// A whole document.
#[derive(Debug)]
pub(crate) struct Outline<'d> {
    pub(crate) document: &'d Value,
    pub(crate) dialect: Dialect,
    pub(crate) operations: Vec<Outlined<'d>>,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct Outlined<'d> {
    pub(crate) id: OperationId,
    /// Upper case.
    pub(crate) method: &'static str,
    /// The path key.
    pub(crate) path: &'d str,
    pub(crate) node: Node<'d>,
    /// The operation's own before those of its path item; none of the body or a form.
    pub(crate) parameters: Vec<Parameter<'d>>,
    pub(crate) body: Option<Body<'d>>,
    /// By status code as the document writes it.
    pub(crate) responses: BTreeMap<&'d str, Response<'d>>,
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct Parameter<'d> {
    pub(crate) name: &'d str,
    /// `path`, `query`, `header`, `cookie`, or `formData`.
    pub(crate) place: &'d str,
    pub(crate) node: Node<'d>,
    /// In Swagger 2.0 the parameter itself.
    pub(crate) schema: Option<Node<'d>>,
}

/// The request body.
#[derive(Debug)]
pub(crate) struct Body<'d> {
    pub(crate) node: Node<'d>,
    pub(crate) media: BTreeMap<&'d str, Option<Node<'d>>>,
    /// Swagger 2.0's form parameters.
    pub(crate) form: Vec<Parameter<'d>>,
}

/// One response.
#[derive(Debug)]
pub(crate) struct Response<'d> {
    pub(crate) node: Node<'d>,
    pub(crate) media: BTreeMap<&'d str, Option<Node<'d>>>,
    pub(crate) headers: BTreeMap<&'d str, Node<'d>>,
}

impl<'d> Outline<'d> {
    /// None if it is no OpenAPI or Swagger document, or holds more operations than one may.
    pub(crate) fn of(document: &'d Value) -> Option<Self> {
        // What the reader has to say was said when the contract was compiled.
        let mut sink = Sink::default();
        let dialect = dialect(document, &mut sink)?;
        let drafts = drafts(document, &mut sink)?;
        let mut outline = Self {
            document,
            dialect,
            operations: Vec::new(),
        };
        outline.operations = drafts
            .into_iter()
            .map(|draft| outline.operation(draft))
            .collect();
        Some(outline)
    }

    pub(crate) fn root(&self) -> Node<'d> {
        Node {
            value: self.document,
            pointer: Pointer::root(),
        }
    }

    /// What a value that is no schema means, its reference followed.
    pub(crate) fn follow(&self, node: &Node<'d>) -> Option<Node<'d>> {
        let (value, pointer) = follow(self.document, node.value, &node.pointer).ok()?;
        Some(Node { value, pointer })
    }

    /// The security schemes by name, references followed.
    pub(crate) fn security_schemes(&self) -> BTreeMap<&'d str, Node<'d>> {
        let root = self.root();
        let schemes = root
            .member("components")
            .and_then(|components| components.member("securitySchemes"))
            .or_else(|| root.member("securityDefinitions"));
        members(schemes.as_ref())
            .filter_map(|(name, node)| Some((name, self.follow(&node)?)))
            .collect()
    }

    fn operation(&self, draft: Draft<'d>) -> Outlined<'d> {
        let node = Node {
            value: draft.value,
            pointer: draft.pointer,
        };
        let shared = draft.shared.map(|(value, pointer)| Node { value, pointer });
        let mut all: Vec<Parameter<'d>> = Vec::new();
        let mut body = None;
        for list in [node.member("parameters"), shared].into_iter().flatten() {
            for raw in items(&list) {
                let Some(node) = self.follow(&raw) else {
                    continue;
                };
                if node.text("in") == Some("body") {
                    body.get_or_insert(node);
                    continue;
                }
                let Some(parameter) = self.parameter(node) else {
                    continue;
                };
                let known = all
                    .iter()
                    .any(|one| one.name == parameter.name && one.place == parameter.place);
                if !known {
                    all.push(parameter);
                }
            }
        }
        let (form, parameters) = all
            .into_iter()
            .partition(|parameter| parameter.place == "formData");
        let body = if self.dialect == Dialect::Swagger {
            self.swagger_body(&node, body, form)
        } else {
            self.body(&node)
        };
        Outlined {
            responses: self.responses(&node),
            id: draft.id,
            method: draft.method,
            path: draft.path,
            node,
            parameters,
            body,
        }
    }

    fn parameter(&self, node: Node<'d>) -> Option<Parameter<'d>> {
        let schema = if self.dialect == Dialect::Swagger {
            Some(node.clone())
        } else {
            node.member("schema").or_else(|| {
                let content = node.member("content")?;
                members(Some(&content)).find_map(|(_, media)| media.member("schema"))
            })
        };
        Some(Parameter {
            name: node.text("name")?,
            place: node.text("in")?,
            schema,
            node,
        })
    }

    fn body(&self, operation: &Node<'d>) -> Option<Body<'d>> {
        let node = self.follow(&operation.member("requestBody")?)?;
        Some(Body {
            media: media(node.member("content").as_ref()),
            form: Vec::new(),
            node,
        })
    }

    fn swagger_body(
        &self,
        operation: &Node<'d>,
        body: Option<Node<'d>>,
        form: Vec<Parameter<'d>>,
    ) -> Option<Body<'d>> {
        let consumes = self.media_list(operation, "consumes");
        if let Some(node) = body {
            let schema = node.member("schema");
            let ranges = consumes.unwrap_or_else(|| vec!["application/json"]);
            return Some(Body {
                media: ranges
                    .into_iter()
                    .map(|range| (range, schema.clone()))
                    .collect(),
                form,
                node,
            });
        }
        let first = form.first()?;
        let ranges = consumes.unwrap_or_else(|| vec!["application/x-www-form-urlencoded"]);
        Some(Body {
            node: first.node.clone(),
            media: ranges.into_iter().map(|range| (range, None)).collect(),
            form,
        })
    }

    /// `consumes` or `produces` of the operation, else of the document.
    fn media_list(&self, operation: &Node<'d>, name: &str) -> Option<Vec<&'d str>> {
        let list = |node: &Node<'d>| node.value.member(name)?.as_array();
        let list = list(operation).or_else(|| list(&self.root()))?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }

    fn responses(&self, operation: &Node<'d>) -> BTreeMap<&'d str, Response<'d>> {
        let responses = operation.member("responses");
        members(responses.as_ref())
            .filter(|(code, _)| !code.starts_with("x-"))
            .filter_map(|(code, raw)| {
                let node = self.follow(&raw)?;
                let media = if self.dialect == Dialect::Swagger {
                    let schema = node.member("schema");
                    let ranges = self.media_list(operation, "produces");
                    schema
                        .map(|schema| {
                            let ranges = ranges.unwrap_or_else(|| vec!["application/json"]);
                            ranges
                                .into_iter()
                                .map(|range| (range, Some(schema.clone())))
                                .collect()
                        })
                        .unwrap_or_default()
                } else {
                    media(node.member("content").as_ref())
                };
                let headers = node.member("headers");
                let headers = members(headers.as_ref())
                    .filter_map(|(name, header)| Some((name, self.follow(&header)?)))
                    .collect();
                Some((
                    code,
                    Response {
                        node,
                        media,
                        headers,
                    },
                ))
            })
            .collect()
    }
}

impl Outlined<'_> {
    /// Whether HTTP calls the method safe (RFC 9110 §9.2.1).
    pub(crate) fn is_safe(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }
}

impl<'d> Outlined<'d> {
    /// The security requirements in force: the operation's own, else the document's.
    pub(crate) fn security(&self, outline: &Outline<'d>) -> Option<Node<'d>> {
        self.node
            .member("security")
            .or_else(|| outline.root().member("security"))
    }
}

/// The members of an object with their places.
pub(crate) fn members<'n, 'd>(
    node: Option<&'n Node<'d>>,
) -> impl Iterator<Item = (&'d str, Node<'d>)> + use<'n, 'd> {
    let members = node.and_then(|node| Some((node, node.value.as_object()?)));
    members.into_iter().flat_map(|(node, members)| {
        members.iter().map(|(name, value)| {
            let pointer = node.pointer.child(name);
            (name.as_str(), Node { value, pointer })
        })
    })
}

/// The items of an array with their places.
pub(crate) fn items<'n, 'd>(node: &'n Node<'d>) -> impl Iterator<Item = Node<'d>> + use<'n, 'd> {
    let items = node.value.as_array().unwrap_or_default();
    items.iter().enumerate().map(|(index, value)| Node {
        value,
        pointer: node.pointer.item(index),
    })
}

fn media<'d>(content: Option<&Node<'d>>) -> BTreeMap<&'d str, Option<Node<'d>>> {
    members(content)
        .map(|(range, media)| (range, media.member("schema")))
        .collect()
}
