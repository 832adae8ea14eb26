//! What flows through a call: where the values of its arguments come from, what it writes, and what its response adds to
//! what the task knows (DESIGN §6 "data flow").
//!
//! The gateway cannot see how an agent came by a value. It looks at the value alone: whether the prompt, a bound, a trusted
//! field or a person has that very value. So nothing the agent read can talk it into accepting another.

use std::borrow::Cow;
use std::collections::BTreeSet;

use writ_contract::{CheckedResponse, Marked, Operation};
use writ_task::{Entered, Hearing, Read};
use writ_types::{
    ActionName, Argument, ArgumentOrigins, BoundPlace, BoundPointer, Canonical, Charge, Effect,
    Facts, Grant, Input, Kind, Origin, ReasonCode, Secret, Sighting, Timestamp, Trust, Value,
    ValueDigest, ValueDigests, Vouchers,
};

use crate::asked;
use crate::body::RequestBody;
use crate::gateway::Parts;
use crate::snapshot::Snapshot;

/// The kind of every text of an operation that nobody has reviewed: neither a prompt nor a field can vouch for what nobody
/// said the meaning of.
const UNREVIEWED: &str = "unreviewed";

/// Most identifiers that are judged in one payload. One with more has something nothing vouches for.
const MOST_IDENTIFIERS: usize = 64;

/// Most values of a call that are remembered as written. Beyond, what the task wrote is not known.
const MOST_WRITTEN: usize = 1024;

/// Most values of a response that are remembered for the cards of approvals.
const MOST_SEEN: usize = 512;

/// Longest text that is looked at for what a response showed.
const LONGEST_SEEN: usize = 4096;

/// What was found about the arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Where their values come from.
    pub(crate) origins: ArgumentOrigins,
    /// The forms of what the call says and nothing vouches for; none if there is more than can be told.
    pub(crate) written: Option<Vec<ValueDigest>>,
    /// The values that nothing vouches for; none if one of them could not be entered by anybody, because it is written to be
    /// overlooked or is one of too many.
    pub(crate) unvouched: Option<Vec<Unvouched>>,
    /// The forms of what a person has entered before.
    pub(crate) entered: BTreeSet<ValueDigest>,
}

impl Judged {
    /// Nobody has taken the body apart: what it has at marked places nothing vouches for, and nobody could enter it.
    fn hide_body(&mut self, marks: &[Marked]) {
        for marked in marks.iter().filter(|marked| is_judged_in_body(marked)) {
            self.origins.add(&marked.pointer, Origin::Unseen);
            self.unvouched = None;
        }
    }

    /// What the call writes, as it was permitted: `origins` say what a person has entered for it.
    pub(crate) fn written(
        mut self,
        key: &Secret<[u8; 32]>,
        origins: &ArgumentOrigins,
        read: &asked::Read<'_>,
    ) -> Written {
        let now = self
            .unvouched
            .iter()
            .flatten()
            .filter(|value| origins.weakest.get(&value.place) == Some(&Origin::Endorsement));
        let forms = now.filter_map(|value| value.form.as_ref());
        let forms: Vec<_> = forms.map(|form| ValueDigest::of_form(key, form)).collect();
        self.entered.extend(forms);
        Written {
            forms: self.written.filter(|_| read.is_told()),
            entered: self.entered,
        }
    }
}

/// What a call writes.
#[derive(Debug)]
pub(crate) struct Written {
    /// The forms that nothing vouches for; none if there is more than can be told.
    forms: Option<Vec<ValueDigest>>,
    /// Those of them that a person has entered, for this call or before.
    entered: BTreeSet<ValueDigest>,
}

impl Written {
    /// What of it, said back in the response, vouches for nothing: whoever asks for what they were told to ask for would hear
    /// it from the API. None if there is more than can be told.
    pub(crate) fn said(&self) -> Option<BTreeSet<ValueDigest>> {
        let forms = self.forms.as_ref()?.iter();
        Some(
            forms
                .filter(|form| !self.entered.contains(form))
                .copied()
                .collect(),
        )
    }

    /// What a record of at most so many bytes says of it; none if that is not all, or nothing is written.
    pub(crate) fn recorded(&self, charge: Charge, record_bytes: usize) -> Option<ValueDigests> {
        if charge.writes == 0 {
            return None;
        }
        // The rest of the record has to have room beside it.
        let most = record_bytes / 4 / ValueDigests::TEXT_BYTES;
        let forms = self.forms.as_ref().filter(|forms| forms.len() <= most);
        forms.map(|forms| ValueDigests(forms.clone()))
    }
}

