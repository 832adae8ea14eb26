//! The play: each step tries something, and tells what was decided, why, and where it is recorded.
//!
//! A step knows what it expects. If Writ decides otherwise the demo fails: it is a test that talks.

use std::path::{Path, PathBuf};

use hyper::Method;
use writ_audit::Entries;
use writ_control::log::verify_directory;
use writ_helpdesk::{INJECTED_IBAN, INJECTED_TICKET};
use writ_types::{JsonLimits, Value};

use crate::agent::{Identity, OpenTask};
use crate::command::audit::read_key;
use crate::demo::stage::Stage;
use crate::failure::Failure;
use crate::http::Answer;
use crate::terminal::{Terminal, Tone};

/// What one step showed.
struct Step {
    name: &'static str,
    tried: String,
    decided: String,
    good: bool,
    why: String,
    recorded: String,
    details: Vec<(&'static str, Value)>,
}

/// Counts and prints the steps.
struct Teller {
    terminal: Terminal,
    number: u64,
}

impl Teller {
    fn tell(&mut self, step: Step) {
        self.number = self.number.saturating_add(1);
        let terminal = self.terminal;
        if terminal.is_json() {
            let mut members = vec![
                ("step", Value::from_u64(self.number)),
                ("name", Value::from(step.name)),
                ("tried", Value::from(step.tried)),
                ("decided", Value::from(step.decided)),
                ("why", Value::from(step.why)),
                ("recorded", Value::from(step.recorded)),
            ];
            members.extend(step.details);
            return terminal.object(&Value::object(members));
        }
        let tone = if step.good { Tone::Good } else { Tone::Bad };
        terminal
            .line(&terminal.paint(Tone::Strong, &format!("{:>2}. {}", self.number, step.tried)));
        terminal.line(&format!(
            "    {}  {}",
            terminal.paint(tone, &step.decided),
            step.why
        ));
        terminal.line(&terminal.paint(Tone::Faint, &format!("    recorded: {}", step.recorded)));
        terminal.line("");
    }
}

/// Plays the whole task.
pub(super) async fn play(terminal: Terminal, stage: &Stage) -> Result<(), Failure> {
    let mut teller = Teller {
        terminal,
        number: 0,
    };
    let before = stage.desk.state();
    let identity = identity(&mut teller, stage).await?;
    let task = open(&mut teller, stage, &identity).await?;
    reads(&mut teller, stage, &task).await?;
    refusals(&mut teller, stage, &task).await?;
    stolen(&mut teller, stage, &task).await?;
    budget(&mut teller, stage, &task).await?;
    killed(&mut teller, stage, &task).await?;
    books(&mut teller, stage, &before, &task)?;
    log(&mut teller, stage).await
}

async fn identity(teller: &mut Teller, stage: &Stage) -> Result<Identity, Failure> {
    let identity = stage.agent.identity(None).await?;
    teller.tell(Step {
        name: "identity",
        tried: "The agent asks the agent socket who it is".to_owned(),
        decided: "identity".to_owned(),
        good: true,
        why: format!(
            "{}: the kernel says which user and program is asking; it holds no secret of its own",
            identity.spiffe
        ),
        recorded: "not yet: an identity is no authority".to_owned(),
        details: vec![("spiffe_id", Value::from(identity.spiffe.as_str()))],
    });
    Ok(identity)
}

async fn open(
    teller: &mut Teller,
    stage: &Stage,
    identity: &Identity,
) -> Result<OpenTask, Failure> {
    let details = r#"[{"type":"writ_task","purpose":"ticket-triage","prompt":"Answer the open tickets. Refund at most 25.00 to the customer's own account DE89370400440532013000.",
        "actions":["helpdesk:listTickets","helpdesk:listComments","helpdesk:getTicket","helpdesk:addComment","helpdesk:createRefund"],
        "bounds":{"helpdesk:createRefund":{"/body/iban":["DE89370400440532013000"],"/body/amount":{"max":"25.00"}}},
        "budget":{"calls":4,"writes":2,"irreversible":1}}]"#;
    let details = Value::parse(details.as_bytes(), &JsonLimits::REQUEST)?;
    let opened = stage.agent.open(identity, &details).await?;
    let task = opened.map_err(|answer| {
        Failure::new("the task was not opened").detail(answer.json().to_string())
    })?;
    let records = stage
        .operator
        .get(&format!("/v1/records?search={}", task.task))
        .await?;
    teller.tell(Step {
        name: "task_opened",
        tried: "It opens a task for the purpose `ticket-triage`: five actions, four calls, refunds of at most 25.00 to one account".to_owned(),
        decided: "granted".to_owned(),
        good: true,
        why: format!("{}: within what the purpose's owner approved; the token lives for minutes and is bound to a fresh key", task.task),
        recorded: entries(&records),
        details: vec![
            ("task_id", Value::from(task.task.as_str())),
            ("authorization_details", task.answer.member("authorization_details").cloned().unwrap_or(Value::Null)),
        ],
    });
    Ok(task)
}

