//! Everybody who is registered, and who brought whom along.

use std::collections::{BTreeMap, BTreeSet};

use writ_store::{Operator, Store, StoreError};
use writ_types::{OperatorId, Tenant};

/// Everybody who is registered, and who brought whom along; those who were removed stand between others still.
#[derive(Debug, Clone)]
pub(crate) struct People {
    all: Vec<Operator>,
    makers: BTreeMap<OperatorId, BTreeSet<OperatorId>>,
}

impl People {
    /// Reads everybody: somebody who was overlooked could make two people look like one.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub(crate) async fn read(store: &Store, tenant: &Tenant) -> Result<Self, StoreError> {
        let mut all: Vec<Operator> = Vec::new();
        loop {
            let after = all.last().map(|last| last.id);
            let page = store.operators(tenant, after).await?;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        let makers = store.operator_makers(tenant).await?;
        Ok(Self { all, makers })
    }

    /// Everybody.
    pub(crate) fn all(&self) -> &[Operator] {
        &self.all
    }

    /// Everybody, without who brought whom along.
    pub(crate) fn into_all(self) -> Vec<Operator> {
        self.all
    }

    /// Somebody by their id.
    pub(crate) fn find(&self, id: OperatorId) -> Option<&Operator> {
        self.all.iter().find(|one| one.id == id)
    }

    /// Whether `maker` registered, invited or gave a role to `other`, or to somebody who did, and so on.
    pub(crate) fn brought(&self, maker: OperatorId, other: OperatorId) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![other];
        while let Some(next) = open.pop() {
            for above in self.makers.get(&next).into_iter().flatten() {
                if *above == maker {
                    return true;
                }
                if seen.insert(*above) {
                    open.push(*above);
                }
            }
        }
        false
    }

    #[cfg(test)]
    pub(crate) const fn of(
        all: Vec<Operator>,
        makers: BTreeMap<OperatorId, BTreeSet<OperatorId>>,
    ) -> Self {
        Self { all, makers }
    }
}
