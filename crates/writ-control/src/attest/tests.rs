use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::net::UnixListener;

use super::program::ProgramFault;
use writ_types::Digest;

use super::*;

/// The user `nobody`, whom every Debian has.
const NOBODY: u32 = 65_534;

fn agent(selectors: &[&str]) -> Agent {
    Agent {
        id: writ_types::AgentId::new(writ_types::Timestamp::from_secs(1), [0; 10]),
        spiffe: "spiffe://writ.local/agent/a".parse().unwrap(),
        owner: "o".parse().unwrap(),
        groups: BTreeSet::new(),
        mode: writ_types::Mode::Autonomous,
        purposes: BTreeSet::new(),
        federations: BTreeSet::new(),
        selectors: selectors.iter().map(|text| text.parse().unwrap()).collect(),
        enabled: true,
        watch: writ_types::Watch::default(),
    }
}

#[test]
fn every_selector_must_hold_and_there_must_be_one() {
    let digest = Digest::of(b"agent");
    let told = format!("unix:{digest}");
    let other = format!("unix:{}", Digest::of(b"other"));
    let seen = Seen {
        uid: 1000,
        program: Program {
            shown: Some("/usr/bin/agent".into()),
            here: Ok(()),
            digest: Ok(Some(digest)),
        },
    };
    for (selectors, is) in [
        (&["unix:uid:1000"][..], true),
        (&["unix:uid:1000", "unix:path:/usr/bin/agent"], true),
        (&["unix:uid:1000", "unix:path:/usr/bin/agent", &told], true),
        (
            &["unix:uid:1000", "unix:path:/usr/bin/agent", &other],
            false,
        ),
        (&["unix:uid:1000", &told], true),
        (&["unix:uid:1000", &other], false),
        (&["unix:uid:1000", "unix:path:/usr/bin/other"], false),
        (&["unix:uid:1001"], false),
        (&[], false),
    ] {
        assert_eq!(seen.is(&agent(selectors)), is, "{selectors:?}");
    }
    let disabled = Agent {
        enabled: false,
        ..agent(&["unix:uid:1000"])
    };
    assert!(!seen.is(&disabled));
    let hidden = Seen {
        uid: 1000,
        program: Program {
            shown: Some("/usr/bin/agent".into()),
            here: Err(ProgramFault::Elsewhere),
            digest: Err(ProgramFault::Loaded),
        },
    };
    assert!(hidden.is(&agent(&["unix:uid:1000"])));
    assert!(!hidden.is(&agent(&["unix:uid:1000", "unix:path:/usr/bin/agent"])));
    assert!(!hidden.is(&agent(&["unix:uid:1000", &told])));
}

#[test]
fn a_digest_is_taken_only_for_an_agent_of_the_user_that_is_told_by_it() {
    let told = format!("unix:{}", Digest::of(b"agent"));
    let agents = [
        agent(&["unix:uid:1000", &told]),
        agent(&["unix:uid:1001", "unix:path:/a"]),
    ]
    .map(Arc::new);
    assert_eq!(wanted(1000, agents.iter().cloned()), Wanted::Digest);
    assert_eq!(wanted(1001, agents.iter().cloned()), Wanted::Path);
    assert_eq!(wanted(0, agents.iter().cloned()), Wanted::Path);
}

#[tokio::test]
async fn the_kernel_says_who_is_there() {
    let (here, _there) = UnixStream::pair().unwrap();
    let peer = Peer::of(&here).unwrap();
    let seen = peer.look(&OwnUser::Accepted, Wanted::Digest).unwrap();
    let own = std::env::current_exe().unwrap();
    assert_eq!(seen.program.path(), Some(own.as_path()));
    let digest = Digest::of(&std::fs::read(own).unwrap());
    assert_eq!(seen.program.digest(), Some(&digest));
    let elsewhere = OwnUser::Refused(DataFolder("/proc/1".into()));
    assert_eq!(
        peer.look(&elsewhere, Wanted::Path),
        Err(AttestError::OwnUser),
        "Writ's own user is no agent by default"
    );
}

