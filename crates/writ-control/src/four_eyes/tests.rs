//! Whose yes counts, as tables; over sequences of what admins do in `sequences`.

mod reference;
mod sequences;
mod stored;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{ChangeId, Digest};

use super::*;

const START: Timestamp = Timestamp::from_millis(1_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn id(number: u8) -> OperatorId {
    let digest = Digest::of(&[number]);
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&digest.as_bytes()[..10]);
    OperatorId::new(START, bytes)
}

/// Somebody who has had their role since the start and has signed in.
fn person(number: u8, role: Role, made_by: Option<u8>) -> Operator {
    Operator {
        id: id(number),
        name: number.to_string(),
        role,
        approves: [].into(),
        identity: None,
        certificate: None,
        created: START,
        since: START,
        made_by: made_by.map(id),
        signed_in: Some(START),
    }
}

fn approver(number: u8, role: &str, made_by: Option<u8>) -> Operator {
    Operator {
        approves: [role.to_owned()].into(),
        ..person(number, Role::Approver, made_by)
    }
}

fn never_signed_in(person: Operator) -> Operator {
    Operator {
        signed_in: None,
        ..person
    }
}

/// These people, each brought along by whoever gave them their role.
fn people(all: &[Operator]) -> People {
    let makers = all
        .iter()
        .filter_map(|one| Some((one.id, [one.made_by?].into())));
    People::of(all.to_vec(), makers.collect())
}

