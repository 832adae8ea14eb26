//! Many threads, one task.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use writ_types::{Grant, Limits, Stop};

use super::support::{Bench, READ, below, budget, grant, now, tenant, write};
use crate::{EnterError, Heading, Ledger, MemoryLedger, Stops};

fn roomy() -> Bench {
    let limits = Limits {
        task_in_flight: 1000,
        ..Limits::default()
    };
    Bench(MemoryLedger::new(&limits))
}

#[test]
fn a_budget_of_n_lets_exactly_n_through() {
    let bench = roomy();
    bench
        .open(Grant {
            budget: budget(1000, 300),
            ..grant(1)
        })
        .unwrap();
    bench
        .open(Grant {
            budget: budget(1000, 300),
            ..below(2, 1)
        })
        .unwrap();
    let (sent, ids) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (bench, sent, ids) = (&bench, &sent, &ids);
            scope.spawn(move || {
                for _ in 0..200 {
                    let id = ids.fetch_add(1, Ordering::SeqCst);
                    let entered = bench.enter(1 + thread % 2, id).unwrap();
                    let Ok((mut reservation, _facts)) = bench.reserve(&entered, write()) else {
                        continue;
                    };
                    // Every third is refused by the policy afterwards and gives its share back.
                    if id % 3 != 0 {
                        reservation.commit();
                        sent.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(sent.load(Ordering::SeqCst), 300);
    assert_eq!(
        (bench.status(1).spent.writes, bench.status(1).in_flight),
        (300, 0)
    );
}

/// A call that reads its flag as clear after its last wait was not revoked before; one that enters later is refused.
#[test]
fn a_kill_is_seen_by_everything_that_comes_after_it() {
    for round in 0..200 {
        let bench = roomy();
        bench
            .open(Grant {
                budget: budget(1_000_000, 0),
                ..grant(1)
            })
            .unwrap();
        let (killed, ids) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let before = killed.load(Ordering::SeqCst);
                        let entered = bench.enter(1, ids.fetch_add(1, Ordering::SeqCst));
                        assert!(
                            !before || entered.is_err(),
                            "entered after the kill returned"
                        );
                        let Ok(entered) = entered else {
                            assert!(matches!(entered, Err(EnterError::Ended(_))));
                            break;
                        };
                        let before = killed.load(Ordering::SeqCst);
                        let reserved = bench.reserve(&entered, READ);
                        assert!(
                            !before || reserved.is_err(),
                            "reserved after the kill returned"
                        );
                        let before = killed.load(Ordering::SeqCst);
                        assert!(
                            !before || entered.cut().is_cut(),
                            "not cut after the kill returned"
                        );
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..round {
                    std::hint::spin_loop();
                }
                bench.revoke(1);
                killed.store(true, Ordering::SeqCst);
            });
        });
        assert_eq!(bench.status(1).in_flight, 0);
    }
}

/// A call that says where it goes and then finds nothing stopped is cut by whoever stops it.
#[test]
fn a_call_is_refused_or_cut_and_never_neither() {
    let heading = Heading {
        api: "dns".parse().unwrap(),
        credential: None,
    };
    let stop = Stop::Api(heading.api.clone());
    for round in 0..200 {
        let (bench, stops) = (roomy(), Stops::default());
        bench.open(grant(1)).unwrap();
        let (stopped, ids) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let entered = bench.enter(1, ids.fetch_add(1, Ordering::SeqCst));
                        let entered = entered.unwrap();
                        entered.heads_for(heading.clone());
                        if stops.holds(&tenant(), &heading) {
                            break;
                        }
                        let before = stopped.load(Ordering::SeqCst);
                        assert!(
                            !before || entered.cut().is_stopped(),
                            "neither refused nor cut after the kill returned"
                        );
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..round {
                    std::hint::spin_loop();
                }
                stops.stop(&tenant(), stop.clone(), 0);
                now(bench.0.cut(&tenant(), &stop, 0));
                stopped.store(true, Ordering::SeqCst);
            });
        });
    }
}
