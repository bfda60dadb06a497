//! The keys of each kind.

use super::language::Takes::{Outputs, Secrets};
use super::language::{Key, Keys, Type};
use super::shape::Shape;

const TEXT: Type = Type::Text(Shape::Any);
pub(super) const FILLED: Type = Type::Text(Shape::Filled);
const COMMAND: Type = Type::List(&TEXT, 1);

pub(super) const USES: Key = Key::new(
    "uses",
    Type::List(&Type::Text(Shape::Address), 0),
    "what it needs beyond what its keys refer to: those are ready before it begins",
    "[\"check.ready\"]",
);
pub(super) const PROTECT: Key =
    Key::new("protect", Type::Bool, "no plan may delete or replace it", "true").default("false");
pub(super) const IGNORE: Key = Key::new(
    "ignore",
    Type::List(&Type::Table(&IGNORED), 0),
    "fields that somebody else owns once it exists",
    "[{ field = \"uses\", reason = \"set by hand\" }]",
);

const IGNORED: Keys = Keys {
    what: "an ignored field",
    keys: &[
        Key::new("field", FILLED, "which field, and everything below it", "\"replicas\"")
            .required(),
        Key::new("reason", FILLED, "why hive leaves it alone", "\"scaled by hand\"").required(),
    ],
    one_of: &[],
    only_with: &[],
};

/// `[service.NAME]`.
pub(crate) const SERVICE: Keys = Keys {
    what: "a service",
    keys: &[
        Key::new(
            "replicas",
            Type::Int(0, 1000),
            "how many of it run; with 0 it is declared and does not run",
            "3",
        )
        .filled("1"),
        Key::new(
            "ports",
            Type::Map(Shape::Name, &Type::Int(1, 65535)),
            "the ports it listens on inside its own network, by name; processes share one network: \
             there each replica gets free ports, and is told by `HIVE_PORT_HTTP` and the like",
            "{ web = 8081 }",
        ),
        Key::new(
            "environment",
            Type::Map(Shape::EnvName, &Type::Scalar),
            "its environment variables",
            "{ LOG_LEVEL = \"debug\" }",
        )
        .takes(Secrets),
        Key::new(
            "files",
            Type::Map(Shape::Inside, &Type::Text(Shape::ConfigAddress)),
            "the files it reads: where each stands, and which config it is",
            "{ \"/etc/api.toml\" = \"config.settings\" }",
        ),
        Key::new(
            "health",
            Type::Table(&HEALTH),
            "when it is healthy; without it, when it runs",
            "{ http = \"/healthz\", grace = \"30s\" }",
        ),
        Key::new(
            "rollout",
            Type::Table(&ROLLOUT),
            "how a new version goes out",
            "{ timeout = \"2m\", verify = [\"check.smoke\"] }",
        ),
        Key::new(
            "process",
            Type::Table(&SERVICE_PROCESS),
            "how it runs on the process platform",
            "{ command = [\"./server\", \"--verbose\"] }",
        )
        .required(),
        USES,
        PROTECT,
        IGNORE,
        Key::later("image", "the container image that it runs"),
        Key::later("cpu", "how much processor it gets"),
        Key::later("memory", "how much memory it gets"),
        Key::later("ecs", "what only ECS has"),
        Key::later("kubernetes", "what only Kubernetes has"),
    ],
    one_of: &[],
    only_with: &[],
};

const HEALTH: Keys = Keys {
    what: "a health condition",
    keys: &[
        Key::new(
            "http",
            Type::Text(Shape::HttpPath),
            "this path answers with a status from 200 to 399",
            "\"/healthz\"",
        ),
        Key::new("tcp", Type::Bool, "its port takes connections", "true"),
        Key::new("command", COMMAND, "this command ends with 0", "[\"./healthy\"]"),
        Key::new(
            "port",
            Type::Text(Shape::Name),
            "which of its ports is asked; where it has one port, that",
            "\"http\"",
        ),
        Key::new("every", Type::Duration(1), "how often it is asked", "\"2s\"").default("\"1s\""),
        Key::new(
            "grace",
            Type::Duration(1),
            "how long after its start until it must be healthy",
            "\"30s\"",
        )
        .default("\"30s\""),
    ],
    one_of: &[&["http", "tcp", "command"]],
    only_with: &[("port", &["http", "tcp"])],
};

const ROLLOUT: Keys = Keys {
    what: "a rollout",
    keys: &[
        Key::new(
            "timeout",
            Type::Duration(1),
            "how long a rollout may take until it counts as failed; by default what its replicas may \
             take one after another",
            "\"10m\"",
        ),
        Key::new(
            "verify",
            Type::List(&Type::Text(Shape::CheckAddress), 0),
            "checks that must hold after the rollout, before its users go on",
            "[\"check.smoke\"]",
        ),
        Key::later("watch", "how long its alerts must stay quiet after a rollout"),
    ],
    one_of: &[],
    only_with: &[],
};

const SERVICE_PROCESS: Keys = Keys {
    what: "`process`",
    keys: &[
        Key::new(
            "command",
            COMMAND,
            "the program, by path from `directory` or by name from `PATH`, and its arguments; a \
             secret may not stand in it, as everybody on the machine can read arguments",
            "[\"./server\", \"--port\", \"http\"]",
        )
        .takes(Outputs)
        .required(),
        Key::new("directory", FILLED, "where it runs, relative to the stack's folder", "\"bin\"")
            .default("\".\""),
        Key::new(
            "stop",
            Type::Table(&STOP),
            "how it is asked to end",
            "{ signal = \"INT\", grace = \"5s\" }",
        ),
        Key::new(
            "ports",
            Type::Map(Shape::Name, &Type::Int(1, 65535)),
            "fixed ports for some of its `ports`, by name; then it has one replica at most",
            "{ http = 8080 }",
        ),
    ],
    one_of: &[],
    only_with: &[],
};

