//! P1 to P8, kills of hive and of the server, and ways back on PostgreSQL.

use crate::data::kills::{self, Reference, Victim};
use crate::data::shop::Shop;
use crate::data::{pairs, promises, quiet, rebuilds};
use crate::lab::{ended, until};
use hive_parts::{PASSWORD, Postgres, Proxy, USER};
use std::io::Write;
use std::process::Stdio;

/// A test of the same name whose body holds on every engine.
macro_rules! on_postgres {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                promises::$name(Shop::postgres());
            }
        )*
    };
}

on_postgres! {
    p1_a_plan_is_refused_when_the_schema_moved
    p1_a_plan_is_refused_when_its_migration_was_applied_meanwhile
    p1_rows_written_meanwhile_do_not_refuse_a_plan
    p1_the_newest_applied_file_that_is_removed_is_named
    p3_a_statement_that_fails_leaves_the_schema_as_it_was
    p3_half_a_file_that_stays_is_no_rollback
    p3_a_backup_that_cannot_be_read_back_is_no_success
    p4_a_failed_release_takes_the_service_back_and_the_expand_stays
    p4_with_rollback_all_the_down_script_runs_too
    p4_on_an_empty_database_nothing_is_past_the_point_of_no_return
    p4_a_contract_stands_behind_the_point_of_no_return
    p5_a_snapshot_comes_back_with_its_data_and_without_its_files
    p5_a_rollback_with_data_brings_back_what_was_before
    p5_a_rollback_by_down_scripts_loses_no_row
    p6_an_encrypted_backup_shows_no_row_and_no_key
    p8_every_way_ends_with_an_empty_plan
    p8_what_a_failed_release_left_becomes_whole
    p8_an_older_snapshot_without_its_data_ends_with_an_empty_plan
}

#[test]
fn p2_killed_at_every_kind_of_boundary_it_ends_as_undisturbed() {
    let shop = Shop::own_postgres().with_orders();
    let seen = Reference::of(&shop);
    let points = kills::sample("postgres kills", seen.points(&[Victim::Hive, Victim::Server]), 16);
    let hits = kills::disturb_at(&shop, &seen, &points);
    assert!(hits.values().sum::<usize>() >= points.len() / 3, "few kills hit: {hits:?}");
}

