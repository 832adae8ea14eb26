//! Questions of a server in the middle of a call (MCP 2026-07-28, multi round-trip requests; for clients of 2025-11-25 see `beside`).
//!
//! A server that needs something answers a call with questions, and the client repeats the call with the answers and the state it
//! was given. Only what the owner declared and the client can answer is passed on. The state that the client gets is ours: sealed
//! under a key of the installation, good for this call of this task for a while, and inside it are the questions and the server's
//! own state. Answers to what was not asked do not travel. The repeated call is decided and recorded like any other, answers included.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use writ_contract::{Ask, Operation};
use writ_types::{Digest, JsonLimits, KeyedDigest, Timestamp, Value};

use super::envelope::Envelope;
use super::{Caller, Fault, Revision};

/// How long a state is good, in seconds.
const GOOD_FOR: u64 = 600;
/// Most questions at once.
pub(super) const MOST_QUESTIONS: usize = 16;
/// Longest state, as it comes back, in characters.
const LONGEST_STATE: usize = 64 * 1024;

/// How a server asks, and how its client is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In the answer, and so is the client: both are of 2026-07-28.
    Answer,
    /// In the answer; the client, of 2025-11-25, is asked beside its call.
    Beside,
    /// Beside the answer, and so is the client: both are of 2025-11-25.
    Stream,
    /// Beside the answer; the client, of 2026-07-28, is asked in the answer to its request, and the call waits.
    Held,
}

impl Way {
    /// Whether the server asks beside its answer.
    pub(super) const fn is_beside(self) -> bool {
        matches!(self, Self::Stream | Self::Held)
    }
}

/// What may be asked in a call, and what its state is bound to. Nothing may be asked of a client that can answer nothing.
#[derive(Clone)]
pub(crate) struct Asking {
    may: BTreeSet<Ask>,
    way: Way,
    key: [u8; 32],
    /// Tenant, task, action and arguments.
    binding: Vec<u8>,
    api: String,
    now: Timestamp,
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking")
            .field("may", &self.may)
            .finish_non_exhaustive()
    }
}

/// What goes upstream with a repeated call: answers to questions that were asked, and the server's own state.
#[derive(Debug, Clone)]
pub(crate) struct Answers(Value);

impl Answers {
    /// The answer to one question of a server that asks beside its answer.
    pub(super) const fn one(answer: Value) -> Self {
        Self(answer)
    }

    /// The members of the parameters, as they are sent.
    pub(crate) fn as_value(&self) -> &Value {
        &self.0
    }

    /// The very bytes that are sent and recorded: an object.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::from(self.0.to_string())
    }
}

impl Asking {
    /// What may be asked in this call, and the answers it brings; none where nothing may be asked.
    ///
    /// # Errors
    ///
    /// [`Fault::Parameters`] if the answers are no object of objects, [`Fault::State`] for a state that was not given out for
    /// this very call, or is too old.
    pub(super) fn read(
        caller: &Caller<'_, '_>,
        operation: &Operation,
        envelope: &Envelope,
        arguments: &Value,
        revision: Revision,
    ) -> Result<Option<(Self, Option<Answers>)>, Fault> {
        let responses = envelope.member("inputResponses");
        let well_formed = responses.is_none_or(|given| {
            let given = given.as_object();
            given.is_some_and(|all| all.values().all(|one| one.as_object().is_some()))
        });
        if !well_formed {
            return Err(Fault::Parameters);
        }
        let state = envelope.optional_text("requestState")?;
        let declared = &operation.handling().asks;
        if declared.is_empty() || revision != Revision::Stateless {
            return if state.is_some() {
                Err(Fault::State)
            } else {
                Ok(None)
            };
        }
        let can = |ask: &&Ask| envelope.capability(ask.as_str());
        let may = declared.iter().filter(can).copied().collect();
        let asking = Self::of(caller, operation, arguments, may);
        let answers = state
            .map(|state| asking.open(state, responses))
            .transpose()?;
        Ok(Some((asking, answers)))
    }

    /// What may be asked of a client of a session that can answer this much; none where that is nothing.
    pub(super) fn beside(
        (caller, operation): (&Caller<'_, '_>, &Operation),
        arguments: &Value,
        can: &BTreeSet<Ask>,
        way: Way,
    ) -> Option<Self> {
        let may: BTreeSet<Ask> = operation
            .handling()
            .asks
            .intersection(can)
            .copied()
            .collect();
        if may.is_empty() {
            return None;
        }
        let asking = Self::of(caller, operation, arguments, may);
        Some(Self { way, ..asking })
    }

    /// The same, of a server that asks beside its answer.
    pub(super) fn held(self) -> Self {
        let way = Way::Held;
        Self { way, ..self }
    }

    /// How the server asks.
    pub(super) const fn way(&self) -> Way {
        self.way
    }

