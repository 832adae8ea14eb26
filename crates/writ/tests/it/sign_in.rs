//! Signing in again: the first-boot token is gone, and the kernel says who is asking.

use std::os::unix::fs::PermissionsExt as _;

use writ_testkit::project;

#[test]
fn writs_own_user_signs_in_again_and_it_is_recorded() {
    let project = project!();
    let server = project.start();
    project.sign_in();
    let first = std::fs::read_to_string(project.path(".writ/operator-session")).unwrap();
    std::fs::remove_file(project.path(".writ/operator-session")).unwrap();
    assert_ne!(
        project.run(&["task", "list"]).0,
        0,
        "without a session nobody looks"
    );

    let (code, said, _) = project.run(&["login"]);
    assert_eq!(code, 0);
    assert!(
        said.starts_with("signed in as admin (admin) until "),
        "{said}"
    );
    let second = std::fs::read_to_string(project.path(".writ/operator-session")).unwrap();
    assert_ne!(first, second);
    assert_eq!(project.run(&["task", "list"]).0, 0);
    let (_, tail, _) = project.run(&["audit", "tail"]);
    assert!(tail.contains("operator.local_sign_in"), "{tail}");

    let mode = |path| {
        std::fs::metadata(project.path(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode(".writ/operator.sock"), mode(".writ")), (0o600, 0o700));
    assert!(server.stop().success());
    let (code, _, said) = project.run(&["login"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("nobody answers on the operator socket"),
        "{said}"
    );
}
