use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Barrier;

fn block<T>(task: Task<'_, T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(task)
}

fn fresh() -> (tempfile::TempDir, FolderStore) {
    let above = tempfile::tempdir().expect("a folder");
    let store = FolderStore::open(above.path().join("store"));
    (above, store)
}

fn create(store: &FolderStore, key: &str, bytes: &[u8]) -> Version {
    match block(store.create(key, bytes)).expect("creates") {
        Put::Done(version) => version,
        Put::Conflict => panic!("{key} is there already"),
    }
}

fn read(store: &FolderStore, key: &str) -> Option<Stored> {
    block(store.read(key)).expect("reads")
}

fn why<T: std::fmt::Debug>(done: Result<T, StoreError>) -> String {
    done.expect_err("is refused").why
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("lists");
    let mut names: Vec<String> =
        entries.map(|it| it.expect("an entry").file_name().display().to_string()).collect();
    names.sort();
    names
}

#[test]
fn reading_makes_nothing() {
    let (above, store) = fresh();
    assert_eq!(read(&store, "dev/head.json"), None);
    assert_eq!(block(store.list("dev/")).expect("lists"), Vec::<String>::new());
    assert_eq!(block(store.folders("dev/")).expect("lists"), Vec::<String>::new());
    let version = Version("x".to_owned());
    assert_eq!(block(store.replace("dev/a", b"x", &version)), Ok(Put::Conflict));
    assert_eq!(block(store.remove("dev/a", &version)), Ok(Put::Conflict));
    assert_eq!(block(store.remove_folder("dev/a/")), Ok(()));
    assert_eq!(block(store.tidy()), Ok(()));
    assert_eq!(names(above.path()), Vec::<String>::new());
}

#[test]
fn each_write_is_conditional() {
    let (_above, store) = fresh();
    let first = create(&store, "dev/head.json", b"1");
    assert_eq!(block(store.create("dev/head.json", b"2")), Ok(Put::Conflict));
    let found = read(&store, "dev/head.json").expect("is there");
    assert_eq!((found.bytes.as_slice(), &found.version), (&b"1"[..], &first));
    let Ok(Put::Done(second)) = block(store.replace("dev/head.json", b"2", &first)) else {
        panic!("replaces");
    };
    assert_eq!(block(store.replace("dev/head.json", b"3", &first)), Ok(Put::Conflict));
    assert_eq!(block(store.remove("dev/head.json", &first)), Ok(Put::Conflict));
    assert_eq!(read(&store, "dev/head.json").expect("is there").bytes, b"2");
    assert!(matches!(block(store.remove("dev/head.json", &second)), Ok(Put::Done(_))));
    assert_eq!(read(&store, "dev/head.json"), None);
}

#[test]
fn the_same_bytes_twice_are_two_versions() {
    let (_above, store) = fresh();
    let mut seen = std::collections::BTreeSet::new();
    let mut version = create(&store, "a", b"0");
    for round in 0..200 {
        assert!(seen.insert(version.clone()), "the version of round {round} was there before");
        let bytes: &[u8] = if round % 2 == 0 { b"1" } else { b"0" };
        match block(store.replace("a", bytes, &version)).expect("replaces") {
            Put::Done(next) => version = next,
            Put::Conflict => panic!("nobody else writes"),
        }
    }
}

#[test]
fn only_its_owner_may_look_in() {
    let (above, store) = fresh();
    create(&store, "store.json", b"x");
    create(&store, "dev/journal/a/1", b"x");
    let version = read(&store, "store.json").expect("is there").version;
    block(store.replace("store.json", b"y", &version)).expect("replaces");
    let mut open = vec![above.path().join("store")];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let data = path.symlink_metadata().expect("is there");
        let wanted = if data.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(data.permissions().mode() & 0o7777, wanted, "{}", path.display());
        seen += 1;
        if data.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("lists").map(|it| it.expect("one").path()));
        }
    }
    // Four folders; lock, .gitignore, store.json and one group.
    assert_eq!(seen, 8);
}

