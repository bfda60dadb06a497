//! Where the parts are that `tests/parts/get` put there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pinned versions, one part a line: name, source, version.
const VERSIONS: &str = include_str!("../versions");

/// The cache of parts: `$HIVE_TEST_CACHE`, else `$XDG_CACHE_HOME/hive-tests`, else
/// `~/.cache/hive-tests`.
pub fn cache() -> PathBuf {
    let folder = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    folder("HIVE_TEST_CACHE").unwrap_or_else(|| {
        let base = folder("XDG_CACHE_HOME")
            .or_else(|| folder("HOME").map(|it| it.join(".cache")))
            .expect("neither HIVE_TEST_CACHE nor HOME says where the parts are");
        base.join("hive-tests")
    })
}

/// The folder of a part in the cache, such as `django`.
#[must_use]
pub fn part(name: &str) -> PathBuf {
    let version = VERSIONS
        .lines()
        .filter(|it| !it.starts_with('#'))
        .map(|it| it.split_whitespace().collect::<Vec<_>>())
        .find(|it| it.first() == Some(&name))
        .and_then(|it| it.get(2).copied())
        .unwrap_or_else(|| panic!("tests/parts/versions has no {name}"));
    let folder = cache().join(format!("{name}-{version}"));
    assert!(folder.is_dir(), "{name} is not at {}: run tests/parts/get {name}", folder.display());
    folder
}

/// The program of a part that is one program, such as `migrate`.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    part(name).join(name)
}

/// The folder of PostgreSQL's own programs.
pub(crate) fn postgres() -> PathBuf {
    let mut folders = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.path().join("bin"))
        .collect();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    folders.push(PathBuf::from("/usr/local/pgsql/bin"));
    let has = |it: &Path| it.join("initdb").is_file() && it.join("postgres").is_file();
    folders
        .into_iter()
        .find(|it| has(it))
        .expect("no folder has PostgreSQL's initdb and postgres: run tests/parts/get postgres")
}

/// The pooler.
pub(crate) fn pgbouncer() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|it| it.join("pgbouncer"))
        .find(|it| it.is_file())
        .expect("no pgbouncer on the PATH or in /usr/sbin: run tests/parts/get pgbouncer")
}