#[test]
fn p3_a_schema_that_is_another_than_rehearsed_is_a_failure() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    // Another name every time it runs: what was rehearsed says nothing.
    shop.migration(
        "0003_by_chance",
        "DO $$ BEGIN EXECUTE format('CREATE TABLE t%s (n int)', (random() * 1e9)::bigint); END $$;\n",
        "SELECT 1;\n",
    );
    let ran = shop.hive(&["apply", "-y", "--rehearse"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    ran.says("0003_by_chance");
    assert_eq!(shop.running(), ["1"], "no service is updated over another schema");
    assert_eq!(shop.ask("SELECT count(*) FROM orders"), "20");
}

#[test]
fn p4_every_pair_of_failures_of_the_way_back_ends_in_old_or_new() {
    pairs::each_pair(Shop::own_postgres(), true, 6, |shop| {
        // A session that is in the middle of something, and does not look at what it is told.
        let mut session = shop.with_server(|server, name| server.psql_command(name));
        let child = session
            .args(["-c", "BEGIN; SELECT count(*) FROM orders; SELECT pg_sleep(3)"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("psql starts");
        Session(child)
    });
}

/// A session past hive; ended where it is dropped.
struct Session(std::process::Child);

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A session that reads the orders, and keeps everybody from changing their table.
fn read_from(shop: &Shop) -> Session {
    holding(shop, "SELECT count(*) FROM orders", "AccessShareLock")
}

/// A session in whose transaction a lock on the orders is held.
fn holding(shop: &Shop, sql: &str, mode: &str) -> Session {
    let mut session = shop.with_server(|server, name| server.psql_command(name));
    let mut child =
        session.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("psql starts");
    // Its end is the end of what it was told: the server sees that at once.
    let mut told = child.stdin.take().expect("a pipe");
    told.write_all(format!("BEGIN; {sql};\n").as_bytes()).expect("psql listens");
    let held = format!(
        "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'orders'::regclass AND granted \
         AND mode = '{mode}' AND pid <> pg_backend_pid()"
    );
    until("the lock is held", || shop.ask(&held) == "t");
    child.stdin = Some(told);
    Session(child)
}

#[test]
fn nobody_runs_while_a_migration_runs_in_the_quiet() {
    quiet::nobody_runs_while_it_does(Shop::postgres(), read_from);
}

#[test]
fn killed_in_the_quiet_it_is_ended_by_the_next() {
    quiet::killed_in_the_quiet_it_is_ended_by_the_next(Shop::postgres(), read_from);
}

#[test]
fn in_the_quiet_one_that_changes_too_is_started_in_its_new_form() {
    quiet::one_that_changes_too_is_started_in_its_new_form(Shop::postgres());
}

#[test]
fn in_the_quiet_one_that_fails_leaves_the_service_on_the_data_of_before() {
    quiet::one_that_fails_leaves_the_service_on_the_data_of_before(Shop::postgres());
}

#[test]
fn in_the_quiet_a_release_that_fails_is_taken_back() {
    quiet::a_release_that_fails_behind_it_is_taken_back(Shop::postgres());
}

#[test]
fn an_expand_behind_a_contract_is_refused_or_runs_in_the_quiet() {
    quiet::an_expand_behind_a_contract_is_refused_or_runs_in_the_quiet(Shop::postgres());
}

#[test]
fn p5_nobody_writes_between_the_safety_copy_and_the_swap() {
    let shop = Shop::postgres().with_orders();
    let old = shop.data();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    // A writer that hive does not know, which connects again and again.
    let mut writer = shop.with_server(|server, name| {
        let url = server.url(name);
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", "while :; do \"$0\" -XqAt -c \"INSERT INTO orders (id, item) SELECT coalesce(max(id), 0) + 1000, 'late' FROM orders\" \"$1\" || sleep 0.01; done"])
            .arg(hive_parts::Postgres::programs().join("psql"))
            .arg(url)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.spawn().expect("a writer starts")
    });
    until("the writer writes", || shop.ask("SELECT count(*) > 22 FROM orders") == "t");
    let ran = shop.hive(&["restore", "1", "--with-data", "-y"]);
    let _ = writer.kill();
    let _ = writer.wait();
    assert_eq!(ran.code, 0, "{ran}");
    // What it wrote before the database was closed is in the safety copy; what it wrote after the
    // swap is in the new one; nothing is in neither.
    let wrote_into_the_old = "SELECT count(*) FROM orders WHERE item IS NOT NULL AND id <= 20";
    assert_eq!(shop.ask(wrote_into_the_old), "20");
    shop.sql("DELETE FROM orders WHERE id > 20");
    assert_eq!(shop.data(), old);
}

#[test]
fn p6_a_password_stands_nowhere_and_in_no_argument() {
    let shop = Shop::postgres();
    shop.stage(1);
    let mut printed = String::new();
    let seen = std::sync::Mutex::new(Vec::<String>::new());
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                seen.lock().expect("no panic").extend(arguments_with(PASSWORD));
                crate::lab::pause(2);
            }
        });
        for arguments in [
            &["plan"][..],
            &["apply", "-y"],
            &["backup", "run", "-y"],
            &["backup", "verify", "-y"],
            &["backup", "restore", "backup.main", "-y"],
            &["status"],
            &["history"],
        ] {
            printed += &shop.expect(0, arguments).all();
        }
        printed += &shop.hive(&["unfreeze"]).all();
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    // A url that leads nowhere says where, and not with what.
    let url = shop.with_server(|server, name| server.url_of("nobody", PASSWORD, name));
    shop.url(&url);
    shop.stage(2);
    let ran = shop.hive(&["apply", "-y"]);
    assert_ne!(ran.code, 0, "{ran}");
    printed += &ran.all();
    let seen = seen.into_inner().expect("no panic");
    assert!(seen.is_empty(), "in the arguments of a process: {seen:?}");
    promises::p6_nothing_holds(&shop, &[PASSWORD], &printed);
}

/// The command lines on this machine that hold a word, but for those of the witness.
fn arguments_with(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc lists").flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let hives =
            line.contains("pg_dump") || line.contains("pg_restore") || line.contains("hive");
        if hives && line.contains(word) {
            found.push(line);
        }
    }
    found
}

#[test]
fn p7_what_is_unchanged_costs_no_write() {
    let shop = Shop::own_postgres().with_orders();
    // Nobody but hive could take one of the numbers that each transaction that writes is given.
    for sql in ["ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"] {
        shop.sql(sql);
    }
    let written = || shop.ask("SELECT pg_snapshot_xmax(pg_current_snapshot())");
    let off = || shop.ask("SHOW autovacuum") == "off";
    until("the server sweeps nothing by itself", off);
    let (before, journals) = (written(), kills::journals(&shop.lab));
    for _ in 0..2 {
        shop.expect(0, &["plan", "--exit-code"]);
        shop.expect(0, &["apply", "-y"]);
        shop.expect(0, &["status"]);
    }
    assert_eq!(written(), before, "a transaction wrote");
    assert_eq!(kills::journals(&shop.lab), journals, "nothing to do has no journal");
}

