//! One instance, one key: whether a key that asks for a token is where it is used (ARCHITECTURE "One instance, one key").

use writ_audit::{Alarm, AlarmKind, AlarmResponse, KeyUse, Stand, Watchman as _};
use writ_token::{Authority, OauthError};
use writ_types::{Binding, Reaction, Timestamp};

use crate::oauth::proven::Proven;
use crate::oauth::{grant_error, unavailable};
use crate::plane::{Connection, Plane};

impl Plane {
    /// Lets a key that was proven ask for a token from where it asks, as far as the agent's file asks for one place.
    ///
    /// # Errors
    ///
    /// `invalid_grant` if the key was used from another network within the last minute; `temporarily_unavailable` if there is no
    /// room to know.
    pub(super) fn admit_place(
        &self,
        from: &Connection,
        proven: &Proven,
        (binding, authority): (&Binding, &Authority),
        now: Timestamp,
    ) -> Result<(), OauthError> {
        let agent = &proven.agent;
        let response = match agent.watch.second_source {
            Reaction::Allow => return Ok(()),
            Reaction::Raise => AlarmResponse::Raised,
            Reaction::Refuse => AlarmResponse::Refused,
        };
        let key = match binding {
            Binding::Dpop(key) | Binding::Mtls(key) => *key,
            // There is no token yet, and nothing else to tell one by.
            Binding::Unbound => return Ok(()),
        };
        let place = (KeyUse::Asking, from.peer);
        let before = match self.places.stand(&self.tenant, &key, place, now) {
            Stand::Here => return Ok(()),
            Stand::Full => return Err(unavailable("too many keys are in use at once")),
            Stand::Elsewhere(before) => before,
        };
        let task = match authority {
            Authority::Renew(task) => Some(*task),
            Authority::Open(_) => None,
        };
        self.alarms.raise(Alarm {
            what: AlarmKind::SecondSource,
            agent: Some(agent.id),
            task,
            key: Some(key),
            trap: None,
            source: from.source(),
            before: Some(before),
            response,
        });
        match response {
            AlarmResponse::Raised => Ok(()),
            AlarmResponse::Refused | AlarmResponse::Stopped => Err(grant_error(
                "second_source: this key was used from another network within the last minute; prove another one",
            )),
        }
    }
}