/// A value that nothing vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unvouched {
    /// The argument's place, as the contract names it.
    pub(crate) place: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// As it stands in the call; of an identifier in a payload, its form.
    pub(crate) text: String,
    /// Its form; without one it is equal to its own text alone.
    pub(crate) form: Option<Canonical>,
    /// Whether it was seen.
    pub(crate) origin: Origin,
}

impl Unvouched {
    /// What a person's yes to it vouches for from then on: this value for this argument. None if it has no form.
    pub(crate) fn endorsement(
        &self,
        key: &Secret<[u8; 32]>,
        action: &ActionName,
    ) -> Option<(ValueDigest, ValueDigest)> {
        let form = self.form.as_ref()?;
        // As `Vouchers::origin` writes it.
        let place = BoundPointer::parse(&self.place).ok()?.to_string();
        let argument = ValueDigest::of_argument(key, &action.to_string(), &place, form);
        Some((argument, ValueDigest::of_form(key, form)))
    }
}

/// Judges the arguments of a call by what the task has to vouch with.
pub(crate) fn judge(
    key: &Secret<[u8; 32]>,
    operation: &Operation,
    input: &Input,
    vouchers: &Vouchers,
) -> Judged {
    let mut judged = Judged {
        unvouched: Some(Vec::new()),
        ..Judged::default()
    };
    judged.origins.unreviewed = !operation.reviewed();
    if operation.effects().external_send {
        judged.origins.free = Some(free(operation.marks(), input));
    }
    let mut judge = Judge {
        key,
        action: operation.action(),
        declared: operation.argument_names(),
        vouchers,
        objects: Vec::new(),
        judged,
        sensitive: BTreeSet::new(),
    };
    let values = sensitive(operation, input);
    judge.name_objects(&values);
    for argument in &values {
        judge.argument(argument);
    }
    for marked in operation.marks() {
        if marked.mark.payload && marked.mark.sensitive.is_none() {
            judge.payload(marked, input);
        }
    }
    judge.judged.written = judge.written(input);
    judge.judged
}

/// What was found about the arguments becomes facts of the call, with what the API's owner lets leave with it.
pub(crate) fn tell(
    facts: &mut Facts,
    operation: &Operation,
    judged: &mut Judged,
    read: &asked::Read<'_>,
) {
    if !read.is_told() {
        // What is passed on as it comes can say anything.
        judged.origins.free = None;
    }
    if !read.body_is_told() {
        judged.hide_body(operation.marks());
    }
    facts.arguments.clone_from(&judged.origins);
    facts.sinks.clone_from(&operation.handling().sink);
}

fn is_judged_in_body(marked: &Marked) -> bool {
    let is_judged = marked.mark.sensitive.is_some() || marked.mark.payload;
    is_judged && (marked.pointer == "/body" || marked.pointer.starts_with("/body/"))
}

/// Whether something in the body has to be vouched for.
pub(crate) fn judges_body(marks: &[Marked]) -> bool {
    marks.iter().any(is_judged_in_body)
}

/// One scalar at a sensitive place.
pub(crate) struct SensitiveValue<'a> {
    pub(crate) place: &'a str,
    kind: Kind,
    value: Cow<'a, Value>,
}

/// The scalars at sensitive places, and the names there that whoever calls has chosen. `null` is no value; a truth value is
/// one that no kind has.
pub(crate) fn sensitive<'a>(operation: &'a Operation, input: &'a Input) -> Vec<SensitiveValue<'a>> {
    let mut found = Vec::new();
    for marked in operation.marks() {
        let Some(kind) = &marked.mark.sensitive else {
            continue;
        };
        let unreviewed = kind.as_str() == UNREVIEWED;
        for value in scalars_at(input, &marked.pointer) {
            // Of an operation that nobody reviewed only texts are sensitive.
            let counts = !unreviewed || matches!(value, Value::String(_));
            if counts && *value != Value::Null {
                found.push(SensitiveValue {
                    place: &marked.pointer,
                    kind: kind.clone(),
                    value: Cow::Borrowed(value),
                });
            }
        }
        let declared = operation.argument_names();
        let mut chosen = names::chosen_below(input, &marked.pointer, declared);
        if unreviewed {
            chosen.extend(names::chosen_here(input, &marked.pointer, declared));
        }
        found.extend(chosen.into_iter().map(|name| SensitiveValue {
            place: &marked.pointer,
            kind: kind.clone(),
            value: Cow::Owned(Value::from(name)),
        }));
    }
    found
}

