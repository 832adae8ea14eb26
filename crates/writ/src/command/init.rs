//! `writ init`: a commented project.

use std::path::Path;

use crate::cli::InitArgs;
use crate::config;
use crate::failure::Failure;
use crate::terminal::{Terminal, Tone};

const FILES: [(&str, &str); 6] = [
    (
        "apis/dns.toml.example",
        include_str!("../../templates/api.toml.example"),
    ),
    (
        "purposes/acme-renewal.toml.example",
        include_str!("../../templates/purpose.toml.example"),
    ),
    (
        "agents/dns-bot.toml.example",
        include_str!("../../templates/agent.toml.example"),
    ),
    (
        "policies/local.cedar",
        include_str!("../../templates/local.cedar"),
    ),
    (
        "policies/tests/local.toml.example",
        include_str!("../../templates/policy-tests.toml.example"),
    ),
    (
        ".gitignore",
        "# State and keys of this installation; never in version control.\n/.writ/\n/.writ-agent.sock\n/task.json\n",
    ),
];

pub(crate) fn run(terminal: Terminal, args: &InitArgs) -> Result<(), Failure> {
    let settings = args.folder.join("writ.toml");
    if settings.exists() {
        let hint = "nothing was changed; edit it, or name another folder";
        return Err(Failure::new(format!("{} is there already", settings.display())).hint(hint));
    }
    write(&settings, &config::commented())?;
    terminal.talk(&format!(
        "{} {}",
        terminal.paint(Tone::Good, "wrote"),
        settings.display()
    ));
    for (name, text) in FILES {
        let path = args.folder.join(name);
        if path.exists() {
            terminal.talk(&format!(
                "{}  {} (it is there already)",
                terminal.paint(Tone::Faint, "kept"),
                path.display()
            ));
            continue;
        }
        write(&path, text)?;
        terminal.talk(&format!(
            "{} {}",
            terminal.paint(Tone::Good, "wrote"),
            path.display()
        ));
    }
    terminal.talk("");
    terminal.talk("Next:");
    terminal.talk("  writ api import openapi.yaml --id dns --upstream http://127.0.0.1:8053/api/v1 --owner you@example.org");
    terminal.talk("  writ policy check   # what is wrong with your rules; `writ policy test` asks your cases of them");
    terminal.talk("  writ serve          # the first start seeds the store from these files");
    terminal.talk("  writ doctor         # says what is loose");
    Ok(())
}

/// Writes a new file and the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed =
        |fault: std::io::Error| Failure::caused(format!("cannot write {}", path.display()), &fault);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

/// Writes a file for its owner alone. It is made anew: neither the mode of a file that lies there already nor a link that
/// leads elsewhere counts.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed =
        |fault: std::io::Error| Failure::caused(format!("cannot write {}", path.display()), &fault);
    match std::fs::remove_file(path) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(failed(fault)),
        Ok(()) | Err(_) => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    writeln!(file, "{text}").map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_private_file_is_private_whatever_lies_there_already() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (
            folder.path().join("task.json"),
            folder.path().join("elsewhere"),
        );
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        write_private(&path, "token").unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        write_private(&path, "token").unwrap();
        assert!(!elsewhere.exists(), "a link is replaced, not followed");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "token\n");
    }
}
