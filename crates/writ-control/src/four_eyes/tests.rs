//! One person alone changes nothing that takes two: as a table, and over sequences of what admins do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use writ_types::Digest;

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
    for (row, people, author, about, yes, now, wanted) in [
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
            people,
            (id(author), START),
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
    let own = |people: &[Operator], begun: Timestamp, now: Timestamp| {
        judge(people, (id(1), later), None, (id(1), begun), now)
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
    assert_eq!(need(&only, id(1), START, START), Some(Need::Nothing));
    let last = START.plus(SETTING_UP - Duration::from_millis(1));
    assert_eq!(need(&only, id(1), last, last), Some(Need::Nothing));
    assert!(matches!(
        need(&only, id(1), later, later),
        Some(Need::Alone { .. })
    ));
    let made = [person(1, Role::Admin, Some(9))];
    assert!(matches!(
        need(&made, id(1), START, START),
        Some(Need::Alone { .. })
    ));
    for role in [Role::Viewer, Role::Approver, Role::Operator] {
        assert_eq!(need(&[person(1, role, None)], id(1), START, START), None);
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
        assert_eq!(single_operator(&[admin.clone(), other]), wanted, "{row}");
    }
    assert!(single_operator(&[]));
}

/// Something an admin, or somebody who would like to be one, does.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Proposes to register another admin.
    Add { by: u8 },
    /// Proposes to make somebody an admin again, or to take it away.
    Change { by: u8, whom: u8, admin: bool },
    /// Proposes to remove somebody.
    Remove { by: u8, whom: u8 },
    /// Proposes something else: a key, a trust root.
    Other { by: u8 },
    /// Says yes to a change.
    Yes { by: u8, change: usize },
    /// Signs in, for the first time or again.
    SignIn { who: u8 },
    /// Time passes.
    Wait { minutes: u16 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 1..6_u8;
    let step = prop_oneof![
        3 => who().prop_map(|by| Step::Add { by }),
        2 => (who(), who(), any::<bool>()).prop_map(|(by, whom, admin)| Step::Change { by, whom, admin }),
        1 => (who(), who()).prop_map(|(by, whom)| Step::Remove { by, whom }),
        2 => who().prop_map(|by| Step::Other { by }),
        8 => (who(), 0..8_usize).prop_map(|(by, change)| Step::Yes { by, change }),
        3 => who().prop_map(|who| Step::SignIn { who }),
        3 => prop_oneof![1..20_u16, 700..1500_u16].prop_map(|minutes| Step::Wait { minutes }),
    ];
    prop::collection::vec(step, 1..25)
}

#[derive(Debug, Clone, Copy)]
struct Proposed {
    author: OperatorId,
    at: Timestamp,
    what: Step,
}

/// An installation, as far as people are concerned; what takes effect goes through [`need`] and [`judge`] as in the routes.
struct World {
    people: Vec<Operator>,
    begun: BTreeMap<OperatorId, Timestamp>,
    changes: Vec<Proposed>,
    now: Timestamp,
    made: u8,
    effects: Vec<(OperatorId, OperatorId, Approved)>,
}

impl World {
    fn new() -> Self {
        Self {
            people: vec![person(1, Role::Admin, None)],
            begun: [(id(1), START)].into(),
            changes: Vec::new(),
            now: START,
            made: 1,
            effects: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add { by }
            | Step::Change { by, .. }
            | Step::Remove { by, .. }
            | Step::Other { by } => self.propose(id(by), step),
            Step::Yes { by, change } => self.yes(id(by), change),
            Step::SignIn { who } => {
                if let Some(found) = self.people.iter_mut().find(|one| one.id == id(who)) {
                    found.signed_in.get_or_insert(self.now);
                    self.begun.insert(id(who), self.now);
                }
            }
            Step::Wait { minutes } => {
                self.now = self.now.plus(Duration::from_secs(60 * u64::from(minutes)));
            }
        }
    }

    fn propose(&mut self, author: OperatorId, what: Step) {
        if !self.begun.contains_key(&author) {
            return;
        }
        match need(&self.people, author, self.now, self.now) {
            None => {}
            Some(Need::Nothing) => self.effect(author, author, what, Approved::Alone),
            Some(_) => self.changes.push(Proposed {
                author,
                at: self.now,
                what,
            }),
        }
    }

    fn yes(&mut self, by: OperatorId, change: usize) {
        let (Some(change), Some(begun)) = (self.changes.get(change).copied(), self.begun.get(&by))
        else {
            return;
        };
        let about = match change.what {
            Step::Change { whom, .. } | Step::Remove { whom, .. } => Some(id(whom)),
            Step::Add { .. }
            | Step::Other { .. }
            | Step::Yes { .. }
            | Step::SignIn { .. }
            | Step::Wait { .. } => None,
        };
        let judged = judge(
            &self.people,
            (change.author, change.at),
            about,
            (by, *begun),
            self.now,
        );
        if let Ok(how) = judged {
            self.changes
                .retain(|one| one.at != change.at || one.author != change.author);
            self.effect(change.author, by, change.what, how);
        }
    }

    /// What every effect must be, said without the words of the code that let it through.
    fn effect(&mut self, author: OperatorId, by: OperatorId, what: Step, how: Approved) {
        let who = |wanted: OperatorId| self.people.iter().find(|one| one.id == wanted).unwrap();
        assert_eq!(who(author).role, Role::Admin);
        match how {
            Approved::ByAnother => {
                assert_ne!(author, by, "one person");
                assert_ne!(
                    who(by).made_by,
                    Some(author),
                    "somebody the author brought along"
                );
                assert!(
                    self.now.since_epoch_at_least(who(by).since, AGE),
                    "a fresh account"
                );
                assert!(who(by).signed_in.is_some());
            }
            Approved::Alone => {
                assert_eq!(author, by);
                let admins: Vec<_> = self
                    .people
                    .iter()
                    .filter(|one| one.role == Role::Admin && one.signed_in.is_some())
                    .collect();
                let pair = admins.iter().any(|one| {
                    admins
                        .iter()
                        .any(|other| one.id != other.id && other.made_by != Some(one.id))
                });
                assert!(!pair, "alone, though two people could have agreed");
            }
        }
        self.effects.push((author, by, how));
        match what {
            Step::Add { .. } if self.made < 6 => {
                self.made = self.made.saturating_add(1);
                self.people.push(never_signed_in(Operator {
                    created: self.now,
                    since: self.now,
                    made_by: Some(author),
                    ..person(self.made, Role::Admin, None)
                }));
            }
            Step::Change { whom, admin, .. } => {
                let left = self.admins_without(id(whom));
                let now = self.now;
                if let Some(found) = self.people.iter_mut().find(|one| one.id == id(whom))
                    && (admin || left)
                {
                    found.role = if admin { Role::Admin } else { Role::Viewer };
                    found.since = now;
                    found.made_by = Some(author);
                }
            }
            Step::Remove { whom, .. } if self.admins_without(id(whom)) => {
                self.people.retain(|one| one.id != id(whom));
                self.begun.remove(&id(whom));
            }
            Step::Add { .. }
            | Step::Remove { .. }
            | Step::Other { .. }
            | Step::Yes { .. }
            | Step::SignIn { .. }
            | Step::Wait { .. } => {}
        }
    }

    fn admins_without(&self, whom: OperatorId) -> bool {
        self.people
            .iter()
            .any(|one| one.id != whom && one.role == Role::Admin && one.signed_in.is_some())
    }
}

trait Elapsed {
    fn since_epoch_at_least(self, from: Timestamp, span: Duration) -> bool;
}

impl Elapsed for Timestamp {
    fn since_epoch_at_least(self, from: Timestamp, span: Duration) -> bool {
        self >= from.plus(span)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_lets_one_person_change_what_takes_two(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
    }
}

/// The property is about something: in this very world two people do make changes, and one alone does too.
#[test]
fn the_world_of_the_property_moves() {
    let mut world = World::new();
    for step in [
        Step::Add { by: 1 },
        Step::Add { by: 1 },
        Step::SignIn { who: 2 },
        Step::Wait { minutes: 1500 },
        Step::Other { by: 2 },
        Step::Yes { by: 2, change: 0 },
        Step::Yes { by: 1, change: 0 },
    ] {
        world.step(step);
    }
    let how: Vec<_> = world.effects.iter().map(|(.., how)| *how).collect();
    assert_eq!(how, [Approved::Alone, Approved::Alone, Approved::ByAnother]);
}