struct Judge<'j> {
    key: &'j Secret<[u8; 32]>,
    action: &'j ActionName,
    /// The names of members that the contract has.
    declared: &'j BTreeSet<String>,
    vouchers: &'j Vouchers,
    objects: Vec<Canonical>,
    judged: Judged,
    /// The values that vouch, as they stand in the input: writing them launders nothing.
    sensitive: BTreeSet<String>,
}

impl Judge<'_> {
    /// The objects a reply could be to: arguments that something other than a party vouches for.
    fn name_objects(&mut self, values: &[SensitiveValue<'_>]) {
        let objects = values.iter().filter_map(|argument| {
            let value = argument.kind.canonical(&argument.value)?;
            let origin = self.origin(argument.place, &value, &[]);
            origin.vouches().then_some(value)
        });
        self.objects = objects.collect();
    }

    fn origin(&self, place: &str, value: &Canonical, objects: &[Canonical]) -> Origin {
        let Ok(place) = BoundPointer::parse(place) else {
            return Origin::Unseen;
        };
        let argument = Argument {
            action: self.action,
            place: &place,
            objects,
        };
        self.vouchers.origin(self.key, &argument, value)
    }

    fn argument(&mut self, argument: &SensitiveValue<'_>) {
        let place = BoundPointer::parse(argument.place).ok();
        let bound = place
            .as_ref()
            .is_some_and(|place| self.vouchers.is_bound(self.action, place));
        // A bound that is no list admits values that the agent chose.
        let chosen = !place
            .as_ref()
            .is_some_and(|place| self.vouchers.is_listed(self.action, place));
        let value = argument.kind.canonical(&argument.value);
        let prompted = |origin| matches!(origin, Origin::Prompt | Origin::Field | Origin::Party);
        let origin = match &value {
            _ if bound => Origin::Bounds,
            Some(value) if argument.kind.as_str() == UNREVIEWED => {
                let origin = self.origin(argument.place, value, &[]);
                if prompted(origin) {
                    Origin::Seen
                } else {
                    origin
                }
            }
            Some(value) => self.origin(argument.place, value, &self.objects),
            None => Origin::Unseen,
        };
        if matches!(origin, Origin::Prompt | Origin::Field) || origin == Origin::Bounds && !chosen {
            self.sensitive.insert(argument.value.to_string());
        }
        if let Some(value) = value.as_ref().filter(|_| origin == Origin::Endorsement) {
            let form = ValueDigest::of_form(self.key, value);
            self.judged.entered.insert(form);
        }
        self.judged.origins.add(argument.place, origin);
        let text = argument
            .value
            .as_str()
            .map_or_else(|| argument.value.to_string(), str::to_owned);
        self.unvouched(argument.place, &argument.kind, text, value, origin);
    }

    /// Keeps a value for the card of an approval, if nothing vouches for it.
    fn unvouched(
        &mut self,
        place: &str,
        kind: &Kind,
        text: String,
        form: Option<Canonical>,
        origin: Origin,
    ) {
        if origin.vouches() {
            return;
        }
        let found = Unvouched {
            place: place.to_owned(),
            kind: kind.clone(),
            text,
            form,
            origin,
        };
        let kept = self.judged.unvouched.take();
        self.judged.unvouched =
            kept.filter(|kept| kept.len() < MOST_IDENTIFIERS)
                .map(|mut kept| {
                    if !kept.contains(&found) {
                        kept.push(found);
                    }
                    kept
                });
    }

    /// The identifiers in a payload are values like any others; whatever kind an owner gives them, the same form counts.
    fn payload(&mut self, marked: &Marked, input: &Input) {
        let place = &marked.pointer;
        let bound = BoundPointer::parse(place)
            .is_ok_and(|place| self.vouchers.is_bound(self.action, &place));
        let names = names::chosen_below(input, place, self.declared);
        let texts = scalars_at(input, place)
            .into_iter()
            .filter_map(Value::as_str);
        for text in texts.chain(names).filter(|_| !bound) {
            let Some(identifiers) = Canonical::identifiers(text, MOST_IDENTIFIERS) else {
                self.judged.origins.add(place, Origin::Unseen);
                self.judged.unvouched = None;
                continue;
            };
            for identifier in identifiers {
                let origin = match &identifier.form {
                    Some(form) => self.origin(place, form, &[]),
                    None => Origin::Unseen,
                };
                let known = identifier.form.as_ref().is_some_and(|form| {
                    let form = ValueDigest::of_form(self.key, form);
                    self.knows(form)
                });
                let origin = if known {
                    origin.min(Origin::Field)
                } else {
                    origin
                };
                self.judged.origins.add(place, origin);
                match identifier.form {
                    Some(form) => {
                        // As people write it: the form of a web address begins where they begin with the host.
                        let text = form.as_str();
                        let text = text.strip_prefix("//").unwrap_or(text).to_owned();
                        self.unvouched(place, &identifier.kind, text, Some(form), origin);
                    }
                    None => self.judged.unvouched = None,
                }
            }
        }
    }

    fn knows(&self, form: ValueDigest) -> bool {
        let origins = self.vouchers.origins.as_deref();
        origins.is_some_and(|origins| origins.knows_form(form))
    }

    /// The forms of everything the call says that nothing vouches for. A value that is read as several kinds is
    /// remembered in each of its forms, and so are the identifiers in a text.
    fn written(&self, input: &Input) -> Option<Vec<ValueDigest>> {
        let groups = [&input.path, &input.query, &input.header];
        let mut leaves = Vec::new();
        for value in groups
            .into_iter()
            .flat_map(|group| group.values())
            .chain(&input.body)
        {
            scalars(value, &mut leaves, MOST_WRITTEN);
        }
        let names = names::chosen_anywhere(input, self.declared).into_iter();
        let names: Vec<Value> = names.map(Value::from).collect();
        if leaves.len().saturating_add(names.len()) > MOST_WRITTEN {
            return None;
        }
        let mut forms = BTreeSet::new();
        for leaf in leaves.into_iter().chain(&names) {
            if self.sensitive.contains(&leaf.to_string()) {
                continue;
            }
            for form in forms_of(leaf, MOST_IDENTIFIERS)? {
                let form = ValueDigest::of_form(self.key, &form);
                if !self.knows(form) {
                    forms.insert(form);
                }
            }
            if forms.len() > MOST_WRITTEN {
                return None;
            }
        }
        Some(forms.into_iter().collect())
    }
}

