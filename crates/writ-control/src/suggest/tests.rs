use writ_audit::{Event, Record};
use writ_types::{AgentId, Asserter, Asserters, Grant, TaskId};

use super::{Seen, Usage};
use crate::start::tests::{NOW, closed, grant, intent, opened};

/// The agent that is asked about, and another.
const OWN: u8 = 1;
const OTHER: u8 = 2;

/// What a log says, task by number.
#[derive(Clone, Copy)]
enum Line {
    Opens(u8, u8),
    /// A client opens it.
    Attested(u8, u8),
    /// The task, its agent, and the task above it.
    Below(u8, u8, u8),
    Calls(u8),
    /// It calls what brings what strangers wrote.
    Reads(u8),
    Killed(u8),
}

use Line::{Attested, Below, Calls, Killed, Opens, Reads};

fn agent(number: u8) -> AgentId {
    AgentId::new(NOW, [number; 10])
}

/// The grant of a task, as the lines so far open it.
fn granted(lines: &[Line], number: u8) -> Grant {
    let task = |number: u8| TaskId::new(NOW, [number; 10]);
    let (own, above, client) = lines
        .iter()
        .find_map(|line| match *line {
            Opens(one, own) if one == number => Some((own, None, false)),
            Attested(one, own) if one == number => Some((own, None, true)),
            Below(one, own, above) if one == number => Some((own, Some(above), false)),
            Opens(..) | Attested(..) | Below(..) | Calls(_) | Reads(_) | Killed(_) => None,
        })
        .unwrap();
    let by = if client {
        Asserter::Client("planner".to_owned())
    } else {
        Asserter::Agent
    };
    Grant {
        task: task(number),
        agent: agent(own),
        parent: above.map(task),
        asserters: Asserters::all(by),
        ..grant()
    }
}

fn record(lines: &[Line], line: Line) -> Record {
    match line {
        Opens(number, _) | Attested(number, _) | Below(number, ..) => {
            opened(&granted(lines, number))
        }
        Calls(number) => intent(&granted(lines, number), number),
        Reads(number) => {
            let mut record = intent(&granted(lines, number), number);
            if let Event::Intent(intent) = &mut record.event {
                intent.action = "desk:inbox".parse().unwrap();
            }
            record
        }
        Killed(number) => closed(&granted(lines, number)),
    }
}

fn seen(lines: &[Line]) -> Seen {
    let mut usage = Usage::of(agent(OWN), grant().purpose);
    for line in lines {
        usage.take(&record(lines, *line), |action| {
            action.to_string() == "desk:inbox"
        });
    }
    usage.seen()
}

/// Lines of a log, and how many trees of the agent are learned from and left out.
const ROWS: &[(&str, &[Line], [usize; 2])] = &[
    (
        "another agent reads in a tree of its own",
        &[Opens(1, OWN), Opens(2, OTHER), Reads(2), Calls(1)],
        [1, 0],
    ),
    (
        "it acts below as well",
        &[
            Opens(1, OWN),
            Below(3, OTHER, 1),
            Opens(2, OTHER),
            Reads(2),
            Calls(1),
        ],
        [0, 1],
    ),
    (
        "it had read before it was handed the task",
        &[
            Opens(2, OTHER),
            Reads(2),
            Opens(1, OWN),
            Below(3, OTHER, 1),
            Calls(1),
        ],
        [0, 1],
    ),
    (
        "nothing was done after that",
        &[
            Opens(2, OTHER),
            Reads(2),
            Opens(1, OWN),
            Calls(1),
            Below(3, OTHER, 1),
        ],
        [1, 0],
    ),
    (
        "it reads, and then the agent is handed a task",
        &[Opens(1, OTHER), Reads(1), Below(2, OWN, 1), Calls(2)],
        [0, 1],
    ),
    (
        "it is handed a task, and who handed it on reads",
        &[Opens(1, OTHER), Below(2, OWN, 1), Reads(1), Calls(2)],
        [0, 1],
    ),
    (
        "it was handed a task by one who read nothing",
        &[Opens(1, OTHER), Below(2, OWN, 1), Calls(2), Calls(1)],
        [1, 0],
    ),
    (
        "it knows from a tree with another what that one read in a third",
        &[
            Opens(1, OWN),
            Opens(2, OWN),
            Below(3, OTHER, 2),
            Opens(4, OTHER),
            Reads(4),
            Calls(1),
            Calls(2),
        ],
        [0, 2],
    ),
    (
        "it hears below another what that one reads, and works on in a tree of its own",
        &[
            Opens(1, OWN),
            Opens(2, OTHER),
            Below(3, OWN, 2),
            Reads(2),
            Calls(1),
        ],
        [0, 2],
    ),
    (
        "it is handed a task by one who had read, and works on in a tree of its own",
        &[
            Opens(1, OTHER),
            Reads(1),
            Opens(2, OWN),
            Below(3, OWN, 1),
            Calls(2),
        ],
        [0, 2],
    ),
    (
        "a client vouches for the agent, which reads elsewhere",
        &[Attested(1, OWN), Opens(2, OWN), Reads(2), Calls(1)],
        [1, 1],
    ),
    (
        "a client vouches for the agent, and not for whom it hands on to",
        &[
            Attested(1, OWN),
            Below(2, OTHER, 1),
            Opens(3, OTHER),
            Reads(3),
            Calls(1),
        ],
        [0, 1],
    ),
    (
        "it begins anew, but for what a task knows that lives",
        &[
            Opens(1, OWN),
            Reads(1),
            Attested(2, OWN),
            Calls(2),
            Opens(3, OWN),
            Calls(3),
        ],
        [1, 2],
    ),
    (
        "a call outlives its task",
        &[Opens(1, OWN), Opens(2, OWN), Killed(1), Reads(1), Calls(2)],
        [0, 1],
    ),
];

#[test]
fn nothing_is_learned_from_a_tree_in_which_anybody_knew_what_strangers_wrote() {
    for (row, lines, [tasks, tainted]) in ROWS {
        let found = seen(lines);
        assert_eq!((found.tasks, found.tainted), (*tasks, *tainted), "{row}");
    }
}

#[test]
fn nothing_is_learned_from_a_tree_of_which_somebody_stopped_a_task() {
    for (row, lines) in [
        (
            "the agent's",
            &[Opens(1, OWN), Below(2, OTHER, 1), Calls(1), Killed(1)],
        ),
        (
            "the other's",
            &[Opens(1, OWN), Below(2, OTHER, 1), Calls(1), Killed(2)],
        ),
    ] {
        let found = seen(lines);
        assert_eq!((found.tasks, found.stopped), (0, 1), "{row}");
    }
}

#[test]
fn what_the_other_agents_of_a_tree_called_is_not_the_agents_use() {
    let lines = [
        Opens(1, OTHER),
        Below(2, OWN, 1),
        Calls(1),
        Calls(1),
        Calls(2),
    ];
    let mut usage = Usage::of(agent(OWN), grant().purpose);
    for line in lines {
        usage.take(&record(&lines, line), |_| false);
    }
    let calls: Vec<u64> = usage
        .sound()
        .flat_map(|tree| tree.calls.values().copied())
        .collect();
    assert_eq!(calls, [1]);
}
