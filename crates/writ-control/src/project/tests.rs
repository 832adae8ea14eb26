use std::collections::BTreeMap;

use writ_types::{AgentId, Timestamp};

use super::Project;

const API: &str =
    "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"dns.yaml\"\n";
const CONTRACT: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths:\n  /zones:\n    get:\n      operationId: listZones\n      responses: {'200': {description: ok}}\n";
const PURPOSE: &str = "owner = \"o@example.org\"\nactions = [\"dns:listZones\"]\n";
const AGENT: &str = "owner = \"o@example.org\"\nmode = \"autonomous\"\npurposes = [\"renewal\"]\nselectors = [\"unix:uid:1000\"]\n";

/// A sound project with some files exchanged.
fn read(changed: &[(&str, &str)]) -> Result<Project, Vec<String>> {
    let mut files: BTreeMap<String, Vec<u8>> = [
        ("apis/dns.toml", API),
        ("apis/dns.yaml", CONTRACT),
        ("purposes/renewal.toml", PURPOSE),
        ("agents/bot.toml", AGENT),
        ("policies/local.cedar", ""),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect();
    files.extend(
        changed
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())),
    );
    let id = |_: &_| AgentId::new(Timestamp::from_secs(1), [0; 10]);
    let project = Project::read(&files, &"writ.local".parse().unwrap(), id);
    project.map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[test]
fn a_sound_project_reads() {
    let project = read(&[]).unwrap();
    let agent = project.agents.values().next().unwrap();
    assert_eq!(agent.spiffe.as_str(), "spiffe://writ.local/agent/bot");
    assert_eq!(project.apis.len(), 1);
    assert_eq!(project.policies.len(), 1);
}

/// File, what is exchanged in it (nothing: the text is added at its end) for what, and what the fault must say.
#[rustfmt::skip]
const FAULTS: &[(&str, &str, &str, &str)] = &[
    ("apis/dns.toml", "", "upstrem = 1\n", "apis/dns.toml:4: unknown field `upstrem`"),
    ("apis/dns.toml", "http://127", "ftp://127", "apis/dns.toml:2: `ftp://127.0.0.1:1/v1` is no upstream URL"),
    ("apis/dns.toml", "dns.yaml", "no.yaml", "apis/dns.toml:3: there is no file `apis/no.yaml`"),
    ("apis/dns.toml", "", "[credential]\nname = \"k\"\nattach = \"header\"\n", "apis/dns.toml:6: `attach = \"header\"` also needs"),
    ("apis/dns.toml", "", "[credential]\nname = \"k\"\nattach = \"header\"\nheader = \"Host\"\n", "`host` cannot carry a credential"),
    ("apis/dns.toml", "", "[credential]\nname = \"k\"\nattach = \"header\"\nheader = \"Txn-Token\"\n", "`txn-token` cannot carry a credential"),
    ("apis/dns.toml", "", "[transaction_tokens]\ntrust_domain = \"Internal\"\n", "apis/dns.toml:5: "),
    ("apis/dns.toml", "", "[operations.listZones]\neffect = \"destroy\"\n", "apis/dns.toml:5: `destroy` is no effect"),
    ("apis/dns.toml", "", "[operations.nope]\neffect = \"read\"\n", "apis/dns.toml: `nope`: the review names an operation"),
    ("apis/dns.toml", "", "max_token_life = \"5\"\n", "apis/dns.toml:4: a duration is a whole number with a unit"),
    ("apis/dns.yaml", "openapi: 3.0.3", "just: text", "apis/dns.yaml"),
    ("purposes/renewal.toml", "", "budget = 5\n", "purposes/renewal.toml:3: "),
    ("purposes/renewal.toml", "", "user_authentication = {}\n", "purposes/renewal.toml:3: `user_authentication` asks for nothing"),
    ("purposes/renewal.toml", "", "user_authentication = { acr = [] }\n", "`acr` names none"),
    ("purposes/renewal.toml", "", "user_authentication = { max_age = \"15m\", acr = [] }\n", "`acr` names none"),
    ("purposes/renewal.toml", "", "user_authentication = { acr = [\"a b\"] }\n", "an `acr` is 1 to 128"),
    ("purposes/renewal.toml", "", "user_authentication = { max_age = \"25h\" }\n", "`max_age` is from"),
    ("purposes/renewal.toml", "", "user_authentication = { max_age = \"1h\", amr = [\"otp\"] }\n", "unknown field `amr`"),
    ("purposes/renewal.toml", "dns:listZones", "dns:dropZones", "no operation `dropZones`"),
    ("purposes/renewal.toml", "dns:listZones", "crm:list", "names an API that is not registered"),
    ("purposes/renewal.toml", "dns:listZones", "listZones", "purposes/renewal.toml:2: `listZones` is no action"),
    ("agents/bot.toml", "renewal", "other", "agents/bot.toml: there is no purpose `other`"),
    ("agents/bot.toml", "autonomous", "wild", "agents/bot.toml:2: a mode is"),
    ("agents/bot.toml", "unix:uid:1000", "uid:1000", "agents/bot.toml:4: `uid:1000` is no selector"),
    ("agents/bot.toml", "unix:uid:1000", "unix:path:/bin/agent", "agents/bot.toml: a path alone recognises"),
    ("agents/bot.toml", "\"unix:uid:1000\"", "\"unix:uid:1000\", \"unix:path:/usr/bin/python3.11\"", "agents/bot.toml: an interpreter's path recognises"),
];

