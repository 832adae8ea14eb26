//! Diff against oasdiff's own pairs, and over the documents of the corpus that exist in several versions.

#[cfg(test)]
mod shared;

#[cfg(test)]
mod diff {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use writ_contract::diff::{Authority, Section, diff};
    use writ_contract::{Contract, Reviews, Shipped, propose};

    use crate::shared::{read, shared};

    /// The files of oasdiff's test data, by path below `data/`.
    fn oasdiff_files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let text = |bytes: &[u8]| -> String {
            let end = bytes
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        let mut files = BTreeMap::new();
        let mut rest = archive;
        // POSIX ustar: a header of 512 bytes, then the content in blocks of 512.
        while let Some((header, after)) = rest.split_at_checked(512) {
            let size = text(&header[124..136]);
            let Ok(size) = usize::from_str_radix(size.trim(), 8) else {
                break;
            };
            let name = format!("{}{}", text(&header[345..500]), text(&header[..100]));
            if let Some((_, name)) = name.split_once("data/") {
                files.insert(name.to_owned(), after[..size].to_vec());
            }
            rest = &after[size.next_multiple_of(512)..];
        }
        files
    }

    /// The ids each pair names, against the ids that are found; the table by rule is golden, and each that is not found has
    /// its reason in a file.
    #[test]
    fn agreement_with_oasdiff_is_what_the_table_says() {
        let Some(shared) = shared() else { return };
        let folder = shared.join("specs/oasdiff");
        let files = oasdiff_files(&read(&folder.join("testdata.tar.zst")));
        assert!(files.len() > 500, "{} files", files.len());
        let pairs = String::from_utf8(read(&folder.join("pairs.tsv"))).unwrap();
        let mut table: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut missing = Vec::new();
        for line in pairs.lines().skip(1) {
            let [base, revision, ids, test] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let found = diff(&files[base], &files[revision]).unwrap();
            let found: BTreeSet<&str> = found
                .changes
                .iter()
                .map(|change| change.rule.as_str())
                .collect();
            for id in ids.split(',').filter(|id| *id != "-") {
                let row = table.entry(id.to_owned()).or_default();
                row.0 += 1;
                if found.contains(id) {
                    row.1 += 1;
                } else {
                    missing.push(format!("{id}\t{test}"));
                }
            }
        }
        let table: Vec<String> = table
            .iter()
            .map(|(rule, (named, agreed))| format!("{rule}\t{named}\t{agreed}"))
            .collect();
        let table = table.join("\n") + "\n";
        assert_eq!(
            table, AGREEMENT,
            "update testdata/oasdiff-agreement.tsv on purpose:\n{table}"
        );
        let explained: BTreeMap<String, &str> = DISAGREEMENTS
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once('\t'))
            .map(|(key, reason)| (key.to_owned(), reason))
            .collect();
        for key in &missing {
            assert!(explained.contains_key(key), "not explained: {key}");
        }
        for (key, reason) in &explained {
            assert!(missing.contains(key), "explained, and agreed: {key}");
            assert!(reason.len() > 20, "{key}");
        }
    }

    /// Rule, pairs of oasdiff that name it, pairs in which it is found.
    const AGREEMENT: &str = include_str!("../testdata/oasdiff-agreement.tsv");
    /// Rule, oasdiff's test, why it is not found.
    const DISAGREEMENTS: &str = include_str!("../testdata/oasdiff-disagreements.tsv");

    const VERSIONS: [(&str, &str); 8] = [
        (
            "github/api.github.com.apisguru-1.1.4.json.zst",
            "github/api.github.com.octokit-16.0.0.json.zst",
        ),
        (
            "github/api.github.com.octokit-16.0.0.json.zst",
            "github/api.github.com.octokit-23.0.2.json.zst",
        ),
        (
            "powerdns/authoritative.served-4.7.3.yaml",
            "powerdns/authoritative.master.yaml",
        ),
        ("twilio/api_v2010.2023.json.zst", "twilio/api_v2010.json"),
        ("docker/engine-v1.48.yaml", "docker/engine-v1.55.yaml"),
        (
            "adyen/CheckoutService-v70.json",
            "adyen/CheckoutService-v71.json",
        ),
        (
            "openai/openapi.2024-08.yaml",
            "openai/openapi.2026-07-16.json.zst",
        ),
        (
            "stripe/spec3.2022-04-12.json.zst",
            "stripe/spec3.2022-04-12.json.zst",
        ),
    ];

    #[test]
    #[expect(clippy::print_stderr, reason = "the table is what a person reads")]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test may look at a clock; the bound is far above what is normal"
    )]
    fn versions_of_one_api_are_compared_in_bounded_time() {
        let Some(shared) = shared() else { return };
        for (old, new) in VERSIONS {
            let path = |name: &str| shared.join("specs").join(Path::new(name));
            let documents = (read(&path(old)), read(&path(new)));
            let begin = std::time::Instant::now();
            let diff = diff(&documents.0, &documents.1).unwrap();
            let took = begin.elapsed();
            let count = |authority| {
                diff.changes
                    .iter()
                    .filter(|change| change.authority == authority)
                    .count()
            };
            eprintln!(
                "{old} -> {new}: {} changes in {:.1} s: {} widen, {} unproven, {} narrow, {} neutral; {} groups; {} operations changed",
                diff.changes.len(),
                took.as_secs_f64(),
                count(Authority::Widens),
                count(Authority::Unproven),
                count(Authority::Narrows),
                count(Authority::Neutral),
                diff.review().groups.len(),
                diff.changed().len()
            );
            for section in diff.review().sections() {
                eprintln!("   {section:?} {}", diff.review().section(section).count());
            }
            assert!(took.as_secs() < 120, "{old}: {took:?}");
            assert_eq!(old == new, diff.is_empty(), "{old}");
        }
    }

    /// The page that people read.
    const PAGE: &str = include_str!("../../../docs/contracts.md");

    /// Played as drift: what its owner has to read where agents are given what agents use of an API, the operations that the overlay reviews
    /// which ships for it.
    #[test]
    fn what_a_vendor_changed_is_a_review_of_minutes() {
        let Some(shared) = shared() else { return };
        let api = "played".parse().unwrap();
        for (name, (old, new), most) in [
            ("GitHub 2023 -> 2024", VERSIONS[0], 60),
            ("GitHub 2024 -> 2026", VERSIONS[1], 70),
            ("PowerDNS 4.7.3 as served -> master", VERSIONS[2], 20),
        ] {
            let path = |name: &str| shared.join("specs").join(Path::new(name));
            let (old, new) = (read(&path(old)), read(&path(new)));
            let (contract, _) = Contract::compile(&api, &old, &Reviews::default());
            let contract = contract.unwrap();
            let shipped = Shipped::of_title(contract.title());
            let reviews = Reviews {
                overlay: Some(propose(&contract, &old, shipped)),
                ..Reviews::default()
            };
            let (contract, _) = Contract::compile(&api, &old, &reviews);
            let contract = contract.unwrap();
            let used: BTreeSet<(&str, &str)> = contract
                .operations()
                .filter(|operation| operation.reviewed())
                .map(|operation| (operation.method(), operation.template()))
                .collect();
            let diff = diff(&old, &new).unwrap();
            let is_used = |place: &usize| {
                let one = &diff.operations[*place];
                used.contains(&(one.method, one.path.as_str()))
            };
            let review = diff.review();
            // Of texts it is said how many there are; nobody reads a thousand.
            let of_owner = review
                .groups
                .iter()
                .filter(|group| group.section.needs_owner() && group.section != Section::Texts);
            let lines = of_owner.clone().count();
            let in_use = of_owner
                .filter(|group| group.operations.iter().any(is_used))
                .count();
            let waiting = diff
                .changed()
                .into_values()
                .filter(|worst| worst.needs_owner());
            let row = format!(
                "| {name} | {} | {lines} | {} | {in_use} of {} |",
                diff.changes.len(),
                waiting.count(),
                used.len()
            );
            assert!(
                PAGE.contains(&row),
                "docs/contracts.md says otherwise:\n{row}"
            );
            assert!(in_use <= most, "{row}");
        }
    }
}
