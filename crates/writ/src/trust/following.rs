//! Keys that an agent on this machine tells of as they change: its Workload API.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use writ_token::TrustBundle;
use writ_types::Timestamp;

use super::{EndpointFault, First, Parsed, Refresher, Remote, SHORTEST, WorkloadEndpoint};
use crate::failure::Failure;

impl Refresher {
    /// Follows an agent until it is time to ask it anew; gives the pause until then. What it says is put in place as it comes,
    /// and believed for as long as its first word of this connection: that it says nothing is no proof that it lives.
    ///
    /// What it does not speak of any more is believed no more, at once, and so is everything once it says that this process
    /// gets nothing (SPIFFE Workload API §4.4, §5.2.2, §6.2.2). Any other fault leaves what was believed to its limit.
    pub(super) async fn follow(
        &self,
        remote: &Remote,
        agent: &WorkloadEndpoint,
        (first, failures): (&mut First, &mut u32),
    ) -> Result<Duration, Failure> {
        let asked = self.clock.now();
        let failed = |fault: EndpointFault| {
            if matches!(fault, EndpointFault::Denied) {
                self.forget(remote);
            }
            let (name, socket) = (remote.voucher.name(), agent.socket().display());
            let what = format!("cannot have the keys of {name} from unix://{socket}");
            Failure::new(format!("{what}: {fault}"))
        };
        let anew = Instant::now()
            .checked_add(remote.refresh)
            .ok_or_else(|| Failure::new("`refresh` is longer than time is counted".to_owned()))?;
        let (mut following, bundle) = agent.follow().await.map_err(failed)?;
        self.take(remote, bundle, asked)?;
        *failures = 0;
        first.tell(None);
        while let Ok(changed) = timeout_at(anew, following.changed()).await {
            self.take(remote, changed.map_err(failed)?, asked)?;
        }
        Ok(SHORTEST)
    }

    fn take(
        &self,
        remote: &Remote,
        bundle: Option<TrustBundle>,
        asked: Timestamp,
    ) -> Result<(), Failure> {
        let Some(bundle) = bundle else {
            self.forget(remote);
            let name = remote.voucher.name();
            let what = format!("the agent does not speak of the trust domain {name}");
            return Err(Failure::new(what));
        };
        let bundle = bundle.until(asked.plus(remote.good_for));
        self.put(remote, &Parsed::Bundle(Box::new(bundle)), asked);
        Ok(())
    }

    /// Believes what came from there no more.
    fn forget(&self, remote: &Remote) {
        self.if_wanted(remote, || remote.voucher.remove(&self.trust));
        self.note(remote, |origin| {
            origin.since = None;
            origin.until = None;
        });
    }
}
