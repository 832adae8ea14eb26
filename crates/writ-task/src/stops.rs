//! What a person has stopped: APIs, credentials, owners.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use writ_types::{ApiId, CredentialName, OwnerName, Stop, Tenant};

/// Where a call goes, and the version of the credential that it carries there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// The API.
    pub api: ApiId,
    /// Its credential, where it has one.
    pub credential: Option<(CredentialName, u32)>,
}

/// What is stopped in this process. Both planes ask the same.
///
/// A call says where it goes ([`Entered::heads_for`](crate::Entered::heads_for)) before it asks here, and whoever stops
/// something puts it in here before they cut what goes there ([`Ledger::cut`](crate::Ledger::cut)): so a call is refused
/// or cut, and never neither.
#[derive(Debug, Default)]
pub struct Stops {
    /// Of a credential, the newest version that is stopped.
    stopped: RwLock<BTreeMap<(Tenant, Stop), u32>>,
}

impl Stops {
    /// Stops it; a credential up to this version. What was stopped further stays so.
    pub fn stop(&self, tenant: &Tenant, stop: Stop, version: u32) {
        let mut stopped = self.stopped.write().unwrap_or_else(PoisonError::into_inner);
        let newest = stopped.entry((tenant.clone(), stop)).or_default();
        *newest = version.max(*newest);
    }

    /// Lets it go on; `false` if it was not stopped.
    pub fn resume(&self, tenant: &Tenant, stop: &Stop) -> bool {
        let mut stopped = self.stopped.write().unwrap_or_else(PoisonError::into_inner);
        stopped.remove(&(tenant.clone(), stop.clone())).is_some()
    }

    /// Whether it is stopped.
    #[must_use]
    pub fn has(&self, tenant: &Tenant, stop: &Stop) -> bool {
        self.read().contains_key(&(tenant.clone(), stop.clone()))
    }

    /// Whether what a call needs is stopped: its API, or the credential that it would carry.
    #[must_use]
    pub fn holds(&self, tenant: &Tenant, heading: &Heading) -> bool {
        let stopped = self.read();
        if stopped.is_empty() {
            return false;
        }
        let api = (tenant.clone(), Stop::Api(heading.api.clone()));
        let carries = |(name, version): &(CredentialName, u32)| {
            let credential = (tenant.clone(), Stop::Credential(name.clone()));
            stopped
                .get(&credential)
                .is_some_and(|newest| version <= newest)
        };
        stopped.contains_key(&api) || heading.credential.as_ref().is_some_and(carries)
    }

    /// Whether an owner is stopped.
    #[must_use]
    pub fn holds_owner(&self, tenant: &Tenant, owner: &OwnerName) -> bool {
        let stopped = self.read();
        !stopped.is_empty() && stopped.contains_key(&(tenant.clone(), Stop::Owner(owner.clone())))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<(Tenant, Stop), u32>> {
        self.stopped.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heading {
    /// Whether a call that goes there needs what is stopped, up to this version of a credential.
    pub(crate) fn needs(&self, stop: &Stop, version: u32) -> bool {
        match stop {
            Stop::Api(api) => self.api == *api,
            Stop::Credential(name) => self
                .credential
                .as_ref()
                .is_some_and(|(own, carried)| own == name && *carried <= version),
            // Whom it answers for ends with the tasks.
            Stop::Owner(_) => false,
        }
    }
}
