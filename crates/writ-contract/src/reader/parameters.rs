//! Parameters: where each stands, how it is written, and what it may be.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Pointer, Value};

use super::Draft;
use crate::diagnostic::Sink;
use crate::document::follow;
use crate::operation::{Parameter, ParameterPlace, Style};
use crate::overlay::vocabulary::{self, KEY, Place as Spot};
use crate::router::{Place, Template};
use crate::schema::{Compiler, Dialect, Schema, SchemaId, Schemas, Types, shape};

/// Headers that are never a caller's to set: OpenAPI's own exceptions, hop-by-hop fields (RFC 9110 §7.6.1), framing,
/// routing, credentials, and what a gateway says about a call.
const NEVER_FORWARDED: [&str; 30] = [
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "cookie2",
    "date",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-http-method-override",
    "x-real-ip",
];

/// Whether a header is never forwarded from the caller.
fn never_forwarded(name: &str) -> bool {
    NEVER_FORWARDED.contains(&name) || name.starts_with("writ-")
}

/// Names of headers and query parameters that carry the upstream's credential, by the document's security schemes.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    headers: BTreeSet<String>,
    query: BTreeSet<String>,
}

impl Credentials {
    pub(super) fn of(document: &Value) -> Self {
        let schemes = document
            .member("components")
            .and_then(|components| components.member("securitySchemes"))
            .or_else(|| document.member("securityDefinitions"))
            .and_then(Value::as_object);
        let mut credentials = Self::default();
        for scheme in schemes.into_iter().flat_map(BTreeMap::values) {
            let text = |name: &str| scheme.member(name).and_then(Value::as_str);
            match (text("type"), text("in"), text("name")) {
                (Some("apiKey"), Some("header"), Some(name)) => {
                    credentials.headers.insert(name.to_ascii_lowercase());
                }
                (Some("apiKey"), Some("query"), Some(name)) => {
                    credentials.query.insert(name.to_owned());
                }
                _ => {}
            }
        }
        credentials
    }
}

