//! Values to operations: OpenAPI 3.x and Swagger 2.0.

mod body;
mod identify;
mod methods;
mod owner;
mod parameters;
mod responses;

pub(crate) use methods::{ADDITIONAL, is_method};
pub use owner::Handling;
pub(crate) use owner::{Said, kind};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use writ_types::{ActionName, ApiId, OperationId, Pointer, Value};

use crate::contract::{Read, Refused, Reviews};
use crate::diagnostic::Sink;
use crate::document::follow;
use crate::operation::{Body, Operation, Parameter};
use crate::response::Reply;
use crate::router::{Entry, Guard, Place, Router, Template, Told, tell_apart};
use crate::schema::{Compiler, Dialect, SchemaId, Schemas};

/// Most operations of one document.
const MOST_OPERATIONS: usize = 20_000;

/// An operation as the document writes it.
#[derive(Debug)]
pub(crate) struct Draft<'d> {
    pub(crate) method: &'static str,
    /// The path key.
    pub(crate) path: &'d str,
    pub(crate) value: &'d Value,
    pub(crate) pointer: Pointer,
    /// Parameters of the path item, with their place.
    pub(crate) shared: Option<(&'d Value, Pointer)>,
    pub(crate) id: OperationId,
}

/// A draft, read.
#[derive(Debug)]
struct Readied {
    said: Said,
    parameters: Vec<Parameter>,
    body: Option<Body>,
    replies: Vec<Reply>,
    entry: Entry,
}

/// Reads the whole document; none if it is not one, or a review names what it does not have.
pub(crate) fn read(
    api: &ApiId,
    document: &Value,
    reviews: &Reviews,
    sink: &mut Sink,
) -> Option<Read> {
    let dialect = dialect(document, sink)?;
    let drafts = drafts(document, sink)?;
    let known: BTreeSet<&OperationId> = drafts.iter().map(|draft| &draft.id).collect();
    let mut unknown = reviews
        .operations
        .keys()
        .filter(|id| !known.contains(id))
        .peekable();
    if unknown.peek().is_some() {
        for id in unknown {
            let message = "the review names an operation that the document does not have";
            sink.error(&Pointer::root(), Some(id.as_str()), message);
        }
        return None;
    }
    let mut compiler = Compiler::new(document, dialect);
    let credentials = parameters::Credentials::of(document);
    let general = owner::General::read(document, reviews, sink)?;
    let mut readied: Vec<Option<Readied>> = drafts
        .iter()
        .map(|draft| {
            ready(
                document,
                draft,
                (&credentials, &general),
                &mut compiler,
                sink,
            )
        })
        .collect();
    let (schemas, broken) = compiler.finish();
    refuse_broken(&drafts, &mut readied, &schemas, &broken, sink);
    let info = |name: &str| {
        let text = document.member("info").and_then(|info| info.member(name));
        plain(text.and_then(Value::as_str).unwrap_or_default())
    };
    let mut read = Read {
        title: info("title"),
        version: info("version"),
        operations: Vec::new(),
        router: Router::default(),
        refused: Vec::new(),
    };
    let maker = Maker {
        api,
        schemas: Arc::new(schemas),
    };
    maker.place(drafts, readied, &mut read, sink);
    Some(read)
}

/// What is said of what is none.
pub(crate) const NO_DOCUMENT: &str = "not an OpenAPI 3.0, 3.1, 3.2 or Swagger 2.0 document";

/// Which specification the document follows.
pub(crate) fn dialect(document: &Value, sink: &mut Sink) -> Option<Dialect> {
    let text = |name: &str| match document.member(name)? {
        Value::String(text) => Some(text.clone()),
        // Unquoted in YAML.
        Value::Number(number) => Some(number.as_str().to_owned()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let openapi = text("openapi").unwrap_or_default();
    let swagger = text("swagger").unwrap_or_default();
    let version = |prefix: &str| openapi == prefix || openapi.starts_with(&format!("{prefix}."));
    if version("3.0") {
        Some(Dialect::V30)
    } else if version("3.1") || version("3.2") {
        Some(Dialect::V31)
    } else if swagger == "2.0" || swagger == "2" {
        Some(Dialect::Swagger)
    } else {
        // Another version is said where it stands.
        let said = ["openapi", "swagger"]
            .into_iter()
            .find(|name| document.member(name).is_some());
        let place = said.map_or_else(Pointer::root, |name| Pointer::root().child(name));
        sink.error(&place, None, NO_DOCUMENT);
        None
    }
}

/// Every operation of the document, with its id.
pub(crate) fn drafts<'d>(document: &'d Value, sink: &mut Sink) -> Option<Vec<Draft<'d>>> {
    let root = Pointer::root().child("paths");
    let paths = match document.member("paths") {
        // 3.1 allows a document of webhooks alone.
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(Value::Object(paths)) => paths,
        Some(_) => {
            sink.error(&root, None, "`paths` is no object");
            return None;
        }
    };
    let (mut found, members) = (Vec::new(), methods::Members::of(document));
    for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
        let place = root.child(path);
        if let Some(item) = path_item(document, path, item, &place, sink) {
            methods::find(&item, members, &mut found, sink);
        }
    }
    if found.len() > MOST_OPERATIONS {
        sink.error(&root, None, "the document has too many operations");
        return None;
    }
    Some(identify::identify(found, sink))
}

