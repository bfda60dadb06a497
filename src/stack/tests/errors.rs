//! What a wrong stack gets: file, line, column, message and what to do.

use super::{folder, parse, read, shown};
use std::collections::BTreeMap;

/// The problems of this text behind `[stack]` and a name, so that it begins in line 3.
fn problems(text: &str) -> String {
    of(&[("stack.toml", &format!("[stack]\nname = \"s\"\n{text}"))], "dev")
}

fn of(files: &[(&str, &str)], environment: &str) -> String {
    let folder = folder(files);
    let Err(problems) = read(folder.path(), environment) else { return "nothing\n".to_owned() };
    shown(&problems).replace(folder.path().to_str().expect("text"), "HERE")
}

/// Each case with what it gets; all are compared, so that a change shows all that it changes.
fn check(cases: &[(&str, &str)]) {
    let wrong: String = cases
        .iter()
        .map(|(text, expected)| (text, problems(text), expected))
        .filter(|(_, seen, expected)| seen.trim_end() != expected.trim())
        .map(|(text, seen, expected)| format!("--- {text}\nseen: {seen}\nexpected: {expected}\n"))
        .collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn keys_and_kinds_that_are_not_known_or_not_built() {
    check(&[
        (
            "[service.api]\nreplica = 2\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:1: `replica` is not a key of a service (did you mean `replicas`?)",
        ),
        (
            "[service.api]\nimage = \"x\"\ncpu = \"1\"\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:1: `image` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)\nstack.toml:5:1: `cpu` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)",
        ),
        (
            "[service.api]\nrollout = { watch = \"5m\" }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:13: `watch` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)",
        ),
        (
            "[image.main]\ntag = \"1\"\n",
            "stack.toml:3:1: `image` is not in this version (hive knows this kind and does nothing with it yet, so it refuses it: take it away)",
        ),
        (
            "[servce.x]\n",
            "stack.toml:3:2: `servce` is neither a kind nor a section (did you mean `service`?)",
        ),
        (
            "[thing.x]\n",
            "stack.toml:3:2: `thing` is neither a kind nor a section (the kinds are `service`, `config`, `check`, `alert`, `notify`, `database`, `migrations`, `backup`)",
        ),
        (
            "[platform.docker]\n",
            "stack.toml:3:11: `docker` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)",
        ),
        (
            "[state]\ns3 = {}\n",
            "stack.toml:4:1: `s3` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)",
        ),
        (
            "[environment]\napprovals = 1\n",
            "stack.toml:4:1: `approvals` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)",
        ),
        (
            "[service]\nreplicas = 1\n",
            "stack.toml:4:1: `replicas` is a key of a service, which has no name here (give it one, as in `[service.api]`)",
        ),
        (
            "[config.Bad]\ncontent = \"\"\n",
            "stack.toml:3:9: `Bad` is not a name: use lower-case letters, digits and `-`, begin with a letter, at most 63",
        ),
        (
            "[config.\"a.b\"]\ncontent = \"\"\n",
            "stack.toml:3:9: `a.b` is not a name: use lower-case letters, digits and `-`, begin with a letter, at most 63",
        ),
        (
            "[defaults.servic]\n",
            "stack.toml:3:11: `servic` is not a key of `[defaults]` (did you mean `service`?)",
        ),
        (
            "[defaults.image]\n",
            "stack.toml:3:11: `image` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)",
        ),
        (
            "[defaults.service]\nreplica = 1\n",
            "stack.toml:4:1: `replica` is not a key of a service (did you mean `replicas`?)",
        ),
        (
            "[check.a]\nkafka = {}\n",
            "stack.toml:4:1: `kafka` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)",
        ),
    ]);
}

#[test]
fn values_of_another_type() {
    check(&[
        (
            "[service.a]\nreplicas = \"three\"\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:12: `replicas` must be a whole number from 0 to 1000, and here stands the text `three`",
        ),
        (
            "[service.a]\nreplicas = 1.5\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:12: `replicas` must be a whole number from 0 to 1000, and here stands a number with a point",
        ),
        (
            "[service.a]\nreplicas = -1\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:12: `replicas` must be a whole number from 0 to 1000, and here stands the number `-1`",
        ),
        (
            "[service.a]\nreplicas = 99999999999999999999\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:12: `replicas` must be a whole number from 0 to 1000, and here stands a number that is too large",
        ),
        (
            "[service.a]\nports = { http = 70000 }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:18: `http` must be a whole number from 1 to 65535, and here stands the number `70000`",
        ),
        (
            "[service.a]\nports = [80]\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:9: `ports` must be a table, each value a whole number from 1 to 65535, and here stands a list",
        ),
        (
            "[service.a]\nenvironment = { \"A-B\" = [1] }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:17: the key `A-B` must be a variable's name of letters, digits and `_`\nstack.toml:4:25: `A-B` must be text, a whole number, or `true` or `false`, and here stands a list",
        ),
        (
            "[service.a]\nfiles = { \"etc/x\" = \"config\" }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:11: the key `etc/x` must be an absolute path without `..` such as `/etc/api.toml`\nstack.toml:4:21: `etc/x` must be the address of a config such as `config.api`, and here stands the text `config`",
        ),
        (
            "[service.a]\nprotect = \"yes\"\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:11: `protect` must be `true` or `false`, and here stands the text `yes`",
        ),
        (
            "[service.a]\nprocess = { command = [] }\n",
            "stack.toml:4:23: `command` must have something in it",
        ),
        (
            "[service.a]\nprocess = { command = \"sh\" }\n",
            "stack.toml:4:23: `command` must be a list with something in it, each text, and here stands the text `sh`",
        ),
        (
            "[service.a]\nprocess = { command = [\"sh\", 1] }\n",
            "stack.toml:4:30: this must be text, and here stands the number `1`",
        ),
        (
            "[service.a]\nprocess = { command = [\"sh\"], stop = { signal = \"STOP\", grace = \"5\" } }\n",
            "stack.toml:4:49: `signal` must be `TERM`, `INT`, `QUIT`, `HUP`, `USR1`, `USR2` or `KILL`, and here stands the text `STOP`\nstack.toml:4:65: `grace` must be a duration such as `\"30s\"`, `\"5m\"`, `\"26h\"`, and here stands the text `5`",
        ),
        (
            "[service.a]\n",
            "stack.toml:3:1: `service.a` has no `process` (add it, as in `process = { command = [\"./server\", \"--verbose\"] }`)",
        ),
        (
            "[service.a]\nprocess = {}\n",
            "stack.toml:4:11: `process` has no `command` (add it, as in `command = [\"./server\", \"--port\", \"http\"]`)",
        ),
        (
            "[check.a]\ntcp = \"localhost\"\ntimeout = \"30\"\nevery = \"0s\"\n",
            "stack.toml:4:7: `tcp` must be a host and a port such as `localhost:5432`, and here stands the text `localhost`\nstack.toml:5:11: `timeout` must be a duration above zero such as `\"30s\"`, `\"5m\"`, `\"26h\"`, and here stands the text `30`\nstack.toml:6:9: `every` must be a duration above zero such as `\"30s\"`, `\"5m\"`, `\"26h\"`, and here stands the text `0s`",
        ),
        (
            "[check.a]\nhttp = \"localhost:80\"\nstatus = 42\n",
            "stack.toml:4:8: `http` must be a url that begins with `http://` or `https://`, and here stands the text `localhost:80`\nstack.toml:5:10: `status` must be a whole number from 100 to 599, and here stands the number `42`",
        ),
        (
            "[config.a]\ncontent = 1979-05-27\nmode = \"0999\"\n",
            "stack.toml:4:11: `content` must be text, and here stands a date or time without quotes\nstack.toml:5:8: `mode` must be permissions in octal such as `0644`, and here stands the text `0999`",
        ),
        (
            "[notify.a]\ncommand = [\"sh\"]\non = [\"done\"]\n",
            "stack.toml:5:7: this must be `applied`, `failed`, `rolled-back`, `halted` or `interrupted`, and here stands the text `done`",
        ),
        (
            "[platform.process]\nports = \"9-1\"\n",
            "stack.toml:4:9: `ports` must be two ports, the lower first, such as `20000-29999`, and here stands the text `9-1`",
        ),
        (
            "[environment]\nwindow = { days = [\"Mo\"], from = \"9:00\" }\n",
            "stack.toml:4:10: a window has no `to` (add it, as in `to = \"16:00\"`)\nstack.toml:4:20: this must be `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat` or `Sun`, and here stands the text `Mo`\nstack.toml:4:34: `from` must be a time of day such as `09:00`, and here stands the text `9:00`",
        ),
        (
            "[config]\na = 3\n",
            "stack.toml:4:5: `config.a` must be a table with the keys of a config, and here stands the number `3`",
        ),
        (
            "[[service]]\n",
            "stack.toml:3:1: `service` must be a table, and here stands a list (declare one by its name, as in `[service.api]`)",
        ),
        (
            "[[defaults]]\n",
            "stack.toml:3:1: `defaults` must be a table with the keys of `[defaults]`, and here stands a list",
        ),
        (
            "[[config.a]]\ncontent = \"x\"\n",
            "stack.toml:3:1: `config.a` must be a table with the keys of a config, and here stands a list",
        ),
        (
            "[service.a]\nuses = [\"api\"]\nignore = [{ field = \"replicas\" }]\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:9: this must be an address such as `service.api`, and here stands the text `api`\nstack.toml:5:11: an ignored field has no `reason` (add it, as in `reason = \"scaled by hand\"`)",
        ),
    ]);
}

#[test]
fn references_to_nothing() {
    check(&[
        (
            "[service.api]\nuses = [\"check.reddy\"]\nprocess = { command = [\"sh\"] }\n[check.ready]\ntcp = \"a:1\"\n",
            "stack.toml:4:9: `check.reddy` is not declared (did you mean `check.ready`?)",
        ),
        (
            "[service.api]\nenvironment = { U = { from = \"service.ordrs.url\" } }\nprocess = { command = [\"sh\"] }\n[service.orders]\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:30: `service.ordrs` is not declared (did you mean `service.orders`?)",
        ),
        (
            "[service.api]\nenvironment = { U = { from = \"service.orders\" }, V = { from = \"Service.x.url\" } }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:30: `service.orders` names no output (write the address and one of its outputs, as in `{ from = \"service.api.url\" }`)\nstack.toml:4:63: `Service` is not a name: use lower-case letters, digits and `-`, begin with a letter, at most 63",
        ),
        (
            "[service.api]\nfiles = { \"/a\" = \"config.b\" }\nrollout = { verify = [\"check.b\"] }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:18: `config.b` is not declared (declare it as `[config.b]`, or name what is declared)\nstack.toml:5:23: `check.b` is not declared (declare it as `[check.b]`, or name what is declared)",
        ),
        (
            "[alert.a]\nexpr = \"x\"\nservice = \"b\"\n",
            "stack.toml:5:11: `service.b` is not declared (declare it as `[service.b]`, or name what is declared)",
        ),
        (
            "[variables]\nlevel = { default = 1 }\n[config.a]\ncontent = { var = \"levle\" }\n",
            "stack.toml:6:19: there is no variable `levle` (did you mean `level`?)",
        ),
        (
            "[variables]\nlevel = { type = \"number\" }\nother = { type = \"bool\", default = 3 }\nbad = { type = \"list\" }\n",
            "stack.toml:4:1: the variable `level` has no value (give it by `--var level=…` or `HIVE_VAR_LEVEL`, or give it a `default`)\nstack.toml:5:36: the default must be `true` or `false`, and here stands the number `3`\nstack.toml:6:1: the variable `bad` has no value (give it by `--var bad=…` or `HIVE_VAR_BAD`, or give it a `default`)\nstack.toml:6:16: `type` must be `text`, `number` or `bool`, and here stands the text `list`",
        ),
        (
            "[variables]\nlevel = { default = 1 }\n[config.a]\nmode = { var = \"level\" }\ncontent = \"\"\n",
            "stack.toml:6:8: this must be permissions in octal such as `0644`, and the variable `level` is the number `1` (give it another value, by `--var level=…`)",
        ),
        (
            "[config.a]\ncontent = { env = \"X\" }\n",
            "stack.toml:4:11: a secret may not stand here (secrets stand in `environment` of services and checks, in `http` of checks, in `webhook`, in the urls of databases, and in `s3` and `encrypt` of backups)",
        ),
        (
            "[config.a]\ncontent = \"\"\nmode = { from = \"config.a.digest\" }\n",
            "stack.toml:5:8: an output may not stand here: this must be known before anything is planned (write the value, or take it from a variable)",
        ),
        (
            "[service.a]\nenvironment = { A = { env = \"A\", from = \"x\" }, B = { env = \"B\", pinn = true }, C = { env = \"C D\" }, D = { env = 1 }, E = { secret = \"aws:x\" }, F = { file = \"\" }, G = { env = \"G\", pin = 1 }, H = { x = 1 } }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:21: `from` and `env` exclude each other\nstack.toml:4:65: `pinn` is not a key of a reference with `env` (did you mean `pin`?)\nstack.toml:4:84: `env` must be a variable's name of letters, digits and `_`\nstack.toml:4:113: `env` must be text, and here stands the number `1`\nstack.toml:4:124: `secret` is not in this version (hive knows this key and does nothing with it yet, so it refuses it: take it away)\nstack.toml:4:157: `file` is empty\nstack.toml:4:186: `pin` must be `true` or `false`, and here stands the number `1`\nstack.toml:4:195: `H` must be text, a whole number, or `true` or `false`, and here stands a table",
        ),
        (
            "[config.a]\ncontent = { format = \"{a} {b\", a = 1 }\n",
            "stack.toml:4:22: the format has a `{` without its partner: write `{{` for a plain one",
        ),
        (
            "[config.a]\ncontent = { format = \"{aa}\", ab = 1 }\n",
            "stack.toml:4:22: the format names `{aa}`, which has no value (did you mean `ab`?)",
        ),
        (
            "[config.a]\ncontent = { format = \"x\", ab = 1 }\n",
            "stack.toml:4:27: `ab` does not stand in the format",
        ),
        (
            "[config.a]\ncontent = { format = \"{a}\", a = [1] }\n",
            "stack.toml:4:33: `a` must be text, a number, a truth value or a reference, and here stands a list",
        ),
        (
            "[config.a]\ncontent = { format = \"{a}\", a = { env = \"X\" } }\n",
            "stack.toml:4:33: a secret may not stand here (secrets stand in `environment` of services and checks, in `http` of checks, in `webhook`, in the urls of databases, and in `s3` and `encrypt` of backups)",
        ),
        (
            "[config.a]\ncontent = { stack = \"../x\" }\n",
            "stack.toml:4:11: a reference to another stack needs an `output` (as in `{ stack = \"../other\", output = \"service.api.url\" }`)",
        ),
        (
            "[config.a]\ncontent = { stack = \"../x\", output = \"a.b\" }\n",
            "stack.toml:4:38: `a.b` names no output (as in `service.api.url`)",
        ),
        (
            "[service.a]\nprocess = { command = [\"sh\", { env = \"TOKEN\" }] }\n",
            "stack.toml:4:30: a secret may not stand here (secrets stand in `environment` of services and checks, in `http` of checks, in `webhook`, in the urls of databases, and in `s3` and `encrypt` of backups)",
        ),
    ]);
}

#[test]
fn rules_between_keys_and_between_resources() {
    check(&[
        (
            "[config.a]\nsource = \"x\"\ncontent = \"x\"\n",
            "stack.toml:5:1: `source` and `content` exclude each other (keep one; an environment takes the other away by `[environment] remove`, as in `config.a.source`) [stack.toml:4:1: `source` stands here]",
        ),
        (
            "[config.a]\nmode = \"0600\"\n",
            "stack.toml:3:1: `config.a` needs one of `source` or `content`",
        ),
        (
            "[config.a]\nsource = \"gone.toml\"\n",
            "stack.toml:4:10: `gone.toml` does not exist (the path is relative to the stack's folder)",
        ),
        (
            "[check.a]\ntcp = \"a:1\"\nstatus = 200\ndirectory = \"x\"\n",
            "stack.toml:5:1: `status` says something only beside `http`\nstack.toml:6:1: `directory` says something only beside `command`",
        ),
        (
            "[service.a]\nhealth = { http = \"/\" }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:10: health is asked at a port, and the service has none (declare one, as in `ports = { http = 8080 }`)",
        ),
        (
            "[service.a]\nports = { a = 1, b = 2 }\nhealth = { tcp = true }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:5:10: the service has 2 ports, and health does not say at which (add `port = …` to `health`)",
        ),
        (
            "[service.a]\nports = { http = 1 }\nhealth = { tcp = false, port = \"htp\" }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:5:18: `tcp` can only be `true` (take `health` away where nothing is to be asked)\nstack.toml:5:32: `service.a` has no port `htp` (did you mean `http`?)",
        ),
        (
            "[service.a]\nports = { http = 1 }\nhealth = { http = \"/\", command = [\"x\"] }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:5:24: `http` and `command` exclude each other (keep one; an environment takes the other away by `[environment] remove`, as in `service.a.health.http`) [stack.toml:5:12: `http` stands here]",
        ),
        (
            "[service.a]\nhealth = { grace = \"1s\" }\nprocess = { command = [\"sh\"] }\n",
            "stack.toml:4:10: a health condition needs one of `http`, `tcp` or `command`",
        ),
        (
            "[service.a]\nreplicas = 2\nports = { http = 80 }\nprocess = { command = [\"sh\"], ports = { htp = 80 } }\n",
            "stack.toml:6:39: with fixed ports one replica can run, and 2 are declared (take the fixed ports away: each replica then gets free ones)\nstack.toml:6:47: `service.a` has no port `htp` (did you mean `http`?)",
        ),
        (
            "[service.a]\nports = { http = 80 }\nprocess = { command = [\"sh\"], ports = { http = 80 } }\n[service.b]\nports = { http = 80 }\nprocess = { command = [\"sh\"], ports = { http = 80 } }\n",
            "stack.toml:8:48: `service.b` and `service.a` both claim port 80 [stack.toml:5:48: `service.a` claims it here]",
        ),
        (
            "[config.a]\ncontent = \"\"\npath = \"./x\"\n[config.b]\ncontent = \"\"\npath = \"x\"\n",
            "stack.toml:8:8: `config.b` and `config.a` both claim the file `x` [stack.toml:5:8: `config.a` claims it here]",
        ),
        (
            "[check.a]\ncommand = [\"no-such-program\"]\n[check.b]\ncommand = [\"./gone.sh\"]\n",
            "stack.toml:4:12: there is no program `no-such-program` on PATH (put it on PATH, or write a path with `/`, relative to `directory`)\nstack.toml:6:12: there is no program `./gone.sh` in `HERE` (the path is relative to `directory`, and the file must be executable)",
        ),
        (
            "[environment]\nremove = [\"config.a\"]\n",
            "stack.toml:4:1: `remove` stands in `stack.toml`, which is every environment's (put it into the file of the environment that does not have these)",
        ),
    ]);
}

#[test]
fn what_is_no_toml() {
    check(&[
        (
            "[config.a]\ncontent = \"x\"\n[config.a]\ncontent = \"y\"\n",
            "stack.toml:5:9: `[config.a]` stands here again (take one of the two away, or give it another name)",
        ),
        (
            "[config.a]\ncontent = \"x\"\ncontent = \"y\"\n",
            "stack.toml:5:1: the key `content` stands in this table twice (take one of the two away, or give it another name)",
        ),
        (
            "[config.a]\ncontent = { format = \"{a}\", a = 1, a = 2 }\n",
            "stack.toml:4:36: the key `a` stands in this table twice (take one of the two away, or give it another name)",
        ),
        ("[config.a\n", "stack.toml:3:10: this is not TOML: unclosed table, expected `]`"),
        (
            "a = \n",
            "stack.toml:3:5: this is not TOML: string values must be quoted, expected literal string",
        ),
        ("x = \"é\n", "stack.toml:3:7: this is not TOML: invalid basic string, expected `\"`"),
        (
            "é = 1\n",
            "stack.toml:3:1: this is not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`",
        ),
        (
            "a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
            "stack.toml:3:37: tables and lists are nested deeper than 32 here",
        ),
    ]);
}

#[test]
fn cycles_show_each_of_their_lines() {
    check(&[
        (
            "[config.a]\ncontent = { from = \"config.b.digest\" }\n[config.b]\ncontent = { format = \"{x}\", x = { from = \"config.a.digest\" } }\n",
            "stack.toml:4:11: these wait for each other: `config.a` → `config.b` → `config.a` (take one of these away: what is needed first cannot need what comes after it) [stack.toml:6:33: `config.b` needs `config.a`]",
        ),
        (
            "[config.a]\ncontent = { from = \"config.a.digest\" }\n",
            "stack.toml:4:11: `config.a` needs itself (take one of these away: what is needed first cannot need what comes after it)",
        ),
        (
            "[service.a]\nuses = [\"service.b\"]\nprocess = { command = [\"sh\"] }\n[service.b]\nfiles = { \"/x\" = \"config.c\" }\nprocess = { command = [\"sh\"] }\n[config.c]\ncontent = { from = \"service.a.url\" }\n",
            "stack.toml:10:11: these wait for each other: `config.c` → `service.a` → `service.b` → `config.c` (take one of these away: what is needed first cannot need what comes after it) [stack.toml:4:9: `service.a` needs `service.b`] [stack.toml:7:18: `service.b` needs `config.c`]",
        ),
        (
            "[service.a]\nrollout = { verify = [\"check.smoke\"] }\nprocess = { command = [\"sh\"] }\n[service.web]\nuses = [\"service.a\"]\nprocess = { command = [\"sh\"] }\n[check.smoke]\nhttp = { from = \"service.web.url\" }\n",
            "stack.toml:10:8: these wait for each other: `check.smoke` → `service.web` → `check.smoke` (take one of these away: what is needed first cannot need what comes after it) [stack.toml:7:9: `service.web` needs `service.a`, which is verified by `check.smoke`]",
        ),
        (
            "[service.a]\nuses = [\"check.smoke\"]\nrollout = { verify = [\"check.smoke\"] }\nprocess = { command = [\"sh\"] }\n[check.smoke]\ntcp = \"a:1\"\n",
            "stack.toml:5:23: these wait for each other: `check.smoke` → `service.a` → `check.smoke` (take one of these away: what is needed first cannot need what comes after it) [stack.toml:4:9: `service.a` needs `check.smoke`]",
        ),
        (
            "[service.a]\nrollout = { verify = [\"check.x\", \"check.y\"] }\nprocess = { command = [\"sh\"] }\n[check.x]\nhttp = { from = \"service.a.url\" }\n[check.y]\nhttp = { from = \"service.a.url\" }\n",
            "nothing",
        ),
    ]);
}

#[test]
fn files_that_cannot_be_read() {
    let stack = "[stack]\nname = \"s\"\n";
    let gone = of(&[("staging.toml", "")], "dev");
    assert_eq!(
        gone,
        "there is no stack here: `HERE/stack.toml` does not exist (begin one with `hive init HERE`)\n"
    );
    let files = [("stack.toml", stack), ("staging.toml", ""), ("prod.toml", ""), ("x.json", "")];
    assert_eq!(
        of(&files, "stagin"),
        "there is no environment `stagin`: `HERE/stagin.toml` does not exist (did you mean \
         `staging`? environments here are `dev`, `prod`, `staging`)\n"
    );
    assert_eq!(of(&[("stack.toml/x", "")], "dev"), "`HERE/stack.toml` is not a file\n");
    let large = "#".repeat(10 * 1024 * 1024);
    assert_eq!(
        of(&[("stack.toml", &large), ("dev.toml", "x\0")], "dev"),
        "`HERE/stack.toml` is 10485760 bytes large; at most 1048576 are allowed\n\
         dev.toml:1:2: this is not text: a NUL byte stands here (`HERE/dev.toml` must be UTF-8 \
         text)\n"
    );
    assert_eq!(
        of(&[("stack.toml", &format!("{stack}[config.a]\nsource = \"x\"")), ("x", "a\0")], "dev"),
        "stack.toml:4:10: `x` is not text: a NUL byte at byte 1 (a config must be UTF-8 text)\n"
    );
    assert_eq!(
        of(&[("stack.toml", "")], "dev"),
        "stack.toml:1:1: there is no `[stack]` (begin the file with `[stack]` and `name = \"…\"`)\n"
    );
    assert_eq!(
        of(&[("stack.toml", "\n[stack]\n")], "dev"),
        "stack.toml:2:1: `[stack]` has no `name` (add it, as in `name = \"shop\"`)\n"
    );
    assert_eq!(
        of(&[("stack.toml", stack)], "Dev"),
        "the environment: `Dev` is not a name: use lower-case letters, digits and `-`, begin with \
         a letter, at most 63 (give it by `-e`, as in `-e staging`)\n"
    );
}

#[test]
fn garbage_is_shown_by_line_and_column() {
    let folder = folder(&[]);
    let path = folder.path().join("stack.toml");
    std::fs::write(&path, b"[stack]\nname = \"\xc3\xa9\xff\"\n").expect("written");
    let problems = read(folder.path(), "dev").expect_err("it is wrong");
    assert!(
        shown(&problems)
            .starts_with("stack.toml:2:10: this is not text: a byte that is not UTF-8 stands here")
    );
    let at = problems[0].at.as_ref().expect("a place");
    assert_eq!(&at.text[at.start..at.end], "\u{fffd}");
    let random: Vec<u8> =
        (0..100_000_u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&path, random).expect("written");
    assert_eq!(read(folder.path(), "dev").expect_err("it is wrong").len(), 1);
}

#[test]
fn an_overlay_is_wrong_in_its_own_file() {
    let stack = "[stack]\nname = \"s\"\n[service.api]\nenvironment = { TRACE = 1 }\nprocess = { command = [\"sh\"] }\n[alert.debug]\nexpr = \"x\"\n";
    let staging = "[environment]\nremove = [\"alert.debg\", \"service.api.environment.TRAC\", \"servic.api\", 3, \"\"]\n[service.api]\nreplicas = \"x\"\nenvironment = 3\n[service.new]\nuses = [\"service.api\"]\n";
    assert_eq!(
        of(&[("stack.toml", stack), ("staging.toml", staging)], "staging"),
        "staging.toml:2:11: there is no `alert.debg` to remove (did you mean `alert.debug`?)\n\
         staging.toml:2:25: there is no `service.api.environment.TRAC` to remove (did you mean \
         `TRACE`?)\n\
         staging.toml:2:57: there is no `servic.api` to remove (did you mean `service.api`?)\n\
         staging.toml:2:71: this must be text, and not empty, and here stands the number `3`\n\
         staging.toml:2:74: this must be text, and not empty, and here stands the text ``\n\
         staging.toml:4:12: `replicas` must be a whole number from 0 to 1000, and here stands the \
         text `x`\n\
         staging.toml:5:15: `environment` must be a table, each value text, a whole number, or \
         `true` or `false`, and here stands the number `3`\n\
         staging.toml:6:1: `service.new` has no `process` (add it, as in `process = { command = \
         [\"./server\", \"--verbose\"] }`)\n"
    );
}

#[test]
fn variables_from_outside_are_checked() {
    let text = "[stack]\nname = \"s\"\n[variables]\ncount = { default = 1 }\n";
    let folder = folder(&[("stack.toml", text)]);
    let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let seen = |vars: &[(&str, &str)], env: &[(&str, &str)]| {
        let parsed = parse(folder.path(), "dev", None, &given(vars), &given(env), None);
        shown(&parsed.expect_err("it is wrong"))
    };
    assert_eq!(
        seen(&[("cuont", "1")], &[("HIVE_VAR_count", "many")]),
        "`--var cuont=…` names no variable of this stack (did you mean `count`?)\n\
         stack.toml:4:1: the variable `count` must be a whole number, and `HIVE_VAR_count` gives \
         the text `many`\n"
    );
    assert_eq!(
        seen(&[("count", "")], &[]),
        "stack.toml:4:1: the variable `count` must be a whole number, and `--var` gives the text ``\n"
    );
}

#[test]
fn ten_thousand_problems_are_told_at_once() {
    let mut text = String::new();
    for number in 0..10_000 {
        text.push_str(&format!(
            "[config.c{number}]\ncontent = {{ from = \"config.d{number}.x\" }}\n"
        ));
    }
    assert_eq!(problems(&text).lines().count(), 10_000);
}

#[test]
fn a_file_cut_or_changed_anywhere_is_a_problem_in_its_file_and_never_a_panic() {
    let whole = super::values::SHOP;
    let folder = folder(super::values::SHOP_FILES);
    let path = folder.path().join("stack.toml");
    let (mut right, mut wrong) = (0, 0);
    for at in (0..whole.len()).step_by(3) {
        let cut = whole[..at].to_owned();
        let mut changed = whole.to_owned();
        changed.replace_range(at..=at, ["é", "[", "\"", ".", "{", "1"][at / 3 % 6]);
        for text in [cut, changed] {
            std::fs::write(&path, &text).expect("written");
            match read(folder.path(), "dev") {
                Ok(_) => right += 1,
                Err(problems) => {
                    wrong += 1;
                    for at in problems.iter().filter_map(|it| it.at.as_ref()) {
                        assert!(at.start <= at.end && at.end <= at.text.len(), "{at:?}");
                        assert!(at.text.is_char_boundary(at.start) && at.line > 0, "{at:?}");
                    }
                }
            }
        }
    }
    assert!(right > 30 && wrong > 300, "{right} {wrong}");
}
