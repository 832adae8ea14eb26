//! Calls of a server that is a program of this machine (stdio transport, both revisions): one process for each task, as with sessions, so that nothing
//! it keeps of one task reaches another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{self, HeaderValue};
use memchr::memmem::Finder;
use writ_types::{
    AgentId, ApiId, CallId, JsonLimits, Monotonic, ProgramName, ReasonCode, Secret, Value,
};

use super::Sent;
use super::process::{Process, Said};
use super::session::{OPENING, opening, speaks};
use super::sessions::{Held, Open};
use crate::coming::{Coming, Unfinished};
use crate::gateway::Gateway;
use crate::mcp::Revision;
use crate::pool::Unanswered;
use crate::snapshot::ApiSnapshot;

/// How long a program that ended by itself is not started again, after its second end in a row; twice as long after each that follows.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many agents have to wait for a program before all do.
const MANY: usize = 3;
/// How long after its pause an end is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What a program is started with, if it is not running.
#[derive(Debug)]
pub(crate) struct Starting {
    pub(crate) name: ProgramName,
    pub(crate) credential: Option<Secret<String>>,
    /// What is kept out of the log.
    pub(crate) finders: Arc<[Finder<'static>]>,
}

/// How often programs ended by themselves, by the API that runs them and the agent whose calls they ended in: an agent that makes a program
/// end stops it for itself. Where the calls of several agents end it, it stops for all.
#[derive(Debug, Default)]
pub(super) struct Crashes(Mutex<BTreeMap<Whose, Crashed>>);

/// The API and the agent.
type Whose = (ApiId, AgentId);

#[derive(Debug, Clone, Copy)]
struct Crashed {
    times: u32,
    until: Monotonic,
}

impl Crashes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Whose, Crashed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, whose: &Whose, now: Monotonic) -> bool {
        let all = self.all();
        let waits = |crashed: &Crashed| crashed.until > now;
        let of_api = all.iter().filter(|((api, _), _)| *api == whose.0);
        let waiting = of_api.filter(|(_, crashed)| waits(crashed)).count();
        waiting < MANY && !all.get(whose).is_some_and(waits)
    }

    fn count(&self, whose: &Whose, now: Monotonic) {
        let mut all = self.all();
        all.retain(|_, crashed| now.since(crashed.until) < REMEMBERED);
        let times = all.get(whose).map_or(0, |crashed| crashed.times);
        let pause = match times.checked_sub(1) {
            None => Duration::ZERO,
            Some(more) => PAUSE.saturating_mul(1 << more.min(8)).min(LONGEST_PAUSE),
        };
        let crashed = Crashed {
            times: times.saturating_add(1),
            until: now.plus(pause),
        };
        all.insert(whose.clone(), crashed);
    }

    /// It has answered a call.
    fn forget(&self, whose: &Whose) {
        self.all().remove(whose);
    }
}

const fn unheard(reason: ReasonCode) -> Unanswered {
    Unanswered {
        reason,
        heard: false,
    }
}

/// Sends a call to its task's process, which is started if it is not running.
///
/// # Errors
///
/// [`Unanswered`]: nothing of the call was heard where the program could not be started.
pub(crate) async fn exchange(
    gateway: &Arc<Gateway>,
    api: &ApiSnapshot,
    starting: &Starting,
    held: Held,
    (call, sent, message): (CallId, Sent, Bytes),
) -> Result<Response<Coming>, Unanswered> {
    let process = opened(gateway, api, starting, &held).await?;
    let (id, crashes) = (call.to_string(), gateway.server_sessions().crashes());
    let whose = (api.api.id.clone(), held.place.agent());
    let said = process.ask(&id, message);
    let mut said = said.ok_or(unheard(ReasonCode::UpstreamUnreachable))?;
    let (to, request) = (Arc::clone(&process), id);
    let unfinished = Unfinished::new(move || {
        to.forget(&request);
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":"{request}"}}}}"#
        );
        if !to.tell(Bytes::from(message)) {
            tracing::debug!("a program does not read");
        }
    });
    let heard = |reason| Unanswered {
        reason,
        heard: true,
    };
    let patience = gateway.parts.timeouts.upstream_head;
    match tokio::time::timeout(patience, said.next()).await {
        Ok(Some(Said::Answer(line))) => {
            unfinished.finish();
            crashes.forget(&whose);
            let json = HeaderValue::from_static("application/json");
            let mut coming = Coming::message(line, held);
            if sent == Sent::Subscription {
                coming.listen(process.standing());
            }
            Ok(response(coming, json))
        }
        // More comes: the answer is a stream of events, as over HTTP.
        Ok(Some(Said::Told(first))) => {
            let gateway = Arc::clone(gateway);
            let answered = move || gateway.server_sessions().crashes().forget(&whose);
            let events = HeaderValue::from_static("text/event-stream");
            let body = Coming::told((first, said), unfinished.or(answered), held);
            Ok(response(body, events))
        }
        Ok(None) => {
            unfinished.finish();
            note(gateway, &whose, &process);
            Err(heard(ReasonCode::UpstreamUnreachable))
        }
        Err(_elapsed) => Err(heard(ReasonCode::UpstreamTimeout)),
    }
}

