use writ_types::{JsonLimits, Timestamp};

use super::*;

fn holder(task: u64, agent: u8) -> (Tenant, TaskId, AgentId) {
    let now = Timestamp::from_secs(1);
    (
        Tenant::default_tenant(),
        TaskId::new(Timestamp::from_millis(task), [1; 10]),
        AgentId::new(now, [agent; 10]),
    )
}

#[test]
fn a_task_has_a_quarter_of_its_calls_and_an_agent_a_share_of_all() {
    let limits = Limits {
        task_in_flight: 16,
        ..Limits::default()
    };
    let updates = Updates::default();
    for task in 0..16 {
        for _ in 0..4 {
            assert!(updates.take(&holder(task, 1), &limits), "{task}");
        }
        assert!(!updates.take(&holder(task, 1), &limits), "{task}");
    }
    assert!(!updates.take(&holder(99, 1), &limits), "in whatever task");
    assert!(
        updates.take(&holder(99, 2), &limits),
        "another agent has room"
    );
    updates.give_back(&holder(3, 1));
    assert!(
        updates.take(&holder(3, 1), &limits),
        "what is over makes room"
    );
    for agent in 3..=u8::MAX {
        for task in 0..64 {
            let own = 1_000 + 64 * u64::from(agent) + task;
            updates.take(&holder(own, agent), &limits);
        }
    }
    let all: usize = updates.all().values().sum();
    assert_eq!(all, MOST);
}

#[test]
fn one_hears_of_what_one_has_subscribed_to_and_of_nothing_else() {
    let ear = Ear::default();
    let (one, _keeps) = oneshot::channel();
    ear.keep("test://a", one);
    for other in ["test://b", "test://a/", "test://A", "test://%61", ""] {
        ear.hear(other);
        assert!(!ear.has_news(), "{other}");
    }
    // However often it is updated, it is told once.
    ear.hear("test://a");
    ear.hear("test://a");
    let news = |uris: &[&str], ends| News {
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        ends,
    };
    assert_eq!(ear.take(), news(&["test://a"], false));
    assert!(!ear.has_news());
    // What is not wanted any more is no news, and what was news before is none.
    ear.hear("test://a");
    ear.release("test://a");
    assert!(!ear.has_news());
    // What is lost is told a last time.
    let (one, _keeps) = oneshot::channel();
    ear.keep("test://a", one);
    ear.lose("test://a");
    assert_eq!(ear.take(), news(&["test://a"], true));
    ear.close();
    assert_eq!(ear.take(), news(&[], true));
}

#[test]
fn what_ends_ends_its_subscriptions_and_what_comes_too_late_ends_at_once() {
    let ear = Ear::default();
    let (one, mut first) = oneshot::channel();
    let (other, mut second) = oneshot::channel();
    ear.keep("test://a", one);
    ear.keep("test://a", other);
    assert!(
        first
            .try_recv()
            .is_err_and(|fault| fault == oneshot::error::TryRecvError::Closed)
    );
    assert!(
        second
            .try_recv()
            .is_err_and(|fault| fault == oneshot::error::TryRecvError::Empty)
    );
    ear.close();
    assert!(
        second
            .try_recv()
            .is_err_and(|fault| fault == oneshot::error::TryRecvError::Closed)
    );
    let (late, mut third) = oneshot::channel();
    ear.keep("test://b", late);
    assert!(
        third
            .try_recv()
            .is_err_and(|fault| fault == oneshot::error::TryRecvError::Closed)
    );
    assert!(!ear.has_room("test://b"));
    let ear = Ear::default();
    let mut kept = Vec::new();
    for number in 0..MOST_OF_ONE {
        let (one, ends) = oneshot::channel();
        kept.push(ends);
        ear.keep(&format!("test://{number}"), one);
    }
    assert!(!ear.has_room("test://more") && ear.has_room("test://0"));
}

#[test]
fn an_update_is_a_notification_that_names_a_uri() {
    for (message, uri) in [
        (
            r#"{"method":"notifications/resources/updated","params":{"uri":"test://a"}}"#,
            Some("test://a"),
        ),
        (
            r#"{"method":"notifications/resources/updated","params":{"uri":7}}"#,
            None,
        ),
        (
            r#"{"method":"notifications/resources/updated","id":1,"params":{"uri":"test://a"}}"#,
            None,
        ),
        (
            r#"{"method":"notifications/resources/list_changed","params":{"uri":"test://a"}}"#,
            None,
        ),
        (r#"{"method":"notifications/resources/updated"}"#, None),
    ] {
        let message = Value::parse(message.as_bytes(), &JsonLimits::DOCUMENT).unwrap();
        assert_eq!(updated(&message), uri, "{message}");
    }
}
