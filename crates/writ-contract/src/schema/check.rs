//! Checking a value against a schema: every fault with a pointer that only the contract's own names make up.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Decimal, Number, Pointer, Value};

use super::{
    Additional, ArrayRules, Direction, Format, NumberRules, ObjectRules, Schema, SchemaId, Schemas,
    StringRules,
};
use crate::fault::{Fault, FaultKind};

/// Most faults reported of one call.
const MOST_FAULTS: usize = 32;
/// Most schemas applied to one call: alternatives in alternatives multiply.
const MOST_STEPS: usize = 2_000_000;
/// Deepest recursion, values and schemas together.
const DEEPEST: usize = 256;

/// Collects the faults of one call, with a bound.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Vec<Fault>,
    /// All faults, also those beyond the bound.
    count: usize,
    steps: usize,
    exhausted: bool,
}

impl Faults {
    pub(crate) fn push(&mut self, pointer: impl Into<String>, kind: FaultKind) {
        self.count = self.count.saturating_add(1);
        if self.found.len() < MOST_FAULTS {
            self.found.push(Fault {
                pointer: pointer.into(),
                kind,
            });
        }
    }

    /// Whether one more step is within bounds.
    pub(crate) fn step(&mut self) -> bool {
        self.steps = self.steps.saturating_add(1);
        self.exhausted |= self.steps > MOST_STEPS;
        !self.exhausted
    }

    pub(crate) const fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    pub(crate) fn exhaust(&mut self) {
        self.exhausted = true;
    }

    /// The faults. What could not be checked is one, whatever was found before.
    pub(crate) fn finish(mut self, place: &str) -> Vec<Fault> {
        if self.exhausted {
            self.found.truncate(MOST_FAULTS.saturating_sub(1));
            self.found.push(Fault {
                pointer: place.to_owned(),
                kind: FaultKind::Complexity,
            });
        }
        self.found
    }
}

/// Checks `value` of a request, which stands at `pointer`, against a schema.
pub(crate) fn check(
    schemas: &Schemas,
    id: SchemaId,
    value: &Value,
    pointer: &str,
    faults: &mut Faults,
) {
    Check::new(schemas, Direction::Request, pointer, faults).value(id, value);
}

/// Checks `value` of a response, which stands at `pointer`, against a schema.
pub(crate) fn check_response(
    schemas: &Schemas,
    id: SchemaId,
    value: &Value,
    pointer: &str,
    faults: &mut Faults,
) {
    Check::new(schemas, Direction::Response, pointer, faults).value(id, value);
}

/// Whether `value` of a request fits, at the cost of `faults`' steps.
pub(crate) fn fits(schemas: &Schemas, id: SchemaId, value: &Value, faults: &mut Faults) -> bool {
    Check::new(schemas, Direction::Request, "", faults).fits(id, value)
}

/// Whether `value` fits when it travels in this direction, at the cost of `faults`' steps.
pub(crate) fn fits_in(
    schemas: &Schemas,
    direction: Direction,
    id: SchemaId,
    value: &Value,
    faults: &mut Faults,
) -> bool {
    Check::new(schemas, direction, "", faults).fits(id, value)
}

struct Check<'c> {
    schemas: &'c Schemas,
    direction: Direction,
    faults: &'c mut Faults,
    pointer: String,
    depth: usize,
}

impl<'c> Check<'c> {
    fn new(
        schemas: &'c Schemas,
        direction: Direction,
        pointer: &str,
        faults: &'c mut Faults,
    ) -> Self {
        Self {
            schemas,
            direction,
            faults,
            pointer: pointer.to_owned(),
            depth: 0,
        }
    }
}

