//! A PostgreSQL that does not let hive do what it should.

use crate::data::kills::journals;
use crate::data::shop::Shop;
use crate::lab::{ended, until};
use hive_parts::{Fault, PgBouncer, Proxy, USER};
use std::process::{Child, Stdio};

/// Nothing was migrated, nothing lost, and what runs runs on.
#[track_caller]
fn untouched(shop: &Shop) {
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "0");
    assert_eq!(shop.ask("SELECT count(*) FROM orders"), "20");
    assert_eq!(shop.running(), ["1"]);
}

/// A session that holds something, until it is killed.
pub(super) fn session(shop: &Shop, sql: &str) -> Child {
    let mut command = shop.with_server(|server, name| server.psql_command(name));
    command
        .args(["-c", &format!("{sql}; SELECT pg_sleep(600)")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("psql starts")
}

/// Ends such a session: the server does not look whether its client is there still.
pub(super) fn end(shop: &Shop, mut child: Child) {
    shop.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()",
    );
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn a_statement_that_cannot_run_in_a_transaction_is_refused_and_runs_without_one() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    let up = "CREATE INDEX CONCURRENTLY orders_item ON orders (item);\n";
    let down = "DROP INDEX CONCURRENTLY orders_item;\n";
    shop.migration("0003_index", up, down);
    for arguments in [&["plan"][..], &["apply", "-y"]] {
        let ran = shop.hive(arguments);
        assert!([1, 3].contains(&ran.code), "{ran}");
        ran.says("0003_index").says("CONCURRENTLY").says("no-transaction");
    }
    untouched(&shop);
    let top = "-- hive: no-transaction\n";
    shop.migration("0003_index", &format!("{top}{up}"), &format!("{top}{down}"));
    shop.expect(0, &["apply", "-y"]);
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_item'::regclass";
    assert_eq!(shop.ask(valid), "t");
    assert_eq!(shop.running(), ["2"]);
    shop.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn a_half_applied_file_goes_on_at_the_statement_where_it_stopped() {
    let shop = Shop::postgres().with_orders();
    shop.sql("INSERT INTO orders (id, item) VALUES (21, 'thing 21')");
    shop.stage(2);
    let top = "-- hive: no-transaction\n";
    shop.migration(
        "0003_two_indexes",
        &format!(
            "{top}CREATE INDEX CONCURRENTLY orders_first ON orders (item);\n\
             CREATE INDEX CONCURRENTLY orders_second ON orders ((1 / (id - 21)));\n"
        ),
        &format!(
            "{top}DROP INDEX CONCURRENTLY IF EXISTS orders_second;\n\
             DROP INDEX CONCURRENTLY IF EXISTS orders_first;\n"
        ),
    );
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    ran.says("0003_two_indexes");
    assert_eq!(shop.running(), ["1"]);
    // What is half done is told, with how far it came.
    shop.expect(0, &["plan", "--no-rehearse"]).says("0003_two_indexes");
    shop.sql("DELETE FROM orders WHERE id = 21");
    shop.expect(0, &["apply", "-y", "--no-rehearse"]);
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(shop.ask(invalid), "0");
    assert_eq!(
        shop.ask(
            "SELECT count(*) FROM pg_indexes WHERE indexname IN ('orders_first', 'orders_second')"
        ),
        "2"
    );
    assert_eq!(shop.running(), ["2"]);
    shop.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn drop_database_is_refused_with_the_line() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    shop.migration("0003_bold", "SELECT 1;\nDROP DATABASE postgres;\n", "SELECT 1;\n");
    for arguments in [&["plan"][..], &["apply", "-y"]] {
        let ran = shop.hive(arguments);
        assert!([1, 3].contains(&ran.code), "{ran}");
        ran.says("0003_bold").says("DROP DATABASE");
    }
    untouched(&shop);
}

#[test]
fn a_lock_that_another_session_holds_is_waited_for_and_then_told() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    let holder = session(&shop, "BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE");
    let held = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'orders'::regclass";
    until("the lock is held", || shop.ask(held) == "t");
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    ran.says("0002_add_status").says("lock");
    untouched(&shop);
    // And it is got where it comes free while the migration is tried again.
    let apply = shop.lab.spawn(&["apply", "-y", "--no-rehearse"]);
    end(&shop, holder);
    let ran = ended(apply);
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
}

#[test]
fn a_wrong_password() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    let good = shop.with_server(|server, name| server.url(name));
    shop.url(&shop.with_server(|server, name| server.url_of(USER, "wrong-word", name)));
    let before = journals(&shop.lab);
    for arguments in [&["plan"][..], &["apply", "-y"]] {
        let ran = shop.hive(arguments);
        assert!([1, 3].contains(&ran.code), "{ran}");
        ran.says("password");
        assert!(!ran.all().contains("wrong-word"), "{ran}");
    }
    assert_eq!(journals(&shop.lab), before, "nothing was begun");
    untouched(&shop);
    shop.url(&good);
    shop.expect(0, &["apply", "-y"]);
}

