//! "Approval before": a rule that looks at what people approved earlier in the same task.

use writ_testkit::{Caller, reason, runtime};

use crate::stage::{Stage, asked, comment};

const RULE: &str = r#"
@id("desk.after") @doc("The ticket is read again when a person has approved a comment.")
forbid (principal, action == Api_helpdesk::Action::"getTicket", resource)
unless { context.sys.approved.contains("helpdesk:addComment") };
"#;

async fn read(caller: &Caller<'_>) -> (u16, String) {
    let answer = caller
        .send("GET", "/helpdesk/tickets/T-1001", &[], "")
        .await;
    (
        answer.status,
        if answer.status == 200 {
            String::new()
        } else {
            reason(&answer)
        },
    )
}

#[test]
fn only_an_approved_call_that_was_made_in_this_task_counts_and_a_kill_forgets_it_not() {
    let refused = (403, "forbidden".to_owned());
    let allowed = (200, String::new());
    runtime().block_on(async {
        let (stage, server) = Stage::start().await;
        stage.project.write("policies/after.cedar", RULE);
        let (code, out, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
        let security = stage.person("sue", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        assert_eq!(read(&caller).await, refused);
        let approval = asked(&comment(&caller).await);
        assert_eq!(read(&caller).await, refused, "it is asked for");
        assert_eq!(security.yes(&approval).await.status, 200);
        assert_eq!(
            read(&caller).await,
            refused,
            "it is given, and no call made by it"
        );
        assert_eq!(comment(&caller).await.status, 201);
        assert_eq!(read(&caller).await, allowed);
        let other = stage.task().await;
        let other = Caller::new(&stage.project, &other);
        assert_eq!(read(&other).await, refused, "another task");
        server.kill();
        let _server = stage.project.start();
        let caller = Caller::new(&stage.project, &task);
        assert_eq!(read(&caller).await, allowed);
        // Why, and what would have helped.
        let answer = other.send("GET", "/helpdesk/tickets/T-1001", &[], "").await;
        let call = answer.header("writ-call-id").unwrap().to_owned();
        let (code, out, err) = stage.project.run(&["explain", &call]);
        assert_eq!(code, 0, "{err}");
        assert!(
            out.contains(
                "a person has approved a call of `helpdesk:addComment` in the task before"
            ),
            "{out}"
        );
    });
}
