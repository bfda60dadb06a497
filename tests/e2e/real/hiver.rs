//! The stack `hiver` as it stands in the repository, over a real server: from an empty world to a
//! release with a migration, and back with its data.

use crate::data::damage;
use crate::lab::{Ran, kill, until};
use hive_parts::{PASSWORD, Postgres};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A copy of the stack, in a folder of its own, with a database that is not there yet.
struct Hiver {
    folder: tempfile::TempDir,
    server: &'static Postgres,
    database: String,
}

impl Hiver {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed = Command::new("git")
            .args(["ls-files", "-z", "-co", "--exclude-standard", "stacks/hiver"])
            .current_dir(root)
            .output()
            .expect("git lists files");
        for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
            let target = folder.path().join(name);
            fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
            fs::copy(root.join(name), &target).expect("copies");
        }
        let server = Postgres::shared();
        let hiver = Self { folder, server, database: server.unused() };
        assert!(hiver.path("stack.toml").is_file(), "git lists no stack");
        // A stack is known on its machine by its name.
        let toml = hiver.read("stack.toml");
        let own = format!("name = \"{}\"", hiver.name());
        hiver.write("stack.toml", &toml.replacen("name = \"hiver\"", &own, 1));
        hiver
    }

    fn name(&self) -> String {
        format!("hiver-{}", self.database.replace('_', "-"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("stacks/hiver").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).expect("writes");
    }

    /// hive as the head of `stack.toml` says it: told of the database by its environment.
    fn hive(&self, arguments: &[&str]) -> Ran {
        let mut command = crate::lab::command(self.folder.path(), arguments);
        command.arg("stacks/hiver").env("HIVER_DATABASE_URL", self.server.url(&self.database));
        command.env("HIVER_STAGING_DATABASE_URL", self.server.url(&self.database));
        Ran::of(command.output().expect("hive starts"))
    }

    #[track_caller]
    fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.hive(arguments);
        assert_eq!(ran.code, code, "hive {arguments:?}\n{ran}");
        assert!(!ran.all().contains(PASSWORD), "hive {arguments:?}\n{ran}");
        ran
    }

    fn sql(&self, sql: &str) -> String {
        self.server.psql(&self.database, sql)
    }

    /// Schema and rows, in the words of the server's own programs.
    fn data(&self) -> String {
        format!("{}\n{}", self.server.schema(&self.database), self.server.rows(&self.database))
    }

    /// What the api answers, asked past hive.
    fn api(&self, path: &str) -> String {
        let url = self.expect(0, &["output", "service.api.url"]).out;
        let output = Command::new("curl").args(["-sS", &format!("{}{path}", url.trim())]).output();
        String::from_utf8_lossy(&output.expect("curl starts").stdout).into_owned()
    }

    /// The processes of this stack, as they were started.
    fn processes(&self) -> BTreeSet<u32> {
        let own = format!("HIVE_STACK={}", self.name());
        let mut found = BTreeSet::new();
        for entry in fs::read_dir("/proc").expect("/proc lists").flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let words = fs::read(entry.path().join("environ")).unwrap_or_default();
            let program = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let ours = words.split(|it| *it == 0).any(|it| it == own.as_bytes());
            if ours && program.trim() == "greeter" {
                found.insert(pid);
            }
        }
        found
    }

    /// The newest published backup of the database.
    fn newest(&self) -> PathBuf {
        let mut all: Vec<PathBuf> = fs::read_dir(self.path("backups/dev"))
            .expect("the folder of backups")
            .flatten()
            .map(|it| it.path())
            .filter(|it| it.join("manifest.json").is_file())
            .collect();
        all.sort();
        all.pop().expect("a backup")
    }
}

impl Drop for Hiver {
    fn drop(&mut self) {
        for pid in self.processes() {
            kill(pid, "KILL");
        }
    }
}

#[test]
fn from_nothing_to_a_release_and_back_with_its_data() {
    let hiver = Hiver::new();
    // Nothing is there: the plan says all of it, and makes nothing.
    let plan = hiver.expect(2, &["plan", "--exit-code"]);
    for word in ["database.main", "0001_create_orders", "0003_index_orders", "service.api"] {
        plan.says(word);
    }
    assert!(!hiver.server.databases().contains(&hiver.database), "a plan made it");
    hiver.expect(0, &["apply", "-y"]);
    hiver.expect(0, &["plan", "--exit-code"]);
    assert_eq!(hiver.processes().len(), 2);
    assert!(hiver.api("/upstream").contains("the api"), "{}", hiver.api("/upstream"));
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_by_customer'::regclass";
    assert_eq!(hiver.sql(valid), "t");

    hiver.sql(
        "INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 50) n; \
         INSERT INTO orders (customer, item) SELECT 1 + n % 50, 'thing ' || n \
         FROM generate_series(1, 5000) n",
    );
    let then = hiver.data();
    hiver.expect(0, &["backup", "run", "-y"]).says("backup.config").says("backup.main");
    hiver.expect(0, &["backup", "verify", "-y"]);
    hiver.expect(0, &["backup", "list", "--check"]).says("verified");
    hiver.expect(0, &["status"]).says("rto");
    let snapshot = snapshot(&hiver);

    // A release: a new word for the api, and a migration that it needs.
    hiver.expect(0, &["migrate", "new", "add_note"]);
    hiver.write(
        "migrations/main/0004_add_note.up.sql",
        "ALTER TABLE orders ADD COLUMN note text;\n",
    );
    hiver.write("migrations/main/0004_add_note.down.sql", "ALTER TABLE orders DROP COLUMN note;\n");
    hiver.expect(0, &["migrate", "lint"]);
    hiver.expect(0, &["migrate", "rehearse"]).says("0004_add_note");
    let before = hiver.processes();
    let release = &["--var", "release=1.5.0"];
    let plan = hiver.expect(0, &[&["plan"][..], release].concat());
    let order = |word: &str| plan.out.find(word).unwrap_or_else(|| panic!("{word}\n{plan}"));
    assert!(order("back up database.main") < order("0004_add_note"), "{plan}");
    assert!(order("0004_add_note") < order("service.api"), "{plan}");
    hiver.expect(0, &[&["apply", "-y"][..], release].concat());
    hiver.expect(0, &[&["plan", "--exit-code"][..], release].concat());
    assert!(hiver.processes().is_disjoint(&before), "both were started anew");
    assert!(hiver.api("/").contains("1.5.0"), "{}", hiver.api("/"));
    hiver.sql("UPDATE orders SET note = 'late'; DELETE FROM orders WHERE id > 4000");
    let now = hiver.data();
    assert_ne!(now, then);

    // Back to what was, with its data, and every row is the same.
    hiver.expect(0, &["restore", &snapshot, "--with-data", "-y"]);
    assert_eq!(hiver.data(), then);
    until("the api of before answers", || hiver.api("/").contains("1.4.2"));
    hiver.expect(0, &["unfreeze"]);
    // What was replaced is kept as a safety copy, and the release can be made again.
    let safety = hiver.expect(0, &["backup", "list"]);
    safety.says("safety");
    hiver.expect(0, &[&["apply", "-y"][..], release].concat());
    hiver.expect(0, &[&["plan", "--exit-code"][..], release].concat());
    assert_eq!(hiver.sql("SELECT count(*), count(note) FROM orders"), "5000|0");
}

