//! The house's direction rules. `ARCHITECTURE.md` says why; each rule here says what to do instead.

#[cfg(test)]
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::DependencyKind;
use tree::{Workspace, files, manifest, manifests, mentions, programs, tree, uses_std};

/// Siblings: they depend on `writ-types` alone and do no I/O.
const CORES: [&str; 5] = [
    "writ-contract",
    "writ-policy",
    "writ-token",
    "writ-task",
    "writ-audit",
];

/// Fails with what was found, one to a line, after what to do about it.
fn none(found: &[String], lesson: &str) {
    assert!(found.is_empty(), "{lesson}\n  {}", found.join("\n  "));
}

#[test]
fn writ_types_depends_on_no_other_crate_of_ours() {
    none(
        &Workspace::load().ours_of("writ-types"),
        "writ-types is below everything; what needs another crate belongs into that crate:",
    );
}

#[test]
fn cores_and_the_store_depend_on_writ_types_alone() {
    let workspace = Workspace::load();
    let mut found = Vec::new();
    for name in CORES.into_iter().chain(["writ-store", "writ-helpdesk"]) {
        let ours = workspace.ours_of(name);
        found.extend(
            ours.into_iter()
                .filter(|edge| !edge.ends_with(" -> writ-types")),
        );
    }
    none(
        &found,
        "siblings exchange plain data of writ-types, text or bytes, in tests too; let the plane above pass it on:",
    );
}

#[test]
fn nothing_with_io_is_in_the_dependency_tree_of_a_core() {
    let mut found = Vec::new();
    for core in CORES.into_iter().chain(["writ-types"]) {
        let tree = tree(&["--package", core], "normal");
        for banned in [
            "tokio",
            "hyper",
            "sqlx",
            "rusqlite",
            "libsqlite3-sys",
            "axum",
            "mio",
        ] {
            if tree.contains(banned) {
                found.push(format!(
                    "{core} brings {banned} (`cargo tree -p {core} -i {banned} -e normal`)"
                ));
            }
        }
    }
    none(
        &found,
        "a core is sans-I/O: bytes, keys, time and randomness come in as arguments, values go out:",
    );
}

#[test]
fn no_core_reads_a_file_a_socket_the_environment_or_a_clock() {
    let mut found = Vec::new();
    for core in CORES.into_iter().chain(["writ-types"]) {
        for (path, code) in programs(&format!("crates/{core}/src")) {
            for module in ["fs", "net", "env", "process"] {
                if uses_std(&code, module) {
                    found.push(format!("{path}: std::{module}"));
                }
            }
            for word in ["SystemTime", "Instant::now", "tokio", "hyper"] {
                if mentions(&code, word) {
                    found.push(format!("{path}: {word}"));
                }
            }
        }
    }
    none(
        &found,
        "a core is sans-I/O: take the bytes, a `Timestamp` or a `Clock` as an argument; addresses as plain data are in `core::net`:",
    );
}

#[test]
fn the_two_planes_do_not_know_each_other_and_the_proxy_has_no_sql() {
    let workspace = Workspace::load();
    let banned = [
        "writ-proxy -> writ-store",
        "writ-proxy -> writ-control",
        "writ-control -> writ-proxy",
    ];
    let mut found = workspace.ours_of("writ-proxy");
    found.extend(workspace.ours_of("writ-control"));
    found.retain(|edge| banned.contains(&edge.as_str()));
    none(
        &found,
        "the gateway reads one immutable snapshot and never waits for SQL; `writ` joins the planes:",
    );
}

#[test]
fn heavy_libraries_have_one_owner() {
    let workspace = Workspace::load();
    let mut found = Vec::new();
    for (library, owners) in [
        ("cedar-policy", &["writ-policy", "writ-prove"][..]),
        ("cedar-policy-core", &[]),
        ("cedar-policy-symcc", &["writ-prove"]),
        ("sqlx", &["writ-store"]),
        ("libsqlite3-sys", &["writ-store"]),
        ("clap", &["writ"]),
        ("axum", &["writ-control"]),
        ("saphyr-parser", &["writ-contract"]),
        ("cargo_metadata", &["xtask"]),
        ("rmcp", &["writ-mcp-fixture"]),
    ] {
        let users = workspace.users_of(library);
        let others = users.iter().filter(|user| !owners.contains(&user.as_str()));
        found.extend(others.map(|user| format!("{user} names {library}; only {owners:?} may")));
    }
    none(
        &found,
        "a third-party type never appears in another crate's signature; ask its owner for a function:",
    );
}

