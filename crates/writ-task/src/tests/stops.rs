//! Stopping what calls need: who goes there is refused or cut, and nobody else.

use writ_types::{Stop, Tenant};

use super::support::{Bench, READ, call, grant, now, tenant};
use crate::{Entered, Heading, Ledger, Stops};

fn heading(api: &str, credential: Option<(&str, u32)>) -> Heading {
    Heading {
        api: api.parse().unwrap(),
        credential: credential.map(|(name, version)| (name.parse().unwrap(), version)),
    }
}

fn stop(kind: &str, name: &str) -> Stop {
    Stop::parse(kind, name).unwrap().unwrap()
}

#[test]
fn what_is_stopped_is_refused_until_it_goes_on() {
    let dns = heading("dns", Some(("dns-key", 2)));
    for (kind, name, version, holds) in [
        ("api", "dns", 0, true),
        ("api", "mail", 0, false),
        ("credential", "dns-key", 2, true),
        ("credential", "dns-key", 3, true),
        // A newer one took its place.
        ("credential", "dns-key", 1, false),
        ("credential", "mail-key", 2, false),
        ("owner", "dns", 0, false),
    ] {
        let stops = Stops::default();
        assert!(!stops.holds(&tenant(), &dns));
        stops.stop(&tenant(), stop(kind, name), version);
        assert_eq!(
            stops.holds(&tenant(), &dns),
            holds,
            "{kind} {name} {version}"
        );
        let elsewhere: Tenant = "acme".parse().unwrap();
        assert!(!stops.holds(&elsewhere, &dns), "another tenant");
        assert!(!stops.resume(&elsewhere, &stop(kind, name)));
        assert!(stops.resume(&tenant(), &stop(kind, name)));
        assert!(!stops.resume(&tenant(), &stop(kind, name)));
        assert!(!stops.holds(&tenant(), &dns), "{kind} {name} goes on");
    }
    let stops = Stops::default();
    stops.stop(&tenant(), stop("owner", "ada"), 0);
    assert!(stops.holds_owner(&tenant(), &"ada".parse().unwrap()));
    assert!(!stops.holds_owner(&tenant(), &"ben".parse().unwrap()));
}

#[test]
fn a_credential_is_stopped_as_far_as_anybody_wanted() {
    let stops = Stops::default();
    stops.stop(&tenant(), stop("credential", "dns-key"), 3);
    stops.stop(&tenant(), stop("credential", "dns-key"), 1);
    assert!(stops.holds(&tenant(), &heading("dns", Some(("dns-key", 3)))));
}

#[test]
fn calls_that_go_there_are_cut_and_their_tasks_live_on() {
    for (kind, name, version, cut) in [
        ("api", "dns", 0, vec![1, 2]),
        ("api", "web", 0, vec![]),
        ("credential", "key", 1, vec![1]),
        ("credential", "key", 2, vec![1, 3]),
        ("credential", "other", 2, vec![]),
        ("owner", "dns", 0, vec![]),
    ] {
        let bench = Bench::new();
        bench.open(grant(1)).unwrap();
        let headed = |id: u64, heading: Option<Heading>| {
            let entered = bench.enter(1, id).unwrap();
            if let Some(heading) = heading {
                entered.heads_for(heading);
            }
            entered
        };
        let calls: Vec<Entered> = vec![
            headed(1, Some(heading("dns", Some(("key", 1))))),
            headed(2, Some(heading("dns", None))),
            headed(3, Some(heading("mail", Some(("key", 2))))),
            headed(4, None),
        ];
        let (stop, row) = (stop(kind, name), format!("{kind} {name} {version}"));
        let elsewhere = bench.0.cut(&"acme".parse().unwrap(), &stop, version);
        assert_eq!(now(elsewhere).calls, [], "another tenant's: {row}");
        let found = now(bench.0.cut(&tenant(), &stop, version));
        assert_eq!(
            found.calls,
            cut.iter().map(|id| call(*id)).collect::<Vec<_>>(),
            "{row}"
        );
        assert_eq!(found.tasks, [], "{row}");
        for (id, entered) in (1..).zip(&calls) {
            let signal = entered.cut();
            let wanted = cut.contains(&id);
            assert_eq!(
                (signal.is_cut(), signal.is_stopped()),
                (wanted, wanted),
                "{row}: {id}"
            );
        }
        assert!(
            now(bench.0.cut(&tenant(), &stop, version)).calls.is_empty(),
            "once"
        );
        let next = bench.enter(1, 9).unwrap();
        assert!(
            bench.reserve(&next, READ).is_ok(),
            "the task lives on: {row}"
        );
    }
}

#[test]
fn a_task_that_is_killed_is_not_stopped() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    entered.heads_for(heading("dns", None));
    bench.revoke(1);
    assert!(entered.cut().is_cut() && !entered.cut().is_stopped());
}
