//! Agents that run as another user than Writ: the way it is meant to be run.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use writ_testkit::project;

/// The user `nobody`, whom every Debian has.
const NOBODY: u32 = 65_534;

#[test]
#[expect(clippy::print_stderr, reason = "a test that could not run says so")]
fn another_users_agent_gets_its_identity_and_cannot_reach_the_keys() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: becoming another user needs root");
        return;
    }
    let project = project!();
    let text = std::fs::read_to_string(project.path("writ.toml")).unwrap();
    project.write(
        "writ.toml",
        &text.replace("single_user_machine = true", "single_user_machine = false"),
    );
    project.write(
        "purposes/p.toml",
        "owner = \"o@example.org\"\nactions = []\n",
    );
    project.write(
        "agents/bot.toml",
        &format!("owner = \"o@example.org\"\nmode = \"autonomous\"\npurposes = [\"p\"]\nselectors = [\"unix:uid:{NOBODY}\"]\n"),
    );
    std::fs::set_permissions(
        project.folder.path(),
        std::fs::Permissions::from_mode(0o711),
    )
    .unwrap();
    let _server = project.start();
    // Perl is part of every Debian, and changing the user takes a process of its own.
    let ask = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; my $b = q({\"audience\":\"x\"}); print $s \"POST /v1/jwt-svid HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: \" . length($b) . \"\\r\\n\\r\\n$b\"; $s->flush; print while <$s>;";
    let socket = project.path(".writ-agent.sock");
    let as_user = |uid: u32| {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("perl");
        command.args(["-e", ask]).arg(&socket).uid(uid).gid(uid);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let answer = as_user(NOBODY);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("spiffe://writ.local/agent/bot"),
        "{answer}"
    );
    let answer = as_user(NOBODY - 1);
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("no registered agent matches"),
        "{answer}"
    );
    let answer = as_user(0);
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("Writ's own user"),
        "{answer}"
    );
    let mode = std::fs::metadata(project.path(".writ"))
        .unwrap()
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode, 0o700, "the keys stay out of reach");
}

#[test]
fn a_server_leaves_no_core_file() {
    let project = project!();
    let server = project.start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<&str> = core.split_ascii_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}