#[test]
fn the_prover_is_a_program_of_its_own() {
    let mut found = Vec::new();
    for name in ["cedar-policy-symcc", "writ-prove"] {
        if tree(&["--package", "writ"], "normal,build,dev").contains(name) {
            found.push(format!("writ brings {name}"));
        }
    }
    none(
        &found,
        "who builds the gateway does not build a symbolic compiler; `writ plan` runs the prover where it is installed:",
    );
}

#[test]
fn the_help_desk_is_an_example_and_no_part_of_the_product() {
    let workspace = Workspace::load();
    let found: Vec<String> = workspace
        .packages()
        .filter(|package| **package.name != *"writ" && **package.name != *"writ-testkit")
        .filter(|package| {
            package.dependencies.iter().any(|dependency| {
                dependency.name == "writ-helpdesk" && dependency.kind != DependencyKind::Development
            })
        })
        .map(|package| package.name.to_string())
        .collect();
    none(&found, "only `writ demo` and tests may use writ-helpdesk:");
}

#[test]
fn the_test_kit_and_the_fixture_are_for_tests() {
    let workspace = Workspace::load();
    let supports = ["writ-testkit", "writ-mcp-fixture"];
    let found: Vec<String> = workspace
        .packages()
        .filter(|package| {
            package.dependencies.iter().any(|dependency| {
                supports.contains(&dependency.name.as_str())
                    && dependency.kind != DependencyKind::Development
            })
        })
        .map(|package| package.name.to_string())
        .collect();
    none(
        &found,
        "writ-testkit and writ-mcp-fixture panic where a test cannot be set up; nothing that runs may use them:",
    );
}

#[test]
fn there_is_one_cryptography_provider_and_one_http_client() {
    let banned = [
        "ring",
        "openssl",
        "openssl-sys",
        "native-tls",
        "rsa",
        "boring",
        "reqwest",
        "ureq",
        "isahc",
        "curl",
    ];
    let built = tree(&["--workspace"], "normal,build,dev");
    let found: Vec<String> = banned
        .into_iter()
        .filter(|name| built.contains(*name))
        .map(|name| {
            format!("{name} (`cargo tree --workspace -i {name} -e all` says who brings it)")
        })
        .collect();
    none(
        &found,
        "aws-lc-rs is the one provider and hyper the one client; turn the default features off that bring another:",
    );
    // Cargo.lock itself lists `ring`: the weak feature `ring?/alloc` of rustls-webpki puts it there and nothing builds it.
    let lock = manifest("Cargo.lock");
    let locked: Vec<String> = banned
        .into_iter()
        .filter(|name| *name != "ring" && lock.contains(&format!("\nname = \"{name}\"\n")))
        .map(str::to_owned)
        .collect();
    none(&locked, "not even as an unused choice in Cargo.lock:");
}

#[test]
fn every_locked_crate_comes_from_the_one_registry() {
    let registry = concat!("registry+https://github.com/rust-lang/crates", ".io-index");
    let found: Vec<String> = manifest("Cargo.lock")
        .lines()
        .filter_map(|line| line.strip_prefix("source = "))
        .filter(|source| source.trim_matches('"') != registry)
        .map(str::to_owned)
        .collect();
    none(
        &found,
        "no mirror, no git, no path outside: a stranger must be able to build this:",
    );
}

#[test]
fn plain_cargo_run_means_the_binary() {
    let defaults = Workspace::load().default_members();
    assert_eq!(
        defaults,
        ["writ"],
        "`default-members` is crates/writ alone, so that `cargo run` and `cargo build` are what a newcomer means"
    );
}

#[test]
fn every_crate_inherits_the_lint_table_and_the_package_fields() {
    let mut found = Vec::new();
    for (path, text) in manifests() {
        for wanted in [
            "\n[lints]\nworkspace = true\n",
            "\nversion.workspace = true\n",
            "\nedition.workspace = true\n",
            "\nrust-version.workspace = true\n",
            "\nlicense.workspace = true\n",
            "\npublish.workspace = true\n",
        ] {
            if !text.contains(wanted) {
                found.push(format!("{path}: {:?}", wanted.trim()));
            }
        }
    }
    none(
        &found,
        "one table for all; a deviation is an `#[expect]` with a reason where it happens:",
    );
}

