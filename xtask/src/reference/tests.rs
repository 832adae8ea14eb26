use super::*;

#[test]
fn the_committed_pages_are_current() {
    for (path, text) in pages() {
        let committed = fs::read_to_string(crate::root().join(path)).unwrap_or_default();
        assert!(
            committed == text,
            "`{path}` is not what the code says; run `cargo xtask reference` and read the difference"
        );
    }
}

#[test]
fn every_reason_and_every_row_is_on_its_page() {
    let (reasons, limits) = (reason_codes(), limits());
    for reason in ReasonCode::ALL {
        assert!(reasons.contains(&format!("\n## `{reason}`\n")), "{reason}");
        assert!(reasons.contains(reason.detail()), "{reason}");
        assert!(reasons.contains(&prose(reason.doc())), "{reason}");
    }
    for row in LIMIT_TABLE.iter().chain(TIMEOUT_TABLE) {
        assert!(
            limits.contains(&format!("\n| `{}` | {} |", row.name, row.default)),
            "{}",
            row.name
        );
    }
}