/// A change of an author that waits.
fn change(author: OperatorId, proposed: Timestamp) -> StoredChange {
    StoredChange {
        id: ChangeId::new(proposed, [0; 10]),
        author,
        kind: "key.rotate".to_owned(),
        target: String::new(),
        body: "{}".to_owned(),
        state: WAITING.to_owned(),
        proposed,
        expires: proposed.plus(LIFE),
        decided_by: None,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn whose_yes_counts() {
    let admin = |number, made_by| person(number, Role::Admin, made_by);
    let (a, b, c) = (admin(1, None), admin(2, Some(1)), admin(3, Some(1)));
    let day = START.plus(AGE);
    let young = Operator {
        since: day,
        ..c.clone()
    };
    let all = [a.clone(), b.clone(), c];
    let with_young = [a.clone(), b.clone(), young];
    let changes = [a.clone(), b.clone(), approver(4, DECIDES, None)];
    let other = [a.clone(), b.clone(), approver(4, "finance", None)];
    let operator = [a, b, person(4, Role::Operator, None)];
    // Who there is, author, whom it is about, approver, when: what becomes of it.
    for (row, registered, author, about, yes, now, wanted) in [
        (
            "another admin",
            &all,
            2,
            None,
            1,
            day,
            Ok(Approved::ByAnother),
        ),
        (
            "one made by the same",
            &all,
            2,
            None,
            3,
            day,
            Ok(Approved::ByAnother),
        ),
        ("the author", &all, 2, None, 2, day, Err(Refusal::Same)),
        (
            "made by the author",
            &all,
            1,
            None,
            2,
            day,
            Err(Refusal::MadeByAuthor),
        ),
        (
            "nobody who is known",
            &all,
            2,
            None,
            9,
            day,
            Err(Refusal::Role),
        ),
        (
            "an author who is gone",
            &all,
            9,
            None,
            1,
            day,
            Err(Refusal::Author),
        ),
        (
            "about the approver",
            &all,
            2,
            Some(1),
            1,
            day,
            Err(Refusal::About),
        ),
        (
            "about somebody else",
            &all,
            2,
            Some(3),
            1,
            day,
            Ok(Approved::ByAnother),
        ),
        (
            "a minute short of a day",
            &all,
            2,
            None,
            1,
            START.plus(AGE - Duration::from_millis(1)),
            Err(Refusal::TooYoung),
        ),
        (
            "a role since today",
            &with_young,
            2,
            None,
            3,
            day.plus(23 * HOUR),
            Err(Refusal::TooYoung),
        ),
        (
            "a role since yesterday",
            &with_young,
            2,
            None,
            3,
            day.plus(24 * HOUR),
            Ok(Approved::ByAnother),
        ),
        (
            "an approver of changes",
            &changes,
            1,
            None,
            4,
            day,
            Ok(Approved::ByAnother),
        ),
        (
            "an approver as author",
            &changes,
            4,
            None,
            1,
            day,
            Err(Refusal::Author),
        ),
        (
            "an approver of other things",
            &other,
            1,
            None,
            4,
            day,
            Err(Refusal::Role),
        ),
        (
            "an operator",
            &operator,
            1,
            None,
            4,
            day,
            Err(Refusal::Role),
        ),
    ] {
        let judged = judge(
            &people(registered),
            &change(id(author), START),
            about.map(id),
            (id(yes), now),
            now,
        );
        assert_eq!(judged, wanted, "{row}");
    }
}

#[test]
fn who_is_alone_waits_and_signs_in_again() {
    let only = [person(1, Role::Admin, None)];
    let later = START.plus(AGE);
    let own = |all: &[Operator], begun: Timestamp, now: Timestamp| {
        judge(
            &people(all),
            &change(id(1), later),
            None,
            (id(1), begun),
            now,
        )
    };
    let due = later.plus(DELAY);
    assert_eq!(own(&only, later, later), Err(Refusal::TooEarly));
    assert_eq!(own(&only, later, due), Err(Refusal::OldSession));
    assert_eq!(own(&only, due, due), Ok(Approved::Alone));
    // Somebody else signs in meanwhile, and it takes them.
    let second = person(2, Role::Admin, Some(1));
    let two = [only[0].clone(), second.clone()];
    assert_eq!(own(&two, due, due), Err(Refusal::Same));
    let name = [only[0].clone(), never_signed_in(second)];
    assert_eq!(
        own(&name, due, due),
        Ok(Approved::Alone),
        "a name is nobody"
    );
    // Who sets an installation up waits for nobody; whom somebody made does not set up.
    assert_eq!(
        need(&people(&only), id(1), START, START),
        Some(Need::Nothing)
    );
    let last = START.plus(SETTING_UP - Duration::from_millis(1));
    assert_eq!(need(&people(&only), id(1), last, last), Some(Need::Nothing));
    assert!(matches!(
        need(&people(&only), id(1), later, later),
        Some(Need::Alone { .. })
    ));
    let made = [person(1, Role::Admin, Some(9))];
    assert!(matches!(
        need(&people(&made), id(1), START, START),
        Some(Need::Alone { .. })
    ));
    for role in [Role::Viewer, Role::Approver, Role::Operator] {
        assert_eq!(
            need(&people(&[person(1, role, None)]), id(1), START, START),
            None
        );
    }
}

#[test]
fn two_who_could_never_agree_are_one() {
    let admin = person(1, Role::Admin, None);
    for (row, other, wanted) in [
        (
            "an approver the admin made",
            approver(2, DECIDES, Some(1)),
            true,
        ),
        (
            "an approver somebody else made",
            approver(2, DECIDES, Some(9)),
            false,
        ),
        (
            "an admin the admin made, who can propose",
            person(2, Role::Admin, Some(1)),
            false,
        ),
        ("an operator", person(2, Role::Operator, None), true),
    ] {
        assert_eq!(
            single_operator(&people(&[admin.clone(), other])),
            wanted,
            "{row}"
        );
    }
    assert!(single_operator(&people(&[])));
}

/// A brought B along, B brought C, and B is gone or has another role by now: C is of A's making still.
#[test]
fn whom_somebody_brought_brings_nobody_else() {
    let admin = |number, made_by| person(number, Role::Admin, made_by);
    let (a, b, c) = (admin(1, None), admin(2, Some(1)), admin(3, Some(2)));
    let d = admin(4, None);
    let day = START.plus(AGE);
    let links = BTreeMap::from([
        (id(2), BTreeSet::from([id(1)])),
        (id(3), BTreeSet::from([id(2)])),
    ]);
    let given = Operator {
        made_by: Some(id(4)),
        ..b.clone()
    };
    for (row, all) in [
        (
            "everybody is there",
            vec![a.clone(), b, c.clone(), d.clone()],
        ),
        (
            "who stood between is gone",
            vec![a.clone(), c.clone(), d.clone()],
        ),
        ("who stood between has another role", vec![a, given, c, d]),
    ] {
        let people = People::of(all, links.clone());
        let yes = |author: u8, by: u8| {
            let change = change(id(author), START);
            judge(&people, &change, None, (id(by), day), day)
        };
        assert_eq!(yes(1, 3), Err(Refusal::MadeByAuthor), "{row}");
        assert_eq!(yes(4, 3), Ok(Approved::ByAnother), "{row}");
    }
    // Two who brought each other along are a circle, and its end is found.
    let circle = BTreeMap::from([
        (id(1), BTreeSet::from([id(2)])),
        (id(2), BTreeSet::from([id(1)])),
    ]);
    let two = People::of(vec![admin(1, Some(2)), admin(2, Some(1))], circle);
    assert!(!two.brought(id(3), id(1)));
    assert!(single_operator(&two));
}

/// What was proposed counts as proposed by who somebody was then.
#[test]
fn a_role_given_since_is_no_role_then() {
    let day = START.plus(AGE);
    let again = Operator {
        since: START.plus(HOUR),
        ..person(1, Role::Admin, Some(9))
    };
    let all = people(&[again, person(2, Role::Admin, None)]);
    let yes = |proposed| judge(&all, &change(id(1), proposed), None, (id(2), day), day);
    assert_eq!(yes(START), Err(Refusal::Author));
    assert_eq!(yes(START.plus(HOUR)), Ok(Approved::ByAnother));
}

#[test]
fn what_does_not_wait_is_over() {
    let day = START.plus(AGE);
    let all = people(&[person(1, Role::Admin, None), person(2, Role::Admin, None)]);
    let yes = |change: &StoredChange, now| judge(&all, change, None, (id(2), day), now);
    let waits = change(id(1), START);
    let last = START.plus(LIFE - Duration::from_millis(1));
    assert_eq!(yes(&waits, last), Ok(Approved::ByAnother));
    assert_eq!(yes(&waits, START.plus(LIFE)), Err(Refusal::Over));
    for state in ["approved", "refused"] {
        let decided = StoredChange {
            state: state.to_owned(),
            ..waits.clone()
        };
        assert_eq!(yes(&decided, day), Err(Refusal::Over), "{state}");
    }
}
