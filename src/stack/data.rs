//! The keys of the kinds that hold data: databases, their migrations, and backups.

use super::kinds::{FILLED, IGNORE, PROTECT, USES};
use super::language::Takes::Secrets;
use super::language::{Key, Keys, Type};
use super::shape::Shape;

/// `[database.NAME]`.
pub(crate) const DATABASE: Keys = Keys {
    what: "a database",
    keys: &[
        Key::new("engine", Type::Choice(&["sqlite", "postgres"]), "what it is", "\"sqlite\"")
            .required(),
        Key::new(
            "path",
            FILLED,
            "with `sqlite`: its file, relative to the stack's folder",
            "\"data/shop.db\"",
        ),
        Key::new(
            "url",
            Type::Text(Shape::DatabaseUrl),
            "with `postgres`: how hive and its users reach it; a password stands in it as a secret",
            "{ env = \"DATABASE_URL\" }",
        )
        .takes(Secrets),
        Key::new(
            "direct_url",
            Type::Text(Shape::DatabaseUrl),
            "how hive reaches it past a pooler, where `url` leads to one",
            "{ env = \"DATABASE_DIRECT_URL\" }",
        )
        .takes(Secrets),
        Key::new("create", Type::Bool, "make it where it is absent", "true").filled("false"),
        USES,
        PROTECT,
        IGNORE,
    ],
    one_of: &[&["path", "url"]],
    only_with: &[("direct_url", &["url"])],
};

/// `[migrations.NAME]`.
pub(crate) const MIGRATIONS: Keys = Keys {
    what: "migrations",
    keys: &[
        Key::new("database", Type::Text(Shape::Name), "the name of their database", "\"main\"")
            .required(),
        Key::new(
            "path",
            FILLED,
            "the folder of the files, relative to the stack's folder",
            "\"migrations/main\"",
        )
        .required(),
        Key::new(
            "during",
            Type::Choice(&["running", "stopped"]),
            "whether the services that use the database run on, or are stopped around what is pending",
            "\"stopped\"",
        )
        .filled("\"running\""),
        Key::new(
            "order",
            Type::Choice(&["linear", "any"]),
            "whether a file may come behind one that is applied already: with `linear` it may not",
            "\"any\"",
        )
        .filled("\"linear\""),
        Key::new(
            "lock_timeout",
            Type::Duration(1),
            "how long a statement waits for a lock before the migration is tried again",
            "\"10s\"",
        )
        .filled("\"3s\""),
        Key::new(
            "retries",
            Type::Int(0, 100),
            "how often a migration that waited too long for a lock is tried again",
            "10",
        )
        .filled("5"),
        Key::new(
            "baseline",
            Type::Table(&BASELINE),
            "what was applied before hive came",
            "{ tool = \"golang-migrate\" }",
        ),
        USES,
        PROTECT,
        IGNORE,
    ],
    one_of: &[],
    only_with: &[],
};

const BASELINE: Keys = Keys {
    what: "a baseline",
    keys: &[
        Key::new(
            "tool",
            Type::Choice(&["golang-migrate", "sqlx", "flyway", "django", "none"]),
            "whose history is adopted",
            "\"golang-migrate\"",
        )
        .required(),
        Key::new(
            "version",
            FILLED,
            "the newest version that is applied, where no history says so",
            "\"0004\"",
        ),
    ],
    one_of: &[],
    only_with: &[],
};

