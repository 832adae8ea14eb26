use std::os::unix::process::ExitStatusExt;

use super::*;

/// A server that runs until it is killed.
fn kept() -> Keeper {
    let directory = tempfile::tempdir().unwrap();
    let keeper = Keeper::start(directory, "tail", ["-f", "/dev/null"]).unwrap();
    assert!(keeper.is_running() && keeper.directory().is_dir());
    keeper
}

/// A runner in a group of its own that waits for a line that never comes.
fn runner() -> Child {
    Command::new("sh")
        .args(["-c", "read -r line"])
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

#[test]
fn dropping_it_ends_the_server_and_removes_the_directory() {
    let keeper = kept();
    let (server, directory) = (keeper.server, keeper.directory().to_owned());
    drop(keeper);
    assert!(!is_running(server));
    assert!(!directory.exists());
}

#[test]
fn a_runner_that_is_named_ends_with_it() {
    let (mut keeper, mut runner) = (kept(), runner());
    keeper.end_with_it(runner.id());
    drop(keeper);
    assert_eq!(runner.wait().unwrap().signal(), Some(15));
}

#[test]
fn a_runner_that_has_ended_is_left_alone() {
    let (mut keeper, mut runner) = (kept(), runner());
    keeper.end_with_it(runner.id());
    keeper.runner_ended();
    drop(keeper);
    let pipe = runner.stdin.take().unwrap();
    assert!(
        is_running(runner.id()),
        "whoever has its number now goes on"
    );
    drop(pipe);
    assert_eq!(runner.wait().unwrap().signal(), None);
}

#[test]
fn a_server_that_does_not_start_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let no_arguments: [&str; 0] = [];
    let mut keeper = Keeper::start(directory, "/nonexistent/server", no_arguments).unwrap();
    keeper.runner_ended();
    while keeper.is_running() {
        std::thread::yield_now();
    }
    assert!(
        keeper.log().contains("/nonexistent/server"),
        "{}",
        keeper.log()
    );
}
