//! Other people's clients that the tests let loose on Writ, from npm and `PyPI`, pinned by lock files in `xtask/clients`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Tried, XtaskError};
use crate::{say, target};

/// What pins the clients: name and text of each file.
const LOCKS: [(&str, &str); 3] = [
    ("package.json", include_str!("../clients/package.json")),
    (
        "package-lock.json",
        include_str!("../clients/package-lock.json"),
    ),
    (
        "requirements.txt",
        include_str!("../clients/requirements.txt"),
    ),
];

/// Written last: says which locks the folder was installed from.
const STAMP: &str = "installed";

/// Installs what is pinned and nothing else, without running a package's scripts.
const INSTALL: &str = r#"
set -eu
cd "$1"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
python3 -m venv --clear python
python/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt
"#;

/// Sees to it that the clients are installed, below `target`, and gives their folder. Node, npm and Python 3 must be there.
///
/// None where they cannot or may not (`WRIT_MAY_INSTALL=0`) be installed; the tests that need them then say so.
///
/// # Errors
///
/// The folder cannot be written.
pub(crate) fn find() -> Result<Option<PathBuf>, XtaskError> {
    let folder = folder();
    if is_current(&folder) {
        return Ok(Some(folder));
    }
    let forbidden = std::env::var_os("WRIT_MAY_INSTALL").is_some_and(|word| word == "0");
    if !forbidden && install(&folder)? {
        return Ok(Some(folder));
    }
    say::talk(
        "NOTE: the clients of xtask/clients are not installed (it takes node, npm, python3 and their registries); tests with them are skipped",
    );
    Ok(None)
}

fn folder() -> PathBuf {
    target().join("test-clients")
}

/// Whether the folder was installed from these very locks.
fn is_current(folder: &Path) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == locks())
}

fn locks() -> String {
    LOCKS.iter().map(|(_, text)| *text).collect()
}

fn install(folder: &Path) -> Result<bool, XtaskError> {
    let tell = || format!("write {}", folder.display());
    fs::create_dir_all(folder).tried(tell)?;
    for (name, text) in LOCKS {
        fs::write(folder.join(name), text).tried(tell)?;
    }
    say::talk("installing the clients of xtask/clients");
    let status = Command::new("sh")
        .args(["-c", INSTALL, "install"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .tried(|| "run sh".to_owned())?;
    if status.success() {
        fs::write(folder.join(STAMP), locks()).tried(tell)?;
    }
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_is_pinned_to_one_content() {
        for (name, text) in LOCKS {
            match name {
                "package-lock.json" => {
                    let packages = text.matches("\"node_modules/").count();
                    assert_eq!(text.matches("\"integrity\": \"sha512-").count(), packages);
                }
                "requirements.txt" => {
                    let named = |line: &&str| line.contains("==");
                    let names = text.lines().filter(named).count();
                    assert!(names > 10);
                    assert!(text.lines().filter(named).all(|line| line.ends_with('\\')));
                }
                _ => assert!(!text.contains('^') && !text.contains('~'), "{name}"),
            }
        }
    }

    #[test]
    fn a_folder_of_other_locks_is_not_current() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_current(folder.path()));
        fs::write(folder.path().join(STAMP), "other").unwrap();
        assert!(!is_current(folder.path()));
        fs::write(folder.path().join(STAMP), locks()).unwrap();
        assert!(is_current(folder.path()));
    }
}
