//! A running server is asked what it has, and that is pinned for a review.

use writ_testkit::{json, project};
use writ_types::Value;

use crate::keeper::{INSTRUCTIONS, KEY, Keeper, TOOLS};

#[test]
fn the_lists_of_a_running_server_are_pinned_as_they_were_read() {
    let keeper = Keeper::start();
    keeper.lists("prompts", r#"[{"name":"greet","description":"Greets."}]"#);
    let project = project!();
    let url = format!("http://{}/mcp", keeper.address);
    project.write("token", &format!("{KEY}\n"));
    let token = project.path("token");
    let token = token.to_str().unwrap();
    let import = |more: &[&str]| {
        let mut arguments = vec!["api", "import", &url, "--token-file", token];
        arguments.extend_from_slice(more);
        project.run(&arguments)
    };
    let (code, _, fault) = import(&[]);
    assert!(code == 2 && fault.contains("--id"), "{fault}");
    let (code, _, fault) = import(&["--id", "keeper", "--mcp", "2024-11-05"]);
    assert!(code == 2 && fault.contains("2025-11-25"), "{fault}");
    let (code, _, fault) = import(&["--id", "keeper", "--mcp", "2026-07-28"]);
    assert!(code == 1 && fault.contains("status 404"), "{fault}");

    // The server does not know the newest revision, and is asked in the one before.
    let (code, said, fault) = import(&["--id", "keeper", "--owner", "o@example.org"]);
    assert_eq!(code, 0, "{said}{fault}");
    let pinned = std::fs::read_to_string(project.path("apis/keeper.lists.json")).unwrap();
    let lists = json(&pinned);
    assert_eq!(
        lists.member("protocolVersion"),
        Some(&Value::from("2025-11-25"))
    );
    assert_eq!(lists.member("tools"), Some(&json(TOOLS)));
    assert_eq!(
        lists.member("prompts").unwrap().to_string(),
        r#"[{"description":"Greets.","name":"greet"}]"#
    );
    assert_eq!(lists.member("resources"), None);
    assert!(!pinned.contains(INSTRUCTIONS) && !pinned.contains(KEY));
    let registration = std::fs::read_to_string(project.path("apis/keeper.toml")).unwrap();
    assert!(
        registration.contains(&format!("upstream = \"{url}\"")),
        "{registration}"
    );
    assert!(
        registration.contains(&format!("drift = \"{url}\"")),
        "{registration}"
    );
    let overlay = std::fs::read_to_string(project.path("apis/keeper.overlay.yaml")).unwrap();
    assert!(overlay.contains("reviewed: false"), "{overlay}");
    for heard in keeper.heard_of("tools/list") {
        assert_eq!(
            heard.field("authorization"),
            Some(&*format!("Bearer {KEY}"))
        );
    }
    assert_eq!(keeper.heard_of("DELETE").len(), 1);

    // What was written is what a server takes.
    project.agent("bot", "autonomous", &["trial"]);
    project.write(
        "purposes/trial.toml",
        "owner = \"o@example.org\"\nactions = [\"keeper:echo\"]\n",
    );
    let server = project.start();
    server.stop();
}
