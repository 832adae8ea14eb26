//! Views from schemas.

use std::collections::BTreeSet;

use super::{Coverage, Member, SeenPlace, View, Visibility};
use crate::media::MediaKind;
use crate::operation::{Operation, Parameter, ParameterPlace};
use crate::schema::{SchemaId, Schemas, Shape, Types, shape as shape_of};

/// Deepest place that is taken apart.
const DEEPEST: usize = 6;
/// Most places of one operation that are taken apart.
const MOST: usize = 5_000;

/// The places of an operation and how clearly each is seen.
pub(super) fn places(operation: &Operation) -> (Vec<SeenPlace>, Coverage) {
    let mut builder = Builder {
        schemas: &operation.schemas,
        coverage: Coverage::default(),
        path: Vec::new(),
        made: 0,
    };
    let mut places = Vec::new();
    for (name, place) in [
        ("path", ParameterPlace::Path),
        ("query", ParameterPlace::Query),
        ("header", ParameterPlace::Header),
    ] {
        let declared: Vec<&Parameter> = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.place == place)
            .collect();
        if !declared.is_empty() {
            places.push(SeenPlace {
                name,
                required: true,
                view: builder.parameters(name, &declared),
            });
        }
    }
    places.extend(body(operation, &mut builder));
    (places, builder.coverage)
}

fn body(operation: &Operation, builder: &mut Builder<'_>) -> Option<SeenPlace> {
    let body = operation.body.as_ref()?;
    let read = || {
        let media = body.media.iter();
        media.filter(|media| media.kind != MediaKind::Opaque)
    };
    if read().next().is_none() {
        builder.coverage.put("/body", Visibility::Opaque);
        return None;
    }
    let mut ids: Vec<SchemaId> = read().filter_map(|media| media.schema).collect();
    ids.dedup();
    // One media type without a schema may hold anything.
    let typed = read().all(|media| media.schema.is_some());
    let view = if typed {
        builder.view(&ids, "/body", 0, Setting::Alone)
    } else {
        builder.coverage.put("/body", Visibility::Opaque);
        View::Opaque
    };
    let nullable = shape_of(builder.schemas, &ids).nullable;
    Some(SeenPlace {
        name: "body",
        required: body.required && !nullable,
        view,
    })
}

/// Whether a value stands alone, or in the objects of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    Alone,
    Columned,
}

struct Builder<'b> {
    schemas: &'b Schemas,
    coverage: Coverage,
    /// References followed from the root to here.
    path: Vec<SchemaId>,
    made: usize,
}

