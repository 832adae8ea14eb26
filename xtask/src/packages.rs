//! Debian packages that the tests and the bench need, and bringing what is missing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use crate::error::{Tried, XtaskError};
use crate::say;

/// What the tests need.
pub(crate) const FOR_TESTS: &str = include_str!("../debian-packages.txt");

/// Installs and never starts a service: the servers are started by hand, on free ports, for as long as they are needed.
/// A machine that has a policy of its own keeps it.
const INSTALL: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
"#;

/// Sees to it that every package of `list` is installed.
///
/// # Errors
///
/// [`XtaskError::PackagesMissing`] with what is missing if it may not be installed from here: only root may, or whoever
/// sets `WRIT_MAY_INSTALL=1` and has `sudo`; `WRIT_MAY_INSTALL=0` forbids it to root too.
pub(crate) fn require(list: &str) -> Result<(), XtaskError> {
    let missing = missing(list);
    if missing.is_empty() {
        return Ok(());
    }
    let mut command = match permission(user(), std::env::var_os("WRIT_MAY_INSTALL").as_deref()) {
        Permission::Direct if has("apt-get") => Command::new("sh"),
        Permission::Sudo if has("apt-get") && has("sudo") => {
            let mut command = Command::new("sudo");
            command.args(["-n", "sh"]);
            command
        }
        Permission::Direct | Permission::Sudo | Permission::None => {
            return Err(XtaskError::PackagesMissing { missing });
        }
    };
    say::talk(&format!("installing {}", missing.join(", ")));
    // The tests' output is data; what apt has to say is not.
    let status = command
        .args(["-c", INSTALL, "install"])
        .args(&missing)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .tried(|| "run apt-get".to_owned())?;
    let missing = self::missing(list);
    if status.success() && missing.is_empty() {
        Ok(())
    } else {
        Err(XtaskError::InstallFailed { missing })
    }
}

/// The packages of a list: one to a line, `#` begins a comment.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn missing(list: &str) -> Vec<String> {
    names(list)
        .filter(|name| !is_installed(name))
        .map(str::to_owned)
        .collect()
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

#[derive(Debug, PartialEq, Eq)]
enum Permission {
    Direct,
    Sudo,
    None,
}

fn permission(user: Option<u32>, word: Option<&OsStr>) -> Permission {
    let word = word.map(OsStr::as_encoded_bytes);
    match (user == Some(0), word) {
        (_, Some(b"0")) => Permission::None,
        (true, _) => Permission::Direct,
        (false, None | Some(b"")) => Permission::None,
        (false, Some(_)) => Permission::Sudo,
    }
}

/// The user this process runs as.
fn user() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|own| own.uid())
}

fn has(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_or_who_asks_for_it_installs() {
        for (user, word, expected) in [
            (Some(0), None, Permission::Direct),
            (Some(0), Some("1"), Permission::Direct),
            (Some(0), Some("0"), Permission::None),
            (Some(1000), None, Permission::None),
            (Some(1000), Some(""), Permission::None),
            (Some(1000), Some("0"), Permission::None),
            (Some(1000), Some("1"), Permission::Sudo),
            (None, None, Permission::None),
        ] {
            let got = permission(user, word.map(OsStr::new));
            assert_eq!(got, expected, "{user:?} {word:?}");
        }
    }

    #[test]
    fn the_lists_hold_package_names_only() {
        let bench = include_str!("../debian-packages-bench.txt");
        for name in names(FOR_TESTS).chain(names(bench)) {
            let plain = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
            };
            assert!(name.bytes().all(plain), "`{name}` (Debian Policy §5.6.1)");
        }
        assert_eq!(
            names(FOR_TESTS).collect::<Vec<_>>(),
            ["pdns-server", "pdns-backend-sqlite3", "sqlite3", "cvc5"]
        );
    }

    #[test]
    fn a_package_nobody_has_is_missing() {
        assert_eq!(
            missing("# none\n\nwrit-no-such-package\n"),
            ["writ-no-such-package"]
        );
    }
}