impl Check<'_> {
    fn fault(&mut self, kind: FaultKind) {
        self.faults.push(self.pointer.as_str(), kind);
    }

    /// Runs `inner` one token deeper.
    fn below(&mut self, token: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.pointer.len();
        self.pointer.push('/');
        if token.contains(['~', '/']) {
            self.pointer
                .push_str(&token.replace('~', "~0").replace('/', "~1"));
        } else {
            self.pointer.push_str(token);
        }
        inner(self);
        self.pointer.truncate(length);
    }

    /// Whether the value fits; the faults on the way are not reported.
    fn fits(&mut self, id: SchemaId, value: &Value) -> bool {
        let (count, length) = (self.faults.count, self.faults.found.len());
        self.value(id, value);
        let fits = self.faults.count == count && !self.faults.exhausted;
        self.faults.count = count;
        self.faults.found.truncate(length);
        fits
    }

    fn value(&mut self, id: SchemaId, value: &Value) {
        if !self.faults.step() || self.depth >= DEEPEST {
            self.faults.exhaust();
            return;
        }
        self.depth = self.depth.saturating_add(1);
        self.schema(self.schemas.of(id), value);
        self.depth = self.depth.saturating_sub(1);
    }

    fn schema(&mut self, schema: &Schema, value: &Value) {
        if schema.nullable && *value == Value::Null {
            return;
        }
        if schema.never {
            self.fault(FaultKind::Forbidden);
            return;
        }
        if !schema.types.admit(value) {
            self.fault(FaultKind::Type);
            return;
        }
        if let Some(values) = &schema.values
            && !values.contains(value)
        {
            self.fault(FaultKind::Enum);
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                self.number(number, schema.number.as_deref(), schema.format);
            }
            Value::String(text) => self.string(text, schema.string.as_deref(), schema.format),
            Value::Array(items) => {
                if let Some(rules) = &schema.array {
                    self.array(items, rules);
                }
            }
            Value::Object(members) => {
                if let Some(rules) = &schema.object {
                    self.object(members, rules);
                }
            }
        }
        self.applied(schema, value);
    }

    /// The schemas that apply to the same value.
    fn applied(&mut self, schema: &Schema, value: &Value) {
        for id in schema.reference.iter().chain(&schema.all_of) {
            self.value(*id, value);
        }
        if !schema.any_of.is_empty() && !schema.any_of.iter().any(|id| self.fits(*id, value)) {
            self.fault(FaultKind::Alternatives);
        }
        if !schema.one_of.is_empty() {
            let fitting = schema
                .one_of
                .iter()
                .filter(|id| self.fits(**id, value))
                .count();
            if fitting != 1 {
                self.fault(FaultKind::Alternatives);
            }
        }
        if let Some(id) = schema.not
            && self.fits(id, value)
        {
            self.fault(FaultKind::Excluded);
        }
    }

    fn number(&mut self, number: &Number, rules: Option<&NumberRules>, format: Option<Format>) {
        let Some(exact) = number.to_decimal() else {
            // An exponent beyond what any API means cannot be compared.
            self.fault(FaultKind::Range);
            return;
        };
        let in_format = match format {
            Some(Format::Int32) => exact
                .as_i64()
                .is_some_and(|whole| i32::try_from(whole).is_ok()),
            Some(Format::Int64) => exact.as_i64().is_some(),
            Some(Format::Date | Format::DateTime) | None => true,
        };
        if !in_format {
            self.fault(FaultKind::Format);
        }
        let Some(rules) = rules else { return };
        let low = rules.minimum.as_ref().is_some_and(|least| exact < *least)
            || rules.above.as_ref().is_some_and(|least| exact <= *least);
        let high = rules.maximum.as_ref().is_some_and(|most| exact > *most)
            || rules.below.as_ref().is_some_and(|most| exact >= *most);
        let odd = rules
            .multiple_of
            .as_ref()
            .is_some_and(|step| !is_multiple(&exact, step));
        if low || high || odd {
            self.fault(FaultKind::Range);
        }
    }

    fn string(&mut self, text: &str, rules: Option<&StringRules>, format: Option<Format>) {
        let in_format = match format {
            Some(Format::Date) => date(text),
            Some(Format::DateTime) => date_time(text),
            Some(Format::Int32 | Format::Int64) | None => true,
        };
        if !in_format {
            self.fault(FaultKind::Format);
        }
        let Some(rules) = rules else { return };
        let length = text.chars().count();
        if rules.shortest.is_some_and(|least| length < least)
            || rules.longest.is_some_and(|most| length > most)
        {
            self.fault(FaultKind::Length);
        }
        if rules
            .pattern
            .as_ref()
            .is_some_and(|pattern| !pattern.is_match(text))
        {
            self.fault(FaultKind::Pattern);
        }
    }

    fn array(&mut self, items: &[Value], rules: &ArrayRules) {
        if rules.fewest.is_some_and(|least| items.len() < least)
            || rules.most.is_some_and(|most| items.len() > most)
        {
            self.fault(FaultKind::Count);
        }
        if rules.unique {
            let mut seen = BTreeSet::new();
            if !items.iter().all(|item| seen.insert(identity(item))) {
                self.fault(FaultKind::Unique);
            }
        }
        for (index, item) in items.iter().enumerate() {
            let Some(id) = rules.prefix.get(index).copied().or(rules.items) else {
                return;
            };
            self.below(&index.to_string(), |check| check.value(id, item));
        }
    }

    fn object(&mut self, members: &BTreeMap<String, Value>, rules: &ObjectRules) {
        if rules.fewest.is_some_and(|least| members.len() < least)
            || rules.most.is_some_and(|most| members.len() > most)
        {
            self.fault(FaultKind::Count);
        }
        let back = self.direction == Direction::Response;
        let directed = rules.directed.as_deref().filter(|_| back);
        let spared =
            |name: &String| directed.is_some_and(|directed| directed.requests_alone.contains(name));
        let more = directed
            .iter()
            .flat_map(|directed| &directed.responses_alone);
        let required = rules.required.iter().filter(|name| !spared(name));
        for name in required.chain(more.filter(|name| !spared(name))) {
            if !members.contains_key(name) {
                self.below(name, |check| check.fault(FaultKind::Missing));
            }
        }
        for (name, member) in members {
            if let Some(id) = rules.names {
                let name = Value::from(name.as_str());
                if !self.fits(id, &name) {
                    self.fault(FaultKind::Undeclared);
                }
            }
            self.member(name, member, rules);
        }
    }

    fn member(&mut self, name: &str, member: &Value, rules: &ObjectRules) {
        let mut declared = false;
        if let Some(id) = rules.properties.get(name) {
            declared = true;
            self.below(name, |check| check.value(*id, member));
        }
        for (pattern, id) in &rules.patterns {
            if pattern.is_match(name) {
                declared = true;
                self.below("*", |check| check.value(*id, member));
            }
        }
        if declared {
            return;
        }
        match rules.additional {
            Additional::Unsaid | Additional::Open => {}
            Additional::Closed => self.fault(FaultKind::Undeclared),
            Additional::Schema(id) => self.below("*", |check| check.value(id, member)),
        }
    }
}

