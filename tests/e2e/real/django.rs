//! A foreign application's schema: the SQL of all of Django's contrib apps, there and back.

use crate::lab::Lab;
use hive_parts::{PASSWORD, Postgres, USER, part};
use std::path::Path;
use std::process::Command;

const SETTINGS: &str = r#"
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib." + app for app in
    ("admin", "auth", "contenttypes", "sessions", "messages", "sites", "flatpages", "redirects")]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "DATABASE",
    "USER": "USER", "PASSWORD": "PASSWORD", "HOST": "127.0.0.1", "PORT": "PORT"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SITE_ID = 1
"#;

/// Prints a migration a line: app, name, and the SQL there and back as JSON, in Django's own order.
const SCRIPT: &str = r#"
import io, json
import django
django.setup()
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
loader = MigrationLoader(connection, replace_migrations=False)
order = []
for leaf in sorted(loader.graph.leaf_nodes()):
    for node in loader.graph.forwards_plan(leaf):
        if node not in order:
            order.append(node)
for app, name in order:
    out = []
    for backwards in (False, True):
        text = io.StringIO()
        call_command("sqlmigrate", app, name, backwards=backwards, stdout=text, no_color=True)
        out.append(text.getvalue())
    print(json.dumps([app, name, *out]))
"#;

/// Every migration of the contrib apps: a name, and the SQL there and back. Django itself is asked
/// in a database of its own, in which it then applies them all.
fn migrations(server: &Postgres, database: &str, folder: &Path) -> Vec<(String, String, String)> {
    let settings = SETTINGS
        .replace("DATABASE\"", &format!("{database}\""))
        .replace("\"USER\": \"USER\"", &format!("\"USER\": \"{USER}\""))
        .replace("\"PASSWORD\": \"PASSWORD\"", &format!("\"PASSWORD\": \"{PASSWORD}\""))
        .replace("\"PORT\": \"PORT\"", &format!("\"PORT\": \"{}\"", server.port()));
    std::fs::write(folder.join("settings.py"), settings).expect("writes");
    let python = |arguments: &[&str]| {
        let output = Command::new(part("django").join("bin/python"))
            .args(arguments)
            .env("PYTHONPATH", folder)
            .env("DJANGO_SETTINGS_MODULE", "settings")
            .output()
            .expect("python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // Some of its ways back are made of names that it looks up in the database.
    python(&["-m", "django", "migrate", "--skip-checks", "--verbosity", "0"]);
    let text = python(&["-c", SCRIPT]);
    text.lines()
        .enumerate()
        .map(|(at, line)| {
            let [app, name, up, down]: [String; 4] =
                serde_json::from_str(line).expect("a migration");
            (format!("{:04}_{app}_{name}", at + 1), up, down)
        })
        .collect()
}

/// Without what hive says itself, and whether anything is left.
fn statements(sql: &str) -> (String, bool) {
    let lines: Vec<&str> = sql.lines().filter(|it| !["BEGIN;", "COMMIT;"].contains(it)).collect();
    let any = lines.iter().any(|it| !it.trim().is_empty() && !it.trim_start().starts_with("--"));
    (lines.join("\n") + "\n", any)
}

#[test]
fn all_of_djangos_contrib_apps_are_rehearsed_applied_and_taken_back() {
    let server = Postgres::shared();
    let database = server.database();
    let lab = Lab::new("");
    let stack = "[stack]\nname = \"{name}\"\n\n[environment]\nrollback = \"all\"\n\n\
         [database.main]\nengine = \"postgres\"\nurl = { file = \"secret/url\" }\n";
    lab.write("secret/url", &server.url(&database));
    let with = format!("{stack}\n[migrations.main]\ndatabase = \"main\"\npath = \"migrations\"\n");
    // An empty list is what everything is taken back to.
    lab.write("migrations/.keep", "");
    lab.stack(&with);
    lab.expect(0, &["apply", "-y"]);
    let empty = server.schema(&database);

    let djangos = server.database();
    let all = migrations(server, &djangos, &lab.path("secret"));
    let mut written = 0;
    for (name, up, down) in &all {
        let (up, any) = statements(up);
        // What changes nothing in the database, as another set of choices, is no migration.
        if !any {
            continue;
        }
        written += 1;
        let (down, back) = statements(down);
        lab.write(&format!("migrations/{name}.up.sql"), &up);
        let down = if back { down } else { "SELECT 1;\n".to_owned() };
        lab.write(&format!("migrations/{name}.down.sql"), &down);
    }
    println!("Django: {} migrations, {written} with SQL", all.len());
    assert!(all.len() > 20 && written > 10, "{} and {written}", all.len());

    lab.expect(0, &["migrate", "rehearse"]);
    lab.expect(2, &["plan", "--exit-code"]).says("django_site");
    lab.expect(0, &["apply", "-y"]);
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    let count: u32 = server.psql(&database, tables).parse().expect("a number");
    assert!(count >= 10, "{count} tables");
    // What Django itself makes of them is the same, but for its own history.
    server.psql(&djangos, "DROP TABLE django_migrations");
    assert_eq!(server.schema(&database), server.schema(&djangos));
    lab.expect(0, &["plan", "--exit-code"]);

    lab.expect(0, &["rollback", "--down", "-y"]);
    assert_eq!(server.schema(&database), empty, "all of it is taken back");
}
