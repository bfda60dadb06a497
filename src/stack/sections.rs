//! What may stand at the top of a stack's files: the sections, and below them every kind.

use super::data;
use super::kinds;
use super::language::{Key, Keys, Type};
use super::shape::Shape;

/// The whole language.
pub(crate) const TOP: Keys = Keys { what: "a stack", keys: TOP_KEYS, one_of: &[], only_with: &[] };

/// The names of the sections that are no kinds.
pub(crate) const SECTIONS: &[&str] =
    &["stack", "variables", "defaults", "environment", "platform", "state"];

const TOP_KEYS: &[Key] = &[
    Key::new("stack", Type::Table(&STACK), "what this stack is", "{ name = \"shop\" }"),
    Key::new(
        "variables",
        Type::Map(Shape::Variable, &Type::Table(&VARIABLE)),
        "what varies from outside, by name",
        "{ release = { default = \"1.4.2\" } }",
    ),
    Key::new(
        "defaults",
        Type::Table(&DEFAULTS),
        "what stands under every resource of a kind",
        "{ service = { replicas = 2 } }",
    ),
    Key::new(
        "environment",
        Type::Table(&ENVIRONMENT),
        "what this environment does not have, and what guards it",
        "{ on_failure = \"halt\" }",
    ),
    Key::new(
        "platform",
        Type::Table(&PLATFORM),
        "settings of the systems that hive acts on",
        "{ process = { ports = \"21000-21999\" } }",
    ),
    Key::new(
        "state",
        Type::Table(&STATE),
        "where hive keeps what it knows",
        "{ folder = \".hive\" }",
    ),
    Key::new("service", named(&Type::Table(&kinds::SERVICE)), SERVICE_DOC, ""),
    Key::new("config", named(&Type::Table(&kinds::CONFIG)), CONFIG_DOC, ""),
    Key::new("check", named(&Type::Table(&kinds::CHECK)), CHECK_DOC, ""),
    Key::new("alert", named(&Type::Table(&kinds::ALERT)), ALERT_DOC, ""),
    Key::new("notify", named(&Type::Table(&kinds::NOTIFY)), NOTIFY_DOC, ""),
    Key::new("database", named(&Type::Table(&data::DATABASE)), DATABASE_DOC, ""),
    Key::new("migrations", named(&Type::Table(&data::MIGRATIONS)), MIGRATIONS_DOC, ""),
    Key::new("backup", named(&Type::Table(&data::BACKUP)), BACKUP_DOC, ""),
    Key::later("image", "a container image that is built"),
    Key::later("job", "work that is done at times"),
    Key::later("terraform", "an infrastructure root that is applied as a step"),
    Key::later("playbook", "a configuration run that is a step"),
];

const SERVICE_DOC: &str = "something that runs and must be healthy";
const CONFIG_DOC: &str = "a file that a service reads";
const CHECK_DOC: &str = "a condition that must hold before what uses it begins";
const ALERT_DOC: &str = "a condition to be watched for ever";
const NOTIFY_DOC: &str = "who hears of applies";
const DATABASE_DOC: &str = "a place for data";
const MIGRATIONS_DOC: &str = "an ordered list of up and down scripts for a database";
const BACKUP_DOC: &str = "what is kept of a database, a folder or a repository, where and how long";

const fn named(of: &'static Type) -> Type {
    Type::Map(Shape::Name, of)
}

/// The kinds that this version builds, each with its keys.
pub(crate) fn kinds() -> impl Iterator<Item = (&'static str, &'static Keys)> {
    TOP.keys.iter().filter(|key| !SECTIONS.contains(&key.name)).filter_map(|key| match key.is {
        Type::Map(_, Type::Table(keys)) => Some((key.name, *keys)),
        _ => None,
    })
}

/// The keys of a kind that this version builds.
pub(crate) fn kind(name: &str) -> Option<&'static Keys> {
    kinds().find(|(kind, _)| *kind == name).map(|(_, keys)| keys)
}

/// `[stack]`.
pub(crate) const STACK: Keys = Keys {
    what: "`[stack]`",
    keys: &[
        Key::new(
            "name",
            Type::Text(Shape::Name),
            "the stack's name; it stands in every mark that hive sets on what it owns",
            "\"shop\"",
        )
        .required(),
        Key::new("parallel", Type::Int(1, 1024), "how many steps run at once at most", "4")
            .default("10"),
    ],
    one_of: &[],
    only_with: &[],
};

/// One of `[variables]`.
pub(crate) const VARIABLE: Keys = Keys {
    what: "a variable",
    keys: &[
        Key::new(
            "default",
            Type::Scalar,
            "its value where none is given; without a default one must be given",
            "\"1.4.2\"",
        ),
        Key::new(
            "type",
            Type::Choice(&["text", "number", "bool"]),
            "what its value must be; by default what its default is, else text",
            "\"text\"",
        ),
        Key::new("doc", Type::Text(Shape::Any), "what it is for", "\"the release to run\""),
    ],
    one_of: &[],
    only_with: &[],
};