/// The places of what a call says beside its arguments: whoever chooses it can say anything there. An argument that is absent
/// says nothing; a `null` elsewhere has a name at least.
fn free(marks: &[Marked], input: &Input) -> BTreeSet<String> {
    let judged: Vec<Vec<String>> = marks
        .iter()
        .filter(|marked| marked.mark.sensitive.is_some())
        .map(|marked| {
            let tokens = marked.pointer.split('/').skip(1);
            let plain = |token: &str| token.replace("~1", "/").replace("~0", "~");
            tokens.map(plain).collect()
        })
        .collect();
    let mut found = BTreeSet::new();
    let mut place = Vec::new();
    let groups = [
        ("path", &input.path),
        ("query", &input.query),
        ("header", &input.header),
    ];
    for (group, values) in groups {
        for (name, value) in values {
            place.extend([group.to_owned(), name.clone()]);
            unjudged(value, &mut place, &judged, &mut found);
            place.clear();
        }
    }
    if let Some(body) = &input.body {
        place.push("body".to_owned());
        unjudged(body, &mut place, &judged, &mut found);
    }
    found
}

fn unjudged(
    value: &Value,
    place: &mut Vec<String>,
    judged: &[Vec<String>],
    found: &mut BTreeSet<String>,
) {
    let lies_in = |outer: &Vec<String>| {
        let mut tokens = place.iter();
        outer.iter().all(|token| {
            tokens
                .next()
                .is_some_and(|own| token == "*" || token == own)
        })
    };
    // One place says as much as many.
    if found.len() >= MOST_IDENTIFIERS || judged.iter().any(lies_in) {
        return;
    }
    let members: Vec<(String, &Value)> = match value {
        Value::Array(items) => (0usize..)
            .map(|index| index.to_string())
            .zip(items)
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let empty_body = place.len() == 1 && matches!(value, Value::Object(_));
    if members.is_empty() && !empty_body {
        let tokens = place.iter();
        let tokens =
            tokens.map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")));
        found.insert(tokens.collect());
    }
    for (name, member) in members {
        place.push(name);
        unjudged(member, place, judged, found);
        place.pop();
    }
}

/// Every form a value could come back in; none if there are more than `most` identifiers in it.
fn forms_of(value: &Value, most: usize) -> Option<Vec<Canonical>> {
    let own = Kind::Own("value".into());
    let kinds = [own, Kind::Amount].into_iter().chain(Kind::KNOWN);
    let mut forms: Vec<Canonical> = kinds.filter_map(|kind| kind.canonical(value)).collect();
    if let Some(text) = value.as_str() {
        // Text comes back without the white space around it, without what is not seen, and in one case.
        let own = Kind::Own("value".into());
        let folded = Canonical::folded(text);
        let spellings = [folded.to_lowercase(), folded.to_uppercase(), folded];
        forms.extend(spellings.iter().filter_map(|text| own.of_text(text.trim())));
        forms.extend(own.of_text(text.trim()));
        let identifiers = Canonical::identifiers(text, most)?;
        forms.extend(identifiers.into_iter().filter_map(|found| found.form));
    }
    Some(forms)
}

/// Lets the task carry what a call is about to bring it and to write, before the upstream hears of it: what a call under
/// way writes, another could read back. `written`: none if there is more than can be told.
///
/// # Errors
///
/// The task is over, or the store cannot be written.
pub(crate) async fn carry(
    parts: &Parts,
    entered: &Entered,
    operation: &Operation,
    written: &Written,
    now: Timestamp,
) -> Result<(), ReasonCode> {
    let ledger = &parts.ledger;
    ledger
        .add_labels(entered, &operation.response_labels())
        .await
        .map_err(|fault| fault.reason())?;
    if operation.effects().kind == Effect::Read {
        return Ok(());
    }
    ledger
        .write(entered, written.forms.as_deref(), &written.entered, now)
        .await
        .map_err(|fault| fault.reason())
}

/// What a body that passes as it comes is held against, where a rule looks at what the task has read: what it brings later
/// was not there to be decided on.
pub(crate) fn hearing(
    snapshot: &Snapshot,
    operation: &Operation,
    entered: &Entered,
    facts: &Facts,
    body: &RequestBody,
) -> Option<Hearing> {
    let passes = matches!(body, RequestBody::Streamed(..));
    let matters = passes && snapshot.pdp.looks_at_labels(operation.action());
    // What it will read itself joined just now.
    let known = || {
        facts
            .labels
            .union(&operation.response_labels())
            .cloned()
            .collect()
    };
    matters.then(|| entered.hearing(known()))
}

/// What of a response the task remembers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The values that vouch.
    Sources,
    /// Those, and what else it showed: a card may be shown of it.
    Sights,
}

