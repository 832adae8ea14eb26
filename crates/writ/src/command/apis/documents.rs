//! Where a command finds a contract's document: a file, or the one that an API of the project pins.

use std::path::{Path, PathBuf};

use writ_types::ApiId;

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
    if file.is_file() {
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

fn at(file: &Path, name: String) -> Result<Document, Failure> {
    let bytes = std::fs::read(file)
        .map_err(|fault| Failure::caused(format!("cannot read {}", file.display()), &fault))?;
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