/// A path item, as what all its operations have of it.
fn path_item<'d>(
    document: &'d Value,
    path: &'d str,
    item: &'d Value,
    pointer: &Pointer,
    sink: &mut Sink,
) -> Option<identify::Nameless<'d>> {
    let (target, place) = match follow(document, item, pointer) {
        Ok(followed) => followed,
        Err(fault) => {
            sink.error(pointer, Some(path), fault.to_string());
            return None;
        }
    };
    let Some(members) = target.as_object() else {
        sink.error(pointer, Some(path), "a path item is no object");
        return None;
    };
    let shared = members
        .get("parameters")
        .map(|shared| (shared, place.child("parameters")));
    Some(identify::Nameless {
        method: "",
        path,
        value: target,
        pointer: place,
        shared,
    })
}

/// Reads one operation; none, with an error, if it is refused.
fn ready<'d>(
    document: &'d Value,
    draft: &Draft<'d>,
    (credentials, general): (&parameters::Credentials, &owner::General<'_>),
    compiler: &mut Compiler<'d>,
    sink: &mut Sink,
) -> Option<Readied> {
    let id = draft.id.as_str();
    if draft.value.as_object().is_none() {
        sink.error(&draft.pointer, Some(id), "an operation is no object");
        return None;
    }
    // One that leads somewhere has been replaced by what is there.
    if draft.value.member("$ref").is_some() {
        let why = match follow(document, draft.value, &draft.pointer) {
            Err(fault) => fault.to_string(),
            Ok(_) => "references copy too much of the document".to_owned(),
        };
        sink.error(&draft.pointer, Some(id), why);
        return None;
    }
    let said = general.of(document, draft, sink)?;
    let (path, fragment) = match draft.path.find(['#', '?']) {
        Some(at) => draft.path.split_at(at),
        None => (draft.path, ""),
    };
    let template = match Template::parse(path) {
        Ok(template) => template,
        Err(fault) => {
            sink.error(&draft.pointer, Some(id), fault.to_string());
            return None;
        }
    };
    let mut scope = parameters::Scope::new(document, draft, credentials, compiler, sink);
    let mut list = scope.list(&template)?;
    let body = body::read(&mut scope).ok()?;
    let replies = responses::read(&mut scope);
    let key = key_guards(fragment, &mut list, compiler);
    let schemas = compiler.schemas();
    let fixed = parameters::fixed(&list, &template, schemas);
    let defaults = parameters::defaults(&list, &template, schemas);
    Some(Readied {
        said,
        entry: Entry {
            method: draft.method,
            template,
            key: key.clone(),
            fixed: with_key(fixed, &key),
            defaults,
            fragment: fragment.starts_with('#'),
        },
        parameters: list,
        body,
        replies,
    })
}

fn with_key(mut fixed: BTreeMap<Place, String>, key: &[Guard]) -> BTreeMap<Place, String> {
    fixed.extend(
        key.iter()
            .map(|guard| (guard.place.clone(), guard.value.clone())),
    );
    fixed
}

/// `?name=value` in a path key: a query parameter that a call of this operation must have. It is made a parameter if
/// the document does not declare it.
fn key_guards(
    fragment: &str,
    list: &mut Vec<Parameter>,
    compiler: &mut Compiler<'_>,
) -> Vec<Guard> {
    let query = fragment.strip_prefix('?').unwrap_or_default();
    let query = query.split('#').next().unwrap_or_default();
    let pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    for (name, value) in &pairs {
        parameters::add_fixed_query(name, value, list, compiler);
    }
    pairs
        .into_iter()
        .map(|(name, value)| Guard {
            place: Place::Query(name.to_owned()),
            value: value.to_owned(),
        })
        .collect()
}

/// Refuses the operations whose requests reach a schema that could not be compiled; a response that does is not checked.
fn refuse_broken(
    drafts: &[Draft<'_>],
    readied: &mut [Option<Readied>],
    schemas: &Schemas,
    broken: &BTreeMap<SchemaId, crate::schema::Broken>,
    sink: &mut Sink,
) {
    if broken.is_empty() {
        return;
    }
    for (draft, place) in drafts.iter().zip(readied) {
        let Some(ready) = place else { continue };
        let body = ready.body.iter().flat_map(|body| &body.media);
        let roots = ready.parameters.iter().map(|parameter| parameter.schema);
        let roots = roots.chain(body.filter_map(|media| media.schema));
        if let Some(fault) = schemas.reach(roots, broken) {
            sink.error(&fault.pointer, Some(draft.id.as_str()), &fault.message);
            *place = None;
            continue;
        }
        for media in ready.replies.iter_mut().flat_map(|reply| &mut reply.media) {
            if let Some(fault) = schemas.reach(media.schema.into_iter(), broken) {
                let message = format!(
                    "a response is not checked: {} (at `{}`)",
                    fault.message, fault.pointer
                );
                sink.warning(&draft.pointer, Some(draft.id.as_str()), message);
                media.schema = None;
            }
        }
    }
}

/// Makes operations out of what was read, and routes them.
struct Maker<'m> {
    api: &'m ApiId,
    schemas: Arc<Schemas>,
}