#[test]
fn git_does_not_see_a_store_of_its_own() {
    let (above, store) = fresh();
    create(&store, "store.json", b"x");
    let ignore = above.path().join("store/.gitignore");
    assert_eq!(std::fs::read_to_string(ignore).expect("reads"), "*\n");
    // A folder that somebody else uses as well is not hive's to hide.
    std::fs::create_dir(above.path().join("shared")).expect("makes");
    std::fs::write(above.path().join("shared/README"), "mine").expect("writes");
    let shared = FolderStore::open(above.path().join("shared"));
    create(&shared, "store.json", b"x");
    assert_eq!(names(shared.folder()), ["README", "store.json"]);
}

#[test]
fn keys_are_listed_and_nothing_else() {
    let (above, store) = fresh();
    for key in ["dev/b/2", "dev/b/1", "dev/a", "other/x", "dev/c/d/e"] {
        create(&store, key, b"x");
    }
    std::fs::write(above.path().join("store/dev/.tmp-left"), "x").expect("writes");
    std::fs::write(above.path().join("store/dev/Some File~"), "x").expect("writes");
    let keys = block(store.list("dev/")).expect("lists");
    assert_eq!(keys, ["dev/a", "dev/b/1", "dev/b/2", "dev/c/d/e"]);
    assert_eq!(block(store.list("dev/b/")).expect("lists"), ["dev/b/1", "dev/b/2"]);
    assert_eq!(block(store.folders("dev/")).expect("lists"), ["b", "c"]);
}

#[test]
fn a_bad_key_is_refused() {
    let (above, store) = fresh();
    let long = "x".repeat(201);
    for key in ["", "/", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".git", "A", "a b", &long] {
        assert!(why(block(store.read(key))).contains("not a name"), "{key}");
        assert!(why(block(store.create(key, b"x"))).contains("not a name"), "{key}");
        let version = Version(String::new());
        assert!(why(block(store.replace(key, b"x", &version))).contains("not a name"), "{key}");
        assert!(why(block(store.remove(key, &version))).contains("not a name"), "{key}");
    }
    for prefix in ["..", "../", "a", "/", "a/../"] {
        assert!(why(block(store.list(prefix))).contains("not a name"), "{prefix}");
        assert!(why(block(store.remove_folder(prefix))).contains("not a name"), "{prefix}");
    }
    assert!(block(store.remove_folder("")).is_err(), "never everything");
    assert_eq!(names(above.path()), Vec::<String>::new());
}

#[test]
fn what_is_no_plain_file_is_refused_and_not_absent() {
    let (above, store) = fresh();
    create(&store, "dev/real", b"x");
    let dev = above.path().join("store/dev");
    std::fs::create_dir(dev.join("folder")).expect("makes");
    symlink(dev.join("real"), dev.join("link")).expect("links");
    symlink(&dev, dev.join("up")).expect("links");
    std::fs::write(dev.join("file"), "x").expect("writes");
    assert_eq!(why(block(store.read("dev/folder"))), "it is not a plain file");
    assert!(why(block(store.read("dev/link"))).contains("symbolic link"));
    assert!(why(block(store.read("dev/up/real"))).contains("not a folder"));
    assert!(why(block(store.read("dev/file/x"))).contains("not a folder"));
    assert!(why(block(store.create("dev/up/new", b"x"))).contains("not a folder"));
    assert_eq!(block(store.create("dev/link", b"x")), Ok(Put::Conflict));
    assert!(block(store.list("dev/")).expect("lists").contains(&"dev/link".to_owned()));
    let pipe = dev.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    assert_eq!(why(block(store.read("dev/pipe"))), "it is not a plain file");
    let taken = FolderStore::open(dev.join("file"));
    assert!(why(block(taken.read("a"))).contains("not a folder"));
    assert!(why(block(taken.create("a", b"x"))).contains("not a folder"));
}

