use super::*;

#[test]
fn api_ids_follow_their_grammar() {
    for good in ["a", "dns", "crm2", "abcdefghijklmnopqrstuvwxyz012345"] {
        assert!(good.parse::<ApiId>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "1dns",
        "Dns",
        "d-ns",
        "d_ns",
        "dns ",
        "writ",
        "mcp",
        "well-known",
        "abcdefghijklmnopqrstuvwxyz0123456",
        "é",
    ] {
        assert!(bad.parse::<ApiId>().is_err(), "{bad}");
    }
}

#[test]
fn an_action_splits_at_its_first_colon() {
    let action: ActionName = "dns:GET:/servers/{id}".parse().unwrap();
    assert_eq!(
        (action.api.as_str(), action.operation.as_str()),
        ("dns", "GET:/servers/{id}")
    );
    assert_eq!(action.to_string(), "dns:GET:/servers/{id}");
    for bad in ["dns", ":x", "dns:", "writ:x", "dns:a b"] {
        assert!(bad.parse::<ActionName>().is_err(), "{bad}");
    }
}

#[test]
fn one_action_is_writs_own() {
    let own: ActionName = ActionName::AMEND_TASK.parse().unwrap();
    assert!(own.is_amend_task() && own.to_string() == ActionName::AMEND_TASK);
    assert!(own.api.as_str().parse::<ApiId>().is_err(), "of no API");
    for other in ["writ:amendtask", "writ:amendTask ", "writ:closeTask"] {
        assert!(other.parse::<ActionName>().is_err(), "{other}");
    }
}

#[test]
fn words_have_bounds() {
    assert!("invoice-reconciliation".parse::<PurposeName>().is_ok());
    assert!("a".repeat(64).parse::<PurposeName>().is_err());
    assert!("-a".parse::<Tenant>().is_err());
    assert!("ops@example.org".parse::<OwnerName>().is_ok());
    assert!("o p s".parse::<OwnerName>().is_err());
}