#[test]
fn p7_the_round_trips_of_a_plan_do_not_grow_with_the_files() {
    let asked = |files: usize| {
        let shop = Shop::postgres();
        let proxy = shop.with_server(|server, _| Proxy::to(server.port()));
        let url = shop.with_server(|server, name| {
            server
                .url(name)
                .replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()))
        });
        shop.url(&url);
        shop.stage(1);
        for n in 0..files {
            let up = format!("CREATE TABLE t{n} (n integer);\n");
            shop.migration(&format!("{:04}_t{n}", n + 100), &up, &format!("DROP TABLE t{n};\n"));
        }
        shop.expect(0, &["apply", "-y", "--no-rehearse"]);
        let (connections, packets) = (proxy.connections(), proxy.packets());
        shop.expect(0, &["plan", "--exit-code"]);
        (proxy.connections() - connections, proxy.packets() - packets)
    };
    let (few, many) = (asked(1), asked(60));
    println!(
        "connections and packets of a plan without changes: {few:?} at 2 files, {many:?} at 61"
    );
    assert_eq!(few.0, many.0, "connections grow with the files");
    assert!(many.1 <= few.1 * 2, "round trips grow with the files: {few:?} {many:?}");
}

#[test]
fn the_drill_brings_everything_back_by_one_command() {
    promises::the_drill(Shop::postgres(), lose);
}

#[test]
fn every_row_comes_back_in_the_time_that_is_told() {
    rebuilds::every_row_comes_back_in_the_time_that_is_told(Shop::postgres(), lose);
}

#[test]
fn a_damaged_newest_is_named_with_the_one_before() {
    rebuilds::a_damaged_newest_is_named_with_the_one_before(Shop::postgres(), lose);
}

#[test]
fn what_was_put_aside_never_comes_back_by_itself() {
    rebuilds::what_was_put_aside_never_comes_back_by_itself(Shop::postgres(), lose);
}

#[test]
fn an_exercise_finds_a_damaged_newest_out() {
    rebuilds::an_exercise_finds_a_damaged_newest_out(Shop::postgres(), lose);
}

#[test]
fn a_lost_database_is_not_quietly_made_anew() {
    rebuilds::a_lost_database_is_not_quietly_made_anew(Shop::postgres(), lose);
}

#[test]
fn a_lost_database_is_given_up_by_name() {
    rebuilds::a_lost_database_is_given_up_by_name(Shop::postgres(), lose);
}

#[test]
fn an_empty_one_is_taken_and_a_full_one_is_not() {
    rebuilds::an_empty_one_is_taken_and_a_full_one_is_not(Shop::postgres(), lose, |shop| {
        shop.with_server(|server, name| {
            server.psql("postgres", &format!("CREATE DATABASE {name}"));
        });
    });
}

#[test]
fn what_is_lost_behind_a_restore_comes_back() {
    rebuilds::what_is_lost_behind_a_restore_comes_back(Shop::postgres(), lose);
}

