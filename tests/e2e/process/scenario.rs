//! The stacks that the process tests use.

/// Two services, one of which needs the other, a config, a check and an alert, at a version.
pub fn shop(version: &str) -> String {
    format!(
        r#"
[stack]
name = "{{name}}"

[config.settings]
content = "version = {version}\n"

[service.orders]
replicas = 2
ports = {{ http = 8080 }}
environment = {{ VERSION = "{version}", START_LOG = "{{log}}" }}
files = {{ "/etc/settings.toml" = "config.settings" }}
health = {{ http = "/healthz", every = "50ms", grace = "20s" }}
process = {{ command = ["witness"], stop = {{ grace = "2s" }} }}

[service.front]
ports = {{ http = 8080 }}
environment = {{ VERSION = "{version}", START_LOG = "{{log}}", ORDERS = {{ from = "service.orders.url" }} }}
health = {{ http = "/healthz", every = "50ms", grace = "20s" }}
process = {{ command = ["witness"], stop = {{ grace = "2s" }} }}
rollout = {{ verify = ["check.smoke"] }}

[check.smoke]
http = {{ format = "{{url}}/", url = {{ from = "service.front.url" }} }}
timeout = "10s"
every = "50ms"

[alert.front-down]
expr = "up{{job=\"front\"}} == 0"
for = "5m"
severity = "page"
service = "front"
summary = "{version}"
"#
    )
}

/// The same, with a front that never becomes healthy.
pub fn broken(version: &str) -> String {
    let (before, front) = shop(version)
        .split_once("[service.front]")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a front");
    let front = front.replacen("environment = { ", "environment = { BROKEN = \"1\", ", 1).replacen(
        "grace = \"20s\"",
        "grace = \"1s\"",
        1,
    );
    format!("{before}[service.front]{front}")
}