async fn reads(teller: &mut Teller, stage: &Stage, task: &OpenTask) -> Result<(), Failure> {
    let answer = stage
        .agent
        .call(task, Method::GET, "/helpdesk/tickets?limit=5", None)
        .await?;
    let count = answer
        .json()
        .member("tickets")
        .and_then(Value::as_array)
        .map_or(0, <[Value]>::len);
    allowed(teller, stage, "allowed_read", "It lists tickets", &answer, &format!("the task holds helpdesk:listTickets; {count} tickets came back, fetched with a key the agent never sees")).await?;

    let path = format!("/helpdesk/tickets/{INJECTED_TICKET}/comments");
    let answer = stage.agent.call(task, Method::GET, &path, None).await?;
    let body = answer.json().to_string();
    let ticket = if body.contains(INJECTED_IBAN) {
        body
    } else {
        String::new()
    };
    if ticket.is_empty() {
        return Err(Failure::new(
            "the poisoned ticket does not hold its instruction",
        ));
    }
    let why = format!(
        "reading is allowed, and the content says what it likes: a customer asks for 900.00 to {INJECTED_IBAN}. From here on the task is marked `untrusted`"
    );
    allowed(
        teller,
        stage,
        "poisoned_read",
        "It reads a ticket's comments; one carries an instruction for agents",
        &answer,
        &why,
    )
    .await
}

async fn refusals(teller: &mut Teller, stage: &Stage, task: &OpenTask) -> Result<(), Failure> {
    let refund = Value::object([
        ("ticket_id", Value::from(INJECTED_TICKET)),
        ("amount", Value::from("900.00")),
        ("iban", Value::from(INJECTED_IBAN)),
        ("reason", Value::from("as instructed in the ticket")),
    ]);
    let answer = stage
        .agent
        .call(task, Method::POST, "/helpdesk/refunds", Some(&refund))
        .await?;
    refused(
        teller,
        stage,
        "injected_write",
        "It obeys: a refund of 900.00 to that account",
        &answer,
        "outside_bounds",
    )
    .await?;
    let path = format!("/helpdesk/tickets/{INJECTED_TICKET}");
    let answer = stage.agent.call(task, Method::DELETE, &path, None).await?;
    refused(
        teller,
        stage,
        "outside_the_task",
        "It tries to delete the ticket, as the comment also demands",
        &answer,
        "action_not_granted",
    )
    .await
}

async fn stolen(teller: &mut Teller, stage: &Stage, task: &OpenTask) -> Result<(), Failure> {
    let answer = stage.agent.replay(&task.token, "/helpdesk/tickets").await?;
    let reason = reason(&answer);
    if answer.status != 401 || reason != "unauthenticated" {
        return Err(unexpected("token_without_key", &answer));
    }
    teller.tell(Step {
        name: "token_without_key",
        tried: "Somebody who found the token uses it, without the key it is bound to".to_owned(),
        decided: format!("refused ({} {reason})", answer.status),
        good: false,
        why: "a token is worth nothing without a fresh proof made with its key".to_owned(),
        recorded: "counted, not recorded: strangers cannot fill the log".to_owned(),
        details: vec![
            ("status", status(&answer)),
            ("reason_code", Value::from(reason)),
        ],
    });
    Ok(())
}

async fn budget(teller: &mut Teller, stage: &Stage, task: &OpenTask) -> Result<(), Failure> {
    let mut served = 0u32;
    loop {
        let answer = stage
            .agent
            .call(task, Method::GET, "/helpdesk/tickets/T-1001", None)
            .await?;
        if answer.status == 200 && served < 100 {
            served = served.saturating_add(1);
            continue;
        }
        let tried = format!(
            "It keeps reading; {served} more calls are served, then the budget of 4 is spent"
        );
        return refused(
            teller,
            stage,
            "budget_spent",
            &tried,
            &answer,
            "budget_exhausted",
        )
        .await;
    }
}

