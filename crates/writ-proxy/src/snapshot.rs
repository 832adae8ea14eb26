//! One immutable revision of everything a call reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use writ_contract::Contract;
use writ_policy::{Denied, Pdp, Prepared};
use writ_token::TokenVerifier;
use writ_types::{
    Agent, AgentId, Api, ApiId, Grant, OperationId, PublicUrl, Purpose, PurposeName, RevisionId,
    TaskId, Tenant, Traps,
};

use crate::credential::Credential;
use crate::granted::TokenClient;
use crate::transaction::TransactionTokens;

/// One revision of contracts, policies, keys, agents and credentials. A call reads exactly one.
#[derive(Debug)]
pub struct Snapshot {
    /// Which revision it is.
    pub revision: RevisionId,
    /// The tenant it belongs to.
    pub tenant: Tenant,
    /// Where the gateway is reached: the audience of its tokens.
    pub public_url: PublicUrl,
    /// What verifies its tokens.
    pub verifier: TokenVerifier,
    /// The APIs.
    pub apis: BTreeMap<ApiId, ApiSnapshot>,
    /// The agents.
    pub agents: BTreeMap<AgentId, Arc<Agent>>,
    /// The purposes.
    pub purposes: BTreeMap<PurposeName, Purpose>,
    /// The policies.
    pub pdp: Arc<Pdp>,
    /// The entities of tasks that have called.
    pub prepared: PreparedTasks,
    /// What was laid for thieves.
    pub traps: Arc<Traps>,
}

impl Snapshot {
    /// A task's entities as policies see them: made once, used by each of its calls.
    ///
    /// # Errors
    ///
    /// A `policy_error` if the agent or the grant cannot be an entity.
    pub(crate) fn prepared(&self, agent: &Agent, grant: &Grant) -> Result<Arc<Prepared>, Denied> {
        let mut cache = self
            .prepared
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = cache.get(&grant.task) {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(self.pdp.prepare(agent, grant)?);
        // Tasks live for minutes; a full cache is emptied, not searched.
        if cache.len() >= MOST_PREPARED {
            cache.clear();
        }
        cache.insert(grant.task, Arc::clone(&prepared));
        Ok(prepared)
    }
}

/// Most tasks whose entities are kept.
const MOST_PREPARED: usize = 4096;

/// The entities of tasks that have called.
#[derive(Default)]
pub struct PreparedTasks(Mutex<BTreeMap<TaskId, Arc<Prepared>>>);

impl fmt::Debug for PreparedTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedTasks")
    }
}

/// One API of a snapshot.
#[derive(Debug)]
pub struct ApiSnapshot {
    /// Its registration.
    pub api: Api,
    /// Its pinned contract.
    pub contract: Arc<Contract>,
    /// Operations that the server has changed since and that wait for their owner.
    pub quarantined: BTreeSet<OperationId>,
    /// Its credential, where it wants one and it is set.
    pub credential: Option<Credential>,
    /// What signs its transaction tokens, where its services verify them.
    pub transaction_tokens: Option<TransactionTokens>,
    /// What obtains its tokens, where it has an authorization server.
    pub token_client: Option<TokenClient>,
}
