//! A copy of the log, verified with the public key alone: whatever was altered is found, and the place is named.

use std::path::{Path, PathBuf};

use writ_testkit::{Project, json, open, project, runtime};

use crate::depot::{Depot, task};
use crate::load::{Kind, Ledger};
use crate::process::{Process, copy, done, number};

/// Which byte of a file is flipped.
type Place = fn(&[u8]) -> usize;

/// In a checkpoint, the size.
fn second_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1
}

/// In a journal, the end of the last entry: behind it there are zeros.
fn last_written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap()
}

fn last_segment(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap();
    let segments = entries.map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = segments
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg"))
        .filter(|path| {
            path.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse::<u64>()
                .is_ok()
        })
        .collect();
    segments.sort();
    segments.pop().unwrap()
}

fn flip(path: &Path, place: Place) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = place(&bytes);
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// A log with more than one bundle, so that it has full tiles and an upper one, and its public key in another place.
struct Original {
    project: Project,
    key: PathBuf,
    entries: u64,
}

impl Original {
    async fn new() -> Self {
        let project = project!();
        let _depot = Depot::open(&project).await;
        let process = Process::start(&project);
        let client = project.client();
        let held = open(&client, &task(1000, 1000)).await;
        let ledger = Ledger::default();
        for turn in 0..140 {
            let told = ledger
                .call(&client, &held, Kind::of(turn, 2))
                .await
                .unwrap();
            assert_eq!(told.status, 200);
        }
        assert!(process.stop().0.success());
        let key = project.path("auditor.pub");
        std::fs::copy(project.path(".writ/log/log.pub"), &key).unwrap();
        let report = json(&done(&project, &["--json", "audit", "verify"]));
        let entries = number(&report, &["entries"]);
        assert!(entries > 256, "{report}");
        Self {
            project,
            key,
            entries,
        }
    }

    /// A copy without the key, which would be worth nothing there: who alters a copy can alter a key beside it.
    fn copied(&self, name: &str) -> PathBuf {
        let to = self.project.path(name);
        copy(&self.project.path(".writ/log"), &to);
        std::fs::remove_file(to.join("log.pub")).unwrap();
        to
    }

    /// What `writ audit verify` says of a copy: its exit code and its words.
    fn verify(&self, copy: &Path, key: &Path) -> (i32, String) {
        let (copy, key) = (copy.to_str().unwrap(), key.to_str().unwrap());
        let (code, out, err) = self.project.run(&["audit", "verify", copy, "--key", key]);
        (code, out + &err)
    }
}

#[test]
fn one_flipped_byte_of_a_copy_is_found_wherever_it_is() {
    runtime().block_on(async {
        let original = Original::new().await;
        let sound = original.copied("sound");
        let (code, said) = original.verify(&sound, &original.key);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("sound:") && said.contains("0 more"), "{said}");

        let newest = format!("journal entry {}:", original.entries - 1);
        let rows: [(&str, &str, Place, &str); 5] = [
            (
                "entry",
                "tile/entries/000",
                |bytes| bytes.len() - 3,
                "entry 255: its bytes do not match the tree",
            ),
            (
                "tile",
                "tile/0/000",
                |_| 40,
                "`tile/0/000`: its hashes are not those of entries 0 to 255",
            ),
            (
                "upper",
                "tile/1/000.p/1",
                |_| 0,
                "`tile/1/000.p/1`: its hashes are not those of entries 0 to 255",
            ),
            (
                "head",
                "checkpoint",
                second_line,
                "the checkpoint is not to be trusted",
            ),
            ("journal", "journal", last_written, &newest),
        ];
        for (name, file, place, wanted) in rows {
            let altered = original.copied(name);
            let path = altered.join(file);
            let path = if path.is_dir() {
                last_segment(&path)
            } else {
                path
            };
            flip(&path, place);
            let (code, said) = original.verify(&altered, &original.key);
            assert_eq!(code, 1, "{name}: {said}");
            assert!(said.contains(wanted), "{name}: {said}");
        }
    });
}

#[test]
fn a_log_is_not_verified_by_another_logs_key() {
    runtime().block_on(async {
        let original = Original::new().await;
        let other = project!();
        assert!(Process::start(&other).stop().0.success());
        let foreign = other.path(".writ/log/log.pub");
        let (code, said) = original.verify(&original.copied("copy"), &foreign);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("checkpoint"), "{said}");
    });
}