impl Memory {
    /// A task that holds an operation with a sensitive argument remembers what it was shown, so that a person can be told
    /// where a value was seen.
    pub(crate) fn of(snapshot: &Snapshot, grant: &Grant) -> Self {
        let is_watched = grant.actions.iter().any(|action| {
            let api = snapshot.apis.get(&action.api);
            let operation = api.and_then(|api| api.contract.operation(&action.operation));
            operation.is_some_and(|operation| {
                let mut marks = operation.marks().iter();
                marks.any(|marked| marked.mark.sensitive.is_some() || marked.mark.payload)
            })
        });
        if is_watched {
            Self::Sights
        } else {
            Self::Sources
        }
    }
}

/// What a response that conforms adds to what the task knows.
pub(crate) fn read(
    key: &Secret<[u8; 32]>,
    operation: &Operation,
    checked: &CheckedResponse,
    memory: Memory,
) -> Read {
    let mut read = Read::default();
    let Some(whole) = &checked.value else {
        return read;
    };
    let sources = operation.source_values(checked);
    let of = |trust: Trust| {
        sources
            .iter()
            .filter(move |found| found.source.trust == trust)
    };
    let trusted: Vec<_> = of(Trust::Trusted)
        .filter_map(|found| {
            let form = found.source.kind.canonical(found.value)?;
            Some((found.pointer.as_str(), form))
        })
        .collect();
    for (_, value) in &trusted {
        read.sources.push(Sighting {
            value: ValueDigest::of(key, value),
            form: ValueDigest::of_form(key, value),
            origin: Origin::Field,
        });
    }
    for party in of(Trust::Party) {
        let Some(value) = party.source.kind.canonical(party.value) else {
            continue;
        };
        let own = trusted
            .iter()
            .filter(|(pointer, _)| is_object_of(pointer, &party.pointer));
        for (_, object) in own {
            read.sources.push(Sighting {
                value: ValueDigest::of_reply(key, object, &value),
                form: ValueDigest::of_form(key, &value),
                origin: Origin::Party,
            });
        }
    }
    if memory == Memory::Sights {
        read.seen = seen(key, whole);
    }
    read
}

