//! What proving a change costs: a hundred policies of ten teams on a large contract, of which one rule of one team changes.
//!
//! `cargo run --release -p writ-control --example proof_cost -- <github.json> <writ-prove>`: GitHub's document, and the prover, which needs
//! cvc5. For each change it prints what is proven of the actions it concerns, the time of everything after both sides are compiled, and that of the prover alone.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use writ_control::plan::{Plan, Side};
use writ_types::{JsonLimits, Timestamp, Value};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const TEAMS: usize = 10;
const RULES: usize = 10;

fn instant() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement needs the real clock"
    )]
    Instant::now()
}

/// The operations of a document that name a repository, in its order.
fn operations(document: &Value) -> Vec<String> {
    let paths = document.member("paths").and_then(Value::as_object);
    let of_repository = paths
        .into_iter()
        .flatten()
        .filter(|(path, _)| path.contains("/{owner}/{repo}"));
    let named = of_repository.flat_map(|(_, item)| {
        let item = item.as_object().into_iter().flatten();
        item.filter_map(|(_, operation)| operation.member("operationId")?.as_str())
    });
    named.map(str::to_owned).collect()
}

/// Each team has ten rules, each about some operations; `changed` is the condition of the first team's first.
fn rules(operations: &[String], changed: &str) -> String {
    let mut text = String::new();
    for team in 0..TEAMS {
        for rule in 0..RULES {
            let number = team.saturating_mul(RULES).saturating_add(rule);
            let about = operations.iter().skip(number).step_by(37).take(8);
            let about: Vec<String> = about
                .map(|operation| format!("Api_github::Action::\"{operation}\""))
                .collect();
            let condition = if number == 0 {
                changed.to_owned()
            } else {
                format!(
                    "context.path.owner != \"team-{team}\" && !(context.path.repo like \"r{rule}-*\")"
                )
            };
            text.push_str(&format!(
                "@id(\"t{number}\") forbid (principal in Writ::AgentGroup::\"team-{team}\", action in [{}], resource) when {{ {condition} }};\n",
                about.join(", ")
            ));
        }
    }
    text
}

fn side(document: &[u8], operations: &[String], changed: &str) -> Result<Side, Box<dyn Error>> {
    let api = "owner = \"o@example.org\"\nupstream = \"https://api.github.com\"\ncontract = \"github.json\"\n";
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::from([
        ("apis/github.toml".to_owned(), api.as_bytes().to_vec()),
        ("apis/github.json".to_owned(), document.to_vec()),
        (
            "policies/teams.cedar".to_owned(),
            rules(operations, changed).into_bytes(),
        ),
    ]);
    let actions: Vec<String> = operations
        .iter()
        .map(|operation| format!("\"github:{operation}\""))
        .collect();
    let actions = actions.join(", ");
    for team in 0..TEAMS {
        let purpose = format!(
            "owner = \"o@example.org\"\nactions = [{actions}]\n[budget]\ncalls = 100\nwrites = 10\n"
        );
        let agent = format!(
            "owner = \"o@example.org\"\nmode = \"autonomous\"\npurposes = [\"work-{team}\"]\ngroups = [\"team-{team}\"]\nselectors = [\"unix:uid:{}\"]\n",
            team.saturating_add(1000)
        );
        files.insert(format!("purposes/work-{team}.toml"), purpose.into_bytes());
        files.insert(format!("agents/bot-{team}.toml"), agent.into_bytes());
    }
    let domain = "writ.local".parse()?;
    let made = Side::of_files(&files, &domain, None, NOW);
    let (side, _) = made.map_err(|faults| {
        let said: Vec<String> = faults.iter().take(5).map(ToString::to_string).collect();
        said.join("\n")
    })?;
    Ok(side)
}

fn prove(prover: &str, input: &str) -> Result<String, Box<dyn Error>> {
    let mut child = Command::new(prover)
        .args(["--seconds", "60", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err("the prover failed".into())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: proof_cost <github.json> <writ-prove>";
    let (Some(document), Some(prover)) = (arguments.next(), arguments.next()) else {
        return Err(usage.into());
    };
    let document = std::fs::read(document)?;
    let operations = operations(&Value::parse(&document, &JsonLimits::DOCUMENT)?);
    let first = "context.path.owner != \"acme\"";
    let before = side(&document, &operations, first)?;
    let mut out = std::io::stdout();
    writeln!(out, "{} operations of repositories", operations.len())?;
    let changes = [
        ("equal", "!(context.path.owner == \"acme\")"),
        ("narrower", "true"),
        (
            "wider",
            "context.path.owner != \"acme\" && !(context.path.owner like \"acme-*\")",
        ),
    ];
    for (name, changed) in changes {
        let after = side(&document, &operations, changed)?;
        let start = instant();
        let mut plan = Plan::compare(&before, &after, NOW)?;
        let input = plan.prover_input().unwrap_or_default();
        let asked = instant();
        let said = prove(&prover, &input)?;
        let proven = asked.elapsed();
        plan.prove(&before, &after, &said, NOW)?;
        let all = start.elapsed();
        let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
        for proof in plan.proofs.values() {
            let count = verdicts.entry(proof.as_str()).or_default();
            *count = count.saturating_add(1);
        }
        writeln!(
            out,
            "{name:9} {verdicts:?} in {:.2} s, of which the prover {:.2} s",
            all.as_secs_f64(),
            proven.as_secs_f64()
        )?;
    }
    Ok(())
}
