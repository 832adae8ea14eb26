//! A rule that leaves an agent what it has used: learned from sound tasks alone, tried, in force.

use hyper::Method;
use writ_testkit::{Caller, Desk, Project, open, reason, runtime};

const ACTIONS: &str = r#"["helpdesk:addComment","helpdesk:closeTicket","helpdesk:getCustomer","helpdesk:getTicket","helpdesk:listRefunds"]"#;
const REFUNDS: &str = "/helpdesk/refunds";
const CUSTOMER: &str = "/helpdesk/customers/C-201";
const TICKET: &str = "/helpdesk/tickets/T-1001";
const COMMENTS: &str = "/helpdesk/tickets/T-1001/comments";

fn prepare() -> Project {
    let project = writ_testkit::project!();
    project.agent("bot", "copilot", &["triage"]);
    project.write(
        "agents/other.toml",
        "owner = \"o@example.org\"\nmode = \"copilot\"\npurposes = [\"triage\"]\nselectors = [\"unix:uid:4242\"]\n",
    );
    project.write(
        "purposes/triage.toml",
        &format!(
            "owner = \"o@example.org\"\nactions = {ACTIONS}\n[budget]\ncalls = 50\nwrites = 5\n"
        ),
    );
    project
}

async fn task(project: &Project) -> writ::agent::OpenTask {
    let details = format!(r#"[{{"type":"writ_task","purpose":"triage","actions":{ACTIONS}}}]"#);
    open(&project.client(), &details).await
}

/// The statuses of calls of one task.
async fn play(project: &Project, calls: &[(&str, &str)]) -> Vec<(u16, String)> {
    let task = task(project).await;
    let caller = Caller::new(project, &task);
    let mut answers = Vec::new();
    for (method, path) in calls {
        let body = if *method == "POST" {
            r#"{"body":"x"}"#
        } else {
            ""
        };
        let fields: &[_] = if body.is_empty() {
            &[]
        } else {
            &[("content-type", "application/json")]
        };
        let answer = caller.send(method, path, fields, body).await;
        let reason = if answer.status < 300 {
            String::new()
        } else {
            reason(&answer)
        };
        answers.push((answer.status, reason));
    }
    answers
}

#[test]
fn an_agent_keeps_what_it_has_used_in_sound_tasks() {
    runtime().block_on(async {
        let project = prepare();
        let desk = Desk::open(&project).await;
        let _server = project.start();
        project.sign_in();
        project.credential("helpdesk-key", &desk.key);
        let run = |arguments: &[&str]| project.run(arguments);
        let suggest = ["suggest", "--agent", "bot", "--purpose", "triage"];
        let (code, _, err) = run(&suggest);
        assert_eq!(code, 1);
        assert!(err.contains("no task to learn from"), "{err}");

        let fine = |status| (status, String::new());
        let sound = [("GET", REFUNDS), ("GET", REFUNDS), ("GET", CUSTOMER)];
        assert_eq!(play(&project, &sound).await, [fine(200), fine(200), fine(200)]);
        assert_eq!(play(&project, &sound[..1]).await, [fine(200)]);
        // One that was killed, and one that heard what a customer wrote, teach nothing.
        let killed = task(&project).await;
        let caller = Caller::new(&project, &killed);
        let body = r#"{"body":"x"}"#;
        let json = [("content-type", "application/json")];
        assert_eq!(caller.send("POST", COMMENTS, &json, body).await.status, 201);
        let kill = format!(r#"{{"task":"{}"}}"#, killed.task);
        assert_eq!(project.operator(Method::POST, "/v1/kill", &kill).await.status, 200);
        assert_eq!(play(&project, &[("GET", TICKET), ("POST", COMMENTS)]).await, [fine(200), fine(201)]);
        // Nor does what the agent does afterwards in a task of its own: it knows what it read.
        assert_eq!(play(&project, &[("GET", CUSTOMER)]).await, [fine(200)]);

        let (code, out, err) = run(&[&suggest[..], &["--write"]].concat());
        assert_eq!(code, 0, "{err}");
        for line in [
            "learned from 2 tasks of spiffe://writ.local/agent/bot for triage",
            "left out: 2 whose agent had read what strangers wrote",
            "left out: 1 that somebody stopped",
            "never used, and taken away: helpdesk:addComment, helpdesk:closeTicket, helpdesk:getTicket",
            "\"calls\":3,",
            "wrote policies/suggested-bot-triage.cedar",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
        let (code, out, err) = run(&["policy", "test"]);
        assert_eq!(code, 0, "{out}{err}");
        let (code, out, err) = run(&["policy", "check"]);
        assert_eq!(code, 0, "{out}{err}");
        // What the rule takes, it takes from this agent alone, and its cases fail without it.
        let (code, out, _) = run(&["plan"]);
        assert_eq!(code, 2, "{out}");
        let loses = |agent: &str| out.lines().filter(|line| line.contains(agent) && line.contains("helpdesk:")).count();
        assert!(out.contains("helpdesk:closeTicket") && loses("agent/other") == 0, "{out}");
        let rule = project.path("policies/suggested-bot-triage.cedar");
        let text = std::fs::read_to_string(&rule).unwrap();
        std::fs::write(&rule, text.replace(r#"["helpdesk:getCustomer", "#, r#"["helpdesk:closeTicket", "helpdesk:getCustomer", "#)).unwrap();
        assert_eq!(run(&["policy", "test"]).0, 1, "a case was taken back by hand");
        std::fs::write(&rule, text).unwrap();

        let (code, out, err) = run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
        let forbidden = (403, "forbidden".to_owned());
        assert_eq!(
            play(&project, &[("GET", REFUNDS), ("GET", TICKET), ("POST", COMMENTS)]).await,
            [fine(200), forbidden.clone(), forbidden]
        );
        let (code, _, err) = run(&[&suggest[..], &["--write"]].concat());
        assert_eq!(code, 1);
        assert!(err.contains("is there already"), "{err}");
        for (agent, purpose, wanted) in [
            ("nobody", "triage", "there is no such agent"),
            ("bot", "other", "the agent has no such purpose"),
        ] {
            let (code, _, err) = run(&["suggest", "--agent", agent, "--purpose", purpose]);
            assert_eq!(code, 1);
            assert!(err.contains(wanted), "{err}");
        }
    });
}
