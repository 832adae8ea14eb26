use super::*;
use writ_types::Requester;

fn user(subject: &str) -> Requester {
    Requester {
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
    }
}

#[test]
fn who_can_give_what() {
    let ann = user("ann");
    let security = BTreeSet::from(["security".to_owned()]);
    let none = BTreeSet::new();
    let person = |name, rank: u8, roles, identity| Approver {
        name,
        is_operator: rank >= 1,
        is_admin: rank >= 2,
        roles,
        identity,
    };
    let people = [
        ("viewer", person("vic", 0, &none, None)),
        ("operator", person("olga", 1, &none, None)),
        ("admin", person("adam", 2, &none, None)),
        ("security", person("sue", 0, &security, None)),
        ("owner", person("own@example.org", 0, &none, None)),
        ("ann", person("a.nn", 0, &security, Some(&ann))),
        ("called ann", person("ann", 2, &security, None)),
    ];
    // Role, whether the agent acts for ann, four eyes: who can give it.
    for (role, for_ann, four_eyes, can) in [
        ("operator", true, false, "operator admin called ann"),
        ("operator", true, true, "operator admin"),
        ("admin", true, false, "admin called ann"),
        ("security", true, false, "security ann called ann"),
        ("security", true, true, "security"),
        ("security", false, true, "security ann called ann"),
        ("owner", true, false, "owner"),
        ("requester", true, false, "ann"),
        ("requester", true, true, ""),
        ("requester", false, false, "owner"),
        ("nobody", true, false, ""),
    ] {
        let subject = Subject {
            requester: for_ann.then_some(&ann),
            owner: "own@example.org",
            four_eyes,
        };
        let found: Vec<&str> = people
            .iter()
            .filter(|(_, person)| person.can_give(role, subject))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(found.join(" "), can, "{role} {for_ann} {four_eyes}");
    }
}

#[test]
fn what_an_agent_is_told() {
    let (soon, now, late) = (
        Timestamp::from_secs(50),
        Timestamp::from_secs(100),
        Timestamp::from_secs(200),
    );
    for (state, not_before, expires, word) in [
        (ApprovalState::Pending, None, late, "pending"),
        (ApprovalState::Pending, None, now, "expired"),
        (ApprovalState::Approved, None, late, "approved"),
        (ApprovalState::Approved, None, soon, "expired"),
        (ApprovalState::Approved, Some(soon), late, "approved"),
        (ApprovalState::Approved, Some(now), late, "approved"),
        (
            ApprovalState::Approved,
            Some(late),
            Timestamp::from_secs(300),
            "pending",
        ),
        (ApprovalState::Denied, None, soon, "denied"),
        (ApprovalState::Used, None, late, "used"),
        (ApprovalState::Withdrawn, None, late, "expired"),
    ] {
        let id = ApprovalId::new(now, [1; 10]);
        let status = Status {
            id,
            state,
            not_before,
            expires,
        };
        assert_eq!(status.word(now), word, "{state} {not_before:?} {expires:?}");
    }
}
