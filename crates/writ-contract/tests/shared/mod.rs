//! The shared test data: public API documents beside the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// The shared test data; none, loudly, if it is not there and not demanded.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
#[expect(
    clippy::disallowed_methods,
    reason = "test data is found through the environment"
)]
pub(crate) fn shared() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let folder = std::env::var("WRIT_SHARED").unwrap_or_else(|_| beside.to_owned());
    let folder = PathBuf::from(folder);
    if folder.join("specs").is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var("WRIT_REQUIRE_SHARED").is_err(),
        "no shared test data in {}",
        folder.display()
    );
    eprintln!("SKIPPED: this test needs WRIT_SHARED");
    None
}

/// A file, decompressed if it is compressed.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::decode_all(bytes.as_slice()).unwrap()
    } else {
        bytes
    }
}