/// A session that lets nobody look at the orders.
fn locked_by(shop: &Shop) -> Session {
    holding(shop, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE", "AccessExclusiveLock")
}

#[test]
fn who_keeps_hive_from_looking_is_said() {
    let shop = Shop::postgres().with_orders();
    // What is said of a view takes a look at its tables.
    shop.migration(
        "0002_named",
        "CREATE VIEW named AS SELECT item FROM orders;\n",
        "DROP VIEW named;\n",
    );
    shop.expect(0, &["apply", "-y"]);
    let session = locked_by(&shop);
    let shown = "SELECT pid FROM pg_locks WHERE relation = 'orders'::regclass AND granted \
                 AND mode = 'AccessExclusiveLock'";
    let pid = shop.ask(shown);
    for arguments in [&["status"][..], &["plan"], &["drift"]] {
        let ran = shop.expect(1, arguments);
        ran.says(&format!("table `public.orders` is locked by pid {pid} (`psql` of {USER}, since"));
    }
    // A person does not wait for it either.
    let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted";
    for signal in ["TERM", "INT"] {
        let child = shop.lab.spawn(&["plan"]);
        until("hive waits for the lock", || shop.ask(waits) != "0");
        crate::lab::kill(child.id(), signal);
        assert_eq!(ended(child).code, 130, "{signal}");
        until("the server knows", || shop.ask(waits) == "0");
    }
    drop(session);
    until("the table is free", || shop.ask(shown).is_empty());
    shop.expect(0, &["plan", "--exit-code"]);
}

/// What the shop's database refers to outside of itself, and what is said of it from outside.
fn surround(shop: &Shop) {
    shop.with_server(|server, name| {
        server.psql(
            "postgres",
            "CREATE ROLE owner LOGIN PASSWORD 'canary-owner-3fd0'; CREATE ROLE team; \
             CREATE ROLE \"read-only\" LOGIN PASSWORD 'canary-reader-9c41' CONNECTION LIMIT 5; \
             GRANT team TO \"read-only\"",
        );
        server.psql("postgres", &format!("ALTER DATABASE {name} OWNER TO owner"));
        server.psql(
            name,
            "ALTER TABLE orders OWNER TO owner; ALTER TABLE changes OWNER TO owner; \
             GRANT SELECT ON orders TO \"read-only\"; \
             ALTER TABLE orders ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY ours ON orders TO team USING (id > 0); \
             ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON TABLES TO team",
        );
        server.psql(
            "postgres",
            &format!(
                "REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; \
                 GRANT CONNECT ON DATABASE {name} TO \"read-only\"; \
                 ALTER DATABASE {name} SET app.tenant = 'it''s'; \
                 ALTER DATABASE {name} CONNECTION LIMIT 33; \
                 ALTER ROLE \"read-only\" IN DATABASE {name} SET statement_timeout = '9s'"
            ),
        );
    });
}

#[test]
fn on_an_empty_server_roles_grants_and_settings_come_back_by_one_command() {
    let shop = Shop::own_postgres().with_orders();
    surround(&shop);
    // What was changed by hand is taken as it is.
    shop.expect(0, &["apply", "-y", "--no-rehearse"]);
    shop.expect(0, &["backup", "run", "-y"]);
    let told = shop.expect(0, &["rebuild", "--drill", "-y"]);
    assert!(!told.all().contains("role `"), "nothing is missing: {told}");
    let about = |server: &Postgres, name: &str| server.surroundings(name, &[USER, "weak"]);
    let (then, rows) = shop.with_server(|server, name| (about(server, name), server.rows(name)));
    rebuilds::lost(&shop, lose);
    let empty = Postgres::start();
    let name = shop.with_server(|_, name| name.to_owned());
    // A role that may make no roles is told in front, and by whom it can be helped.
    empty.psql("postgres", "CREATE ROLE weak LOGIN CREATEDB PASSWORD 'pw'");
    shop.url(&empty.url_of("weak", "pw", &name));
    let ran = shop.expect(5, &["rebuild", "-y"]);
    ran.says("`weak` may not make the roles `owner`, `read-only`, `team`");
    ran.says("CREATE ROLE \"read-only\" LOGIN CONNECTION LIMIT 5;");
    assert_eq!(empty.databases(), Vec::<String>::new(), "{ran}");
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname IN ('owner', 'read-only', 'team')";
    assert_eq!(empty.psql("postgres", roles), "0");
    shop.url(&empty.url(&name));
    let rebuilt = shop.expect(0, &["rebuild", "-y"]);
    rebuilt.says("role `owner` was made without a password: give it one with ALTER ROLE");
    rebuilt.says("role `team` was made").says("all of it is proven");
    assert_eq!(about(&empty, &name), then);
    assert_eq!(empty.rows(&name), rows);
    assert_eq!(shop.running(), ["1"]);
    promises::p6_nothing_holds(&shop, &["canary-", "SCRAM-SHA-256"], &rebuilt.all());
}

fn lose(shop: &Shop) {
    shop.with_server(|server, name| {
        for lost in server.databases().iter().filter(|it| it.starts_with(name)) {
            server.psql("postgres", &format!("DROP DATABASE {lost} WITH (FORCE)"));
        }
    });
}

#[test]
fn a_backup_and_a_migration_of_one_database_never_run_side_by_side() {
    let shop = Shop::postgres().with_orders();
    shop.sql("INSERT INTO orders (id, item) SELECT n, repeat(md5(n::text), 20) FROM generate_series(1000, 60000) n");
    shop.stage(2);
    let backup = shop.lab.spawn(&["backup", "run", "-y"]);
    let apply = shop.hive(&["apply", "-y"]);
    let backup = ended(backup);
    // One of the two holds the lease.
    let codes = [backup.code, apply.code];
    assert!(codes.contains(&0) && codes.iter().all(|it| [0, 4].contains(it)), "{backup}\n{apply}");
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
}
