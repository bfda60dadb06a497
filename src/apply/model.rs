//! What an apply is asked, says on its way, and gives back.

use crate::plan::{BoundFile, Plan, Read};
use crate::registry::Providers;
use hive_contract::{Address, Event, Failure, SecretRef, Target, Task};
use hive_state::{Clock, Ending, Ledger, LedgerError};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Everything that an apply, a recovery or a way back is lent.
#[derive(Clone, Copy)]
pub struct Lent<'a> {
    /// The store of this stack and environment.
    pub ledger: &'a Ledger,
    /// The connected providers.
    pub providers: &'a Providers,
    /// Reads secrets and makes their keyed hashes.
    pub secrets: &'a dyn SecretReader,
    /// Time.
    pub clock: &'a dyn Clock,
    /// User and host.
    pub who: &'a str,
    /// Where progress goes.
    pub says: &'a (dyn Fn(Progress) + Send + Sync),
    /// How often Ctrl-C was pressed.
    pub interrupt: &'a Interrupt,
    /// Outputs of other stacks as they are now, and bound files as they are now: for preflight.
    pub outside: &'a dyn Outside,
}

/// Reads the values behind references, and hashes them with the store's key.
pub trait SecretReader: Send + Sync {
    /// The value now.
    ///
    /// # Errors
    /// It has none here, or may not be read. The text never holds a value.
    fn read<'a>(&'a self, reference: &'a SecretRef) -> Task<'a, Result<SecretString, String>>;

    /// The keyed hash of a value. Makes the store's key where there is none yet.
    ///
    /// # Errors
    /// The key cannot be read or made.
    fn print<'a>(&'a self, value: &'a SecretString) -> Task<'a, Result<String, String>>;
}

/// Reads what a plan depends on outside of store and providers.
pub trait Outside: Send + Sync {
    /// Whether a read of kind `Foreign` or a bound file is still so; what moved where it is not.
    fn moved<'a>(&'a self, plan: &'a Plan) -> Task<'a, Result<Vec<String>, String>>;

    /// The content of a bound file, to be kept in the store with the plan; none where it is not
    /// kept.
    fn content<'a>(&'a self, _file: &'a BoundFile) -> Task<'a, Result<Option<Vec<u8>>, String>> {
        Box::pin(async { Ok(None) })
    }
}

/// How often a person asked to stop: once, nothing new begins; twice, leave at once.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<(AtomicU8, tokio::sync::Notify)>);

impl Interrupt {
    /// One more time.
    pub fn press(&self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        self.0.1.notify_waiters();
    }

    /// How often.
    pub fn times(&self) -> u8 {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Waits until it was pressed at least `times` times.
    pub async fn pressed(&self, times: u8) {
        loop {
            let waits = self.0.1.notified();
            if self.times() >= times {
                return;
            }
            waits.await;
        }
    }
}

/// One thing that happens in an apply, for screens and JSON lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Progress {
    /// It begins.
    Opened {
        /// The apply's id.
        apply: String,
        /// The command: `apply`, `restore 3`.
        command: String,
        /// How many steps there are.
        steps: u32,
        /// Whether it goes on with an interrupted apply.
        resumed: bool,
    },
    /// A step begins, or is tried again.
    Began {
        /// Which.
        step: u32,
        /// Whose.
        target: Target,
        /// In the plan's words.
        title: String,
        /// Which attempt, from 1.
        attempt: u32,
        /// Whether it is the step's undo.
        back: bool,
    },
    /// A provider says something.
    Said {
        /// Which step.
        step: u32,
        /// What.
        event: Event,
    },
    /// A step is done.
    Done {
        /// Which.
        step: u32,
        /// How long it took.
        took_ms: u64,
        /// Whether it is the step's undo.
        back: bool,
    },
    /// A step failed.
    Failed {
        /// Which.
        step: u32,
        /// How.
        failure: Failure,
        /// Whether it is the step's undo.
        back: bool,
    },
    /// From here on it goes back.
    GoingBack {
        /// Why.
        why: String,
        /// Which step failed, where that is why: what it said was told already.
        #[serde(skip)]
        failed: Option<(u32, Target)>,
    },
    /// Something about the apply as a whole.
    Note {
        /// A sentence without its full stop.
        message: String,
    },
    /// It ended.
    Closed {
        /// How.
        ending: Ending,
        /// The snapshot that head is now, where it moved.
        snapshot: Option<u64>,
    },
}