/// Whether `number` is a whole multiple of `step`, exactly. What does not fit 128 bits is none.
fn is_multiple(number: &Decimal, step: &Decimal) -> bool {
    (0..=30)
        .find_map(|places| Some((number.scaled_i128(places)?, step.scaled_i128(places)?)))
        .is_some_and(|(number, step)| number.checked_rem(step) == Some(0))
}

/// A text that is the same for equal values and for no others.
fn identity(value: &Value) -> String {
    match value {
        Value::Number(number) => number
            .to_decimal()
            .map_or_else(|| number.as_str().to_owned(), |exact| exact.to_string()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(identity).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, member)| {
                    format!("{}:{}", Value::from(name.as_str()), identity(member))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

/// A full-date of RFC 3339 §5.6.
fn date(text: &str) -> bool {
    let Some((year, rest)) = text.split_once('-') else {
        return false;
    };
    let Some((month, day)) = rest.split_once('-') else {
        return false;
    };
    let Some(year) = digits(year, 4) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let longest = match digits(month, 2) {
        Some(1 | 3 | 5 | 7 | 8 | 10 | 12) => 31,
        Some(4 | 6 | 9 | 11) => 30,
        Some(2) if leap => 29,
        Some(2) => 28,
        Some(_) | None => return false,
    };
    digits(day, 2).is_some_and(|day| (1..=longest).contains(&day))
}

/// A date-time of RFC 3339 §5.6; a leap second is allowed.
fn date_time(text: &str) -> bool {
    let Some((day, time)) = text.split_once(['T', 't']) else {
        return false;
    };
    let (clock, zone_ok) = if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        (clock, true)
    } else if let Some((clock, zone)) = time.rsplit_once(['+', '-']) {
        (clock, hour_minute(zone))
    } else {
        return false;
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let fraction_ok = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let Some((minutes, seconds)) = clock.rsplit_once(':') else {
        return false;
    };
    date(day)
        && zone_ok
        && fraction_ok
        && hour_minute(minutes)
        && digits(seconds, 2).is_some_and(|seconds| seconds <= 60)
}

fn hour_minute(text: &str) -> bool {
    text.split_once(':').is_some_and(|(hour, minute)| {
        digits(hour, 2).is_some_and(|hour| hour < 24)
            && digits(minute, 2).is_some_and(|minute| minute < 60)
    })
}

fn digits(text: &str, length: usize) -> Option<u32> {
    let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A pointer's token, for those who build pointers as text.
pub(super) fn child(pointer: &str, name: &str) -> String {
    let token = Pointer::root().child(name);
    format!("{pointer}{token}")
}
