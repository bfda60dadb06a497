use super::*;
use hive_sql::facts::drift;

fn schema(sql: &str) -> Schema {
    let connection = Connection::open_in_memory().expect("opens");
    connection.execute_batch(sql).expect("is SQL");
    Schema::read(&connection).expect("reads")
}

fn words(sql: &str, object: &str) -> String {
    let facts = schema(sql).facts();
    facts.get(object).cloned().unwrap_or_else(|| panic!("no {object} in {facts:?}"))
}

const ORDERS: &str = "CREATE TABLE customers (id INTEGER PRIMARY KEY);
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        customer INT REFERENCES customers (id) ON DELETE CASCADE,
        status TEXT NOT NULL DEFAULT 'new' COLLATE NOCASE CHECK (status <> ''),
        total NUMERIC(10, 2), twice AS (total * 2) STORED,
        UNIQUE (customer, status), CONSTRAINT positive CHECK (total >= 0)
    );
    CREATE INDEX orders_by_status ON orders (status DESC) WHERE total > 1;
    CREATE VIEW open AS SELECT * FROM orders WHERE status = 'new';
    CREATE TRIGGER stamp AFTER INSERT ON orders BEGIN UPDATE orders SET total = 0; END;";

#[test]
fn every_object_has_a_fact() {
    for (object, expected) in [
        ("table orders", "table"),
        ("column orders.id", "integer primary key autoincrement"),
        ("column orders.customer", "int"),
        ("column orders.status", "text not null default 'new' collate nocase check (status <> '')"),
        ("column orders.total", "numeric(10, 2)"),
        ("column orders.twice", "stored as (total * 2)"),
        ("foreign key orders(customer)", "(id) of customers on update no action on delete cascade"),
        ("unique orders(customer, status)", "unique"),
        ("constraint orders check (total >= 0)", "check (total >= 0)"),
        (
            "index orders_by_status",
            "create index orders_by_status on orders (status desc) where total > 1",
        ),
        ("view open", "create view open as select * from orders where status = 'new'"),
    ] {
        assert_eq!(words(ORDERS, object), expected, "{object}");
    }
    assert!(words(ORDERS, "trigger stamp").contains("update orders set total = 0"));
}

#[test]
fn how_it_is_written_does_not_matter() {
    let one = schema("CREATE TABLE t (a TEXT DEFAULT 'x', b INT CHECK (b>0));");
    let other = schema(
        "create table \"t\" ( -- a note
            [a]  text default 'x',
            `b` int /* two */ check ( b > 0 ) );",
    );
    assert_eq!(one.fingerprint(), other.fingerprint(), "{:?}", drift(&one.facts(), &other.facts()));
    let added =
        schema("CREATE TABLE t (b INT CHECK (b > 0)); ALTER TABLE t ADD a TEXT DEFAULT 'x';");
    assert_eq!(one.fingerprint(), added.fingerprint(), "the order of columns says nothing");
}

#[test]
fn whatever_means_something_matters() {
    let one = schema(ORDERS).fingerprint();
    for (from, to) in [
        ("DEFAULT 'new'", "DEFAULT 'New'"),
        ("NOT NULL", ""),
        ("NOCASE", "BINARY"),
        ("status <> ''", "status <> 'x'"),
        ("ON DELETE CASCADE", ""),
        (" AUTOINCREMENT", ""),
        ("STORED", "VIRTUAL"),
        ("UNIQUE (customer, status)", "UNIQUE (customer)"),
        ("DESC", ""),
        ("total > 1", "total > 2"),
        ("total = 0", "total = 1"),
        ("SELECT *", "SELECT id"),
        ("(10, 2)", "(10, 3)"),
        ("id INTEGER PRIMARY KEY);", "id INTEGER PRIMARY KEY) WITHOUT ROWID;"),
        ("ON DELETE CASCADE", "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"),
    ] {
        let changed = ORDERS.replacen(from, to, 1);
        assert_ne!(changed, ORDERS, "{from} is there");
        assert_ne!(schema(&changed).fingerprint(), one, "{from} → {to}");
    }
}

#[test]
fn drift_names_the_object() {
    let left = schema("CREATE TABLE t (a TEXT, b INT); CREATE TABLE gone (a);").facts();
    let live = schema("CREATE TABLE t (a TEXT DEFAULT 1, b INT, c BLOB);").facts();
    let drift = drift(&left, &live);
    assert_eq!(drift["column t.a"], "was text, is text default 1");
    assert_eq!(drift["column t.c"], "added by hand: blob");
    assert_eq!(drift["table gone"], "removed by hand: table");
    assert_eq!(drift.len(), 4, "{drift:?}");
}

#[test]
fn a_refresh_reads_what_a_new_look_would() {
    let connection = Connection::open_in_memory().expect("opens");
    for number in 0..40 {
        connection.execute_batch(&format!("CREATE TABLE t{number} (a, b)")).expect("is SQL");
    }
    let mut schema = Schema::read(&connection).expect("reads");
    for (sql, changed) in [
        ("ALTER TABLE t1 ADD c", vec!["t1"]),
        ("CREATE INDEX i ON t2 (a)", vec!["t2"]),
        ("DROP INDEX i", vec!["t2"]),
        ("DROP TABLE t3", vec!["t3"]),
        ("ALTER TABLE t4 RENAME TO u", vec!["t4", "u"]),
        ("CREATE VIEW v AS SELECT 1", vec!["v"]),
        ("INSERT INTO t1 VALUES (1, 2, 3)", vec![]),
    ] {
        connection.execute_batch(sql).expect("is SQL");
        let found = schema.refresh(&connection).expect("reads");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), changed, "{sql}");
        assert_eq!(schema, Schema::read(&connection).expect("reads"), "{sql}");
    }
}

#[test]
fn hives_own_and_shadow_tables_are_not_seen() {
    let connection = Connection::open_in_memory().expect("opens");
    crate::books::prepare(&connection).expect("prepares");
    connection.execute_batch("CREATE VIRTUAL TABLE f USING fts5 (text)").expect("is SQL");
    let schema = Schema::read(&connection).expect("reads");
    assert_eq!(schema.owners().collect::<Vec<_>>(), ["f"]);
}