async fn killed(teller: &mut Teller, stage: &Stage, task: &OpenTask) -> Result<(), Failure> {
    let answer = stage
        .operator
        .post(
            "/v1/kill",
            &Value::object([("task", Value::from(task.task.as_str()))]),
        )
        .await?;
    let ended = answer
        .member("tasks")
        .and_then(Value::as_array)
        .unwrap_or_default()
        .len();
    let call = stage
        .agent
        .call(task, Method::GET, "/helpdesk/tickets", None)
        .await?;
    let reason = reason(&call);
    if ended != 1 || call.status != 401 || reason != "task_ended" {
        return Err(unexpected("task_killed", &call));
    }
    let records = stage
        .operator
        .get(&format!("/v1/records?search={}", task.task))
        .await?;
    teller.tell(Step {
        name: "task_killed",
        tried: "An operator kills the task, and the agent calls once more".to_owned(),
        decided: format!("refused ({} {reason})", call.status),
        good: false,
        why: "the task is over, and with it every token of it; the token itself would have lived on for minutes".to_owned(),
        recorded: entries(&records),
        details: vec![("status", status(&call)), ("reason_code", Value::from(reason))],
    });
    Ok(())
}

/// What really happened at the help desk.
fn books(
    teller: &mut Teller,
    stage: &Stage,
    before: &writ_helpdesk::State,
    task: &OpenTask,
) -> Result<(), Failure> {
    let (after, seen) = (stage.desk.state(), stage.desk.requests());
    let unchanged =
        after.refunds.len() == before.refunds.len() && after.tickets.len() == before.tickets.len();
    let leaked = seen
        .iter()
        .any(|request| request.has_header("authorization") || request.has_header("dpop"));
    let token = seen.iter().any(|request| {
        request
            .headers
            .iter()
            .any(|(_, value)| value.contains(&task.token))
    });
    if !unchanged || leaked || token {
        return Err(Failure::new("the help desk's books say otherwise"));
    }
    teller.tell(Step {
        name: "upstream_books",
        tried: "The help desk's own books are looked at".to_owned(),
        decided: "unchanged".to_owned(),
        good: true,
        why: format!("{} requests arrived, none with the agent's token or proof; no refund was made, no ticket is gone", seen.len()),
        recorded: "the outcomes of the calls say the same".to_owned(),
        details: vec![("requests", Value::from_u64(u64::try_from(seen.len()).unwrap_or(u64::MAX)))],
    });
    Ok(())
}

async fn log(teller: &mut Teller, stage: &Stage) -> Result<(), Failure> {
    stage.app.flush_log().await?;
    let folder = stage.config.data.join("log");
    let key = read_key(&folder.join("log.pub"))?;
    let report = verify_directory(&folder, &key)
        .map_err(|fault| Failure::caused("the log cannot be read", &fault))?;
    if !report.is_sound() {
        return Err(Failure::new("the log does not verify").detail(report.to_string()));
    }
    teller.tell(Step {
        name: "log_verified",
        tried: "The log is verified, with nothing but its public key".to_owned(),
        decided: "sound".to_owned(),
        good: true,
        why: format!("{} entries lead to the signed checkpoint", report.verified),
        recorded: format!("{}", folder.join("checkpoint").display()),
        details: vec![("entries", Value::from_u64(report.verified))],
    });
    let (copy, chosen) = tampered_copy(&folder, &stage.folder.join("copy"), report.verified)?;
    let report = verify_directory(&copy, &key)
        .map_err(|fault| Failure::caused("the copy cannot be read", &fault))?;
    let found: Vec<u64> = report
        .faults
        .iter()
        .filter_map(writ_audit::Fault::entry)
        .collect();
    if found != [chosen] {
        return Err(Failure::new(format!(
            "entry {chosen} was altered, and the verification named {found:?}"
        )));
    }
    let fault = report
        .faults
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    teller.tell(Step {
        name: "tampering_found",
        tried: format!("In a copy one byte of entry {chosen} is flipped, and the copy is verified"),
        decided: "altered".to_owned(),
        good: false,
        why: fault,
        recorded: format!("the copy is {}", copy.display()),
        details: vec![
            ("altered_entry", Value::from_u64(chosen)),
            ("found_entry", Value::from_u64(chosen)),
        ],
    });
    Ok(())
}

