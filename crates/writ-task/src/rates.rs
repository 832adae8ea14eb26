//! How fast tasks and agents call: one instant for each that calls, on the clock that never goes back.
//!
//! The generic cell rate algorithm (ITU-T I.371): what is kept is when everything that was taken will have been earned. It needs no
//! timer, and one whose instant has passed is as good as none, so what is kept is bounded by what calls now.

use std::collections::BTreeMap;
use std::time::Duration;

use writ_types::{AgentId, ApiId, Monotonic, OperationId, Rate, TaskId, Tenant};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pacer {
    /// One task.
    Task(TaskId),
    /// One agent, with all its tasks.
    Agent(AgentId),
}

/// Whose calls of what are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The tenant.
    pub tenant: Tenant,
    /// Who calls.
    pub pacer: Pacer,
    /// The API.
    pub api: ApiId,
    /// What of it.
    pub of: Share,
}

/// What of an API is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Everything that nobody has said a rate of.
    Unsaid,
    /// Everything, by the rate that is said of the API.
    Api,
    /// One operation, by its own rate.
    Operation(OperationId),
}

/// The calls of everybody.
#[derive(Debug)]
pub struct Rates {
    /// When everything that was taken will have been earned.
    earned: BTreeMap<Lane, Monotonic>,
    most: usize,
    swept: Option<Monotonic>,
}

/// Shortest time between two looks through everything for what can be forgotten.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

impl Rates {
    /// Most lanes that are kept: beyond them whoever begins to call waits.
    pub const MOST: usize = 65_536;

    /// Nobody has called; at most `most` lanes are kept.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            earned: BTreeMap::new(),
            most,
            swept: None,
        }
    }

    /// Takes one call of each lane, of all of them or of none.
    ///
    /// # Errors
    ///
    /// How long to wait until all of them have one.
    pub fn take(&mut self, lanes: &[(Lane, Rate)], now: Monotonic) -> Result<(), Duration> {
        let mut taken = Vec::with_capacity(lanes.len());
        let mut wait = Duration::ZERO;
        for (lane, rate) in lanes {
            let known = self.earned.get(lane).copied();
            let from = known.map_or(now, |earned| earned.max(now));
            let earned = from.plus(rate.interval());
            let ahead = rate.interval().saturating_mul(rate.burst());
            wait = wait.max(earned.since(now).saturating_sub(ahead));
            taken.push((lane, earned, known.is_none()));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        let new = taken.iter().filter(|(.., is_new)| *is_new).count();
        if self.earned.len().saturating_add(new) > self.most {
            self.sweep(now);
            if self.earned.len().saturating_add(new) > self.most {
                return Err(BETWEEN_SWEEPS);
            }
        }
        for (lane, earned, _) in taken {
            self.earned.insert(lane.clone(), earned);
        }
        Ok(())
    }

    /// Forgets the lanes that owe nothing, not more often than once in a while.
    fn sweep(&mut self, now: Monotonic) {
        let recently = |swept: Monotonic| now.since(swept) < BETWEEN_SWEEPS;
        if !self.swept.is_some_and(recently) {
            self.earned.retain(|_, earned| *earned > now);
            self.swept = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use writ_types::Timestamp;

    use super::*;

    fn lane(number: u8) -> Lane {
        Lane {
            tenant: Tenant::default_tenant(),
            pacer: Pacer::Task(TaskId::new(Timestamp::from_millis(1), [number; 10])),
            api: "dns".parse().unwrap(),
            of: Share::Unsaid,
        }
    }

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    /// What becomes of a call of lane 0 at an instant: 0, or the milliseconds to wait.
    fn call(rates: &mut Rates, rate: Rate, millis: u64) -> u128 {
        let taken = rates.take(&[(lane(0), rate)], at(millis));
        taken.err().unwrap_or_default().as_millis()
    }

    #[test]
    fn a_burst_at_once_and_then_as_the_time_passes() {
        let mut rates = Rates::new(8);
        let rate = rate("10/s burst 3");
        for (millis, wait) in [
            (0, 0),
            (0, 0),
            (0, 0),
            (0, 100),
            // Whoever is refused has taken nothing.
            (0, 100),
            (60, 40),
            (100, 0),
            (100, 100),
            // A long silence earns a burst and no more.
            (60_000, 0),
            (60_000, 0),
            (60_000, 0),
            (60_000, 100),
            // A clock that seems to go back gives nothing.
            (59_000, 1_100),
        ] {
            assert_eq!(call(&mut rates, rate, millis), wait, "at {millis} ms");
        }
    }

    #[test]
    fn all_lanes_or_none() {
        let mut rates = Rates::new(8);
        let (wide, narrow) = (rate("1/s burst 2"), rate("1/m burst 1"));
        let both = [(lane(1), wide), (lane(2), narrow)];
        assert_eq!(rates.take(&both, at(0)), Ok(()));
        assert_eq!(rates.take(&both, at(0)), Err(Duration::from_secs(60)));
        // What the narrow one refused the wide one still has.
        assert_eq!(rates.take(&both[..1], at(0)), Ok(()));
        assert_eq!(rates.take(&both[..1], at(0)), Err(Duration::from_secs(1)));
    }

    #[test]
    fn what_is_kept_is_bounded_and_beyond_it_is_refused() {
        let mut rates = Rates::new(2);
        let rate = rate("1/s");
        let take =
            |rates: &mut Rates, number, millis| rates.take(&[(lane(number), rate)], at(millis));
        assert!(take(&mut rates, 1, 0).is_ok() && take(&mut rates, 2, 500).is_ok());
        assert_eq!(take(&mut rates, 3, 900), Err(BETWEEN_SWEEPS));
        // The first owes nothing any more, but everything was looked through just now.
        assert_eq!(take(&mut rates, 3, 1_600), Err(BETWEEN_SWEEPS));
        assert!(take(&mut rates, 3, 1_900).is_ok());
        assert_eq!(rates.earned.len(), 1, "both others were forgotten");
        assert_eq!(
            Rates::new(0).take(&[(lane(1), rate)], at(0)),
            Err(BETWEEN_SWEEPS)
        );
    }

    proptest! {
        /// In no span of time more than the burst and what is earned in it, however calls are spread.
        #[test]
        fn never_more_than_a_burst_and_what_is_earned(
            gaps in prop::collection::vec(0u64..400, 1..200),
            burst in 1u32..6,
        ) {
            let rate = Rate::new(10, Duration::from_secs(1), burst).unwrap();
            let mut rates = Rates::new(8);
            let (mut now, mut granted) = (0u64, Vec::new());
            for gap in gaps {
                now = now.saturating_add(gap);
                if call(&mut rates, rate, now) == 0 {
                    granted.push(now);
                }
            }
            for (place, from) in granted.iter().enumerate() {
                for (more, until) in (1u64..).zip(&granted[place..]) {
                    let earned = until.saturating_sub(*from).div_euclid(100);
                    let most = earned.saturating_add(u64::from(burst));
                    prop_assert!(more <= most, "{from} to {until}");
                }
            }
        }
    }
}