impl Builder<'_> {
    fn parameters(&mut self, place: &str, declared: &[&Parameter]) -> View {
        let names: BTreeSet<&str> = declared.iter().map(|one| one.name.as_str()).collect();
        let mut taken = Names::new(&names, &[]);
        let members = declared
            .iter()
            .map(|parameter| {
                let pointer = child(&format!("/{place}"), &parameter.name);
                Member {
                    name: parameter.name.clone(),
                    attribute: taken.attribute(&parameter.name),
                    missing: None,
                    required: parameter.required,
                    view: self.view(&[parameter.schema], &pointer, 1, Setting::Alone),
                }
            })
            .collect();
        View::Record(members)
    }

    /// The view of a value that fits any of the schemas.
    fn view(&mut self, ids: &[SchemaId], pointer: &str, depth: usize, setting: Setting) -> View {
        self.made = self.made.saturating_add(1);
        let shape = shape_of(self.schemas, ids);
        let recursive = shape.through.iter().any(|id| self.path.contains(id));
        if recursive || depth > DEEPEST || self.made > MOST {
            self.coverage.put(pointer, Visibility::Opaque);
            return View::Opaque;
        }
        let length = self.path.len();
        self.path.extend(&shape.through);
        let view = self.shaped(&shape, pointer, depth, setting);
        self.path.truncate(length);
        view
    }

    fn shaped(&mut self, shape: &Shape, pointer: &str, depth: usize, setting: Setting) -> View {
        let lossy = setting == Setting::Columned || shape.unenforced;
        let seen = if lossy {
            Visibility::Lossy
        } else {
            Visibility::Visible
        };
        if let Some(view) = scalar(shape) {
            self.coverage.put(pointer, seen);
            return view;
        }
        let only = |types: Types| !shape.untyped && shape.types == types;
        if only(Types::OBJECT) {
            if !shape.properties.is_empty() {
                return self.record(shape, pointer, depth, setting);
            }
            return self.map(shape, pointer);
        }
        if only(Types::ARRAY) {
            return self.array(shape, pointer, depth);
        }
        self.coverage.put(pointer, Visibility::Opaque);
        View::Opaque
    }

    fn record(&mut self, shape: &Shape, pointer: &str, depth: usize, setting: Setting) -> View {
        if !shape.additional.is_empty() || shape.open {
            // Members beside the named ones are not seen, only listed as undeclared.
            self.coverage
                .put(&format!("{pointer}/*"), Visibility::Opaque);
        }
        View::Record(self.members(shape, pointer, depth, setting, &[]))
    }

    fn members(
        &mut self,
        shape: &Shape,
        pointer: &str,
        depth: usize,
        setting: Setting,
        reserved: &[&str],
    ) -> Vec<Member> {
        let names: BTreeSet<&str> = shape.properties.keys().map(String::as_str).collect();
        let mut taken = Names::new(&names, reserved);
        let deeper = depth.saturating_add(1);
        let mut members = Vec::new();
        for (name, property) in &shape.properties {
            let view = self.view(&property.schemas, &child(pointer, name), deeper, setting);
            let of_members = matches!(view, View::Record(_));
            let nullable = shape_of(self.schemas, &property.schemas).nullable;
            members.push(Member {
                attribute: taken.attribute(name),
                name: name.clone(),
                // The leaves of a nested object say it themselves.
                missing: (setting == Setting::Columned && !of_members).then(String::new),
                required: property.required && !nullable,
                view,
            });
        }
        for member in &mut members {
            if let Some(missing) = &mut member.missing {
                *missing = taken.unused(&format!("{}__missing", member.attribute));
            }
        }
        members
    }

    fn map(&mut self, shape: &Shape, pointer: &str) -> View {
        self.coverage.put(pointer, Visibility::Lossy);
        let inner = format!("{pointer}/*");
        let closed = !shape.open && !shape.additional.is_empty();
        let values = closed
            .then(|| shape_of(self.schemas, &shape.additional))
            .filter(|values| !values.nullable)
            .as_ref()
            .and_then(scalar)
            .map(Box::new);
        let seen = if values.is_some() {
            Visibility::Lossy
        } else {
            Visibility::Opaque
        };
        self.coverage.put(&inner, seen);
        View::Map { values }
    }

    fn array(&mut self, shape: &Shape, pointer: &str, depth: usize) -> View {
        let items = shape_of(self.schemas, &shape.items);
        let recursive = shape
            .through
            .iter()
            .chain(&items.through)
            .any(|id| items.through.contains(id) && self.path.contains(id));
        let inner = format!("{pointer}/*");
        if !shape.tuple && !items.nullable && !recursive {
            if let Some(item) = scalar(&items) {
                self.coverage.put(&inner, Visibility::Lossy);
                return View::Items(Box::new(item));
            }
            let objects = !items.untyped && items.types == Types::OBJECT;
            if objects && !items.properties.is_empty() && depth < DEEPEST {
                if !items.additional.is_empty() || items.open {
                    self.coverage.put(&format!("{inner}/*"), Visibility::Opaque);
                }
                let length = self.path.len();
                self.path.extend(&items.through);
                let deeper = depth.saturating_add(1);
                let members = self.members(&items, &inner, deeper, Setting::Columned, &["count"]);
                self.path.truncate(length);
                return View::Columns(members);
            }
        }
        self.coverage.put(pointer, Visibility::Opaque);
        View::Opaque
    }
}

/// The view of a scalar; none if it is not always one.
fn scalar(shape: &Shape) -> Option<View> {
    if !shape.is_scalar() {
        return None;
    }
    let types = shape.types;
    let numbers = Types::INTEGER.with(Types::NUMBER);
    Some(if types == Types::STRING {
        View::Text(shape.texts.clone())
    } else if types == Types::BOOLEAN {
        View::Bool
    } else if types == Types::INTEGER {
        View::Long
    } else if types == Types::NUMBER || types == numbers {
        View::Decimal
    } else {
        View::Mixed
    })
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Attribute names of one record. Names that begin with `__` are the policy language's own; a name that must give way
/// gets `_` appended until no other has it, in the order of the names.
struct Names<'n> {
    taken: BTreeSet<String>,
    reserved: &'n [&'n str],
}

impl<'n> Names<'n> {
    fn new(names: &BTreeSet<&str>, reserved: &'n [&'n str]) -> Self {
        let kept = |name: &&&str| !name.starts_with("__") && !reserved.contains(*name);
        let names = names.iter().filter(kept).map(|name| (*name).to_owned());
        let kept_back = reserved.iter().map(|name| (*name).to_owned());
        Self {
            taken: names.chain(kept_back).collect(),
            reserved,
        }
    }

    /// The attribute of a member.
    fn attribute(&mut self, name: &str) -> String {
        if name.starts_with("__") {
            return self.unused(&format!("_{}", name.trim_start_matches('_')));
        }
        if self.reserved.contains(&name) {
            return self.unused(name);
        }
        name.to_owned()
    }

    fn unused(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}