/// `[defaults]`.
pub(crate) const DEFAULTS: Keys = Keys {
    what: "`[defaults]`",
    keys: &[
        Key::new("service", Type::Table(&kinds::SERVICE), "under every service", ""),
        Key::new("config", Type::Table(&kinds::CONFIG), "under every config", ""),
        Key::new("check", Type::Table(&kinds::CHECK), "under every check", ""),
        Key::new("alert", Type::Table(&kinds::ALERT), "under every alert", ""),
        Key::new("notify", Type::Table(&kinds::NOTIFY), "under every notify", ""),
        Key::new("database", Type::Table(&data::DATABASE), "under every database", ""),
        Key::new("migrations", Type::Table(&data::MIGRATIONS), "under all migrations", ""),
        Key::new("backup", Type::Table(&data::BACKUP), "under every backup", ""),
    ],
    one_of: &[],
    only_with: &[],
};

/// `[environment]`.
pub(crate) const ENVIRONMENT: Keys = Keys {
    what: "`[environment]`",
    keys: &[
        Key::new(
            "remove",
            Type::List(&Type::Text(Shape::Filled), 0),
            "addresses, or keys of resources, that `stack.toml` has and this environment does not; \
             stands in an environment's own file",
            "[\"alert.debug\", \"service.api.environment.TRACE\"]",
        ),
        Key::new(
            "protected",
            Type::Bool,
            "apply takes a saved, approved plan and nothing else; in this version, which has no \
             approvals yet, every apply is refused",
            "true",
        )
        .default("false"),
        Key::new(
            "on_failure",
            Type::Choice(&["rollback", "halt"]),
            "what a failed step leads to: what was begun is taken back, or everything stays as it \
             is",
            "\"halt\"",
        )
        .default("\"rollback\""),
        Key::new(
            "rollback",
            Type::Choice(&["services", "all"]),
            "how far a way back goes: expand migrations stay, as the version before runs on them, or \
             their down scripts run too",
            "\"all\"",
        )
        .default("\"services\""),
        Key::new(
            "window",
            Type::Table(&WINDOW),
            "when an apply may begin, in UTC",
            "{ days = [\"Tue\", \"Wed\"], from = \"09:00\", to = \"16:00\" }",
        ),
        Key::later("approvals", "how many people must approve a plan"),
        Key::later("after", "the environment in which an image or migration must have run before"),
    ],
    one_of: &[],
    only_with: &[],
};

const WINDOW: Keys = Keys {
    what: "a window",
    keys: &[
        Key::new(
            "days",
            Type::List(&Type::Choice(&["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]), 1),
            "on which days",
            "[\"Tue\", \"Wed\", \"Thu\"]",
        )
        .required(),
        Key::new("from", Type::Text(Shape::Clock), "from when", "\"09:00\"").required(),
        Key::new("to", Type::Text(Shape::Clock), "until when", "\"16:00\"").required(),
    ],
    one_of: &[],
    only_with: &[],
};

/// `[platform]`.
pub(crate) const PLATFORM: Keys = Keys {
    what: "`[platform]`",
    keys: &[
        Key::new(
            "process",
            Type::Table(&PROCESS),
            "services as processes of this machine",
            "{ directory = \"run\" }",
        ),
        Key::new(
            "prometheus",
            Type::Table(&PROMETHEUS),
            "alerts as Prometheus rule files",
            "{ rules = \"rules\" }",
        ),
        Key::new(
            "postgres",
            Type::Table(&POSTGRES),
            "databases on PostgreSQL servers",
            "{ tools = \"/usr/lib/postgresql/15/bin\" }",
        ),
        Key::later("docker", "services as containers"),
        Key::later("kubernetes", "services as Deployments"),
        Key::later("ecs", "services on Amazon ECS"),
    ],
    one_of: &[],
    only_with: &[],
};

const PROCESS: Keys = Keys {
    what: "`[platform.process]`",
    keys: &[
        Key::new(
            "directory",
            Type::Text(Shape::Filled),
            "where services' files and logs live, relative to the stack's folder",
            "\"run\"",
        )
        .default("\".hive-run\""),
        Key::new(
            "ports",
            Type::Text(Shape::PortRange),
            "from which ports a service that asks for no fixed one gets its own",
            "\"21000-21999\"",
        )
        .default("\"20000-29999\""),
    ],
    one_of: &[],
    only_with: &[],
};

const PROMETHEUS: Keys = Keys {
    what: "`[platform.prometheus]`",
    keys: &[Key::new(
        "rules",
        Type::Text(Shape::Filled),
        "the folder of the rule files, relative to the stack's folder",
        "\"rules\"",
    )],
    one_of: &[],
    only_with: &[],
};

const POSTGRES: Keys = Keys {
    what: "`[platform.postgres]`",
    keys: &[Key::new(
        "tools",
        Type::Text(Shape::Filled),
        "the folder of `pg_dump` and `pg_restore`, relative to the stack's folder; without it, those \
         of the server's own version are looked for where systems put them",
        "\"/usr/lib/postgresql/15/bin\"",
    )],
    one_of: &[],
    only_with: &[],
};

/// `[state]`.
pub(crate) const STATE: Keys = Keys {
    what: "`[state]`",
    keys: &[
        Key::new(
            "folder",
            Type::Text(Shape::Filled),
            "the store's folder, relative to the stack's folder",
            "\"../state\"",
        )
        .default("\".hive\""),
        Key::new(
            "lease",
            Type::Duration(1_000),
            "how long the lease holds without being renewed; who finds it unchanged for so long may \
             take it over",
            "\"1m\"",
        )
        .default("\"30s\""),
        Key::later("s3", "a store in an S3 bucket"),
    ],
    one_of: &[],
    only_with: &[],
};