/// Whether the field at `id` names the object that the field at `party` belongs to: it stands in the same object or in one
/// around it, within the same item of every list.
fn is_object_of(id: &str, party: &str) -> bool {
    let (object, _name) = id.rsplit_once('/').unwrap_or_default();
    let Some(rest) = party
        .strip_prefix(object)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return false;
    };
    let is_index =
        |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    !rest.split('/').any(is_index)
}

/// The forms of everything in what was shown that could be an argument.
pub(crate) fn seen(key: &Secret<[u8; 32]>, whole: &Value) -> Vec<ValueDigest> {
    let mut leaves = Vec::new();
    scalars(whole, &mut leaves, MOST_SEEN);
    let mut forms = BTreeSet::new();
    for leaf in leaves.into_iter().take(MOST_SEEN) {
        if leaf.as_str().is_some_and(|text| text.len() > LONGEST_SEEN) {
            continue;
        }
        let found = forms_of(leaf, MOST_IDENTIFIERS).unwrap_or_default();
        forms.extend(found.iter().map(|form| ValueDigest::of_form(key, form)));
        if forms.len() >= MOST_SEEN {
            break;
        }
    }
    forms.into_iter().take(MOST_SEEN).collect()
}

/// The scalars at a place of the input, where `*` is every item or member. What lies below the place counts too.
fn scalars_at<'a>(input: &'a Input, pointer: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    for node in nodes_at(input, pointer) {
        scalars(node, &mut found, usize::MAX);
    }
    found
}

/// The place around one; none around a part of the input.
fn parent_of(pointer: &str) -> Option<&str> {
    let (parent, _) = pointer.rsplit_once('/')?;
    (!parent.is_empty()).then_some(parent)
}

/// What stands at a place of the input.
fn nodes_at<'a>(input: &'a Input, pointer: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    let Ok(place) = BoundPointer::parse(pointer) else {
        // The whole body.
        found.extend(input.body.as_ref().filter(|_| pointer == "/body"));
        return found;
    };
    let tokens: Vec<_> = place.inner().tokens().collect();
    let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
    let group = match place.place() {
        BoundPlace::Path => &input.path,
        BoundPlace::Query => &input.query,
        BoundPlace::Header => &input.header,
        BoundPlace::Body => {
            if let Some(body) = &input.body {
                walk(body, &tokens, &mut found);
            }
            return found;
        }
    };
    let Some((name, rest)) = tokens.split_first() else {
        return found;
    };
    for (_, value) in group
        .iter()
        .filter(|(own, _)| *name == "*" || own.as_str() == *name)
    {
        walk(value, rest, &mut found);
    }
    found
}

fn walk<'a>(value: &'a Value, tokens: &[&str], found: &mut Vec<&'a Value>) {
    let Some((token, rest)) = tokens.split_first() else {
        found.push(value);
        return;
    };
    match value {
        Value::Array(items) if *token == "*" => {
            items.iter().for_each(|item| walk(item, rest, found));
        }
        Value::Object(members) if *token == "*" => {
            members
                .values()
                .for_each(|member| walk(member, rest, found));
        }
        Value::Object(members) => {
            if let Some(member) = members.get(*token) {
                walk(member, rest, found);
            }
        }
        // Several schemas may speak of one place: what is no list there is no item of one.
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The scalars of a value, until there are more than `most`.
fn scalars<'a>(value: &'a Value, found: &mut Vec<&'a Value>, most: usize) {
    if found.len() > most {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| scalars(item, found, most)),
        Value::Object(members) => members
            .values()
            .for_each(|member| scalars(member, found, most)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(value),
    }
}

mod names;
#[cfg(test)]
mod tests;
