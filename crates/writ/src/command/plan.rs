//! `writ plan`: what the project's files would change, and who gains and loses what.
//!
//! Both sides are compiled here; the control plane only hands out what is in force.

mod prover;
mod text;

use writ_control::plan::{Plan, Side};
use writ_control::project::ProjectFault;
use writ_store::{Registry, Store};
use writ_types::{Clock as _, SpiffeId, Tenant, Timestamp, Value};

use crate::cli::PlanArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::progress::Progress;
use crate::project;
use crate::terminal::Terminal;

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    args: &PlanArgs,
) -> Result<(), Failure> {
    let now = SystemClock::start().now();
    let (name, before) = before(config, args, now).await?;
    let progress = Progress::of("comparing");
    let (after, stopped) = after(config, args, &before, now).await?;
    let mut plan = Plan::compare(&before, &after, now).map_err(Failure::new)?;
    plan.still_stopped = stopped;
    drop(progress);
    let asked = if args.proof_seconds == 0 {
        Err("proofs were not asked for".to_owned())
    } else {
        prove(&mut plan, (&before, &after), args, now)
    };
    if terminal.is_json() {
        let note = asked.err().map_or(Value::Null, Value::String);
        let members = [("compared_with", Value::from(name)), ("prover", note)];
        let plan = plan.to_value();
        let plan = plan.as_object().cloned().unwrap_or_default();
        let members = members.map(|(name, value)| (name.to_owned(), value));
        terminal.object(&Value::object(plan.into_iter().chain(members)));
    } else {
        let rows = if args.all { usize::MAX } else { text::ROWS };
        text::show(terminal, &name, &plan, asked.err().as_deref(), rows);
    }
    if plan.is_empty() {
        Ok(())
    } else {
        Err(Failure::changes("there are changes"))
    }
}

/// What is compared: the project's files, or an earlier revision; and who stays stopped.
async fn after(
    config: &Config,
    args: &PlanArgs,
    before: &Side,
    now: Timestamp,
) -> Result<(Side, Vec<SpiffeId>), Failure> {
    if let Some(revision) = &args.to {
        let (_, registry) = registered(config, &format!("?revision={revision}")).await?;
        let message = format!("{revision} cannot be read by this program");
        let side = Side::of_registry(registry, now).map_err(|faults| faulty(&message, &faults))?;
        return Ok((side, Vec::new()));
    }
    let files = project::files(&config.project)?;
    let compiled = Side::of_files(&files, &config.identity.trust_domain, Some(before), now);
    compiled.map_err(|faults| faulty("the project has faults", &faults))
}

/// What is compared with, and what to call it.
async fn before(
    config: &Config,
    args: &PlanArgs,
    now: Timestamp,
) -> Result<(String, Side), Failure> {
    if let Some(folder) = &args.from {
        let files = project::files(folder)?;
        if files.is_empty() {
            let message = format!("{} holds no project", folder.display());
            return Err(Failure::new(message));
        }
        let compiled = Side::of_files(&files, &config.identity.trust_domain, None, now);
        let message = format!("the project in {} has faults", folder.display());
        let (side, _) = compiled.map_err(|faults| faulty(&message, &faults))?;
        return Ok((folder.display().to_string(), side));
    }
    let (revision, registry) = if args.offline {
        stored(config).await?
    } else {
        in_force(config).await?
    };
    let message = "the revision in force cannot be read by this program";
    let side = Side::of_registry(registry, now).map_err(|faults| faulty(message, &faults))?;
    Ok((revision, side))
}

/// The revision in force, from the control plane.
pub(super) async fn in_force(config: &Config) -> Result<(String, Registry), Failure> {
    let answer = registered(config, "").await;
    answer.map_err(|failure| failure.detail("`--offline` reads the store itself"))
}

async fn registered(config: &Config, query: &str) -> Result<(String, Registry), Failure> {
    let path = format!("/v1/registry{query}");
    let answer = OperatorClient::of(config)?.get(&path).await?;
    let revision = answer.member("revision").and_then(Value::as_str);
    let registry = answer.member("registry").unwrap_or(&Value::Null);
    Ok((
        revision.unwrap_or_default().to_owned(),
        Registry::from_value(registry)?,
    ))
}

/// The revision in force, from the store; nothing where there is none yet.
pub(super) async fn stored(config: &Config) -> Result<(String, Registry), Failure> {
    let path = config.data.join("writ.db");
    let nothing = || {
        (
            "nothing: the store is empty".to_owned(),
            Registry::default(),
        )
    };
    if !path.exists() {
        return Ok(nothing());
    }
    let store = Store::open(&path).await?;
    let tenant = Tenant::default_tenant();
    match store.active_revision(&tenant).await? {
        Some(active) => Ok((active.id.to_string(), store.load(&tenant, active.id).await?)),
        None => Ok(nothing()),
    }
}

pub(super) fn faulty(message: &str, faults: &[ProjectFault]) -> Failure {
    let failure = Failure::new(message);
    let faults = faults.iter().take(50);
    faults.fold(failure, |failure, fault| failure.detail(fault.to_string()))
}

/// Lets the prover speak, if there is something to prove; otherwise why it has not.
fn prove(
    plan: &mut Plan,
    (before, after): (&Side, &Side),
    args: &PlanArgs,
    now: Timestamp,
) -> Result<(), String> {
    let Some(input) = plan.prover_input() else {
        return Ok(());
    };
    let _progress = Progress::of("proving");
    let output = prover::ask(args.prover.as_deref(), &input, args.proof_seconds)?;
    plan.prove(before, after, &output, now)
        .map_err(|fault| fault.to_string())
}