#[test]
fn a_server_without_the_tls_that_is_asked_for() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    let url = shop.with_server(|server, name| server.url(name));
    shop.url(&format!("{url}?sslmode=verify-full"));
    let ran = shop.hive(&["apply", "-y"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    ran.says("TLS");
    untouched(&shop);
}

#[test]
fn a_server_that_is_not_there_and_one_that_says_nothing() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    let proxy = shop.with_server(|server, _| Proxy::to(server.port()));
    let url = shop.with_server(|server, name| {
        server.url(name).replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()))
    });
    shop.url(&url);
    for fault in [Fault::Refused, Fault::Silent, Fault::CutAnswerAfter(400)] {
        proxy.set(fault.clone());
        let began = std::time::Instant::now();
        let ran = shop.hive(&["apply", "-y"]);
        assert!([1, 3, 5].contains(&ran.code), "{fault:?}\n{ran}");
        assert!(began.elapsed().as_secs() < 60, "{fault:?}: {:?}", began.elapsed());
        ran.says("database.main");
        proxy.set(Fault::None);
        untouched(&shop);
    }
}

#[test]
fn a_connection_that_is_cut_in_the_middle_of_a_migration() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    let proxy = shop.with_server(|server, _| Proxy::to(server.port()));
    let url = shop.with_server(|server, name| {
        server.url(name).replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()))
    });
    shop.url(&url);
    for bytes in [3_000, 8_000, 20_000] {
        proxy.set(Fault::CutAfter(bytes));
        let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
        assert!([0, 1, 3, 5].contains(&ran.code), "after {bytes} bytes\n{ran}");
        proxy.set(Fault::None);
        let count = shop.ask("SELECT count(*) FROM changes");
        assert!(["0", "1"].contains(&count.as_str()), "after {bytes} bytes: {count}\n{ran}");
    }
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1", "it ran once");
    shop.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn a_role_that_may_only_read() {
    let shop = Shop::postgres().with_orders();
    shop.with_server(|server, name| {
        let sql = format!(
            "DO $$ BEGIN CREATE ROLE reader LOGIN PASSWORD 'reads-1'; EXCEPTION WHEN duplicate_object THEN NULL; END $$; \
             GRANT pg_read_all_data TO reader; GRANT CONNECT ON DATABASE {name} TO reader"
        );
        server.psql("postgres", &sql);
    });
    shop.url(&shop.with_server(|server, name| server.url_of("reader", "reads-1", name)));
    // To look is enough for a plan, as in a pull request. The service gets the url too.
    shop.expect(0, &["plan"]).says("service.api").says("1 update, 3 unchanged");
    shop.stage(2);
    shop.expect(2, &["plan", "--exit-code", "--no-rehearse"]).says("0002_add_status");
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    ran.says("the role may not do it");
    untouched(&shop);
}

#[test]
fn a_database_that_is_in_use_while_it_is_restored() {
    let shop = Shop::postgres().with_orders();
    let old = shop.data();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    let holder = session(&shop, "BEGIN; INSERT INTO orders (id, item) VALUES (999, 'x')");
    let held = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%VALUES (999,%' AND pid <> pg_backend_pid()";
    until("somebody uses it", || shop.ask(held) == "t");
    shop.expect(0, &["restore", "1", "--with-data", "-y"]);
    end(&shop, holder);
    assert_eq!(shop.data(), old);
    assert_eq!(shop.running(), ["1"]);
}

#[test]
fn a_pooler_is_refused_with_the_hint_and_passed_by() {
    let shop = Shop::postgres().with_orders();
    shop.stage(2);
    let (pooler, direct, pooled) = shop.with_server(|server, name| {
        let pooler = PgBouncer::start(server);
        let pooled = pooler.url(name);
        (pooler, server.url(name), pooled)
    });
    shop.url(&pooled);
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    ran.says("direct_url");
    untouched(&shop);
    shop.lab.write("secret/direct", &direct);
    let toml = shop.toml(2, false, "").replace(
        "url = { file = \"secret/url\" }",
        "url = { file = \"secret/url\" }\ndirect_url = { file = \"secret/direct\" }",
    );
    shop.lab.stack(&toml);
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
    drop(pooler);
}

#[test]
fn a_database_of_another_stack() {
    let shop = Shop::postgres().with_orders();
    let other = Shop::sqlite();
    other.lab.write("secret/url", &shop.with_server(|server, name| server.url(name)));
    other.stage(2);
    other.lab.stack(&shop.toml(2, false, ""));
    let ran = other.hive(&["apply", "-y"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    ran.says("database.main").says("--take-over");
    untouched(&shop);
}
