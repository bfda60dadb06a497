//! Every part starts, answers, survives its crash and leaves nothing behind.

#![cfg(feature = "real-parts")]

use hive_parts::{Fault, Minio, PgBouncer, Postgres, Proxy, USER};

#[test]
fn a_postgres_answers_and_survives_a_crash() {
    let mut postgres = Postgres::start();
    let name = postgres.database();
    postgres.psql(&name, "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 100)");
    let rows = postgres.rows(&name);
    assert!(rows.starts_with("public.t 100 "), "{rows}");
    assert!(postgres.schema(&name).contains("CREATE TABLE public.t"));
    postgres.kill();
    assert!(postgres.try_psql(&name, "SELECT 1").is_err());
    postgres.restart();
    assert_eq!(postgres.rows(&name), rows);
    assert_eq!(postgres.databases(), [name]);
    assert!(postgres.try_psql("postgres", "SELECT nonsense").is_err());
}

#[test]
fn a_pooler_gives_a_session_to_each_transaction() {
    let postgres = Postgres::shared();
    let name = postgres.database();
    let pooler = PgBouncer::start(postgres);
    let output = std::process::Command::new(Postgres::programs().join("psql"))
        .args(["-XqAt", "-c", "SELECT current_user", &pooler.url(&name)])
        .output()
        .expect("psql starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), USER, "{output:?}");
}

#[test]
fn an_s3_keeps_what_it_was_given_over_a_crash() {
    let mut minio = Minio::start();
    minio.put("a/1", b"one");
    minio.put("a/2", b"two\nlines\n");
    assert_eq!(minio.keys("a/"), ["a/1", "a/2"]);
    minio.kill();
    minio.restart();
    assert_eq!(minio.get("a/2"), b"two\nlines\n");
    minio.delete("a/1");
    assert_eq!(minio.keys(""), ["a/2"]);
    assert!(minio.open_uploads().is_empty());
}

#[test]
fn a_proxy_fails_when_it_is_told_to() {
    let postgres = Postgres::shared();
    let proxy = Proxy::to(postgres.port());
    let url =
        |port| format!("postgres://{USER}:{}@127.0.0.1:{port}/postgres", hive_parts::PASSWORD);
    let asked = || {
        let output = std::process::Command::new(Postgres::programs().join("psql"))
            .args(["-XqAt", "-c", "SELECT repeat('x', 100000)", &url(proxy.port())])
            .output()
            .expect("psql starts");
        output.status.success()
    };
    assert!(asked());
    proxy.set(Fault::Refused);
    assert!(!asked());
    proxy.set(Fault::CutAnswerAfter(5_000));
    assert!(!asked());
    assert!(proxy.faults() >= 2);
    proxy.set(Fault::None);
    assert!(asked());
}
