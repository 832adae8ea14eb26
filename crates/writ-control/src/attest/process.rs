//! What the kernel says of a process (proc(5)), and who can open the data directory.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::process::Pid;

/// Capabilities by which a process reads files that are not its own, or makes itself who may (capabilities(7)): `CHOWN`,
/// `DAC_OVERRIDE`, `DAC_READ_SEARCH`, `FOWNER`, `SETUID`, `SYS_MODULE`, `SYS_RAWIO`, `SYS_PTRACE`, `SYS_ADMIN`, `MKNOD`.
const READS_ANYTHING: u64 =
    1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 7 | 1 << 16 | 1 << 17 | 1 << 19 | 1 << 21 | 1 << 27;

/// When a process began, in clock ticks since boot (field 22 of `stat`).
pub(super) fn start_time(pid: Pid) -> Option<u64> {
    let stat = read(pid, "stat")?;
    // The command name in parentheses may hold anything, so fields are counted from the last `)`.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The same clock now. `/proc/uptime` counts hundredths, which is the tick that `stat` is given in (`USER_HZ`).
pub(super) fn ticks_since_boot() -> Option<u64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, hundredths) = uptime.split_ascii_whitespace().next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = hundredths.parse().ok()?;
    seconds.checked_mul(100)?.checked_add(hundredths)
}

/// By what a process may open files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    /// Its real, effective, saved and file system user: it can be any of them.
    pub(super) uids: Vec<u32>,
    /// Its groups, the supplementary ones included.
    pub(super) gids: Vec<u32>,
    /// The capabilities it can raise, in this user namespace; none for those it has in one of its own.
    pub(super) capabilities: u64,
}

/// The rights of a process (`status`).
pub(super) fn rights(pid: Pid) -> Option<Rights> {
    let status = read(pid, "status")?;
    // A process in a user namespace of its own has every capability there and none over our files.
    let own_namespace = std::fs::read_to_string("/proc/self/uid_map").ok()?;
    let same = read(pid, "uid_map")? == own_namespace;
    let mut rights = rights_of(&status)?;
    if !same {
        rights.capabilities = 0;
    }
    Some(rights)
}

fn rights_of(status: &str) -> Option<Rights> {
    let field = |name: &str| {
        let mut lines = status.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let numbers = |text: &str| -> Option<Vec<u32>> {
        let words = text.split_ascii_whitespace();
        words.map(|word| word.parse().ok()).collect()
    };
    let mut gids = numbers(field("Gid")?)?;
    gids.extend(numbers(field("Groups")?)?);
    Some(Rights {
        uids: numbers(field("Uid")?)?,
        gids,
        capabilities: u64::from_str_radix(field("CapPrm")?.trim(), 16).ok()?,
    })
}

/// The data directory: where Writ's keys lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFolder(pub(crate) PathBuf);

impl DataFolder {
    /// Whether a process with these rights can open it. One that cannot be looked at counts as open.
    pub(super) fn opens_for(&self, rights: &Rights) -> bool {
        std::fs::metadata(&self.0).map_or(true, |found| {
            opens(rights, (found.mode(), found.uid(), found.gid()))
        })
    }
}

/// Whether a folder of this mode, owner and group can be entered or listed.
fn opens(rights: &Rights, (mode, owner, group): (u32, u32, u32)) -> bool {
    rights.uids.contains(&0)
        || rights.uids.contains(&owner)
        || rights.capabilities & READS_ANYTHING != 0
        || mode & 0o007 != 0
        || (mode & 0o070 != 0 && rights.gids.contains(&group))
}

fn read(pid: Pid, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_nonzero())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\ta) b\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t27 1000 \nCapPrm:\t0000000000000000\n";

    #[test]
    fn who_can_open_the_data_directory() {
        let plain = rights_of(STATUS).unwrap();
        assert_eq!(
            (plain.gids.as_slice(), plain.capabilities),
            (&[1000, 1000, 1000, 1000, 27, 1000][..], 0)
        );
        let was = |from: &str, to: &str| rights_of(&STATUS.replace(from, to)).unwrap();
        for (row, rights, folder, can) in [
            ("another user", plain.clone(), (0o40700, 7, 7), false),
            ("its group, closed", plain.clone(), (0o40700, 7, 27), false),
            ("its group, open", plain.clone(), (0o40710, 7, 27), true),
            ("open to all", plain.clone(), (0o40701, 7, 7), true),
            ("its owner", plain, (0o40700, 1000, 7), true),
            (
                "its owner again, once it wants to be",
                was("1000\t1000\t1000\t1000\nGid", "1000\t1000\t7\t1000\nGid"),
                (0o40700, 7, 7),
                true,
            ),
            ("root", was("Uid:\t1000", "Uid:\t0"), (0o40700, 7, 7), true),
            (
                "a backup program that reads everything",
                was("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000004"),
                (0o40700, 7, 7),
                true,
            ),
            (
                "a server that binds low ports",
                was("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000400"),
                (0o40700, 7, 7),
                false,
            ),
        ] {
            assert_eq!(opens(&rights, folder), can, "{row}");
        }
        assert_eq!(
            rights_of("Uid:\t1000\n"),
            None,
            "what is not said is no right"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_looked_at_is_open() {
        let rights = rights_of(STATUS).unwrap();
        assert!(DataFolder("/nowhere/at/all".into()).opens_for(&rights));
    }

    #[test]
    fn both_clocks_are_one() {
        let own = rustix::process::getpid();
        let (began, now) = (start_time(own).unwrap(), ticks_since_boot().unwrap());
        assert!(began <= now && now - began < 100 * 3600, "{began} {now}");
    }
}
