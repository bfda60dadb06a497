//! The history of another tool is adopted without a change.

use crate::lab::Lab;
use hive_parts::{Postgres, program};
use std::fs;
use std::process::Command;

const FILES: [(&str, &str, &str); 3] = [
    (
        "0001_users",
        "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);\n",
        "DROP TABLE users;\n",
    ),
    (
        "0002_email",
        "ALTER TABLE users ADD COLUMN email text;\nCREATE INDEX users_email ON users (email);\n",
        "DROP INDEX users_email;\nALTER TABLE users DROP COLUMN email;\n",
    ),
    ("0003_view", "CREATE VIEW names AS SELECT name FROM users;\n", "DROP VIEW names;\n"),
];

#[test]
fn a_history_of_golang_migrate_is_adopted_without_a_change() {
    let server = Postgres::shared();
    let database = server.database();
    let lab = Lab::new(
        "[stack]\nname = \"{name}\"\n\n[database.main]\nengine = \"postgres\"\n\
         url = { file = \"secret/url\" }\n\n[migrations.main]\ndatabase = \"main\"\n\
         path = \"migrations\"\nbaseline = { tool = \"golang-migrate\" }\n",
    );
    lab.write("secret/url", &server.url(&database));
    for (name, up, down) in FILES {
        lab.write(&format!("migrations/{name}.up.sql"), up);
        lab.write(&format!("migrations/{name}.down.sql"), down);
    }
    let output = Command::new(program("migrate"))
        .args(["-path", &lab.path("migrations").display().to_string()])
        .args(["-database", &format!("{}?sslmode=disable", server.url(&database)), "up"])
        .output()
        .expect("migrate starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.psql(&database, "INSERT INTO users VALUES (1, 'one', 'one@example.invalid')");
    let (schema, rows) = (server.schema(&database), server.rows(&database));

    // A plan says what it was made of, and refuses what is not whole.
    let plan = lab.expect(2, &["plan", "--exit-code"]);
    plan.says("take over what golang-migrate has applied, up to 0003_view");
    plan.says("0001_users: golang-migrate says 3");
    server.psql(&database, "UPDATE schema_migrations SET dirty = true");
    lab.expect(1, &["plan"]).says("version 3 did not end well").says("repair it with that tool");
    server.psql(&database, "UPDATE schema_migrations SET version = 7, dirty = false");
    lab.expect(1, &["plan"]).says("applied, and no file here: 7");
    server.psql(&database, "ALTER TABLE schema_migrations RENAME TO elsewhere");
    lab.expect(1, &["plan"]).says("no table `schema_migrations` is found");
    server.psql(&database, "ALTER TABLE elsewhere RENAME TO schema_migrations");
    server.psql(&database, "UPDATE schema_migrations SET version = 3");

    lab.expect(0, &["apply", "-y"]);
    assert_eq!((server.schema(&database), server.rows(&database)), (schema, rows));
    lab.expect(0, &["plan", "--exit-code"]);
    // And it goes on from there.
    lab.write("migrations/0004_age.up.sql", "ALTER TABLE users ADD COLUMN age integer;\n");
    lab.write("migrations/0004_age.down.sql", "ALTER TABLE users DROP COLUMN age;\n");
    lab.expect(2, &["plan", "--exit-code"]).says("0004_age");
    lab.expect(0, &["apply", "-y"]);
    assert_eq!(server.psql(&database, "SELECT count(age) FROM users"), "0");
    lab.expect(0, &["plan", "--exit-code"]);
    // An adopted file is guarded as one that hive applied itself.
    fs::write(lab.path("migrations/0002_email.up.sql"), "SELECT 1;\n").expect("writes");
    let ran = lab.hive(&["plan"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    ran.says("0002_email");
}