/// `[backup.NAME]`.
pub(crate) const BACKUP: Keys = Keys {
    what: "a backup",
    keys: &[
        Key::new("database", Type::Text(Shape::Name), "of the database of this name", "\"main\""),
        Key::new("folder", FILLED, "of this folder, relative to the stack's folder", "\"config\""),
        Key::new(
            "repository",
            FILLED,
            "of this git repository, relative to the stack's folder",
            "\".\"",
        ),
        Key::new(
            "destination",
            Type::Text(Shape::Destination),
            "where backups go: a folder, relative to the stack's folder, or a place in S3; it holds \
             those of this backup alone",
            "\"backups/main\"",
        )
        .required(),
        Key::new(
            "s3",
            Type::Table(&S3),
            "how a place in S3 is reached, where the machine does not say so",
            "{ region = \"eu-central-1\" }",
        ),
        Key::new(
            "schedule",
            Type::Text(Shape::Cron),
            "when one is due, as cron in UTC: `hive backup run --due` makes those that are",
            "\"0 3 * * *\"",
        ),
        Key::new(
            "keep",
            Type::Table(&KEEP),
            "which are kept; without it, all",
            "{ within = \"30d\", minimum = 3 }",
        ),
        Key::new(
            "verify",
            Type::Table(&VERIFY),
            "how often the newest is restored into a scratch place and compared",
            "{ every = \"7d\" }",
        ),
        Key::new("rpo", Type::Duration(1), "how old the newest good one may be", "\"26h\""),
        Key::new("rto", Type::Duration(1), "how long a restore may take", "\"30m\""),
        Key::new(
            "encrypt",
            Type::Table(&ENCRYPT),
            "for whom it is encrypted, with age",
            "{ recipients = [\"age1…\"], identity = { file = \"backup.key\" } }",
        ),
        USES,
        PROTECT,
        IGNORE,
    ],
    one_of: &[&["database", "folder", "repository"]],
    only_with: &[],
};

const S3: Keys = Keys {
    what: "`s3`",
    keys: &[
        Key::new(
            "endpoint",
            Type::Text(Shape::Url),
            "the url of an S3 that is not Amazon's",
            "\"http://localhost:9000\"",
        ),
        Key::new("region", FILLED, "the bucket's region", "\"eu-central-1\""),
        Key::new(
            "path_style",
            Type::Bool,
            "whether the bucket stands in the path and not in the host",
            "true",
        )
        .default("false"),
        Key::new(
            "patience",
            Type::Duration(1_000),
            "for how long nothing may move on a connection before it is tried anew, up to five times; \
             what is slow and moves goes on",
            "\"1m\"",
        )
        .default("\"30s\""),
        Key::new("access_key", FILLED, "the id of the key", "{ env = \"BACKUP_KEY_ID\" }")
            .takes(Secrets),
        Key::new("secret_key", FILLED, "the key, a secret", "{ env = \"BACKUP_KEY\" }")
            .takes(Secrets),
    ],
    one_of: &[],
    only_with: &[("access_key", &["secret_key"]), ("secret_key", &["access_key"])],
};

const KEEP: Keys = Keys {
    what: "`keep`",
    keys: &[
        Key::new("within", Type::Duration(1), "all that are younger than this", "\"30d\""),
        Key::new("minimum", COUNT, "the newest, however old", "3"),
        Key::new("daily", COUNT, "the newest of each of so many days", "7"),
        Key::new("weekly", COUNT, "the newest of each of so many weeks", "4"),
        Key::new("monthly", COUNT, "the newest of each of so many months", "12"),
        Key::new("yearly", COUNT, "the newest of each of so many years", "5"),
        Key::new(
            "removes_at_most",
            Type::Text(Shape::Percent),
            "how many of the backups may go at once; more are held back and the run fails",
            "\"80%\"",
        )
        .default("\"50%\""),
    ],
    one_of: &[],
    only_with: &[],
};

const COUNT: Type = Type::Int(0, 100_000);

const VERIFY: Keys = Keys {
    what: "`verify`",
    keys: &[Key::new("every", Type::Duration(1), "how often", "\"7d\"").required()],
    one_of: &[],
    only_with: &[],
};

const ENCRYPT: Keys = Keys {
    what: "`encrypt`",
    keys: &[
        Key::new(
            "recipients",
            Type::List(&FILLED, 1),
            "the public keys of those who can read it",
            "[\"age1…\"]",
        )
        .required(),
        Key::new(
            "identity",
            FILLED,
            "the private key with which hive verifies and restores, a secret",
            "{ file = \"backup.key\" }",
        )
        .takes(Secrets),
    ],
    one_of: &[],
    only_with: &[],
};