#[test]
fn an_error_names_store_key_and_reason() {
    let (above, store) = fresh();
    create(&store, "dev/real", b"x");
    std::fs::create_dir(above.path().join("store/dev/folder")).expect("makes");
    let error = block(store.read("dev/folder")).expect_err("is refused");
    let place = above.path().join("store").display().to_string();
    let wanted = format!("{place}: cannot read `dev/folder`: it is not a plain file");
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn a_folder_goes_at_once_with_all_that_is_in_it() {
    let (above, store) = fresh();
    for key in ["dev/journal/a/1", "dev/journal/a/2", "dev/journal/b/1"] {
        create(&store, key, b"x");
    }
    block(store.remove_folder("dev/journal/a/")).expect("removes");
    assert_eq!(block(store.list("dev/")).expect("lists"), ["dev/journal/b/1"]);
    assert_eq!(names(&above.path().join("store/dev/journal")), ["b"]);
}

#[test]
fn what_dead_writers_left_is_swept_and_what_live_ones_hold_is_not() {
    let (above, store) = fresh();
    create(&store, "dev/a", b"x");
    let dev = above.path().join("store/dev");
    std::fs::write(dev.join(".tmp-dead"), "half").expect("writes");
    std::fs::create_dir_all(dev.join(".tmp-gone/inner")).expect("makes");
    std::fs::write(dev.join(".tmp-gone/inner/1"), "x").expect("writes");
    let held = File::create(dev.join(".tmp-live")).expect("creates");
    fs::flock(&held, FlockOperation::NonBlockingLockExclusive).expect("locks");
    block(store.tidy()).expect("sweeps");
    assert_eq!(names(&dev), [".tmp-live", "a"]);
    assert_eq!(read(&store, "dev/a").expect("is there").bytes, b"x");
}

#[test]
fn a_write_leaves_no_hidden_file() {
    let (above, store) = fresh();
    let version = create(&store, "a", b"1");
    block(store.create("a", b"2")).expect("conflicts");
    block(store.replace("a", b"3", &version)).expect("replaces");
    assert_eq!(names(&above.path().join("store")), [".gitignore", ".lock", "a"]);
}

#[test]
fn of_200_racing_creates_one_wins() {
    let (_above, store) = fresh();
    race(200, |racer| {
        let bytes = format!("racer {racer}");
        block(store.create("dev/head.json", bytes.as_bytes())).expect("no error")
    });
}

#[test]
fn of_200_racing_replaces_one_wins() {
    let (_above, store) = fresh();
    let version = create(&store, "dev/head.json", b"before");
    let winner = race(200, |racer| {
        let bytes = format!("racer {racer}");
        block(store.replace("dev/head.json", bytes.as_bytes(), &version)).expect("no error")
    });
    let found = read(&store, "dev/head.json").expect("is there");
    assert_eq!(found.bytes, format!("racer {winner}").as_bytes());
}

#[test]
fn of_racing_removes_and_replaces_one_wins() {
    let (_above, store) = fresh();
    let version = create(&store, "dev/head.json", b"before");
    race(50, |racer| match racer % 2 {
        0 => block(store.remove("dev/head.json", &version)).expect("no error"),
        _ => block(store.replace("dev/head.json", b"after", &version)).expect("no error"),
    });
}

/// Runs racers at once, checks that one of them wins, and says which.
fn race(racers: usize, run: impl Fn(usize) -> Put + Sync) -> usize {
    let start = Barrier::new(racers);
    let wins: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..racers)
            .map(|racer| {
                let (start, run) = (&start, &run);
                scope.spawn(move || {
                    start.wait();
                    matches!(run(racer), Put::Done(_))
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().expect("no panic")).collect()
    });
    let winners: Vec<usize> = (0..racers).filter(|racer| wins[*racer]).collect();
    assert_eq!(winners.len(), 1, "winners: {winners:?}");
    winners[0]
}

#[test]
fn readers_see_whole_files_while_they_are_replaced() {
    let (_above, store) = fresh();
    let mut version = create(&store, "a", &vec![b'0'; 5000]);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                let bytes = read(&store, "a").expect("is always there").bytes;
                assert_eq!(bytes.len(), 5000);
                assert!(bytes.iter().all(|it| *it == bytes[0]), "two writes in one file");
            }
        });
        for round in 1..100u8 {
            match block(store.replace("a", &vec![b'0' + round % 10; 5000], &version)) {
                Ok(Put::Done(next)) => version = next,
                other => panic!("{other:?}"),
            }
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn a_lock_that_is_never_given_back_is_an_error_and_not_a_hang() {
    let (above, store) = fresh();
    let version = create(&store, "a", b"1");
    block(store.replace("a", b"2", &version)).expect("replaces");
    let version = read(&store, "a").expect("is there").version;
    let lock = File::open(above.path().join("store/.lock")).expect("opens");
    fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("locks");
    let hasty = FolderStore { lock_wait: Duration::from_millis(20), ..store.clone() };
    let refused = why(block(hasty.replace("a", b"3", &version)));
    assert_eq!(refused, "another process has held its lock for 20ms");
    assert_eq!(read(&store, "a").expect("is there").bytes, b"2");
    drop(lock);
    assert!(matches!(block(store.replace("a", b"3", &version)), Ok(Put::Done(_))));
}

#[test]
fn the_store_itself_may_be_behind_a_link() {
    let (above, store) = fresh();
    create(&store, "a", b"1");
    let link = above.path().join("link");
    symlink(store.folder(), &link).expect("links");
    let linked = FolderStore::open(&link);
    assert_eq!(read(&linked, "a").expect("is there").bytes, b"1");
    assert_ne!(link.symlink_metadata().expect("is there").ino(), 0);
}

/// Does something on a thread of its own, for which the system fails every call of this number.
#[expect(unsafe_code, reason = "a filter of system calls is how a sync alone can be made to fail")]
fn refusing<T: Send>(call: libc::c_long, work: impl FnOnce() -> T + Send) -> T {
    let step = |code: u32, jump_else: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("small"),
        jt: 0,
        jf: jump_else,
        k,
    };
    let (load, is) = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ);
    let refuse = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EIO).expect("small");
    let mut filter = [
        // The call's number is the first word of what a filter sees.
        step(load, 0, 0),
        step(is | libc::BPF_K, 1, u32::try_from(call).expect("small")),
        step(libc::BPF_RET | libc::BPF_K, 0, refuse),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let mut refuse = move || {
        let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
        // SAFETY: both calls read what outlives them, and hold for this thread alone.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
        };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            refuse();
            work()
        });
        thread.join().expect("does not panic")
    })
}

#[test]
fn a_write_is_done_when_file_and_folder_are_synced() {
    // The content of a file is synced with one call, the names in a folder with the other.
    for (call, name) in [(libc::SYS_fdatasync, "fdatasync"), (libc::SYS_fsync, "fsync")] {
        let (_above, store) = fresh();
        let version = create(&store, "dev/old", b"1");
        let is_content = call == libc::SYS_fdatasync;
        let done = refusing(call, || block(store.create("dev/new", b"2")));
        assert!(done.is_err(), "without {name}, create is {done:?}");
        let named = read(&store, "dev/new").is_some();
        assert_eq!(named, !is_content, "what is not durable has no name");
        if !is_content {
            let done = refusing(call, || block(store.remove("dev/old", &version)));
            assert!(done.is_err(), "without {name}, remove is {done:?}");
            continue;
        }
        let done = refusing(call, || block(store.replace("dev/old", b"2", &version)));
        assert!(done.is_err(), "without {name}, replace is {done:?}");
        assert_eq!(read(&store, "dev/old").expect("is there").bytes, b"1");
    }
}