fn response(body: Coming, kind: HeaderValue) -> Response<Coming> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Counts the end of a process, once.
fn note(gateway: &Gateway, whose: &Whose, process: &Process) {
    if process.is_news() {
        tracing::warn!(api = %whose.0, agent = %whose.1, "a program has ended by itself");
        let now = gateway.parts.clock.monotonic();
        gateway.server_sessions().crashes().count(whose, now);
    }
}

/// The task's process: the one that runs, or a new one.
async fn opened(
    gateway: &Arc<Gateway>,
    api: &ApiSnapshot,
    starting: &Starting,
    held: &Held,
) -> Result<Arc<Process>, Unanswered> {
    let whose = (api.api.id.clone(), held.place.agent());
    let mut place = held.place.open.lock().await;
    if let Some(Open::Process(process)) = &*place {
        if !process.has_ended() {
            return Ok(Arc::clone(process));
        }
        note(gateway, &whose, process);
    }
    *place = None;
    let (id, clock) = (&api.api.id, &gateway.parts.clock);
    let crashes = gateway.server_sessions().crashes();
    let unreachable = unheard(ReasonCode::UpstreamUnreachable);
    // Looked for at each start: what the settings do not name is not started, whatever the revision says.
    let program = gateway.parts.programs.get(&starting.name);
    let Some(program) = program.filter(|_| crashes.admit(&whose, clock.monotonic())) else {
        tracing::warn!(api = %id, program = %starting.name, "a program was not started: the settings do not name it, or it keeps ending by itself");
        return Err(unreachable);
    };
    let (credential, finders) = (starting.credential.as_ref(), Arc::clone(&starting.finders));
    let started = Process::start(&starting.name, program, credential, finders);
    let process = started.map_err(|fault| {
        tracing::warn!(api = %id, program = %starting.name, %fault, "a program was not started");
        crashes.count(&whose, clock.monotonic());
        unreachable
    })?;
    if api.contract.mcp() == Some(Revision::Sessions)
        && let Err(fault) = introduced(gateway, &process).await
    {
        process.end();
        crashes.count(&whose, clock.monotonic());
        return Err(fault);
    }
    *place = Some(Open::Process(Arc::clone(&process)));
    Ok(process)
}

/// `initialize`, and that it was understood. What the program says of itself there goes nowhere.
async fn introduced(gateway: &Gateway, process: &Process) -> Result<(), Unanswered> {
    let invalid = unheard(ReasonCode::UpstreamInvalid);
    let answer = process.ask(OPENING, Bytes::from(opening(&BTreeSet::new())));
    let answer = answer.ok_or(unheard(ReasonCode::UpstreamUnreachable))?;
    let patience = gateway.parts.timeouts.upstream_head;
    let answer = tokio::time::timeout(patience, answer.answer()).await;
    let line = answer.map_err(|_elapsed| unheard(ReasonCode::UpstreamTimeout))?;
    let line = line.ok_or(unheard(ReasonCode::UpstreamUnreachable))?;
    let message = Value::parse(&line, &JsonLimits::DOCUMENT).ok();
    if !message.is_some_and(|message| speaks(&message)) {
        return Err(invalid);
    }
    let understood = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let told = process.tell(Bytes::from_static(understood.as_bytes()));
    told.then_some(()).ok_or(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_keeps_ending_is_started_less_and_less() {
        let crashes = Crashes::default();
        let (own, other) = (whose("mail", 1), whose("mail", 2));
        let mut now = Monotonic::from_start(Duration::ZERO);
        for pause in [0, 5, 10, 20, 40, 60, 60] {
            assert!(crashes.admit(&own, now));
            crashes.count(&own, now);
            if pause > 0 {
                let before = now.plus(Duration::from_millis(pause * 1000 - 1));
                assert!(!crashes.admit(&own, before), "{pause}");
                assert!(crashes.admit(&other, before), "another agent: {pause}");
            }
            now = now.plus(Duration::from_secs(pause));
        }
        crashes.forget(&own);
        crashes.count(&own, now);
        assert!(crashes.admit(&own, now), "the first end after an answer");
    }

    #[test]
    fn a_program_that_ends_for_many_waits_for_all() {
        let (crashes, now) = (Crashes::default(), Monotonic::from_start(Duration::ZERO));
        let (next, elsewhere) = (whose("mail", 9), whose("files", 9));
        for agent in 1..=3 {
            assert!(crashes.admit(&next, now), "{agent}");
            for _ in 0..2 {
                crashes.count(&whose("mail", agent), now);
            }
        }
        assert!(!crashes.admit(&next, now));
        assert!(crashes.admit(&elsewhere, now), "another program");
        assert!(crashes.admit(&next, now.plus(PAUSE)), "and not for ever");
        // What was long ago counts no more, and is not kept.
        crashes.count(&next, now.plus(PAUSE).plus(REMEMBERED));
        assert_eq!(crashes.all().len(), 1);
    }

    fn whose(api: &str, agent: u8) -> Whose {
        let agent = AgentId::new(writ_types::Timestamp::from_secs(0), [agent; 10]);
        (api.parse().unwrap(), agent)
    }
}
