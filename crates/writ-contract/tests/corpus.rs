//! Every OpenAPI and Swagger document of the corpus loads, or names the operations it refuses.

#[cfg(test)]
mod corpus {
    use std::fs;
    use std::path::{Path, PathBuf};

    use writ_contract::{Contract, Parsed, RawCall, Reviews, RouteError, Severity, Visibility};
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

    fn documents(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if !is_other(&path.to_string_lossy()) {
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

    #[test]
    #[expect(clippy::print_stderr, reason = "the table is what a person reads")]
    fn every_document_loads_or_names_what_it_refuses() {
        let Some(shared) = shared() else { return };
        let api: ApiId = "corpus".parse().unwrap();
        let (mut total, mut refused, mut unloaded) = (0, 0, Vec::new());
        eprintln!(
            "{:<52} {:>6} {:>7} {:>6} {:>7} {:>6} {:>6}",
            "document", "loaded", "refused", "warns", "visible", "lossy", "opaque"
        );
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
            // Whoever is refused is named, with a reason.
            assert!(
                errors.len() >= contract.refused().len(),
                "{name}: {errors:?}"
            );
            for operation in contract.refused() {
                assert!(
                    errors
                        .iter()
                        .any(|error| error.contains(operation.id.as_str())),
                    "{name}: {} is refused without a reason",
                    operation.id
                );
            }
            let seen = |visibility| -> usize {
                contract
                    .operations()
                    .map(|one| one.coverage().count(visibility))
                    .sum()
            };
            eprintln!(
                "{name:<52} {loaded:>6} {:>7} {:>6} {:>7} {:>6} {:>6}",
                contract.refused().len(),
                diagnostics.len() - errors.len(),
                seen(Visibility::Visible),
                seen(Visibility::Lossy),
                seen(Visibility::Opaque),
            );
            for error in &errors {
                eprintln!("    {error}");
            }
            total += loaded + contract.refused().len();
            refused += contract.refused().len();
        }
        eprintln!("{total} operations, {refused} refused");
        assert!(unloaded.is_empty(), "{unloaded:#?}");
        assert!(total > 13_000, "only {total} operations were found");
        assert!(refused * 100 <= total, "{refused} of {total} are refused");
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
}
