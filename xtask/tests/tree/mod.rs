//! Looking at the repository: its crates, what they bring, and its files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The workspace as its manifests describe it.
pub(crate) struct Workspace(Metadata);

impl Workspace {
    pub(crate) fn load() -> Self {
        let metadata = MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .no_deps()
            .other_options(["--locked", "--offline"].map(str::to_owned))
            .exec()
            .expect("`cargo metadata` works where the tests were built");
        Self(metadata)
    }

    /// The crates of the workspace.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.0.workspace_packages().into_iter()
    }

    /// The crates of the workspace that `name` depends on, for tests too, as `name -> other`.
    pub(crate) fn ours_of(&self, name: &str) -> Vec<String> {
        let ours: BTreeSet<&str> = self
            .packages()
            .map(|package| package.name.as_str())
            .collect();
        let package = self
            .packages()
            .find(|package| package.name.as_str() == name)
            .unwrap_or_else(|| panic!("the workspace has `{name}`"));
        let names: BTreeSet<&str> = package
            .dependencies
            .iter()
            .map(|dependency| dependency.name.as_str())
            .filter(|dependency| ours.contains(dependency))
            .collect();
        names
            .into_iter()
            .map(|other| format!("{name} -> {other}"))
            .collect()
    }

    /// The crates of the workspace that name `library` in their manifest.
    pub(crate) fn users_of(&self, library: &str) -> Vec<String> {
        self.packages()
            .filter(|package| {
                package
                    .dependencies
                    .iter()
                    .any(|dependency| dependency.name == library)
            })
            .map(|package| package.name.to_string())
            .collect()
    }

    pub(crate) fn default_members(&self) -> Vec<String> {
        let names = self.0.workspace_default_packages();
        names
            .into_iter()
            .map(|package| package.name.to_string())
            .collect()
    }
}

