//! The project's files, as they lie in its folder.

use std::collections::BTreeMap;
use std::path::Path;

use writ_types::Value;

use crate::failure::Failure;

/// Folders of a project that are read.
const FOLDERS: [&str; 5] = ["apis", "agents", "purposes", "policies", "policies/shadow"];
/// Largest file that is read, in bytes.
const MOST: u64 = 64 * 1024 * 1024;

/// Where a project's policy tests lie. They are tried before the project comes into force, and are no part of it.
const TESTS: &str = "policies/tests";

/// Reads the files of a project, by path relative to it. Hidden files and examples are left out.
pub(crate) fn files(project: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    in_folders(project, &FOLDERS)
}

/// Reads the policy tests of a project, by path relative to it.
pub(crate) fn tests(project: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    in_folders(project, &[TESTS])
}

fn in_folders(project: &Path, folders: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut files = BTreeMap::new();
    for folder in folders {
        let path = project.join(folder);
        if !path.exists() {
            continue;
        }
        let failed = |fault: std::io::Error| {
            Failure::caused(format!("cannot read {}", path.display()), &fault)
        };
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            let metadata = entry.metadata().map_err(failed)?;
            if !metadata.is_file()
                || name.starts_with('.')
                || name.ends_with(".example")
                || name.ends_with('~')
            {
                continue;
            }
            if metadata.len() > MOST {
                return Err(Failure::new(format!(
                    "{} is larger than 64 MiB",
                    entry.path().display()
                )));
            }
            files.insert(
                format!("{folder}/{name}"),
                std::fs::read(entry.path()).map_err(failed)?,
            );
        }
    }
    Ok(files)
}

/// Files as texts, as they are sent.
pub(crate) fn texts(files: BTreeMap<String, Vec<u8>>) -> Result<Value, Failure> {
    let mut texts = Vec::new();
    for (path, bytes) in files {
        let text = String::from_utf8(bytes)
            .map_err(|_binary| Failure::new(format!("{path} is not UTF-8 text")))?;
        texts.push((path, Value::from(text)));
    }
    Ok(Value::object(texts))
}
