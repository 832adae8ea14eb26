//! Where a command finds a contract's document: a file, or the one that an API of the project pins.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use writ_types::{ApiId, Limits};

use crate::config::Config;
use crate::failure::Failure;

/// A document and what to call it.
#[derive(Debug)]
pub(super) struct Document {
    /// The path, as short as it can be read.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// What the API's owner says of it, where it is an API's of the project.
    pub(super) overlay: Option<String>,
}

/// Reads a file, or the document of an API of the project that has this id.
pub(super) fn read(config: &Path, what: &str) -> Result<Document, Failure> {
    let file = Path::new(what);
    // Also what is no file, such as a pipe.
    if file.exists() && !file.is_dir() {
        return at(file, what.to_owned());
    }
    let id: ApiId = what.parse().map_err(|_no_id: writ_types::NameError| {
        Failure::usage(format!("`{what}` is neither a file nor the id of an API"))
    })?;
    let project = Config::load(config)?.project;
    let (file, name) = pinned(&project, &id)?;
    let overlay = project.join("apis").join(format!("{id}.overlay.yaml"));
    let overlay = overlay.is_file().then(|| text(&overlay)).transpose()?;
    Ok(Document {
        overlay,
        ..at(&file, name)?
    })
}

/// Reads a file of text.
pub(super) fn text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|fault| Failure::caused(format!("cannot read {}", file.display()), &fault))
}

/// The bytes of a document: of a file, or of what has no end. One more than a document may have are read at most, so that it is refused as too large.
pub(super) fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let most = Limits::default().document_bytes.saturating_add(1);
    let read = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(file)?;
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|fault: std::io::Error| {
        Failure::caused(format!("cannot read {}", file.display()), &fault)
    })
}

/// Longest text of a document that is shown where something else is said of it, in characters.
const SHOWN: usize = 160;

/// A text of a document, as a terminal may be given it: it obeys nothing in it, and it is no longer than anybody reads.
pub(super) fn plain(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.replace(char::is_control, "\u{FFFD}")
}

fn at(file: &Path, name: String) -> Result<Document, Failure> {
    let bytes = bytes(file)?;
    Ok(Document {
        name,
        bytes,
        overlay: None,
    })
}

/// The document that `apis/<id>.toml` names, and its path relative to the project.
pub(super) fn pinned(project: &Path, id: &ApiId) -> Result<(PathBuf, String), Failure> {
    let registration = project.join("apis").join(format!("{id}.toml"));
    let text = std::fs::read_to_string(&registration).map_err(|fault| {
        let message = format!(
            "there is no file and no API `{id}`: {}",
            registration.display()
        );
        Failure::caused(message, &fault)
    })?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|fault| Failure::new(format!("{}: {fault}", registration.display())))?;
    let file = table.get("contract").and_then(toml::Value::as_str);
    let file = file
        .ok_or_else(|| Failure::new(format!("{} names no `contract`", registration.display())))?;
    let name = format!("apis/{file}");
    Ok((project.join("apis").join(file), name))
}