#[test]
fn faults_name_their_place() {
    for (path, find, new, wanted) in FAULTS {
        let sound = match *path {
            "apis/dns.toml" => API,
            "apis/dns.yaml" => CONTRACT,
            "purposes/renewal.toml" => PURPOSE,
            _ => AGENT,
        };
        let text = if find.is_empty() {
            format!("{sound}{new}")
        } else {
            sound.replace(find, new)
        };
        let faults = read(&[(path, &text)]).map(drop).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.contains(wanted)),
            "{path}:\n{text}\n{faults:#?}"
        );
    }
}

#[test]
fn names_of_files_are_names() {
    let faults = read(&[("apis/Dns.toml", API)]).map(drop).unwrap_err();
    assert!(
        faults
            .iter()
            .any(|fault| fault.starts_with("apis/Dns.toml: `Dns` is no API id")),
        "{faults:?}"
    );
    let twin = format!("{AGENT}spiffe = \"spiffe://writ.local/agent/bot\"\n");
    let faults = read(&[("agents/two.toml", &twin)]).map(drop).unwrap_err();
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("another agent has the SPIFFE id")),
        "{faults:?}"
    );
}

#[test]
fn every_fault_is_said_at_once() {
    let faults = read(&[("apis/dns.toml", "x = 1\n"), ("agents/bot.toml", "y = 1\n")])
        .map(drop)
        .unwrap_err();
    assert!(faults.len() >= 2, "{faults:?}");
}

const OVERLAY: &str = "overlay: 1.0.0\ninfo: {title: Reviews, version: '1'}\nactions:\n  - target: $..[?@.operationId=='listZones']\n    update: {x-writ: {effect: read}}\n";

#[test]
fn an_overlay_stands_beside_its_registration_and_says_something() {
    let project = read(&[("apis/dns.overlay.yaml", OVERLAY)]).unwrap();
    let reviews = &project.apis.values().next().unwrap().reviews;
    assert_eq!(reviews.overlay.as_deref(), Some(OVERLAY));
    let table = [
        (
            "apis/dns.overlay.yaml",
            OVERLAY.replace("effect", "efect"),
            "apis/dns.overlay.yaml:5: unknown key `efect`: did you mean `effect`?",
        ),
        (
            "apis/dns.overlay.yaml",
            OVERLAY.replace("listZones", "gone"),
            "apis/dns.overlay.yaml:4: the target selects nothing",
        ),
        (
            "apis/dns.overlay.yaml",
            "x".to_owned(),
            "apis/dns.overlay.yaml:1: not an OpenAPI overlay",
        ),
        (
            "apis/dns.overlay.yml",
            OVERLAY.to_owned(),
            "an overlay is called",
        ),
        (
            "apis/other.overlay.yaml",
            OVERLAY.to_owned(),
            "an overlay is called",
        ),
    ];
    for (file, text, wanted) in table {
        let faults = read(&[(file, &text)]).map(drop).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.contains(wanted)),
            "{file}: {faults:?}"
        );
    }
}

#[test]
fn packs_are_chosen_for_one_agent_or_for_all() {
    let groups = |changed: &[(&str, &str)]| -> Vec<String> {
        let project = read(changed).unwrap();
        let agent = project.agents.values().next().unwrap();
        agent.groups.iter().cloned().collect()
    };
    let own = format!("groups = [\"infra\"]\npacks = [\"read-only\"]\n{AGENT}");
    let all = ("policies/packs.toml", "packs = [\"autonomous\"]\n");
    assert_eq!(
        groups(&[("agents/bot.toml", &own)]),
        ["infra", "pack:read-only"]
    );
    assert_eq!(groups(&[all]), ["pack:autonomous"]);
    assert_eq!(
        groups(&[all, ("agents/bot.toml", &own)]),
        ["infra", "pack:autonomous", "pack:read-only"]
    );
    let fault = |changed: &[(&str, &str)]| read(changed).unwrap_err().join("\n");
    let unknown = format!("{AGENT}packs = [\"reed-only\"]\n");
    let unknown = fault(&[("agents/bot.toml", &unknown)]);
    assert!(
        unknown.contains(
            "agents/bot.toml:5: there is no pack `reed-only`: copilot, autonomous, read-only"
        ),
        "{unknown}"
    );
    let forged = format!("{AGENT}groups = [\"pack:read-only\"]\n");
    let forged = fault(&[("agents/bot.toml", &forged)]);
    assert!(forged.contains("is no group of yours"), "{forged}");
    let unknown = fault(&[("policies/packs.toml", "packs = [\"x\"]\n")]);
    assert!(
        unknown.contains("policies/packs.toml:1: there is no pack `x`"),
        "{unknown}"
    );
}