    fn of(
        caller: &Caller<'_, '_>,
        operation: &Operation,
        arguments: &Value,
        may: BTreeSet<Ask>,
    ) -> Self {
        let grant = caller.entered.grant();
        let digest = Digest::of(arguments.to_string().as_bytes());
        let mut binding = Vec::new();
        for part in [
            grant.tenant.as_str(),
            &grant.task.to_string(),
            &operation.action().to_string(),
        ] {
            binding.extend_from_slice(part.as_bytes());
            binding.push(0);
        }
        binding.extend_from_slice(digest.as_bytes());
        let key = &caller.gateway.parts.audit_key;
        Self {
            may,
            way: Way::Answer,
            key: *KeyedDigest::of(key, "mcp request state", b"").as_bytes(),
            binding,
            api: operation.action().api.to_string(),
            now: caller.now,
        }
    }

    /// The capabilities that the server is told of.
    pub(super) fn capabilities(&self) -> Value {
        let may = self.may.iter();
        Value::object(may.map(|ask| (ask.as_str(), Value::object::<&str>([]))))
    }

    /// The questions of a result, if each of them may be asked: an object of `inputRequests` and the server's `requestState`.
    ///
    /// A form is a form: an elicitation by URL leads a person to a page of the server's, and is not declared by any word.
    pub(super) fn questions(&self, result: &Value) -> Option<Value> {
        let requests = match result.member("inputRequests") {
            None => BTreeMap::new(),
            Some(given) => given.as_object()?.clone(),
        };
        let state = result.member("requestState");
        if self.way.is_beside()
            || requests.len() > MOST_QUESTIONS
            || requests.is_empty() && (state.is_none() || self.way == Way::Beside)
            || state.is_some_and(|state| state.as_str().is_none())
        {
            return None;
        }
        let mut asked = BTreeMap::new();
        for (key, request) in requests {
            asked.insert(key, self.question(&request)?);
        }
        let mut members = vec![("inputRequests", Value::Object(asked))];
        members.extend(state.map(|state| ("requestState", state.clone())));
        Some(Value::object(members))
    }

    /// One question, if it may be asked, saying whose it is.
    pub(super) fn question(&self, request: &Value) -> Option<Value> {
        let method = request.member("method")?.as_str()?;
        let ask = Ask::of_method(method).filter(|ask| self.may.contains(ask))?;
        let mut params = match request.member("params") {
            None => BTreeMap::new(),
            Some(params) => params.as_object()?.clone(),
        };
        if ask == Ask::Elicitation {
            let mode = params.get("mode").map(Value::as_str);
            let message = params.get("message").and_then(Value::as_str)?;
            if mode.is_some_and(|mode| mode != Some("form")) {
                return None;
            }
            let message = format!("The MCP server {} asks: {message}", self.api);
            params.insert("message".to_owned(), Value::from(message));
        }
        let origin = ("writ/origin", Value::from(self.api.as_str()));
        let trust = ("writ/trust", Value::from("untrusted"));
        // What the server says beside its question, and where it wants to hear of the answer, stays here.
        params.remove("task");
        params.insert("_meta".to_owned(), Value::object([origin, trust]));
        Some(Value::object([
            ("method", Value::from(method)),
            ("params", Value::Object(params)),
        ]))
    }

    /// The questions as the client gets them, with a state of ours.
    pub(super) fn sealed(&self, questions: &Value) -> Option<Value> {
        let requests = questions.member("inputRequests")?;
        let asked = requests.as_object()?.keys();
        let asked = asked.map(|key| Value::from(key.as_str())).collect();
        let until = self
            .now
            .millis_since_epoch()
            .saturating_add(GOOD_FOR.saturating_mul(1000));
        let mut members = vec![
            ("asked", Value::Array(asked)),
            ("until", Value::from_u64(until)),
        ];
        let own = questions.member("requestState");
        members.extend(own.map(|state| ("state", state.clone())));
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut bytes = Value::object(members).to_string().into_bytes();
        let key = self.cipher()?;
        let aad = Aad::from(self.binding.as_slice());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .ok()?;
        let state = URL_SAFE_NO_PAD.encode([&nonce[..], &bytes].concat());
        let mut result = vec![("requestState", Value::from(state))];
        let empty = requests.as_object().is_none_or(BTreeMap::is_empty);
        result.extend((!empty).then(|| ("inputRequests", requests.clone())));
        Some(Value::object(result))
    }

    /// Opens a state, and keeps of the answers those to its questions.
    pub(super) fn open(&self, state: &str, responses: Option<&Value>) -> Result<Answers, Fault> {
        let opened = self.opened(state).ok_or(Fault::State)?;
        let until = opened.member("until").and_then(Value::as_u64);
        if until.is_none_or(|until| until <= self.now.millis_since_epoch()) {
            return Err(Fault::State);
        }
        let asked = opened.member("asked").and_then(Value::as_array);
        let answered = asked.unwrap_or_default().iter().filter_map(|key| {
            let key = key.as_str()?;
            Some((key.to_owned(), responses?.member(key)?.clone()))
        });
        let mut members = vec![("inputResponses", Value::Object(answered.collect()))];
        let own = opened.member("state").cloned();
        members.extend(own.map(|state| ("requestState", state)));
        Ok(Answers(Value::object(members)))
    }