/// How an apply ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// The apply's id.
    pub apply: String,
    /// How it ended.
    pub ending: Ending,
    /// The number of the snapshot that it left as head.
    pub snapshot: Option<u64>,
    /// Each failed step: number, whose, how.
    pub failures: Vec<(u32, Target, Failure)>,
    /// Each undo that failed.
    pub undo_failures: Vec<(u32, Target, Failure)>,
    /// What stays though the rest was taken back: number, whose, in the plan's words.
    pub stays: Vec<(u32, Target, String)>,
    /// What of that failed midway, as half a file of migrations: then not all that was begun is as
    /// before.
    pub unfinished: Vec<(u32, Target, String)>,
    /// What went wrong for a reason outside of any step.
    pub halted_because: Option<String>,
    /// Secrets whose value is another than the plan saw.
    pub moved_secrets: Vec<String>,
    /// What the checks' commands printed, by step.
    pub kept: BTreeMap<u32, String>,
    /// Whether the environment is frozen now.
    pub frozen: bool,
}

/// Why an apply did not begin, or could not be followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// What the plan was made from has moved. Exit 3.
    #[error("the plan is stale: {}", .0.join("; "))]
    Stale(Vec<String>),
    /// A guard says no: protected, frozen, outside the window. Exit 3.
    #[error("{0}")]
    Refused(String),
    /// The plan is not to be trusted, or is another stack's. Exit 3.
    #[error("{0}")]
    Untrusted(String),
    /// An apply of another plan was interrupted and is still open. Exit 3.
    #[error(
        "the apply {apply} by {who} was interrupted and is still open: settle it with `hive recover`"
    )]
    Open {
        /// Its id.
        apply: String,
        /// Who began it.
        who: String,
        /// The digest of its plan.
        plan: String,
    },
    /// The store says no. Exit 4 where somebody holds the lease, else 1.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An interrupted step cannot be settled without a person. Exit 1.
    #[error("step {step} ({target}) was interrupted and cannot be settled: {found}")]
    Unsettled {
        /// Which step.
        step: u32,
        /// Whose.
        target: Target,
        /// What is there.
        found: String,
    },
    /// A provider cannot be asked. Exit 1.
    #[error("{address}: {failure}")]
    Unreadable {
        /// Whose.
        address: Address,
        /// Why.
        failure: Failure,
    },
    /// A place of the plan cannot be reached with what is connected. Exit 1.
    #[error("the place `{0}` is not connected here")]
    NoPlace(String),
    /// The lease was lost to somebody else. Exit 4.
    #[error("this apply no longer holds the lease: {0}")]
    Expired(String),
    /// Left at once, as a crash would. Exit 130.
    #[error("left at once; the next `hive apply` or `hive recover` settles what was under way")]
    LeftAtOnce,
    /// Interrupted while something was quiet, and left open. Exit 130.
    #[error(
        "interrupted in the middle of what must not be left so: `hive recover` goes on with it, and \
         `hive recover --back` takes back what was begun"
    )]
    LeftOpen,
}

/// How `recover` settles an open journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Goes on to the end.
    On,
    /// Goes back as far as hive may.
    Back,
    /// Resolves what is open, writes a partial snapshot, and stops.
    Close,
}

/// Says in words what a read is about.
pub fn read_words(read: &Read) -> String {
    match read {
        Read::Recorded { address, .. } => format!("the record of `{address}` moved"),
        Read::Output { address, output, .. } => format!("`{address}.{output}` moved"),
        Read::Observed { target, .. } => format!("`{target}` moved"),
        Read::Exists { address } => format!("`{address}` is no longer recorded"),
        Read::Users { address, .. } => format!("the users of `{address}` moved"),
        Read::PortFree { port, .. } => format!("port {port} is no longer free"),
        Read::Guards { .. } => "the environment's guards moved".to_owned(),
        Read::Foreign { stack, output, .. } => format!("`{output}` of the stack `{stack}` moved"),
        Read::Pinned { reference, .. } => format!("the pinned secret {reference} moved"),
    }
}