#[test]
fn a_freeze_becomes_rules_with_a_begin_and_an_end() {
    let freeze = |text: &str| read(&[("policies/freezes.toml", text)]);
    let sound = "[[freeze]]\nname = \"year-end\"\nreason = \"books are closed\"\nfrom = \"2026-12-24T18:00:00Z\"\nuntil = \"2027-01-02T06:00:00Z\"\napis = [\"dns\"]\n";
    let project = freeze(sound).unwrap();
    let rules = project.policies.last().unwrap();
    assert_eq!(rules.name, "freezes.cedar");
    for part in [
        "freeze.year-end.dns",
        "2026-12-24T18:00:00.000Z",
        "2027-01-02T06:00:00.000Z",
        "books are closed",
    ] {
        assert!(rules.text.contains(part), "{part}\n{}", rules.text);
    }
    for (from, to, said) in [
        (
            "2026-12-24T18:00:00Z",
            "tomorrow",
            "policies/freezes.toml:4: an instant is written",
        ),
        (
            "2027-01-02T06:00:00Z",
            "2026-12-24T18:00:00Z",
            "policies/freezes.toml:1: a freeze ends after it begins",
        ),
        (
            "\"dns\"",
            "\"crm\"",
            "policies/freezes.toml:1: there is no API `crm`",
        ),
        (
            "year-end",
            "Year End",
            "policies/freezes.toml:1: a freeze's name",
        ),
        (
            "books are closed",
            "",
            "policies/freezes.toml:1: a freeze's reason",
        ),
        ("reason", "why", "unknown field `why`"),
    ] {
        let faults = freeze(&sound.replace(from, to)).unwrap_err().join("\n");
        assert!(faults.contains(said), "{said}\n{faults}");
    }
}

#[test]
fn an_exception_becomes_a_clause_with_a_begin_an_end_and_somebody_who_answers() {
    let exception = |text: &str| read(&[("policies/exceptions.toml", text)]);
    let sound = "[[exception]]\nname = \"ops-4711\"\nrule = \"core.flow\"\nagent = \"bot\"\npurpose = \"renewal\"\nactions = [\"dns:listZones\"]\nowner = \"ops@example.org\"\nreason = \"the zone moves\"\nticket = \"OPS-4711\"\nfrom = \"2026-12-24T18:00:00Z\"\nuntil = \"2026-12-31T06:00:00Z\"\n";
    let project = exception(sound).unwrap();
    let rules = project.policies.last().unwrap();
    assert_eq!(rules.name, "exceptions.cedar");
    for part in [
        "exception.ops-4711",
        "spiffe://writ.local/agent/bot",
        "@ticket(\"OPS-4711\")",
        "2026-12-31T06:00:00.000Z",
    ] {
        assert!(rules.text.contains(part), "{part}\n{}", rules.text);
    }
    let file = "policies/exceptions.toml";
    for (from, to, said) in [
        (
            "\"bot\"",
            "\"bott\"",
            format!("{file}:4: there is no agent `bott`"),
        ),
        (
            "\"renewal\"",
            "\"renew\"",
            format!("{file}:5: there is no purpose `renew`"),
        ),
        ("dns:listZones", "dns listZones", format!("{file}:6: ")),
        ("ticket", "tiket", "unknown field `tiket`".to_owned()),
        (
            "OPS-4711\"\nf",
            "\"\nf",
            format!("{file}:1: an exception's ticket"),
        ),
        (
            "2026-12-31",
            "2027-12-31",
            format!("{file}:1: an exception lasts at most 90 days"),
        ),
        (
            "2026-12-24T18:00:00Z",
            "today",
            format!("{file}:10: an instant is written"),
        ),
        (
            "ops-4711",
            "Ops 4711",
            format!("{file}:1: an exception's name"),
        ),
    ] {
        let faults = exception(&sound.replace(from, to)).unwrap_err().join("\n");
        assert!(faults.contains(&said), "{said}\n{faults}");
    }
    let twice = exception(&format!("{sound}{sound}"))
        .unwrap_err()
        .join("\n");
    assert!(
        twice.contains("12: another exception is called `ops-4711`"),
        "{twice}"
    );
}