/// A folder with a listener, a program, and who is there when the program connects.
struct Scene {
    folder: tempfile::TempDir,
    listener: UnixListener,
}

const CONNECT: &str =
    "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; ";

impl Scene {
    /// None, said aloud, where the tests do not run as root: becoming another user needs that.
    #[expect(clippy::print_stderr, reason = "a test that could not run says so")]
    fn open() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: becoming another user needs root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let open_to_all = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        open_to_all(folder.path(), 0o755);
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        open_to_all(&folder.path().join("s"), 0o777);
        // A program of no known name that connects as it is told.
        let program = folder.path().join("dns-bot");
        std::fs::copy("/usr/bin/perl", &program).unwrap();
        open_to_all(&program, 0o755);
        Some(Self { folder, listener })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `script` in a program as `uid`, and pins who connects.
    async fn connects(
        &self,
        uid: u32,
        command: &mut Command,
        script: &str,
    ) -> (Running, Peer, UnixStream) {
        let child = command
            .args(["-e", &format!("{CONNECT}{script}")])
            .arg(self.path("s"))
            .uid(uid)
            .gid(uid)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let (stream, _) = self.listener.accept().await.unwrap();
        let peer = Peer::of(&stream).unwrap();
        (Running(child), peer, stream)
    }

    fn refused(&self) -> OwnUser {
        let data = self.path("data");
        if !data.exists() {
            std::fs::create_dir(&data).unwrap();
            std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        OwnUser::Refused(DataFolder(data))
    }
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Waits for the connection's end, so that the process is there as long as the test looks at it.
const STAY: &str = "print $s 'x'; $s->flush; my $x; sysread $s, $x, 1;";

/// The process has started whatever it wants to start once it has spoken.
async fn spoken(stream: &UnixStream) {
    stream.readable().await.unwrap();
}

#[tokio::test]
async fn another_users_program_is_told_by_its_file() {
    let Some(scene) = Scene::open() else { return };
    let program = scene.path("dns-bot");
    let (_running, peer, stream) = scene
        .connects(NOBODY, &mut Command::new(&program), STAY)
        .await;
    spoken(&stream).await;
    let seen = peer.look(&scene.refused(), Wanted::Digest).unwrap();
    assert_eq!(
        (seen.uid, seen.program.path()),
        (NOBODY, Some(program.as_path()))
    );
    let digest = Digest::of(&std::fs::read(&program).unwrap());
    assert_eq!(seen.program.digest(), Some(&digest));
    // The file under the path is another one now, and the process still runs the old one.
    std::fs::rename(&program, scene.path("moved")).unwrap();
    std::fs::copy("/usr/bin/perl", &program).unwrap();
    std::fs::rename(scene.path("moved"), scene.path("dns-bot.old")).unwrap();
    let seen = peer.look(&scene.refused(), Wanted::Path).unwrap();
    assert_ne!(seen.program.path(), Some(program.as_path()));
}

/// Whoever can open the data directory can read Writ's keys, and its identity would prove nothing.
#[tokio::test]
async fn who_can_open_the_data_directory_is_never_attested() {
    let Some(scene) = Scene::open() else { return };
    let program = scene.path("dns-bot");
    let (_running, peer, _stream) = scene
        .connects(NOBODY, &mut Command::new(&program), STAY)
        .await;
    let closed = scene.refused();
    assert!(peer.look(&closed, Wanted::Path).is_ok());
    let data = scene.path("data");
    for (mode, owner, group, fault) in [
        (0o700, 0, 0, None),
        (0o750, 0, NOBODY, Some(AttestError::ReachesKeys)),
        (0o705, 0, 0, Some(AttestError::ReachesKeys)),
        (0o700, NOBODY, 0, Some(AttestError::ReachesKeys)),
    ] {
        std::os::unix::fs::chown(&data, Some(owner), Some(group)).unwrap();
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            peer.look(&closed, Wanted::Path).err(),
            fault,
            "{mode:o} {owner} {group}"
        );
    }
    let (_running, root, _stream) = scene.connects(0, &mut Command::new(&program), STAY).await;
    assert_eq!(root.look(&closed, Wanted::Path), Err(AttestError::OwnUser));
    assert!(root.look(&OwnUser::Accepted, Wanted::Path).is_ok());
}

/// A library that the process's user wrote runs inside the registered program: its file says nothing any more.
#[tokio::test]
async fn a_preloaded_library_makes_a_program_say_nothing() {
    let Some(scene) = Scene::open() else { return };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let library = maps
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(5))
        .find(|path| path.contains("/libm.so") || path.contains("/libgcc_s.so"))
        .unwrap();
    let own = scene.path("preloaded.so");
    std::fs::copy(library, &own).unwrap();
    for (owner, mode, fault) in [
        (NOBODY, 0o755, Err(ProgramFault::Loaded)),
        (0, 0o777, Err(ProgramFault::Loaded)),
        (0, 0o755, Ok(())),
    ] {
        std::os::unix::fs::chown(&own, Some(owner), Some(owner)).unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new(scene.path("dns-bot"));
        command.env("LD_PRELOAD", &own);
        let (_running, peer, stream) = scene.connects(NOBODY, &mut command, STAY).await;
        spoken(&stream).await;
        let seen = peer.look(&scene.refused(), Wanted::Digest).unwrap();
        assert_eq!(seen.program.here, fault, "{owner} {mode:o}");
        assert_eq!(
            seen.program.digest.is_ok(),
            fault.is_ok(),
            "{owner} {mode:o}"
        );
        assert_eq!(seen.uid, NOBODY, "the user is what it was");
    }
}