/// The number of the newest snapshot.
fn snapshot(hiver: &Hiver) -> String {
    let status = hiver.expect(0, &["status"]).out;
    let words = status.lines().next().unwrap_or_default().split("snapshot ").nth(1);
    let number = words.and_then(|it| it.split(' ').next()).map(str::to_owned);
    number.unwrap_or_else(|| panic!("no snapshot is told\n{status}"))
}

#[test]
fn what_is_wrong_with_its_data_is_told_and_nothing_lost() {
    let hiver = Hiver::new();
    hiver.expect(0, &["apply", "-y"]);
    hiver.sql("INSERT INTO customers (name) VALUES ('one')");
    hiver.expect(0, &["backup", "run", "-y"]);
    let (data, running) = (hiver.data(), hiver.processes());
    // Without the variable that says where the database is.
    let none = crate::lab::command(hiver.folder.path(), &["apply", "-y", "stacks/hiver"])
        .stdin(Stdio::null())
        .output()
        .map(Ran::of)
        .expect("hive starts");
    assert!([1, 3].contains(&none.code), "{none}");
    none.says("HIVER_DATABASE_URL");
    // An edited file, a column by hand, a damaged backup.
    let path = "migrations/main/0002_add_status.up.sql";
    let text = hiver.read(path);
    hiver.write(path, "ALTER TABLE orders ADD COLUMN state text;\n");
    let edited = hiver.hive(&["apply", "-y"]);
    assert!([1, 3].contains(&edited.code), "{edited}");
    edited.says("0002_add_status");
    hiver.write(path, &text);
    hiver.sql("ALTER TABLE customers ADD COLUMN by_hand integer");
    hiver.expect(2, &["plan", "--exit-code"]).says("by_hand");
    hiver.sql("ALTER TABLE customers DROP COLUMN by_hand");
    damage::flip(&damage::object(&hiver.newest()));
    let damaged = hiver.hive(&["backup", "verify", "-y"]);
    assert_eq!(damaged.code, 2, "{damaged}");
    hiver.expect(1, &["backup", "list", "--check"]).says("damaged");
    assert_eq!((hiver.data(), hiver.processes()), (data, running));
}

/// The same stack as it is declared for staging, whose ways back run the down scripts.
#[test]
fn in_staging_a_way_back_runs_the_down_scripts() {
    let hiver = Hiver::new();
    hiver.server.psql("postgres", &format!("CREATE DATABASE {}", hiver.database));
    let staging = |arguments: &[&str]| hiver.expect(0, &[arguments, &["-e", "staging"]].concat());
    staging(&["apply", "-y"]);
    assert_eq!(hiver.processes().len(), 3, "two replicas of the api");
    hiver.sql("INSERT INTO customers (name) VALUES ('one')");
    let rows = hiver.server.rows(&hiver.database);
    hiver.write(
        "migrations/main/0004_add_note.up.sql",
        "ALTER TABLE orders ADD COLUMN note text;\n",
    );
    hiver.write("migrations/main/0004_add_note.down.sql", "ALTER TABLE orders DROP COLUMN note;\n");
    let broken = ["apply", "-y", "-e", "staging", "--var", "release=1.5.0"];
    let toml = hiver.read("stack.toml");
    hiver.write(
        "stack.toml",
        &toml
            .replace("UPSTREAM_URL = {", "GREETER_BROKEN = \"1\", UPSTREAM_URL = {")
            .replace("grace = \"10s\"", "grace = \"1s\""),
    );
    let ran = hiver.expect(5, &broken);
    ran.says("service.api");
    assert!(!hiver.server.schema(&hiver.database).contains("note"), "{ran}");
    assert_eq!(hiver.server.rows(&hiver.database), rows);
    hiver.write("stack.toml", &toml);
    assert_eq!(hiver.processes().len(), 3, "{ran}");
    staging(&["apply", "-y"]);
    staging(&["plan", "--exit-code"]);
}
