//! Who may do what under the baseline: a table that a person can read.
//!
//! A change in `testdata/matrix.txt` is a change in who may do what. The test prints the table it found when it differs.

use std::fmt::Write as _;

use writ_types::{Attr, Budget, Label};

use super::fixture::{Call, NOW, attrs, bank, dns, patch, source, transfer};
use crate::{Pack, Pdp, baseline};

/// What an owner of a name server may add.
const TEAM: &str = include_str!("../../testdata/acme.cedar");

fn rows() -> Vec<(&'static str, Call)> {
    let zone =
        |zone: &str| attrs(&[("path", attrs(&[("zone_id", Attr::String(zone.to_owned()))]))]);
    let challenge = "_acme-challenge.example.org.";
    let mut unknown = Call::of("dns:patchZone", patch("example.org.", challenge, "TXT"));
    unknown.extra.insert("/body/rrsets/0/comments".to_owned());
    let mut tainted = Call::of("bank:transfer", transfer(10, "bob"));
    tainted
        .facts
        .labels
        .insert("confidential".parse::<Label>().unwrap());
    vec![
        (
            "dns:listZones",
            Call::of("dns:listZones", attrs(&[("query", attrs(&[]))])),
        ),
        (
            "dns:GET:/servers/{id} (unreviewed)",
            Call::of("dns:GET:/servers/{id}", attrs(&[])),
        ),
        (
            "dns:patchZone example.org. challenge TXT",
            Call::of("dns:patchZone", patch("example.org.", challenge, "TXT")),
        ),
        (
            "dns:patchZone example.org. challenge CNAME",
            Call::of("dns:patchZone", patch("example.org.", challenge, "CNAME")),
        ),
        (
            "dns:patchZone example.org. www TXT",
            Call::of(
                "dns:patchZone",
                patch("example.org.", "www.example.org.", "TXT"),
            ),
        ),
        (
            "dns:patchZone other.org. challenge TXT",
            Call::of("dns:patchZone", patch("other.org.", challenge, "TXT")),
        ),
        ("dns:patchZone unknown member", unknown),
        (
            "dns:patchZone faulty body",
            Call::of("dns:patchZone", attrs(&[])).faulty(),
        ),
        (
            "dns:patchZone unrepresentable",
            Call::of("dns:patchZone", attrs(&[])).unrepresentable(),
        ),
        (
            "dns:deleteZone example.org.",
            Call::of("dns:deleteZone", zone("example.org.")),
        ),
        ("bank:account", Call::of("bank:account", attrs(&[]))),
        (
            "bank:transfer 10",
            Call::of("bank:transfer", transfer(10, "bob")),
        ),
        (
            "bank:transfer 5000",
            Call::of("bank:transfer", transfer(5000, "bob")),
        ),
        ("bank:transfer after confidential", tainted),
    ]
}

/// A column: what changes about agent and task.
type Column = (&'static str, fn(Call) -> Call);

fn columns() -> Vec<Column> {
    fn small(call: Call) -> Call {
        call.budget(Budget::DEFAULT)
    }
    fn undeclared(mut call: Call) -> Call {
        call.grant.actions.clear();
        call
    }
    fn disabled(mut call: Call) -> Call {
        call.agent.enabled = false;
        call
    }
    fn packed(mut call: Call, pack: Pack) -> Call {
        call.agent.groups.insert(pack.group());
        call
    }
    fn stranger(mut call: Call) -> Call {
        call.agent.groups.clear();
        call
    }
    vec![
        ("copilot", |call| call),
        ("autonomous", |call| small(call.autonomous())),
        ("autonomous+budget", Call::autonomous),
        ("+copilot", |call| packed(call, Pack::Copilot)),
        ("+autonomous", |call| {
            packed(call.autonomous(), Pack::Autonomous)
        }),
        ("+read-only", |call| packed(call, Pack::ReadOnly)),
        ("not in infra", stranger),
        ("not declared", undeclared),
        ("disabled", disabled),
    ]
}

#[test]
fn the_matrix_is_as_agreed() {
    let packs = Pack::ALL.map(Pack::source);
    let sources: Vec<_> = [baseline(), source(TEAM)]
        .into_iter()
        .chain(packs)
        .collect();
    let pdp = Pdp::compile(&[dns(), bank()], &sources, NOW).unwrap();
    let mut table = String::from(
        "# Who may do what: the shipped policies and testdata/acme.cedar. A change here is a change in who may do what.\n",
    );
    write!(table, "{:<44}", "call").unwrap();
    for (column, _) in columns() {
        write!(table, "{column:<20}").unwrap();
    }
    for (row, call) in rows() {
        write!(table, "\n{row:<44}").unwrap();
        for (_, change) in columns() {
            write!(table, "{:<20}", change(call.clone()).word(&pdp)).unwrap();
        }
    }
    let found: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    assert_eq!(
        found,
        include_str!("../../testdata/matrix.txt"),
        "found:\n{found}"
    );
}
