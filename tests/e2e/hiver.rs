//! The stack over PostgreSQL, from development to production.

use crate::shop::{declared, field, uses};
use hive_contract::{Value, value};

#[test]
fn hiver_is_right_in_each_environment() {
    for (environment, backups) in [
        ("dev", "backups/dev"),
        ("staging", "backups/staging"),
        ("production", "s3://hiver-backups/main"),
    ] {
        let stack = declared("stacks/hiver", environment);
        assert_eq!(uses(&stack, "service.api"), ["migrations.main"], "{environment}");
        assert_eq!(uses(&stack, "service.orders"), ["migrations.main"], "{environment}");
        assert_eq!(field(&stack, "backup.main", "destination"), Some(Value::text(backups)));
        let url = field(&stack, "database.main", "url").expect("a url");
        assert!(url.has_secret(), "{environment}");
        assert_eq!(field(&stack, "migrations.main", "of.url"), Some(url));
    }
}

#[test]
fn what_gives_access_in_production_is_named_and_never_written() {
    let stack = declared("stacks/hiver", "production");
    let backup = &stack.declared[&"backup.main".parse().expect("an address")];
    let secrets: Vec<String> =
        value::secrets_in(&backup.fields).iter().map(ToString::to_string).collect();
    let expected = [
        "env:HIVER_BACKUP_KEY",
        "env:HIVER_BACKUP_KEY_ID",
        "env:HIVER_DATABASE_PASSWORD",
        "file:production.age",
    ];
    assert_eq!(secrets, expected);
    assert_eq!(stack.guards.get("protected"), Some(&Value::Bool(true)));
}
