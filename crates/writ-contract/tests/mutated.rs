//! No document and no call makes the contract panic.

#[cfg(test)]
mod mutated {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use writ_contract::diff::diff;
    use writ_contract::{Bundler, Contract, RawCall, Reviews, propose};
    use writ_types::{ApiId, Limits, Projection};

    const SAMPLES: [&str; 3] = [
        include_str!("../testdata/helpdesk-3.0.yaml"),
        include_str!("../testdata/shop-3.1.json"),
        include_str!("../testdata/pets-2.0.json"),
    ];

    /// What replaces a stretch of a sample.
    const SPLICES: [&str; 20] = [
        "",
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        "null",
        "-1",
        "1e99",
        "$ref",
        "#/paths",
        "\"#/definitions/Pet\"",
        "allOf: [{$ref: '#/components/schemas/NewTicket'}]",
        "&a *a",
        "<<: ",
        "{x}{y}",
        "\u{0}é",
        "$ref: other.yaml#/x",
        "\"$ref\":\"../b.json\"",
    ];

    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let cuts = prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..40, 0..SPLICES.len()),
            1..6,
        );
        (0..SAMPLES.len(), cuts).prop_map(|(sample, cuts)| {
            let mut bytes = SAMPLES[sample].as_bytes().to_vec();
            for (at, length, splice) in cuts {
                let begin = at.index(bytes.len().max(1)).min(bytes.len());
                let end = begin.saturating_add(length).min(bytes.len());
                bytes.splice(begin..end, SPLICES[splice].bytes());
            }
            bytes
        })
    }

    /// Uses everything a contract offers.
    fn exercise(contract: &Contract) {
        let limits = Limits::default();
        let bodies: [(&str, &[u8]); 3] = [
            (
                "application/json",
                br#"{"title":1,"items":[{}],"x-a":null,"name":[[1e400]]}"#,
            ),
            (
                "application/x-www-form-urlencoded",
                b"title=1&items[0][n]=x&a[]=1&name=%41",
            ),
            ("text/plain", b"x"),
        ];
        for operation in contract.operations() {
            let path = operation.template().replace(['{', '}'], "7");
            let path = path.split(['#', '?']).next().unwrap_or_default();
            let query = Some("limit=5&ids=1,2&filter[owner]=x&label=a&label=b");
            let Ok(route) = contract.resolve_call(operation.method(), path, query, &[]) else {
                continue;
            };
            for (content_type, body) in bodies {
                let call = RawCall {
                    query,
                    headers: &[("if-none-match", b"x")],
                    content_type: Some(content_type),
                    body,
                    limits: &limits,
                };
                let parsed = route.operation().parse(&route, &call);
                assert!(parsed.target.starts_with('/') && parsed.target.is_ascii());
                let _seen = route.operation().project(&parsed.input, &Projection::All);
            }
            assert!(
                operation
                    .coverage()
                    .iter()
                    .all(|(place, _)| place.starts_with('/'))
            );
        }
    }

    #[test]
    fn the_samples_themselves() {
        let api: ApiId = "t".parse().unwrap();
        for sample in SAMPLES {
            let (contract, _) = Contract::compile(&api, sample.as_bytes(), &Reviews::default());
            exercise(&contract.unwrap());
        }
    }

    /// Splices stretches of a text.
    fn cut(text: &str, cuts: &[(prop::sample::Index, usize, usize)]) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for (at, length, splice) in cuts {
            let begin = at.index(bytes.len().max(1)).min(bytes.len());
            let end = begin.saturating_add(*length).min(bytes.len());
            bytes.splice(begin..end, WORDS[*splice].bytes());
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What replaces a stretch of an overlay.
    const WORDS: [&str; 14] = [
        "",
        "$",
        "..*",
        "[?@.a == 1]",
        "['x']",
        "remove: true",
        "copy: $..*",
        "x-writ: {effect: read}",
        "{",
        "}",
        "- target: $",
        "[::-1]",
        "[?count(@..*) > 1]",
        "\u{0}",
    ];

    /// How long each of the tests below goes on, in seconds: `WRIT_FUZZ_SECONDS`, or two.
    #[expect(
        clippy::disallowed_methods,
        reason = "who runs the tests says how long"
    )]
    fn patience() -> Duration {
        let said = std::env::var("WRIT_FUZZ_SECONDS").ok();
        Duration::from_secs(said.map_or(2, |said| said.parse().unwrap()))
    }

    /// Asks for fresh inputs until the time is up, and says how many there were.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long it goes on is the clock's to say, and nothing else depends on it"
    )]
    #[expect(clippy::print_stderr, reason = "`cargo xtask fuzz` keeps the count")]
    fn fuzz<S: Strategy>(
        name: &str,
        inputs: &S,
        holds: impl Fn(S::Value) -> Result<(), TestCaseError>,
    ) {
        const AT_ONCE: u32 = 50;
        let (begin, patience) = (Instant::now(), patience());
        let mut cases = 0u64;
        while begin.elapsed() < patience {
            let config = ProptestConfig {
                cases: AT_ONCE,
                failure_persistence: None,
                ..ProptestConfig::default()
            };
            if let Err(fault) = TestRunner::new(config).run(inputs, &holds) {
                panic!("{fault}");
            }
            cases = cases.saturating_add(u64::from(AT_ONCE));
        }
        eprintln!(
            "fuzzed {name} with {cases} cases in {} s",
            patience.as_secs()
        );
    }

    #[test]
    fn a_mutated_overlay_applies_or_is_refused() {
        let api: ApiId = "t".parse().unwrap();
        let proposals = SAMPLES.map(|sample| {
            let (contract, _) = Contract::compile(&api, sample.as_bytes(), &Reviews::default());
            propose(&contract.unwrap(), sample.as_bytes(), None)
        });
        let cuts = prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..40, 0..WORDS.len()),
            1..6,
        );
        fuzz("overlays", &(0..SAMPLES.len(), cuts), |(sample, cuts)| {
            let document = SAMPLES[sample].as_bytes();
            let reviews = Reviews {
                overlay: Some(cut(&proposals[sample], &cuts)),
                ..Reviews::default()
            };
            let (contract, diagnostics) = Contract::compile(&api, document, &reviews);
            let Some(contract) = contract else {
                prop_assert!(!diagnostics.is_empty());
                return Ok(());
            };
            for operation in contract.operations() {
                let mut marks = operation.marks().iter();
                prop_assert!(marks.all(|marked| marked.pointer.starts_with('/')));
                let body = br#"{"id":1,"items":[{}]}"#;
                let checked = operation.check_response(200, Some("application/json"), body);
                prop_assert!(operation.source_values(&checked).len() < 100);
            }
            Ok(())
        });
    }

    #[test]
    fn mutated_files_become_one_or_are_left_out() {
        let api: ApiId = "t".parse().unwrap();
        fuzz("bundles", &(mutated(), mutated()), |(first, second)| {
            let Ok(mut bundler) = Bundler::new("a.yaml", &first) else {
                return Ok(());
            };
            while let Some(path) = bundler.wanted().map(str::to_owned) {
                // `a..b` is a file's name; the step `..` is what leads out of the folder.
                let steps = |step| !matches!(step, "" | "." | "..");
                prop_assert!(path.split('/').all(steps), "{path:?}");
                prop_assert!(!path.contains(['\\', ':']), "{path:?}");
                prop_assert!(!path.contains(char::is_control), "{path:?}");
                bundler.give(&path, &second);
            }
            if let Some(bundle) = bundler.finish() {
                let document = bundle.document.as_bytes();
                let _compiled = Contract::compile(&api, document, &Reviews::default());
            }
            Ok(())
        });
    }

    #[test]
    fn a_mutated_document_compiles_or_is_refused() {
        let api: ApiId = "t".parse().unwrap();
        fuzz("documents", &mutated(), |document| {
            let (contract, diagnostics) = Contract::compile(&api, &document, &Reviews::default());
            match contract {
                Some(contract) => exercise(&contract),
                None => prop_assert!(!diagnostics.is_empty()),
            }
            Ok(())
        });
    }

    #[test]
    fn random_bytes_are_refused() {
        let api: ApiId = "t".parse().unwrap();
        let bytes = prop::collection::vec(any::<u8>(), 0..200);
        fuzz("bytes", &bytes, |document| {
            let (contract, diagnostics) = Contract::compile(&api, &document, &Reviews::default());
            prop_assert!(contract.is_none() && !diagnostics.is_empty());
            Ok(())
        });
    }

    #[test]
    fn two_versions_of_a_document_are_compared_or_refused() {
        fuzz("comparisons", &(mutated(), mutated()), |(old, new)| {
            let _compared = diff(&old, &new);
            if let Ok(with_itself) = diff(&new, &new) {
                // Of a reference that leads nowhere nothing is proven, not even that it stays.
                let mut changes = with_itself.changes.iter();
                prop_assert!(changes.all(|change| change.rule.ends_with("-unreadable")));
            }
            Ok(())
        });
    }
}
