//! Every OpenAPI and Swagger document of the corpus loads, or names the operations it refuses.

#[cfg(test)]
mod corpus {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    use writ_contract::{
        Bundler, Contract, Parsed, RawCall, Reviews, RouteError, Severity, Shipped, Visibility,
        propose,
    };
    use writ_types::{ApiId, Limits, Projection};

    /// The shared test data; none, loudly, if it is not there and not demanded.
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    #[expect(
        clippy::disallowed_methods,
        reason = "test data is found through the environment"
    )]
    fn shared() -> Option<PathBuf> {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
        let folder = std::env::var("WRIT_SHARED").unwrap_or_else(|_| beside.to_owned());
        let folder = PathBuf::from(folder);
        if folder.join("specs").is_dir() {
            return Some(folder);
        }
        assert!(
            std::env::var("WRIT_REQUIRE_SHARED").is_err(),
            "no shared test data in {}",
            folder.display()
        );
        eprintln!("SKIPPED: this test needs WRIT_SHARED");
        None
    }

    /// What is in the folder and is no OpenAPI document.
    fn is_other(name: &str) -> bool {
        [
            "oasdiff/",
            "mcp/",
            "stripe/fixtures",
            "recursor-schema",
            "multifile",
            "INDEX",
        ]
        .iter()
        .any(|part| name.contains(part))
    }

    fn documents(root: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if !is_other(&path.strip_prefix(root).unwrap().to_string_lossy()) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    fn read(path: &Path) -> Vec<u8> {
        let bytes = fs::read(path).unwrap();
        if path.extension().is_some_and(|extension| extension == "zst") {
            zstd::decode_all(bytes.as_slice()).unwrap()
        } else {
            bytes
        }
    }

    /// The page that people read; its tables are what the corpus comes to.
    const PAGE: &str = include_str!("../../../docs/contracts.md");

    #[test]
    fn every_document_loads_or_names_what_it_refuses() {
        let Some(shared) = shared() else { return };
        let api: ApiId = "corpus".parse().unwrap();
        let (mut total, mut refused, mut unloaded) = (0, 0, Vec::new());
        let mut table = String::from(
            "| document | operations | refused | warnings | visible | lossy | opaque |\n|---|--:|--:|--:|--:|--:|--:|\n",
        );
        let mut names = String::from("| document | operation | why |\n|---|---|---|\n");
        for path in documents(&shared.join("specs")) {
            let name = path
                .strip_prefix(shared.join("specs"))
                .unwrap()
                .display()
                .to_string();
            let (contract, diagnostics) =
                Contract::compile(&api, &read(&path), &Reviews::default());
            let errors = diagnostics
                .iter()
                .filter(|found| found.severity == Severity::Error);
            let errors: Vec<String> = errors.map(ToString::to_string).collect();
            let Some(contract) = contract else {
                unloaded.push(format!("{name}: {errors:?}"));
                continue;
            };
            let loaded = contract.operations().count();
            for operation in contract.refused() {
                let quoted = format!("`{}`", operation.id);
                // Whoever is refused is named, with a reason.
                let why = errors.iter().find_map(|error| {
                    let (_, why) = error.split_once(&format!("{quoted}: "))?;
                    Some(why.to_owned())
                });
                let why = why.unwrap_or_else(|| panic!("{name}: {quoted} is refused, why?"));
                names.push_str(&format!("| {name} | {quoted} | {why} |\n"));
            }
            let seen = |visibility| -> usize {
                contract
                    .operations()
                    .map(|one| one.coverage().count(visibility))
                    .sum()
            };
            table.push_str(&format!(
                "| {name} | {loaded} | {} | {} | {} | {} | {} |\n",
                contract.refused().len(),
                diagnostics.len() - errors.len(),
                seen(Visibility::Visible),
                seen(Visibility::Lossy),
                seen(Visibility::Opaque),
            ));
            total += loaded + contract.refused().len();
            refused += contract.refused().len();
        }
        assert!(unloaded.is_empty(), "{unloaded:#?}");
        assert!(total > 13_000, "only {total} operations were found");
        assert!(refused * 100 <= total, "{refused} of {total} are refused");
        let sum = format!("{total} operations, of which {refused} are refused");
        for part in [table, names, sum] {
            assert!(
                PAGE.contains(&part),
                "docs/contracts.md says otherwise:\n{part}"
            );
        }
    }

    /// Resolves and reads a call on the contract PowerDNS itself serves.
    fn called(
        contract: &Contract,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<(String, Parsed), RouteError> {
        let route = contract.resolve(method, path)?;
        let limits = Limits::default();
        let call = RawCall {
            query: None,
            headers: &[],
            content_type: body.map(|_| "application/json"),
            body: body.unwrap_or_default().as_bytes(),
            limits: &limits,
        };
        let parsed = route.operation().parse(&route, &call);
        Ok((route.operation().id().to_string(), parsed))
    }

    #[test]
    fn the_contract_that_powerdns_serves_routes_its_zones() {
        let Some(shared) = shared() else { return };
        let document = read(&shared.join("specs/powerdns/authoritative.served-4.7.3.yaml"));
        let api: ApiId = "dns".parse().unwrap();
        let (contract, diagnostics) = Contract::compile(&api, &document, &Reviews::default());
        assert_eq!(diagnostics, []);
        let contract = contract.unwrap();
        let rrsets = r#"{"rrsets":[{"name":"_acme-challenge.example.org.","type":"TXT","ttl":60,
            "changetype":"REPLACE","records":[{"content":"\"x\"","disabled":false}]}]}"#;
        let zone = "/servers/localhost/zones/example.org.";
        for (method, path, body, id) in [
            ("GET", "/servers/localhost/zones", None, "listZones"),
            ("PATCH", zone, Some(rrsets), "patchZone"),
            ("DELETE", zone, None, "deleteZone"),
            ("GET", zone, None, "listZone"),
        ] {
            let (found, parsed) = called(&contract, method, path, body).unwrap();
            assert_eq!(found, id);
            assert_eq!(parsed.faults, [], "{id}");
            assert_eq!(parsed.target, path);
        }
        let (_, parsed) = called(&contract, "PATCH", zone, Some(rrsets)).unwrap();
        assert_eq!(parsed.input.path["zone_id"].as_str(), Some("example.org."));
        let patch = contract.operation(&"patchZone".parse().unwrap()).unwrap();
        assert!(
            patch
                .coverage()
                .of("/body/rrsets/*/records/*/content")
                .is_some()
        );
        let mut wanted = Projection::default();
        for name in ["name", "type", "changetype"] {
            wanted.insert(&["body", "rrsets", name]);
        }
        let seen = format!("{:?}", patch.project(&parsed.input, &wanted).unwrap());
        assert!(seen.contains("_acme-challenge.example.org."), "{seen}");

        // A zone whose name has a slash is data; a way out of the zones is none.
        let (_, parsed) = called(
            &contract,
            "DELETE",
            "/servers/localhost/zones/0%2F25.in-addr.arpa.",
            None,
        )
        .unwrap();
        assert_eq!(
            parsed.target,
            "/servers/localhost/zones/0%2F25.in-addr.arpa."
        );
        let out = called(
            &contract,
            "DELETE",
            "/servers/localhost/zones/..%2fconfig",
            None,
        );
        assert_eq!(out.unwrap_err(), RouteError::Malformed);
    }

    #[test]
    #[expect(
        clippy::print_stderr,
        reason = "the measured time is what a person reads"
    )]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test may look at a clock; nothing depends on it"
    )]
    fn the_largest_document_compiles_whole() {
        let Some(shared) = shared() else { return };
        let path = shared.join("specs/github/api.github.com.octokit-23.0.2.json.zst");
        let document = read(&path);
        let api: ApiId = "github".parse().unwrap();
        let begin = std::time::Instant::now();
        let (contract, _) = Contract::compile(&api, &document, &Reviews::default());
        eprintln!("{} bytes in {:?}", document.len(), begin.elapsed());
        let contract = contract.unwrap();
        eprintln!("{} KiB in memory", contract.memory() / 1024);
        assert_eq!(contract.operations().count(), 1_223);
        let begin = std::time::Instant::now();
        let seen = contract
            .operations()
            .map(|one| one.coverage().iter().count());
        eprintln!(
            "{} places seen in {:?}",
            seen.sum::<usize>(),
            begin.elapsed()
        );
        let route = contract
            .resolve("GET", "/repos/octocat/hello/compare/main...topic")
            .unwrap();
        assert_eq!(route.operation().id().as_str(), "repos/compare-commits");
    }

    /// Document, and how many of its operations the overlay that ships for it reviews at least.
    const SHIPPED_FOR: [(&str, usize); 12] = [
        ("github/api.github.com.apisguru-1.1.4.json.zst", 130),
        ("github/api.github.com.octokit-16.0.0.json.zst", 130),
        ("github/api.github.com.octokit-23.0.2.json.zst", 140),
        ("stripe/spec3.2022-04-12.json.zst", 80),
        ("slack/slack_web_openapi_v2.json", 70),
        ("powerdns/authoritative.served-4.7.3.yaml", 33),
        ("powerdns/authoritative-swagger.2026-04.yaml", 40),
        ("powerdns/authoritative.master.yaml", 40),
        ("openai/openapi.2024-08.yaml", 50),
        ("openai/openapi.2026-07-16.json.zst", 70),
        ("kubernetes/swagger-v2.2025-09.json.zst", 90),
        ("kubernetes/v3_apps.v1.json", 20),
    ];

    #[test]
    #[expect(clippy::print_stderr, reason = "the table is what a person reads")]
    fn the_shipped_overlays_fit_their_documents() {
        let Some(shared) = shared() else { return };
        let api: ApiId = "corpus".parse().unwrap();
        for (name, least) in SHIPPED_FOR {
            let document = read(&shared.join("specs").join(name));
            let (contract, _) = Contract::compile(&api, &document, &Reviews::default());
            let contract = contract.unwrap();
            let shipped = Shipped::of_title(contract.title()).unwrap_or_else(|| panic!("{name}"));
            let overlay = propose(&contract, &document, Some(shipped));
            let reviews = Reviews {
                overlay: Some(overlay),
                ..Reviews::default()
            };
            let (overlaid, diagnostics) = Contract::compile(&api, &document, &reviews);
            let overlaid = overlaid.unwrap_or_else(|| panic!("{name}: {diagnostics:?}"));
            let reviewed = overlaid
                .operations()
                .filter(|operation| operation.reviewed())
                .count();
            let sensitive = overlaid
                .operations()
                .filter(|operation| operation.reviewed())
                .filter(|operation| {
                    operation
                        .marks()
                        .iter()
                        .any(|marked| marked.mark.sensitive.is_some())
                })
                .count();
            eprintln!(
                "{name:<50} {reviewed:>4} reviewed by {}, {sensitive} of them with sensitive places",
                shipped.name
            );
            assert!(reviewed >= least, "{name}: {reviewed}");
            assert_eq!(
                overlaid.operations().count(),
                contract.operations().count(),
                "{name}"
            );
        }
    }

    /// The path and bytes of every file of a tar archive (POSIX ustar, and GNU long names).
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "an archive of the test data, not of a stranger"
    )]
    fn untar(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let text = |bytes: &[u8]| {
            let end = bytes
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        let (mut files, mut at, mut long) = (BTreeMap::new(), 0, None);
        while at + 512 <= archive.len() && archive[at] != 0 {
            let head = &archive[at..at + 512];
            let size = usize::from_str_radix(text(&head[124..136]).trim(), 8).unwrap();
            let body = &archive[at + 512..at + 512 + size];
            let (name, prefix) = (text(&head[..100]), text(&head[345..500]));
            let name = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}/{name}")
            };
            match head[156] {
                b'L' => long = Some(text(body)),
                b'0' | 0 => {
                    files.insert(long.take().unwrap_or(name), body.to_vec());
                }
                _ => {}
            }
            at += 512 + size.div_ceil(512) * 512;
        }
        files
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "the figures are what a person reads")]
    fn a_document_of_thousands_of_files_becomes_one() {
        let Some(shared) = shared() else { return };
        let files = untar(&read(&shared.join("specs/digitalocean/multifile.tar.zst")));
        let root = files
            .keys()
            .find(|path| path.ends_with("DigitalOcean-public.v2.yaml"))
            .unwrap();
        let mut bundler = Bundler::new(root, &files[root]).unwrap();
        while let Some(path) = bundler.wanted().map(str::to_owned) {
            match files.get(&path) {
                Some(bytes) => bundler.give(&path, bytes),
                None => bundler.absent(&path, "it is not in the archive"),
            }
        }
        let bundle = bundler.finish().unwrap();
        let api: ApiId = "digitalocean".parse().unwrap();
        let (contract, diagnostics) =
            Contract::compile(&api, bundle.document.as_bytes(), &Reviews::default());
        let contract = contract.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let loaded = contract.operations().count();
        eprintln!(
            "{} files of {}, {} absent, {} bytes, {loaded} operations, {} refused",
            bundle.files,
            files.len(),
            bundle.absent.len(),
            bundle.document.len(),
            contract.refused().len()
        );
        for (path, why) in bundle.absent.iter().take(5) {
            eprintln!("  {path}: {why}");
        }
        assert!(bundle.files > 2_000 && loaded > 600, "{loaded}");
        for error in diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error)
        {
            eprintln!("  {error}");
        }
        assert_eq!(contract.refused().len(), 4);
    }
}