/// Two scripts beside each other run in one interpreter: neither its path nor its digest says which.
#[tokio::test]
async fn a_sibling_script_is_not_told_from_the_agent_by_their_interpreter() {
    let Some(scene) = Scene::open() else { return };
    for script in [
        STAY,
        "print $s 'sibling'; $s->flush; my $x; sysread $s, $x, 1;",
    ] {
        let (_running, peer, stream) = scene
            .connects(NOBODY, &mut Command::new("/usr/bin/perl"), script)
            .await;
        spoken(&stream).await;
        let seen = peer.look(&scene.refused(), Wanted::Digest).unwrap();
        assert_eq!(seen.program.here, Err(ProgramFault::Interpreter));
        let digest = Digest::of(&std::fs::read("/usr/bin/perl").unwrap());
        for told in [
            "unix:path:/usr/bin/perl".to_owned(),
            format!("unix:{digest}"),
        ] {
            let uid = format!("unix:uid:{NOBODY}");
            assert!(!seen.is(&agent(&[&uid, &told])), "{told}");
            assert!(seen.is(&agent(&[&uid])));
        }
    }
}

/// The process that connected leaves its connection to a child and ends; another process, which an agent would be told by,
/// gets its process id.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that could not run says so")]
async fn a_process_id_that_is_used_again_is_nobody() {
    let Some(scene) = Scene::open() else { return };
    let leave = "exit 0 if fork; my $x; sysread $s, $x, 1;";
    let (mut running, peer, stream) = scene
        .connects(
            NOBODY,
            &mut Command::new(scene.path("dns-bot")),
            &format!("$s->recv(my $go, 1); {leave}"),
        )
        .await;
    assert!(peer.look(&OwnUser::Accepted, Wanted::Path).is_ok());
    let pid = running.0.id();
    stream.try_write(b"g").unwrap();
    running.0.wait().unwrap();
    assert_eq!(
        peer.look(&OwnUser::Accepted, Wanted::Path),
        Err(AttestError::Ended)
    );
    for _ in 0..500 {
        if std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
            eprintln!("SKIPPED: this kernel gives no chosen process ids");
            return;
        }
        let again = Command::new("/bin/sleep")
            .arg("60")
            .uid(NOBODY)
            .spawn()
            .unwrap();
        let again = Running(again);
        if again.0.id() == pid {
            assert!(
                process::start_time(peer.pid).is_some(),
                "the process id means somebody"
            );
            let seen = peer.look(&OwnUser::Accepted, Wanted::Path);
            assert_eq!(seen, Err(AttestError::Ended));
            return;
        }
    }
    eprintln!("SKIPPED: others took the process id each time");
}