/// Copies the log and flips one byte in the middle of an entry in its middle.
fn tampered_copy(log: &Path, copy: &Path, entries: u64) -> Result<(PathBuf, u64), Failure> {
    let failed = |fault: std::io::Error| Failure::caused("the log cannot be copied", &fault);
    copy_tree(log, copy).map_err(failed)?;
    let chosen = entries / 2;
    let width = entries
        .saturating_sub(chosen.saturating_sub(chosen % 256))
        .min(256);
    let path = copy.join(
        writ_audit::TilePath::entries(chosen / 256, u16::try_from(width).unwrap_or(256))
            .to_string(),
    );
    let mut bytes = std::fs::read(&path).map_err(failed)?;
    let place = usize::try_from(chosen % 256).unwrap_or(0);
    let before: usize = Entries::of(&bytes)
        .take(place)
        .map(|entry| entry.len().saturating_add(2))
        .sum();
    let length = Entries::of(&bytes).nth(place).map_or(0, <[u8]>::len);
    let middle = before.saturating_add(2).saturating_add(length / 2);
    let byte = bytes
        .get_mut(middle)
        .ok_or_else(|| Failure::new("the entry is not where it should be"))?;
    *byte ^= 1;
    std::fs::write(&path, bytes).map_err(failed)?;
    Ok((copy.to_owned(), chosen))
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn allowed(
    teller: &mut Teller,
    stage: &Stage,
    name: &'static str,
    tried: &str,
    answer: &Answer,
    why: &str,
) -> Result<(), Failure> {
    if answer.status != 200 {
        return Err(unexpected(name, answer));
    }
    let (recorded, verdict) = lookup(stage, answer).await?;
    teller.tell(Step {
        name,
        tried: tried.to_owned(),
        decided: format!("{verdict} ({})", answer.status),
        good: true,
        why: why.to_owned(),
        recorded,
        details: vec![("status", status(answer)), ("call_id", call_id(answer))],
    });
    Ok(())
}

async fn refused(
    teller: &mut Teller,
    stage: &Stage,
    name: &'static str,
    tried: &str,
    answer: &Answer,
    wanted: &str,
) -> Result<(), Failure> {
    let json = answer.json();
    let text = |member: &str| {
        json.member(member)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let reason = reason(answer);
    if answer.status != 403 || reason != wanted {
        return Err(unexpected(name, answer));
    }
    let (recorded, _) = lookup(stage, answer).await?;
    teller.tell(Step {
        name,
        tried: tried.to_owned(),
        decided: format!("{} ({} {reason})", text("verdict"), answer.status),
        good: false,
        why: text("detail"),
        recorded,
        details: vec![
            ("status", status(answer)),
            ("reason_code", Value::from(reason)),
            ("call_id", call_id(answer)),
        ],
    });
    Ok(())
}

/// Where a call is recorded, and the verdict its record holds.
async fn lookup(stage: &Stage, answer: &Answer) -> Result<(String, String), Failure> {
    let id = answer.header("writ-call-id").unwrap_or_default();
    let explained = stage.operator.get(&format!("/v1/explain/{id}")).await?;
    let records = explained.member("records").cloned().unwrap_or(Value::Null);
    let verdict = records
        .as_array()
        .unwrap_or_default()
        .iter()
        .find_map(|row| {
            row.member("record")?
                .member("detail")?
                .member("verdict")?
                .as_str()
                .map(str::to_owned)
        });
    Ok((entries(&records), verdict.unwrap_or_default()))
}

/// `entries 4 (intent), 5 (outcome)`.
fn entries(records: &Value) -> String {
    let one = |row: &Value| {
        let kind = row
            .member("record")
            .and_then(|record| record.member("kind"))
            .and_then(Value::as_str)
            .unwrap_or("record")
            .to_owned();
        format!(
            "{} ({kind})",
            row.member("index")
                .map(Value::to_string)
                .unwrap_or_default()
        )
    };
    let rows: Vec<String> = records
        .as_array()
        .unwrap_or_default()
        .iter()
        .map(one)
        .collect();
    match rows.as_slice() {
        [] => "nowhere".to_owned(),
        [only] => format!("entry {only}"),
        many if many.len() > 4 => format!(
            "entries {}, … {}",
            many.first().cloned().unwrap_or_default(),
            many.last().cloned().unwrap_or_default()
        ),
        many => format!("entries {}", many.join(", ")),
    }
}

fn unexpected(name: &str, answer: &Answer) -> Failure {
    let failure = Failure::new(format!(
        "step `{name}` did not go as it should: status {}",
        answer.status
    ));
    failure.detail(answer.json().to_string())
}

fn reason(answer: &Answer) -> String {
    answer
        .json()
        .member("reason_code")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn status(answer: &Answer) -> Value {
    Value::from_u64(u64::from(answer.status))
}

fn call_id(answer: &Answer) -> Value {
    Value::from(answer.header("writ-call-id").unwrap_or_default())
}
