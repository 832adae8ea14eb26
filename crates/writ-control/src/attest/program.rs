//! What runs in a process, and whether its file says anything about it.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::process::Pid;
use writ_types::{Digest, Selector};

/// Largest program whose digest is taken, in bytes.
const MOST_BYTES: u64 = 512 * 1024 * 1024;
/// Most of `maps` that is read, in bytes; a process that maps more is not told by its program.
const MOST_MAPS: u64 = 8 * 1024 * 1024;

/// Programs that do what a file says which they were given: which program it is says nothing about what it does.
const INTERPRETERS: &[&str] = &[
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "dash",
    "deno",
    "dotnet",
    "electron",
    "env",
    "erl",
    "fish",
    "gawk",
    "gdb",
    "guile",
    "java",
    "julia",
    "ksh",
    "ld",
    "ld-linux",
    "ld-linux-aarch64",
    "ld-linux-x86-64",
    "ld-musl-aarch64",
    "ld-musl-x86",
    "lua",
    "luajit",
    "mawk",
    "mono",
    "node",
    "nodejs",
    "perl",
    "php",
    "pwsh",
    "pypy",
    "python",
    "qemu",
    "racket",
    "Rscript",
    "ruby",
    "sh",
    "strace",
    "tclsh",
    "valgrind",
    "wine",
    "zsh",
];

/// What is read of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Its path.
    Path,
    /// Its path and its digest.
    Digest,
}

/// Why a process is not told by its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProgramFault {
    /// The kernel does not show it: Writ runs as another user that is not root.
    #[error("its program cannot be looked at from here")]
    Hidden,
    /// The file is not the one that lies under this path here: replaced, deleted, or in a file tree of its own.
    #[error("its program is not the file that lies there")]
    Elsewhere,
    /// It runs what it is given.
    #[error("its program is an interpreter, which runs what it is given")]
    Interpreter,
    /// Code of a file that its own user, or everybody, can write.
    #[error("it has loaded code that its own user could have written")]
    Loaded,
    /// Larger than any program whose digest is taken, or it could not be read.
    #[error("its program cannot be read")]
    Unread,
}

/// The program of a process, as far as it says who the process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// The file, for people.
    pub(crate) shown: Option<PathBuf>,
    /// Whether the path tells.
    pub(crate) here: Result<(), ProgramFault>,
    /// The digest, where it was wanted and tells.
    pub(crate) digest: Result<Option<Digest>, ProgramFault>,
}

impl Program {
    /// Looks at the program of a process that runs as `uid`.
    pub(super) fn of(pid: Pid, uid: u32, wanted: Wanted) -> Self {
        let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let shown = std::fs::read_link(folder.join("exe")).ok();
        let told = |fault| Self {
            shown: shown.clone(),
            here: Err(fault),
            digest: Err(fault),
        };
        let opened = File::open(folder.join("exe"));
        let found = opened.and_then(|file| file.metadata().map(|about| (file, about)));
        let (Some(path), Ok((file, about))) = (&shown, found) else {
            return told(ProgramFault::Hidden);
        };
        if is_interpreter(path) {
            return told(ProgramFault::Interpreter);
        }
        if let Err(fault) = loaded(&folder, uid, &about) {
            return told(fault);
        }
        // In a file tree of its own (a container, a mount namespace) a process can have any file under any path.
        let same = std::fs::metadata(path)
            .is_ok_and(|here| (here.dev(), here.ino()) == (about.dev(), about.ino()));
        Self {
            here: if same {
                Ok(())
            } else {
                Err(ProgramFault::Elsewhere)
            },
            digest: match wanted {
                Wanted::Path => Ok(None),
                Wanted::Digest => digest(file, &about).map(Some),
            },
            shown,
        }
    }

    /// Its path, if that tells.
    pub(super) fn path(&self) -> Option<&Path> {
        self.here.ok().and(self.shown.as_deref())
    }

    /// Its digest, if that tells.
    pub(super) fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref().ok().and_then(Option::as_ref)
    }
}

/// Whether a selector is the path of an interpreter.
pub(crate) fn names_an_interpreter(selector: &Selector) -> bool {
    match selector {
        Selector::Path(path) => is_interpreter(Path::new(path)),
        Selector::Uid(_) | Selector::Sha256(_) => false,
    }
}