impl Maker<'_> {
    fn place(
        &self,
        drafts: Vec<Draft<'_>>,
        readied: Vec<Option<Readied>>,
        read: &mut Read,
        sink: &mut Sink,
    ) {
        let mut ready = Vec::new();
        for (draft, readied) in drafts.into_iter().zip(readied) {
            match readied {
                Some(readied) => ready.push((draft, readied)),
                None => {
                    self.block(&draft, read);
                    read.refused.push(refused(&draft));
                }
            }
        }
        let entries: Vec<Entry> = ready
            .iter()
            .map(|(_, readied)| readied.entry.clone())
            .collect();
        let told = tell_apart(&entries);
        let ids: Vec<OperationId> = ready.iter().map(|(draft, _)| draft.id.clone()).collect();
        let others = others(&entries, &told);
        for (((draft, readied), told), others) in ready.into_iter().zip(told).zip(others) {
            let entry = readied.entry.clone();
            let id = draft.id.as_str();
            let guards = match told {
                Told::Apart { guards, narrowed } => {
                    if narrowed {
                        let message = "shares its path with other operations: reached only with its path parameters' defaults";
                        sink.warning(&draft.pointer, Some(id), message);
                    }
                    guards
                }
                Told::From(other) => {
                    let other = ids.get(other).map(OperationId::as_str).unwrap_or_default();
                    let message = format!("cannot be told apart from `{other}` on the wire");
                    sink.error(&draft.pointer, Some(id), message);
                    read.router
                        .add(entry.method, &entry.template, None, Vec::new());
                    read.refused.push(refused(&draft));
                    continue;
                }
                Told::TooMany => {
                    let message =
                        "too many operations share a path, or have parameters inside a segment";
                    sink.error(&draft.pointer, Some(id), message);
                    read.router
                        .add(entry.method, &entry.template, None, Vec::new());
                    read.refused.push(refused(&draft));
                    continue;
                }
            };
            let number = read.operations.len();
            read.router
                .add(entry.method, &entry.template, Some(number), guards);
            read.operations.push(self.operation(draft, readied, others));
        }
    }

    /// Keeps the place of an operation that could not be read, if at least its path can be.
    fn block(&self, draft: &Draft<'_>, read: &mut Read) {
        let path = draft.path.split(['#', '?']).next().unwrap_or_default();
        if let Ok(template) = Template::parse(path) {
            read.router.add(draft.method, &template, None, Vec::new());
        }
    }

    fn operation(&self, draft: Draft<'_>, readied: Readied, others: Vec<Vec<Guard>>) -> Operation {
        let said = readied.said;
        Operation {
            action: ActionName {
                api: self.api.clone(),
                operation: draft.id,
            },
            method: draft.method,
            template: draft.path.to_owned(),
            segments: readied.entry.template.segments,
            summary: summary(draft.value),
            said,
            score: None,
            parameters: readied.parameters,
            body: readied.body,
            replies: readied.replies,
            others,
            schemas: Arc::clone(&self.schemas),
            pinned: None,
            seen: OnceLock::new(),
            marks: OnceLock::new(),
            response_marks: OnceLock::new(),
            argument_names: OnceLock::new(),
        }
    }
}

fn refused(draft: &Draft<'_>) -> Refused {
    Refused {
        method: draft.method,
        template: draft.path.to_owned(),
        id: draft.id.clone(),
    }
}

/// For every entry the guards of the more guarded ones of its path: a call that fulfils them is not this one.
fn others(entries: &[Entry], told: &[Told]) -> Vec<Vec<Vec<Guard>>> {
    let mut guarded: BTreeMap<_, Vec<&Vec<Guard>>> = BTreeMap::new();
    for (entry, told) in entries.iter().zip(told) {
        if let Told::Apart { guards, .. } = told {
            guarded
                .entry((entry.method, &entry.template.segments))
                .or_default()
                .push(guards);
        }
    }
    entries
        .iter()
        .zip(told)
        .map(|(entry, told)| {
            let Told::Apart { guards: own, .. } = told else {
                return Vec::new();
            };
            guarded
                .get(&(entry.method, &entry.template.segments))
                .into_iter()
                .flatten()
                .filter(|guards| guards.len() > own.len())
                .map(|guards| (*guards).clone())
                .collect()
        })
        .collect()
}

fn summary(operation: &Value) -> Option<String> {
    let text = |name: &str| operation.member(name).and_then(Value::as_str);
    let first_line = text("description").and_then(|text| text.lines().next());
    let chosen = text("summary")
        .filter(|text| !text.trim().is_empty())
        .or(first_line)?;
    Some(plain(chosen.trim()).chars().take(200).collect())
}

/// A vendor's text without control characters: it may be shown in a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).collect()
}