/// The names of all that is built for `selection` on this machine along `edges`, as cargo resolves features (`cargo
/// metadata` would also list what only a weak feature names, and nothing builds).
pub(crate) fn tree(selection: &[&str], edges: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args([
            "tree",
            "--locked",
            "--offline",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--edges",
            edges,
        ])
        .args(selection)
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "`cargo tree {selection:?}`: {errors}"
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Path from the root and text of every file under `folder`, what git ignores left out. What is not text is read as if
/// it were.
pub(crate) fn files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let relative = path
                .strip_prefix(root())
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            let ignored =
                ["target", ".git", ".writ", ".jj", "node_modules"].contains(&name.as_str());
            if ignored || path.is_symlink() || name.ends_with(".profraw") {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                found.push((relative, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    found.sort();
    found
}

/// The text of a file at the root.
pub(crate) fn manifest(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The manifests of the crates.
pub(crate) fn manifests() -> Vec<(String, String)> {
    let is_manifest = |path: &str| path.ends_with("/Cargo.toml");
    let mut all = files("crates");
    all.extend(files("xtask"));
    all.retain(|(path, _text)| is_manifest(path));
    all
}

/// Path and program of every Rust file under `folder` that is not built for tests alone, without comments.
pub(crate) fn programs(folder: &str) -> Vec<(String, String)> {
    let mut sources = files(folder);
    sources.retain(|(path, _text)| path.ends_with(".rs"));
    let tests: Vec<String> = sources
        .iter()
        .flat_map(|(path, text)| test_modules(path, text))
        .collect();
    let for_tests = |path: &str| {
        let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
        tests
            .iter()
            .any(|test| module == test || module.starts_with(&format!("{test}/")))
    };
    sources.retain(|(path, _text)| !for_tests(path));
    sources
        .into_iter()
        .map(|(path, text)| (path, code(&text)))
        .collect()
}

/// Where the modules lie, less `.rs`, that the file declares `#[cfg(test)]` and keeps elsewhere.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let folder = ["/lib.rs", "/main.rs", "/mod.rs", ".rs"]
        .into_iter()
        .find_map(|end| path.strip_suffix(end))
        .unwrap_or(path);
    let declared = text.split("#[cfg(test)]").skip(1).filter_map(|after| {
        let line = after
            .lines()
            .map(str::trim)
            .find(|line| line.contains("mod "))?;
        let name = line.split_once("mod ")?.1.strip_suffix(';')?;
        let attributes_only = after.split("mod ").next()?.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with(['#', '/']) || line.starts_with("pub")
        });
        attributes_only.then(|| format!("{folder}/{name}"))
    });
    declared.collect()
}

/// The program in a Rust file: without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let mut lines = text.lines().peekable();
    let mut code = String::new();
    while let Some(line) = lines.next() {
        let tests_follow = lines
            .peek()
            .is_some_and(|next| next.contains("mod ") && next.ends_with('{'));
        if line.trim() == "#[cfg(test)]" && tests_follow {
            break;
        }
        let line = line
            .split_once("// ")
            .map_or(line, |(before, _comment)| before);
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// Whether `word` stands in `code` as a word of its own.
pub(crate) fn mentions(code: &str, word: &str) -> bool {
    let joins = |sign: char| sign.is_alphanumeric() || sign == '_';
    let parts: Vec<&str> = code.split(word).collect();
    parts.windows(2).any(|pair| match pair {
        [before, after] => !before.ends_with(joins) && !after.starts_with(joins),
        _ => false,
    })
}

/// Whether `code` names the module of `std`, also in a group `use std::{…}`.
pub(crate) fn uses_std(code: &str, module: &str) -> bool {
    let grouped = |group: &str| {
        let group = group.split('}').next().unwrap_or(group);
        group
            .split(',')
            .any(|path| path.trim().split("::").next() == Some(module))
    };
    mentions(code, &format!("std::{module}")) || code.split("std::{").skip(1).any(grouped)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the repository")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_tests_are_not_code() {
        let text = "//! std::fs\nuse std::fmt; // std::net\n#[cfg(test)]\nconst A: u8 = 1;\n#[cfg(test)]\nmod tests {\n    use std::env;\n}\n";
        assert_eq!(
            code(text),
            "use std::fmt; \n#[cfg(test)]\nconst A: u8 = 1;\n"
        );
    }

    #[test]
    fn modules_for_tests_alone_are_left_out() {
        let text = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[path = \"x\"]\npub(crate) mod samples;\n#[cfg(test)]\nconst A: u8 = 1;\nmod real;\n";
        let expected = ["a/src/tests", "a/src/samples"];
        assert_eq!(test_modules("a/src/lib.rs", text), expected);
        let expected = ["a/src/b/tests", "a/src/b/samples"];
        assert_eq!(test_modules("a/src/b.rs", text), expected);
        let programs = programs("crates/writ-types/src");
        let has = |wanted: &str| programs.iter().any(|(path, _code)| path.ends_with(wanted));
        assert!(has("/json/parse.rs") && !has("/json/tests.rs"));
    }

    #[test]
    fn a_module_is_found_alone_and_in_a_group_and_not_in_a_longer_name() {
        assert!(uses_std("use std::fs;", "fs"));
        assert!(uses_std("let x = std::fs::read(y);", "fs"));
        assert!(uses_std("use std::{\n    fmt,\n    fs::File,\n};", "fs"));
        assert!(!uses_std("use std::{fmt, collections::BTreeMap};", "fs"));
        assert!(!uses_std("use std::fsx; use core::net::IpAddr;", "fs"));
        assert!(mentions("Instant::now()", "Instant::now"));
        assert!(!mentions("hyperbola", "hyper") && !mentions("a_hyper", "hyper"));
    }

    #[test]
    fn the_graph_is_walked() {
        assert!(tree(&["--package", "writ-control"], "normal").contains("mio"));
        assert!(!tree(&["--package", "writ-types"], "normal").contains("proptest"));
        assert!(tree(&["--workspace"], "normal,build,dev").contains("proptest"));
        let edges = Workspace::load().ours_of("writ-proxy");
        assert!(edges.contains(&"writ-proxy -> writ-policy".to_owned()));
    }
}