/// `python`, `python3`, `python3.11`, `ld-linux-x86-64.so.2`, `perl5.36-x86_64-linux-gnu`: the name, and then a version.
fn is_interpreter(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(std::ffi::OsStr::to_str) else {
        return false;
    };
    INTERPRETERS.iter().any(|interpreter| {
        let rest = name.strip_prefix(interpreter);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|next: char| next == '.' || next.is_ascii_digit())
        })
    })
}

/// Every file that the process runs code of, beside the program itself, belongs to root or to Writ's own user, and nobody
/// else can write it. A library that the process's own user could have written makes the program's file say nothing:
/// `LD_PRELOAD` and its like put it there.
fn loaded(folder: &Path, uid: u32, program: &Metadata) -> Result<(), ProgramFault> {
    let mut maps = String::new();
    let opened = File::open(folder.join("maps")).map_err(|_not_ours| ProgramFault::Hidden)?;
    opened
        .take(MOST_MAPS)
        .read_to_string(&mut maps)
        .map_err(|_unreadable| ProgramFault::Hidden)?;
    if u64::try_from(maps.len()).is_ok_and(|length| length >= MOST_MAPS) {
        return Err(ProgramFault::Loaded);
    }
    let own = rustix::process::geteuid().as_raw();
    let mut seen = std::collections::BTreeSet::new();
    for (inode, path) in maps.lines().filter_map(code) {
        if inode == program.ino() || !seen.insert(path) {
            continue;
        }
        // As the process sees it; what is not the file that was mapped has been replaced since.
        let file = folder.join("root").join(path.trim_start_matches('/'));
        let about = std::fs::metadata(file).map_err(|_gone| ProgramFault::Loaded)?;
        let owner = about.uid() == 0 || (about.uid() == own && about.uid() != uid) || uid == own;
        if about.ino() != inode || !owner || about.mode() & 0o022 != 0 {
            return Err(ProgramFault::Loaded);
        }
    }
    Ok(())
}

/// The inode and path of a line of `maps` that maps a file's code; nothing for data and for what is no file.
fn code(line: &str) -> Option<(u64, &str)> {
    let mut fields = line.splitn(6, ' ');
    let permissions = fields.nth(1)?;
    let inode: u64 = fields.nth(2)?.parse().ok()?;
    let path = fields.next()?.trim_start();
    (permissions.contains('x') && inode != 0).then_some((inode, path))
}

fn digest(mut file: File, about: &Metadata) -> Result<Digest, ProgramFault> {
    if about.size() > MOST_BYTES {
        return Err(ProgramFault::Unread);
    }
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => context.update(buffer.get(..length).ok_or(ProgramFault::Unread)?),
            Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_unreadable) => return Err(ProgramFault::Unread),
        }
    }
    let bytes = context.finish().as_ref().try_into();
    bytes
        .map(Digest::from_bytes)
        .map_err(|_wrong_length| ProgramFault::Unread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_known_by_name_and_version() {
        for name in [
            "python",
            "python3",
            "python3.11",
            "sh",
            "bash",
            "perl5.36-x86_64-linux-gnu",
            "node",
            "node22",
            "php8.2",
            "ld-linux-x86-64.so.2",
            "ld.so",
            "ruby3.1",
            "java",
        ] {
            assert!(is_interpreter(&Path::new("/usr/bin").join(name)), "{name}");
        }
        for name in [
            "dns-bot",
            "pythonic",
            "shell-agent",
            "sha256sum",
            "nodeagent",
            "awkward",
            "",
        ] {
            assert!(!is_interpreter(&Path::new("/usr/bin").join(name)), "{name}");
        }
    }

    #[test]
    fn lines_of_maps() {
        for (line, wanted) in [
            (
                "7f00-7f01 r-xp 00000000 fe:00 1234                       /usr/lib/a b.so",
                Some((1234, "/usr/lib/a b.so")),
            ),
            (
                "7f00-7f01 r--p 00000000 fe:00 1234                       /usr/lib/a.so",
                None,
            ),
            ("7f00-7f01 rwxp 00000000 00:00 0 ", None),
            (
                "7f00-7f01 r-xp 00000000 00:00 0                          [vdso]",
                None,
            ),
            (
                "7f00-7f01 r-xp 00000000 00:01 77                         /memfd:x (deleted)",
                Some((77, "/memfd:x (deleted)")),
            ),
            ("", None),
        ] {
            assert_eq!(code(line), wanted, "{line}");
        }
    }
}