    fn opened(&self, state: &str) -> Option<Value> {
        if state.len() > LONGEST_STATE {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(state).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(self.binding.as_slice());
        let opened = self.cipher()?.open_in_place(nonce, aad, sealed).ok()?;
        Value::parse(opened, &JsonLimits::REQUEST).ok()
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, &self.key).ok()?;
        Some(LessSafeKey::new(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(may: &[Ask]) -> Asking {
        Asking {
            may: may.iter().copied().collect(),
            way: Way::Answer,
            key: [7; 32],
            binding: b"default\0task\0api:tool\0".to_vec(),
            api: "mail".to_owned(),
            now: Timestamp::from_secs(1_000),
        }
    }

    fn json(text: &str) -> Value {
        Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).unwrap()
    }

    const FORM: &str = r#"{"method":"elicitation/create","params":{"mode":"form","message":"Your name?","requestedSchema":{}}}"#;

    #[test]
    fn what_a_server_asks_is_passed_on_only_where_it_may() {
        let many: Vec<String> = (0..17).map(|key| format!(r#""{key}":{FORM}"#)).collect();
        let many = format!("{{{}}}", many.join(","));
        let by_url = FORM.replace("\"form\"", "\"url\"");
        let plain = FORM.replace(r#""mode":"form","#, "");
        let wordless = FORM.replace(r#""message":"Your name?","#, "");
        for (requests, passes) in [
            (format!(r#"{{"a":{FORM}}}"#), true),
            (format!(r#"{{"a":{plain}}}"#), true),
            (format!(r#"{{"a":{by_url}}}"#), false),
            (format!(r#"{{"a":{wordless}}}"#), false),
            (many, false),
            // Not declared, and not known.
            (
                format!(r#"{{"a":{FORM},"b":{{"method":"roots/list"}}}}"#),
                false,
            ),
            (
                r#"{"b":{"method":"sampling/createMessage","params":{}}}"#.to_owned(),
                false,
            ),
            (
                r#"{"b":{"method":"tools/call","params":{}}}"#.to_owned(),
                false,
            ),
            (r#"{"b":{"params":{}}}"#.to_owned(), false),
            (r#"{"b":7}"#.to_owned(), false),
            ("[]".to_owned(), false),
            ("{}".to_owned(), false),
        ] {
            let result = json(&format!(r#"{{"inputRequests":{requests}}}"#));
            let questions = asking(&[Ask::Elicitation]).questions(&result);
            assert_eq!(questions.is_some(), passes, "{requests:.80}");
        }
        let result = json(r#"{"requestState":7,"inputRequests":{}}"#);
        assert_eq!(asking(&[]).questions(&result), None);
        let result = json(r#"{"requestState":"later"}"#);
        assert!(
            asking(&[]).questions(&result).is_some(),
            "it asks for time alone"
        );
        let beside = Asking {
            way: Way::Beside,
            ..asking(&[])
        };
        assert_eq!(beside.questions(&result), None, "nobody could be asked");
    }

    #[test]
    fn beside_a_question_a_server_says_nothing() {
        let more = FORM.replace(
            r#""mode""#,
            r#""task":{"ttl":1},"_meta":{"progressToken":1,"writ/trust":"trusted"},"mode""#,
        );
        let passed = asking(&[Ask::Elicitation]).question(&json(&more)).unwrap();
        let params = passed.member("params").unwrap();
        assert_eq!(params.member("task"), None);
        assert_eq!(
            params.member("_meta").unwrap().to_string(),
            r#"{"writ/origin":"mail","writ/trust":"untrusted"}"#
        );
    }

    #[test]
    fn a_state_opens_for_its_call_while_it_is_good() {
        let given = asking(&[Ask::Elicitation]);
        let result = json(&format!(
            r#"{{"inputRequests":{{"a":{FORM}}},"requestState":"own"}}"#
        ));
        let sealed = given.sealed(&given.questions(&result).unwrap()).unwrap();
        let state = sealed
            .member("requestState")
            .and_then(Value::as_str)
            .unwrap();
        let answers = json(r#"{"a":{"action":"accept"},"b":{"action":"accept"}}"#);
        let opened = given.open(state, Some(&answers)).unwrap();
        assert_eq!(
            opened.as_value().to_string(),
            r#"{"inputResponses":{"a":{"action":"accept"}},"requestState":"own"}"#
        );
        let late = |seconds| Asking {
            now: Timestamp::from_secs(seconds),
            ..given.clone()
        };
        assert!(late(1_599).open(state, Some(&answers)).is_ok());
        assert_eq!(
            late(1_600).open(state, Some(&answers)).err(),
            Some(Fault::State)
        );
        let other = Asking {
            binding: b"default\0other\0api:tool\0".to_vec(),
            ..given.clone()
        };
        assert_eq!(other.open(state, Some(&answers)).err(), Some(Fault::State));
        let other = Asking {
            key: [8; 32],
            ..given.clone()
        };
        assert_eq!(other.open(state, Some(&answers)).err(), Some(Fault::State));
        let again = given.sealed(&given.questions(&result).unwrap()).unwrap();
        assert_ne!(again, sealed, "no two states are equal");
    }
}