/// One operation while its parameters and body are read.
pub(super) struct Scope<'s, 'd> {
    pub(super) document: &'d Value,
    pub(super) draft: &'s Draft<'d>,
    pub(super) compiler: &'s mut Compiler<'d>,
    pub(super) sink: &'s mut Sink,
    credentials: &'s Credentials,
    /// Swagger 2.0's body and form parameters.
    pub(super) body: Option<(&'d Value, Pointer)>,
    pub(super) form: Vec<(&'d Value, Pointer)>,
}

impl<'s, 'd> Scope<'s, 'd> {
    pub(super) fn new(
        document: &'d Value,
        draft: &'s Draft<'d>,
        credentials: &'s Credentials,
        compiler: &'s mut Compiler<'d>,
        sink: &'s mut Sink,
    ) -> Self {
        Self {
            document,
            draft,
            compiler,
            sink,
            credentials,
            body: None,
            form: Vec::new(),
        }
    }

    /// Refuses the operation.
    pub(super) fn error(&mut self, pointer: &Pointer, message: impl AsRef<str>) {
        self.sink
            .error(pointer, Some(self.draft.id.as_str()), message);
    }

    pub(super) fn warning(&mut self, pointer: &Pointer, message: impl AsRef<str>) {
        self.sink
            .warning(pointer, Some(self.draft.id.as_str()), message);
    }

    /// All parameters, path parameters first; none if the operation is refused.
    pub(super) fn list(&mut self, template: &Template) -> Option<Vec<Parameter>> {
        let own = self.draft.value.member("parameters");
        let own = own.map(|own| (own, self.draft.pointer.child("parameters")));
        let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
        let mut found = Vec::new();
        // The operation's own first: they override the path item's.
        for (level, (list, pointer)) in own.into_iter().chain(self.draft.shared.clone()).enumerate()
        {
            let Some(items) = list.as_array() else {
                self.error(&pointer, "`parameters` is no list");
                return None;
            };
            let mut here = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                let pointer = pointer.item(index);
                let (value, place, name, location) = self.identify(item, &pointer)?;
                let key = (location.to_owned(), name.to_owned());
                if !here.insert(key.clone()) {
                    self.warning(
                        &pointer,
                        "the parameter is declared twice; the first counts",
                    );
                    continue;
                }
                if level > 0 && seen.contains(&key) {
                    continue;
                }
                found.extend(self.parameter(value, &place, name, location)?);
            }
            seen.extend(here);
        }
        Some(self.ordered(found, template))
    }

    /// The parameter a list's item means, with its name and where it stands.
    fn identify(
        &mut self,
        item: &'d Value,
        pointer: &Pointer,
    ) -> Option<(&'d Value, Pointer, &'d str, &'d str)> {
        let (value, place) = match follow(self.document, item, pointer) {
            Ok(followed) => followed,
            Err(fault) => {
                self.error(pointer, fault.to_string());
                return None;
            }
        };
        let text = |name: &str| value.member(name).and_then(Value::as_str);
        let (Some(name), Some(location)) = (text("name"), text("in")) else {
            self.error(&place, "a parameter has no `name` or no `in`");
            return None;
        };
        Some((value, place, name, location))
    }

    /// Path parameters in the template's order, then the others in the document's.
    fn ordered(&mut self, found: Vec<Parameter>, template: &Template) -> Vec<Parameter> {
        let (path, others): (Vec<Parameter>, Vec<Parameter>) = found
            .into_iter()
            .partition(|parameter| parameter.place == ParameterPlace::Path);
        let mut declared: BTreeMap<String, Parameter> = path
            .into_iter()
            .map(|parameter| (parameter.name.clone(), parameter))
            .collect();
        let mut ordered = Vec::new();
        let pointer = self.draft.pointer.clone();
        for name in &template.names {
            let parameter = declared.remove(name).unwrap_or_else(|| {
                let message =
                    format!("the path's parameter `{name}` is not declared; it is a text");
                self.warning(&pointer, message);
                Parameter {
                    name: name.clone(),
                    place: ParameterPlace::Path,
                    required: true,
                    style: Style::Scalar,
                    schema: self.text_schema(),
                    mark: None,
                }
            });
            ordered.push(parameter);
        }
        for name in declared.keys() {
            let message = format!("the path does not have the declared parameter `{name}`");
            self.warning(&pointer, message);
        }
        ordered.extend(others);
        ordered
    }

    fn text_schema(&mut self) -> SchemaId {
        self.compiler.made(Schema {
            types: Types::STRING,
            ..Schema::ANYTHING
        })
    }

    /// Reads one; the outer none refuses the operation, an empty one leaves the parameter out.
    fn parameter(
        &mut self,
        value: &'d Value,
        pointer: &Pointer,
        name: &str,
        location: &str,
    ) -> Option<Vec<Parameter>> {
        let place = match location {
            "path" => ParameterPlace::Path,
            "query" if self.credentials.query.contains(name) => return Some(Vec::new()),
            "query" => ParameterPlace::Query,
            "header" => {
                let lower = name.to_ascii_lowercase();
                let credential = self.credentials.headers.contains(&lower);
                if credential || never_forwarded(&lower) {
                    return Some(Vec::new());
                }
                if !lower
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                {
                    self.error(pointer, "a header parameter's name is no field name");
                    return None;
                }
                ParameterPlace::Header
            }
            "cookie" => {
                self.warning(pointer, "cookie parameters are never forwarded");
                return Some(Vec::new());
            }
            "body" => {
                if value.member(KEY).is_some() {
                    self.error(&pointer.child(KEY), "say it of the body's `schema`");
                    return None;
                }
                self.body = Some((value, pointer.clone()));
                return Some(Vec::new());
            }
            "formData" => {
                self.form.push((value, pointer.clone()));
                return Some(Vec::new());
            }
            _ => {
                self.error(pointer, "a parameter is in an unknown place");
                return None;
            }
        };
        let mark = match value
            .member(KEY)
            .map(|words| vocabulary::mark(words, Spot::Parameter))
        {
            None => None,
            Some(Ok(mark)) => Some(Box::new(mark)),
            Some(Err(wrong)) => {
                self.error(&pointer.child(KEY), wrong.message);
                return None;
            }
        };
        let required = value.member("required").and_then(Value::as_bool) == Some(true);
        let (style, schema) = self.style(value, pointer, place);
        Some(vec![Parameter {
            name: if place == ParameterPlace::Header {
                name.to_ascii_lowercase()
            } else {
                name.to_owned()
            },
            place,
            required: required || place == ParameterPlace::Path,
            style,
            schema,
            mark,
        }])
    }

    fn style(
        &mut self,
        value: &'d Value,
        pointer: &Pointer,
        place: ParameterPlace,
    ) -> (Style, SchemaId) {
        if self.compiler.dialect() == Dialect::Swagger {
            let schema = self.compiler.schema(value, pointer, self.sink);
            return (swagger_style(value), schema);
        }
        if let Some(content) = value.member("content").and_then(Value::as_object) {
            let json = content.get_key_value("application/json");
            if let Some((name, media)) = json {
                let pointer = pointer.child("content").child(name).child("schema");
                let schema = match media.member("schema") {
                    Some(schema) => self.compiler.schema(schema, &pointer, self.sink),
                    None => self.compiler.made(Schema::ANYTHING),
                };
                return (Style::Json, schema);
            }
            self.warning(
                pointer,
                "the parameter's content is not read: a policy sees its text",
            );
            return (Style::Opaque, self.text_schema());
        }
        let schema = match value.member("schema") {
            Some(schema) => self
                .compiler
                .schema(schema, &pointer.child("schema"), self.sink),
            None => self.text_schema(),
        };
        let style = styled(value, place, &shape(self.compiler.schemas(), &[schema]));
        let open = |shape: &crate::schema::Shape| {
            shape.open || !shape.additional.is_empty() || shape.properties.is_empty()
        };
        if style == Style::Spread && open(&shape(self.compiler.schemas(), &[schema])) {
            let message = "only the named members of the parameter are taken from the query";
            self.warning(pointer, message);
        }
        if style == Style::Opaque {
            self.warning(
                pointer,
                "the parameter's style is not taken apart: a policy sees its text",
            );
            return (style, self.text_schema());
        }
        (style, schema)
    }
}

/// Swagger 2.0's `collectionFormat`.
fn swagger_style(value: &Value) -> Style {
    let text = |name: &str| value.member(name).and_then(Value::as_str);
    if text("type") != Some("array") {
        return Style::Scalar;
    }
    match text("collectionFormat") {
        Some("multi") => Style::Repeated,
        Some("ssv") => Style::List(' '),
        Some("tsv") => Style::List('\t'),
        Some("pipes") => Style::List('|'),
        Some(_) | None => Style::List(','),
    }
}

/// OpenAPI 3's `style` and `explode`.
fn styled(value: &Value, place: ParameterPlace, shape: &crate::schema::Shape) -> Style {
    let by_default = match place {
        ParameterPlace::Path | ParameterPlace::Header => "simple",
        ParameterPlace::Query => "form",
    };
    let style = value
        .member("style")
        .and_then(Value::as_str)
        .unwrap_or(by_default);
    let explode = value
        .member("explode")
        .and_then(Value::as_bool)
        .unwrap_or(style == "form");
    let array = shape.may_be(Types::ARRAY);
    let object = shape.may_be(Types::OBJECT);
    match (style, place) {
        ("simple", ParameterPlace::Path | ParameterPlace::Header)
        | ("form" | "spaceDelimited" | "pipeDelimited", ParameterPlace::Query)
            if !array && !object =>
        {
            Style::Scalar
        }
        ("form" | "spaceDelimited" | "pipeDelimited", ParameterPlace::Query)
            if explode && array =>
        {
            Style::Repeated
        }
        ("form", ParameterPlace::Query) if explode && object => Style::Spread,
        ("simple" | "form", _) if array && !object => Style::List(','),
        ("spaceDelimited", ParameterPlace::Query) if array && !object => Style::List(' '),
        ("pipeDelimited", ParameterPlace::Query) if array && !object => Style::List('|'),
        ("deepObject", ParameterPlace::Query) => Style::Deep,
        _ => Style::Opaque,
    }
}

/// Adds the query parameter that a path key fixes, unless the document declares it.
pub(super) fn add_fixed_query(
    name: &str,
    value: &str,
    list: &mut Vec<Parameter>,
    compiler: &mut Compiler<'_>,
) {
    let known =
        |parameter: &Parameter| parameter.place == ParameterPlace::Query && parameter.name == name;
    if list.iter().any(known) {
        return;
    }
    let schema = compiler.made(Schema {
        types: Types::STRING,
        values: Some(vec![Value::from(value)]),
        ..Schema::ANYTHING
    });
    list.push(Parameter {
        name: name.to_owned(),
        place: ParameterPlace::Query,
        required: true,
        style: Style::Scalar,
        schema,
        mark: None,
    });
}

/// Required parameters that can have only one text.
pub(super) fn fixed(
    list: &[Parameter],
    template: &Template,
    schemas: &Schemas,
) -> BTreeMap<Place, String> {
    let required = |parameter: &&Parameter| parameter.required && parameter.style == Style::Scalar;
    let required: Vec<&Parameter> = list.iter().filter(required).collect();
    texts(&required, template, schemas, |schema| schema.only_text())
}

/// Path parameters' defaults.
pub(super) fn defaults(
    list: &[Parameter],
    template: &Template,
    schemas: &Schemas,
) -> BTreeMap<Place, String> {
    let path = |parameter: &&Parameter| parameter.place == ParameterPlace::Path;
    let path: Vec<&Parameter> = list.iter().filter(path).collect();
    texts(&path, template, schemas, |schema| schema.default.as_deref())
}

fn texts(
    list: &[&Parameter],
    template: &Template,
    schemas: &Schemas,
    text: fn(&Schema) -> Option<&str>,
) -> BTreeMap<Place, String> {
    list.iter()
        .filter_map(|parameter| {
            let mut schema = schemas.of(parameter.schema);
            if let Some(target) = schema.reference {
                schema = schemas.of(target);
            }
            let text = text(schema)?.to_owned();
            let place = match parameter.place {
                ParameterPlace::Path => {
                    let mut names = template.names.iter();
                    Place::Path(names.position(|name| *name == parameter.name)?)
                }
                ParameterPlace::Query => Place::Query(parameter.name.clone()),
                ParameterPlace::Header => Place::Header(parameter.name.clone()),
            };
            Some((place, text))
        })
        .collect()
}