#[test]
fn every_workspace_dependency_is_used_and_every_version_stands_in_the_root() {
    let root = manifest("Cargo.toml");
    let members = manifests();
    let table = root
        .split_once("\n[workspace.dependencies]\n")
        .and_then(|(_before, after)| after.split("\n[").next())
        .expect("the root manifest has [workspace.dependencies]");
    let declared: BTreeSet<&str> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _version)| name)
        .collect();
    assert!(declared.contains("writ-types"), "the table was read");
    let used = |name: &str| {
        let (dotted, inline) = (
            format!("\n{name}.workspace = true"),
            format!("\n{name} = {{ workspace = true"),
        );
        members
            .iter()
            .any(|(_path, text)| text.contains(&dotted) || text.contains(&inline))
    };
    let idle: Vec<String> = declared
        .iter()
        .filter(|name| !used(name))
        .map(|name| (*name).to_owned())
        .collect();
    none(
        &idle,
        "delete what nobody uses from [workspace.dependencies]:",
    );
    let mut own = Vec::new();
    for (path, text) in &members {
        let mut in_dependencies = false;
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies
                && line.contains('=')
                && !line.contains("workspace = true")
                && !line.starts_with('#')
            {
                own.push(format!("{path}: {line}"));
            }
        }
    }
    none(&own, "versions and features are listed once, in the root:");
}

#[test]
fn nothing_in_the_repository_knows_this_machine_or_a_registry() {
    let machine = concat!("/wo", "rk/");
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("npmjs", ".org"),
        concat!("deb.debian", ".org"),
        concat!("proxy.golang", ".org"),
    ];
    let mut found = Vec::new();
    for (path, text) in files("") {
        if text.contains(machine) {
            found.push(format!("{path}: {machine}"));
        }
        if path == "Cargo.lock" || path.contains("/testdata/") {
            continue;
        }
        let hosts = hosts.iter().filter(|host| text.contains(**host));
        found.extend(hosts.map(|host| format!("{path}: {host}")));
    }
    none(
        &found,
        "a stranger's machine has other folders and perhaps a mirror; use paths from CARGO_MANIFEST_DIR, and leave hosts to the user's configuration:",
    );
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_switched_off() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
        concat!("#[should_", "panic"),
    ];
    let mut found = Vec::new();
    for (path, text) in files("") {
        let ours = [
            ".rs", ".toml", ".md", ".yaml", ".yml", ".sh", ".txt", ".ci/run",
        ];
        if path.contains("/testdata/") || !ours.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        for (line, number) in text.lines().zip(1u32..) {
            let marks = marks.iter().filter(|mark| line.contains(**mark));
            found.extend(marks.map(|mark| format!("{path}:{number}: {mark}")));
        }
    }
    none(
        &found,
        "finish it, or write an issue; a flaky test is a bug to mend:",
    );
}

#[test]
fn no_statement_is_put_together_and_what_serves_starts_no_program() {
    let mut found = Vec::new();
    // Without this word sqlx takes constants alone as statements.
    for (path, text) in programs("crates/writ-store/src") {
        if mentions(&text, "AssertSqlSafe") {
            found.push(path);
        }
    }
    for folder in ["writ-control", "writ-proxy", "writ-store", "writ"] {
        for (path, text) in programs(&format!("crates/{folder}/src")) {
            // The command line starts the prover, for whoever typed the command; and what the settings name as an upstream is started
            // whole as they name it, by one module.
            let named = [
                "crates/writ/src/command/plan/prover.rs",
                "crates/writ-proxy/src/mcp/upstream/process.rs",
            ]
            .contains(&path.as_str());
            if !named
                && ["Command::new", "process::Command"]
                    .iter()
                    .any(|call| text.contains(call))
            {
                found.push(path);
            }
        }
    }
    none(
        &found,
        "values are bound to constant statements, and nothing that serves strangers starts programs but those of the settings:",
    );
}

#[test]
fn every_test_that_the_tables_of_hazards_incidents_and_failures_name_is_there() {
    let repository: BTreeMap<String, String> = files("").into_iter().collect();
    let mut found = Vec::new();
    let mut named = 0usize;
    for page in [
        "docs/reference/policy-hazards.md",
        "docs/incidents.md",
        "docs/failures.md",
    ] {
        let text = repository.get(page).map(String::as_str).unwrap_or_default();
        // Names stand between backticks, so every second part is one.
        for name in text.split('`').skip(1).step_by(2) {
            let Some((path, test)) = name.split_once(".rs::") else {
                continue;
            };
            named = named.saturating_add(1);
            let file = repository.get(&format!("{path}.rs"));
            if !file.is_some_and(|text| text.contains(&format!("fn {test}("))) {
                found.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(named > 40, "the tables name {named} tests");
    none(
        &found,
        "a table says that a test holds something, and there is no such test:",
    );
}
