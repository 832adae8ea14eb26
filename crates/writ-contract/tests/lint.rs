//! Lint over every document of the corpus: no panic, bounded time, counts a person can judge.

#[cfg(test)]
mod shared;

#[cfg(test)]
mod lint {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    use writ_contract::lint::{Grade, Level, Rule, lint};

    use crate::shared::{read, shared};

    /// Every OpenAPI and Swagger document below the folder.
    fn documents(folder: &Path) -> Vec<PathBuf> {
        let other = [
            "oasdiff",
            "mcp",
            "fixtures",
            "recursor-schema",
            "multifile",
            "INDEX",
        ];
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if other.iter().any(|part| name.contains(part)) {
                continue;
            }
            if path.is_dir() {
                found.extend(documents(&path));
            } else {
                found.push(path);
            }
        }
        found.sort();
        found
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "the table is what a person reads")]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test may look at a clock; the bound is far above what is normal"
    )]
    fn every_document_is_linted_in_bounded_time() {
        let Some(shared) = shared() else { return };
        let mut totals: BTreeMap<Rule, usize> = BTreeMap::new();
        let mut grades: BTreeMap<Grade, usize> = BTreeMap::new();
        eprintln!(
            "{:<52} {:>6} {:>6} {:>6} {:>6}   {:>5} {:>5} {:>5} {:>5} {:>5}  seconds",
            "document", "ops", "error", "warn", "note", "A", "B", "C", "D", "F"
        );
        for path in documents(&shared.join("specs")) {
            let name = path.strip_prefix(shared.join("specs")).unwrap();
            let document = read(&path);
            let begin = std::time::Instant::now();
            let report = lint(&document).unwrap_or_else(|fault| panic!("{name:?}: {fault}"));
            let took = begin.elapsed();
            let count = |level| {
                let of_it = |found: &&writ_contract::lint::Finding| found.rule.level() == level;
                report.findings.iter().filter(of_it).count()
            };
            let row: Vec<String> = report
                .by_grade()
                .iter()
                .map(|(_, count)| format!("{count:>5}"))
                .collect();
            eprintln!(
                "{:<52} {:>6} {:>6} {:>6} {:>6}   {}  {:.2}",
                name.display(),
                report.operations.len(),
                count(Level::Error),
                count(Level::Warning),
                count(Level::Note),
                row.join(" "),
                took.as_secs_f64()
            );
            // Unoptimised and on a busy machine; optimised it is a tenth of this.
            assert!(took.as_secs() < 60, "{name:?} took {took:?}");
            assert_eq!(report.left_out, 0, "{name:?}");
            for (rule, count) in report.by_rule() {
                *totals.entry(rule).or_default() += count;
            }
            for (grade, count) in report.by_grade() {
                *grades.entry(grade).or_default() += count;
            }
            for found in &report.findings {
                assert!(
                    found.pointer.as_str().is_empty() || found.line.is_some(),
                    "{name:?}: {found:?}"
                );
            }
        }
        for (rule, count) in &totals {
            eprintln!("{:<34} {:<8} {count:>7}", rule.id(), rule.level());
        }
        eprintln!("{grades:?}");
        // A score that puts everything on one letter tells nobody anything.
        let all: usize = grades.values().sum();
        assert!(all > 13_000, "only {all} operations were scored");
        for grade in Grade::ALL {
            let share = grades.get(&grade).copied().unwrap_or(0) * 100 / all;
            assert!(share < 60, "{share} % of all operations are {grade}");
        }
        assert!(grades.get(&Grade::F).copied().unwrap_or(0) > 0);
    }
}
