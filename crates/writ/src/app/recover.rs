//! What a start finds: the log of the processes before, and the ledger that follows from it.

use std::sync::Arc;

use writ_audit::{NodeName, Signer};
use writ_control::log::{LogReader, LogWriter, Recovered, Vault, origin};
use writ_control::records::LogPlace;
use writ_control::{Instances, LedgerRebuild, Loaded, stored_tasks};
use writ_store::Store;
use writ_task::MemoryLedger;
use writ_types::{ActionName, Clock, Limits, Tenant, Timestamp};

use crate::config::Config;
use crate::failure::Failure;
use crate::keys::KeyRing;

/// An opened log.
pub(super) struct OpenedLog {
    pub(super) place: LogPlace,
    pub(super) recovered: Recovered,
}

/// Opens the log for this process alone.
pub(super) fn open_log(
    config: &Config,
    ring: &KeyRing,
    store: &Store,
    tenant: &Tenant,
    node: &NodeName,
    clock: Arc<dyn Clock>,
) -> Result<OpenedLog, Failure> {
    let name = origin(store.install_id(), tenant, node)?;
    let signer = Signer::new(name, &ring.log)?;
    let (writer, recovered) = LogWriter::open(
        &config.data,
        signer,
        clock,
        &config.limits,
        &config.timeouts,
    )?;
    let place = LogPlace {
        writer: Arc::new(writer),
        reader: LogReader::new(&config.data.join("log")),
        vault: Arc::new(Vault::new(
            &config.data.join("vault"),
            tenant.clone(),
            &ring.vault,
        )?),
    };
    Ok(OpenedLog { place, recovered })
}

/// Rebuilds the ledger of live tasks from the log.
pub(super) async fn ledger(
    recovered: &Recovered,
    store: &Store,
    tenant: &Tenant,
    loaded: &Loaded,
    limits: &Limits,
    now: Timestamp,
) -> Result<(MemoryLedger, Instances), Failure> {
    let tasks = stored_tasks(store, tenant, now).await?;
    let labels = |action: &ActionName| {
        let operation = loaded
            .apis
            .get(&action.api)
            .and_then(|api| api.contract.operation(&action.operation));
        operation
            .map(writ_contract::Operation::response_labels)
            .unwrap_or_default()
    };
    let amendments = store.live_amendments(tenant, now).await?;
    let rebuild = LedgerRebuild::new(tenant.clone(), tasks, labels, loaded.pdp.windows(), limits);
    let mut rebuild = rebuild.with_amendments(amendments);
    let mut fault = None;
    recovered.replay(0, |_, record| {
        if fault.is_none() {
            fault = rebuild.take(&record).err();
        }
    })?;
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(rebuild.finish(now)),
    }
}

/// What a person should know of the start.
pub(super) fn notices(recovered: &Recovered, config: &Config) -> Vec<String> {
    let mut notices = Vec::new();
    if !recovered.orphans.is_empty() {
        let calls: Vec<String> = recovered
            .orphans
            .iter()
            .take(5)
            .map(|orphan| orphan.call.to_string())
            .collect();
        notices.push(format!(
            "{} calls have an intent and no outcome: the process before ended while they were under way; they count as spent ({}{})",
            recovered.orphans.len(),
            calls.join(", "),
            if recovered.orphans.len() > calls.len() { ", …" } else { "" },
        ));
    }
    if config.identity.single_user_machine {
        notices.push(
            "single_user_machine: agents that run as Writ's own user could read its keys"
                .to_owned(),
        );
    }
    notices
}
