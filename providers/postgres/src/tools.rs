//! The server's own `pg_dump` and `pg_restore`: found, and asked for their version.

use crate::session::Session;
use hive_contract::{Failure, FailureKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a program may take to say its version.
const SAYING: Duration = Duration::from_secs(10);

/// A folder with the programs of one version of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tools {
    pub(crate) dump: PathBuf,
    pub(crate) restore: PathBuf,
    /// As the programs say it, such as `15.18`.
    pub(crate) version: String,
}

/// The version of a server: the whole and what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Such as `15.18`.
    pub(crate) full: String,
    /// Such as 15.
    pub(crate) major: u32,
}

/// The server's version.
///
/// # Errors
/// It cannot be asked, or is older than hive knows.
pub(crate) async fn server(session: &Session) -> Result<Version, Failure> {
    let sql = "SELECT pg_catalog.current_setting('server_version_num'), \
        pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1)";
    let row = session.row("ask for the server's version", sql).await?;
    let major = u32::try_from(row.int(0)? / 10_000).unwrap_or_default();
    let full = row.said(1)?.to_owned();
    if major < 14 {
        let what = format!("{} is PostgreSQL {full}: hive knows 14 and newer", session.spot());
        return Err(Failure::new(FailureKind::Invalid, what));
    }
    Ok(Version { full, major })
}

/// Finds both programs in the server's own major version: another one writes what this server's
/// cannot read, or refuses to.
///
/// # Errors
/// There are none of it: which is needed, and what was found instead.
pub(crate) async fn find(own: Option<&Path>, server: &Version) -> Result<Tools, Failure> {
    let mut others = Vec::new();
    for folder in folders(own, server.major).await {
        let program = |name: &str| match &folder {
            Some(folder) => folder.join(name),
            None => PathBuf::from(name),
        };
        let (dump, restore) = (program("pg_dump"), program("pg_restore"));
        let (Some(version), Some(same)) = (version(&dump).await, version(&restore).await) else {
            continue;
        };
        let major = |text: &str| text.split('.').next().and_then(|it| it.parse::<u32>().ok());
        if major(&version) == Some(server.major) && major(&same) == Some(server.major) {
            return Ok(Tools { dump, restore, version });
        }
        if !others.contains(&version) {
            others.push(version);
        }
    }
    let what = format!(
        "the server is PostgreSQL {}, and no `pg_dump` and `pg_restore` of version {} are here",
        server.full, server.major
    );
    let found = match others.is_empty() {
        true => "none of any version was found".to_owned(),
        false => format!("found: {}", others.join(", ")),
    };
    Err(Failure::new(FailureKind::Invalid, what).diagnosis(found).diagnosis(format!(
        "install the client programs of PostgreSQL {}, or name their folder as `tools` in the \
         settings of the platform `postgres`",
        server.major
    )))
}

/// Where they may be: the folder that the stack names alone, else the usual ones, and last whatever
/// the search path has.
async fn folders(own: Option<&Path>, major: u32) -> Vec<Option<PathBuf>> {
    if let Some(own) = own {
        return vec![Some(own.to_owned())];
    }
    let mut folders: Vec<Option<PathBuf>> = [
        format!("/usr/lib/postgresql/{major}/bin"),
        format!("/usr/pgsql-{major}/bin"),
        format!("/usr/libexec/postgresql{major}"),
        format!("/opt/homebrew/opt/postgresql@{major}/bin"),
        format!("/usr/local/opt/postgresql@{major}/bin"),
    ]
    .into_iter()
    .map(|it| Some(PathBuf::from(it)))
    .collect();
    if let Some(said) = said_by(Path::new("pg_config"), "--bindir").await {
        folders.push(Some(PathBuf::from(said.trim())));
    }
    folders.push(None);
    folders
}

/// What a program says of itself: `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
async fn version(program: &Path) -> Option<String> {
    let said = said_by(program, "--version").await?;
    let (_, after) = said.split_once("(PostgreSQL) ")?;
    after.split_whitespace().next().map(str::to_owned)
}

async fn said_by(program: &Path, flag: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.arg(flag).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(SAYING, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
