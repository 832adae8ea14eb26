//! The first boot: secrets are made for their owner alone, the first sign-in is the only one, and no restart opens another.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use writ_testkit::{Project, project, runtime};

use crate::process::{Process, done, refused};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_first_token_is_for_its_owner_and_dies_at_the_first_sign_in() {
    let project = project!();
    let process = Process::start(&project);
    let path = project.path(".writ/first-boot-token");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&project.path(".writ")), 0o700);
    assert_eq!(mode(&project.path(".writ/keys")), 0o700);
    for key in files(&project.path(".writ/keys")) {
        let public = key.extension().is_some_and(|ending| ending == "der");
        assert!(public || mode(&key) == 0o600, "{}", key.display());
    }
    for name in ["writ.db", "writ.db-wal", "writ.db-shm"] {
        assert_eq!(mode(&project.path(".writ").join(name)), 0o600, "{name}");
    }
    let kept = project.path("kept-token");
    std::fs::copy(&path, &kept).unwrap();

    // A process that nobody has signed in to makes another token at each start; the one before is worth nothing.
    assert!(process.stop().0.success());
    let process = Process::start(&project);
    assert_ne!(std::fs::read(&path).unwrap(), std::fs::read(&kept).unwrap());
    let old = kept.to_str().unwrap();
    assert!(refused(&project, &["login", "--token-file", old]).contains("was refused"));

    std::fs::copy(&path, &kept).unwrap();
    project.sign_in();
    assert!(!path.exists(), "it is spent");
    let session = project.path(".writ/operator-session");
    assert_eq!(mode(&session), 0o600);
    let secret = std::fs::read_to_string(&session).unwrap();
    assert!(refused(&project, &["login", "--token-file", old]).contains("it has been used"));
    assert_eq!(
        std::fs::read_to_string(&session).unwrap(),
        secret,
        "a failed sign-in leaves the session"
    );
    done(&project, &["doctor"]);

    // One that lies about after a sign-in that was cut short is taken away, not announced.
    std::fs::copy(&kept, &path).unwrap();
    process.kill();
    let process = Process::start(&project);
    assert!(!path.exists(), "there is an admin");
    let (status, words) = process.stop();
    assert!(
        status.success() && !words.contains("no operator yet"),
        "{words}"
    );
}

#[test]
fn signing_in_says_what_to_do() {
    let project = project!();
    let said = refused(&project, &["login"]);
    assert!(said.contains("cannot read the first-boot token from") && said.contains("writ serve"));
    let process = Process::start(&project);
    std::fs::write(project.path("wrong"), "wfb_wrong\n").unwrap();
    let wrong = project.path("wrong");
    let said = refused(
        &project,
        &["login", "--token-file", wrong.to_str().unwrap()],
    );
    assert!(said.contains("the first-boot token was refused"), "{said}");
    let said = refused(&project, &["audit", "tail"]);
    assert!(said.contains("Try: writ login"), "{said}");
    process.kill();
    let said = refused(&project, &["login"]);
    assert!(said.contains("is `writ serve` running?"), "{said}");
}

/// `kill -9` while everything is made for the first time.
#[test]
fn a_first_boot_that_is_cut_short_anywhere_does_not_stop_the_next() {
    runtime().block_on(async {
        for delay in (0..24).map(|step| step * 6) {
            let project = project!();
            for _ in 0..2 {
                let process = Process::spawn(&project);
                tokio::time::sleep(Duration::from_millis(delay)).await;
                process.kill();
            }
            let process = Process::start(&project);
            project.sign_in();
            assert!(process.stop().0.success());
            done(&project, &["audit", "verify"]);
        }
    });
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let project = project!();
    assert!(Process::start(&project).stop().0.success());
    let starts = |project: &Project| {
        let (code, _, said) = project.run(&["serve"]);
        assert_eq!(code, 1, "{said}");
        said
    };
    for key in files(&project.path(".writ/keys")) {
        if key.extension().is_some_and(|ending| ending == "der") {
            continue;
        }
        set_mode(&key, 0o644);
        let said = starts(&project);
        let name = key.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name) && said.contains("mode 644"), "{said}");
        let said = refused(&project, &["doctor"]);
        assert!(said.contains(name) && said.contains("chmod 600"), "{said}");
        set_mode(&key, 0o600);
    }
    let database = project.path(".writ/writ.db");
    set_mode(&database, 0o640);
    assert!(starts(&project).contains("mode 640"));
    set_mode(&database, 0o600);
    set_mode(&project.path(".writ"), 0o755);
    let said = starts(&project);
    assert!(
        said.contains("can be entered by other users") && said.contains("chmod 700"),
        "{said}"
    );
    set_mode(&project.path(".writ"), 0o700);
    assert!(Process::start(&project).stop().0.success());
}
