//! Calls of a server that is a program of this machine (stdio transport, both revisions): one process for each task, as with sessions, so that nothing
//! it keeps of one task reaches another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{self, HeaderValue};
use memchr::memmem::Finder;
use writ_types::{ApiId, CallId, JsonLimits, Monotonic, ProgramName, ReasonCode, Secret, Value};

use super::process::Process;
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

/// What a program is started with, if it is not running.
#[derive(Debug)]
pub(crate) struct Starting {
    pub(crate) name: ProgramName,
    pub(crate) credential: Option<Secret<String>>,
    /// What is kept out of the log.
    pub(crate) finders: Arc<[Finder<'static>]>,
}

/// How often programs ended by themselves, by the API that runs them.
#[derive(Debug, Default)]
pub(super) struct Crashes(Mutex<BTreeMap<ApiId, Crashed>>);

#[derive(Debug, Clone, Copy)]
struct Crashed {
    times: u32,
    until: Monotonic,
}

impl Crashes {
    fn admit(&self, api: &ApiId, now: Monotonic) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(api).is_none_or(|crashed| crashed.until <= now)
    }

    fn count(&self, api: &ApiId, now: Monotonic) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = all.get(api).map_or(0, |crashed| crashed.times);
        let pause = match times.checked_sub(1) {
            None => Duration::ZERO,
            Some(more) => PAUSE.saturating_mul(1 << more.min(8)).min(LONGEST_PAUSE),
        };
        let crashed = Crashed {
            times: times.saturating_add(1),
            until: now.plus(pause),
        };
        all.insert(api.clone(), crashed);
    }

    /// It has answered a call.
    fn forget(&self, api: &ApiId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(api);
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
    (call, message): (CallId, Bytes),
) -> Result<Response<Coming>, Unanswered> {
    let process = opened(gateway, api, starting, &held).await?;
    let (id, crashes) = (call.to_string(), gateway.server_sessions().crashes());
    let answer = process.ask(&id, message);
    let answer = answer.ok_or(unheard(ReasonCode::UpstreamUnreachable))?;
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
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(line)) => {
            unfinished.finish();
            crashes.forget(&api.api.id);
            let mut response = Response::new(Coming::message(line, held));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            Ok(response)
        }
        Ok(Err(_ended)) => {
            unfinished.finish();
            note(gateway, api, &process);
            Err(heard(ReasonCode::UpstreamUnreachable))
        }
        Err(_elapsed) => Err(heard(ReasonCode::UpstreamTimeout)),
    }
}

/// Counts the end of a process, once.
fn note(gateway: &Gateway, api: &ApiSnapshot, process: &Process) {
    if process.is_news() {
        tracing::warn!(api = %api.api.id, "a program has ended by itself");
        let now = gateway.parts.clock.monotonic();
        gateway.server_sessions().crashes().count(&api.api.id, now);
    }
}

/// The task's process: the one that runs, or a new one.
async fn opened(
    gateway: &Arc<Gateway>,
    api: &ApiSnapshot,
    starting: &Starting,
    held: &Held,
) -> Result<Arc<Process>, Unanswered> {
    let mut place = held.place.open.lock().await;
    if let Some(Open::Process(process)) = &*place {
        if !process.has_ended() {
            return Ok(Arc::clone(process));
        }
        note(gateway, api, process);
    }
    *place = None;
    let (id, clock) = (&api.api.id, &gateway.parts.clock);
    let crashes = gateway.server_sessions().crashes();
    let unreachable = unheard(ReasonCode::UpstreamUnreachable);
    // Looked for at each start: what the settings do not name is not started, whatever the revision says.
    let program = gateway.parts.programs.get(&starting.name);
    let Some(program) = program.filter(|_| crashes.admit(id, clock.monotonic())) else {
        tracing::warn!(api = %id, program = %starting.name, "a program was not started: the settings do not name it, or it keeps ending by itself");
        return Err(unreachable);
    };
    let (credential, finders) = (starting.credential.as_ref(), Arc::clone(&starting.finders));
    let started = Process::start(&starting.name, program, credential, finders);
    let process = started.map_err(|fault| {
        tracing::warn!(api = %id, program = %starting.name, %fault, "a program was not started");
        crashes.count(id, clock.monotonic());
        unreachable
    })?;
    if api.contract.mcp() == Some(Revision::Sessions)
        && let Err(fault) = introduced(gateway, &process).await
    {
        process.end();
        crashes.count(id, clock.monotonic());
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
    let answer = tokio::time::timeout(gateway.parts.timeouts.upstream_head, answer).await;
    let line = answer.map_err(|_elapsed| unheard(ReasonCode::UpstreamTimeout))?;
    let line = line.map_err(|_ended| unheard(ReasonCode::UpstreamUnreachable))?;
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
        let (api, other): (ApiId, ApiId) = ("mail".parse().unwrap(), "files".parse().unwrap());
        let mut now = Monotonic::from_start(Duration::ZERO);
        for pause in [0, 5, 10, 20, 40, 60, 60] {
            assert!(crashes.admit(&api, now));
            crashes.count(&api, now);
            if pause > 0 {
                let before = now.plus(Duration::from_millis(pause * 1000 - 1));
                assert!(!crashes.admit(&api, before), "{pause}");
            }
            now = now.plus(Duration::from_secs(pause));
            assert!(crashes.admit(&other, now));
        }
        crashes.forget(&api);
        crashes.count(&api, now);
        assert!(crashes.admit(&api, now), "the first end after an answer");
    }
}