const STOP: Keys = Keys {
    what: "`stop`",
    keys: &[
        Key::new(
            "signal",
            Type::Choice(&["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"]),
            "the signal that asks it to end",
            "\"INT\"",
        )
        .default("\"TERM\""),
        Key::new("grace", Type::Duration(0), "how long until it is killed", "\"5s\"")
            .default("\"10s\""),
    ],
    one_of: &[],
    only_with: &[],
};

/// `[config.NAME]`.
pub(crate) const CONFIG: Keys = Keys {
    what: "a config",
    keys: &[
        Key::new(
            "source",
            FILLED,
            "the file that holds the content, relative to the stack's folder; UTF-8, 1 MiB at most",
            "\"settings.toml\"",
        ),
        Key::new(
            "content",
            TEXT,
            "the content itself; it may refer to outputs, and not to secrets",
            "\"level = 3\\n\"",
        )
        .takes(Outputs),
        Key::new("mode", Type::Text(Shape::Mode), "the file's permissions", "\"0600\"")
            .filled("\"0644\""),
        Key::new(
            "path",
            FILLED,
            "where the file is written, relative to the stack's folder; where absent, hive \
             chooses a place and tells it by the output `path`",
            "\"out/settings.toml\"",
        ),
        USES,
        PROTECT,
        IGNORE,
    ],
    one_of: &[&["source", "content"]],
    only_with: &[],
};

/// `[check.NAME]`.
pub(crate) const CHECK: Keys = Keys {
    what: "a check",
    keys: &[
        Key::new(
            "http",
            Type::Text(Shape::Url),
            "this url answers, with a status from 200 to 399 or the one of `status`",
            "\"http://localhost:8080/healthz\"",
        )
        .takes(Secrets),
        Key::new("status", Type::Int(100, 599), "the one status that the answer must have", "204"),
        Key::new(
            "tcp",
            Type::Text(Shape::HostPort),
            "this host and port take connections",
            "\"localhost:5432\"",
        )
        .takes(Outputs),
        Key::new("command", COMMAND, "this command, run once, ends with 0", "[\"./smoke\"]")
            .takes(Outputs),
        Key::new(
            "environment",
            Type::Map(Shape::EnvName, &Type::Scalar),
            "the command's environment variables",
            "{ LEVEL = \"full\" }",
        )
        .takes(Secrets),
        Key::new(
            "directory",
            FILLED,
            "where the command runs, relative to the stack's folder",
            "\"bin\"",
        )
        .default("\".\""),
        Key::new("timeout", Type::Duration(1), "how long until it must hold", "\"2m\"")
            .filled("\"30s\""),
        Key::new("every", Type::Duration(1), "how often it is tried until then", "\"5s\"")
            .filled("\"1s\""),
        USES,
        PROTECT,
        IGNORE,
        Key::later("kafka", "brokers answer and topics exist"),
        Key::later("database", "a database answers"),
        Key::later("metric", "a metric stays within bounds"),
    ],
    one_of: &[&["http", "tcp", "command"]],
    only_with: &[("status", &["http"]), ("environment", &["command"]), ("directory", &["command"])],
};

/// `[alert.NAME]`.
pub(crate) const ALERT: Keys = Keys {
    what: "an alert",
    keys: &[
        Key::new(
            "expr",
            FILLED,
            "the PromQL expression: the alert fires for each series that it yields",
            "\"up == 0\"",
        )
        .required(),
        Key::new("for", Type::Duration(0), "how long it must hold until it fires", "\"5m\"")
            .filled("\"0s\""),
        Key::new("severity", FILLED, "how bad it is, as a label", "\"page\"").filled("\"warning\""),
        Key::new(
            "service",
            Type::Text(Shape::Name),
            "the name of the service that it watches, as a label",
            "\"api\"",
        ),
        Key::new("summary", FILLED, "what it means to a person", "\"api is down\""),
        Key::new("labels", Type::Map(Shape::EnvName, &TEXT), "more labels", "{ team = \"shop\" }"),
        Key::new(
            "annotations",
            Type::Map(Shape::EnvName, &TEXT),
            "more annotations",
            "{ runbook = \"docs/api.md\" }",
        ),
        USES,
        PROTECT,
        IGNORE,
        Key::later("class", "an expression that hive writes: service-down, error-rate, …"),
        Key::later("objective", "what a class is measured against"),
    ],
    one_of: &[],
    only_with: &[],
};

/// `[notify.NAME]`.
pub(crate) const NOTIFY: Keys = Keys {
    what: "a notify",
    keys: &[
        Key::new(
            "webhook",
            Type::Text(Shape::Url),
            "the url to which a JSON document is posted",
            "{ env = \"WEBHOOK\" }",
        )
        .takes(Secrets),
        Key::new(
            "command",
            COMMAND,
            "the command that is given the document on its standard input",
            "[\"./tell\"]",
        ),
        Key::new(
            "on",
            Type::List(&Type::Choice(ENDINGS), 1),
            "of what it hears",
            "[\"failed\", \"halted\"]",
        )
        .filled("[\"applied\", \"failed\", \"rolled-back\", \"halted\", \"interrupted\"]"),
        USES,
        PROTECT,
        IGNORE,
        Key::later("slack", "a Slack webhook"),
        Key::later("email", "an address"),
    ],
    one_of: &[&["webhook", "command"]],
    only_with: &[],
};

const ENDINGS: &[&str] = &["applied", "failed", "rolled-back", "halted", "interrupted"];
