use writ_types::{ManualClock, Timestamp};

use super::*;

fn holder(api: &str, task: u64) -> Holder {
    Holder {
        api: api.parse().unwrap(),
        tenant: Tenant::default_tenant(),
        task: TaskId::new(Timestamp::from_millis(task), [7; 10]),
    }
}

fn agent(number: u8) -> AgentId {
    AgentId::new(Timestamp::from_secs(0), [number; 10])
}

fn with(version: u32) -> OpenedWith {
    OpenedWith {
        upstream: "http://127.0.0.1:1/mcp".parse().unwrap(),
        revision: Some(Revision::Sessions),
        credential: Some(("key".parse().unwrap(), version)),
        asks: BTreeSet::new(),
    }
}

#[test]
fn a_session_is_of_one_task_one_api_and_one_credential() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_secs(1)));
    let sessions = ServerSessions::default();
    let place = |api, task, version| {
        sessions
            .place((holder(api, task), agent(0)), with(version), &clock)
            .unwrap()
    };
    let (first, over) = place("mail", 1, 1);
    assert!(over.is_none());
    let same = |other: &Held| Arc::ptr_eq(&first.place, &other.place);
    assert!(same(&place("mail", 1, 1).0));
    assert!(!same(&place("mail", 2, 1).0), "another task");
    assert!(!same(&place("files", 1, 1).0), "another API");
    let (other, over) = place("mail", 1, 2);
    assert!(!same(&other), "another credential");
    assert!(over.is_some_and(|over| Arc::ptr_eq(&over, &first.place)));
    let moved = OpenedWith {
        upstream: "http://127.0.0.1:2/mcp".parse().unwrap(),
        ..with(2)
    };
    let (elsewhere, over) = sessions
        .place((holder("mail", 1), agent(0)), moved, &clock)
        .unwrap();
    assert!(
        over.is_some() && !Arc::ptr_eq(&elsewhere.place, &other.place),
        "another server"
    );
    let asks = OpenedWith {
        asks: BTreeSet::from([Ask::Sampling]),
        ..with(2)
    };
    let (free, over) = sessions
        .place((holder("mail", 1), agent(0)), asks, &clock)
        .unwrap();
    assert!(
        over.is_some() && !Arc::ptr_eq(&free.place, &elsewhere.place),
        "a server that was told something else"
    );
}

#[test]
fn the_longest_idle_makes_room_and_nobody_in_use_does() {
    let time = Arc::new(ManualClock::at(Timestamp::from_secs(1)));
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&time);
    let sessions = ServerSessions::default();
    // Each four tasks are of one agent.
    let place = |api, task: u64| {
        let whose = agent(u8::try_from(task / 4).unwrap());
        sessions.place((holder(api, task), whose), with(1), &clock)
    };
    let mut held = Vec::new();
    for task in 0..MOST_OF_AN_API.all {
        held.push(place("mail", u64::try_from(task).unwrap()).unwrap().0);
    }
    assert_eq!(place("mail", 1_000).err(), Some(NoRoom));
    assert!(
        place("files", 1_000).is_ok(),
        "another server has room of its own"
    );
    // The third was used last.
    let third = Arc::clone(&held[2].place);
    drop(held.remove(2));
    time.advance(Duration::from_secs(1));
    drop(held.remove(5));
    let (_, over) = place("mail", 1_000).unwrap();
    assert!(over.is_some_and(|over| Arc::ptr_eq(&over, &third)));
}

#[test]
fn an_agent_has_a_share_and_makes_room_in_it() {
    let time = Arc::new(ManualClock::at(Timestamp::from_secs(1)));
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&time);
    for (upstream, most) in [
        ("http://127.0.0.1:1/mcp", MOST_OF_AN_API),
        ("stdio:mail", MOST_PROCESSES),
    ] {
        let sessions = ServerSessions::default();
        let place = |number: u8, task| {
            let with = OpenedWith {
                upstream: upstream.parse().unwrap(),
                ..with(1)
            };
            sessions.place((holder("mail", task), agent(number)), with, &clock)
        };
        let (idle, _) = place(2, 1_000).unwrap();
        let others = Arc::clone(&idle.place);
        drop(idle);
        time.advance(Duration::from_secs(1));
        let mut held = Vec::new();
        for task in 0..most.of_an_agent {
            held.push(place(1, u64::try_from(task).unwrap()).unwrap().0);
        }
        assert_eq!(place(1, 2_000).err(), Some(NoRoom), "{upstream}");
        assert!(place(2, 3_000).is_ok(), "another agent has room");
        let first = Arc::clone(&held[0].place);
        drop(held.remove(0));
        let (_, over) = place(1, 2_000).unwrap();
        let over = over.unwrap();
        assert!(Arc::ptr_eq(&over, &first), "its own makes room");
        assert!(
            !Arc::ptr_eq(&over, &others),
            "and not another's that is idle for longer"
        );
    }
}

#[test]
fn what_nobody_uses_is_idle_and_what_is_read_is_not() {
    let time = Arc::new(ManualClock::at(Timestamp::from_secs(1)));
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&time);
    let sessions = ServerSessions::default();
    let (held, _) = sessions
        .place((holder("mail", 1), agent(0)), with(1), &clock)
        .unwrap();
    let place = Arc::clone(&held.place);
    time.advance(IDLE.saturating_mul(2));
    assert!(!place.is_idle(clock.monotonic()));
    drop(held);
    time.advance(IDLE);
    assert!(!place.is_idle(clock.monotonic()));
    time.advance(Duration::from_millis(1));
    assert!(place.is_idle(clock.monotonic()));
}
