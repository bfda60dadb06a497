//! One declared notice in canonical fields.

use hive_contract::{Declared, Fields, Invalid, LowerScope, Lowered, ReplaceOrder, Sort, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What can be heard of.
const EVENTS: [&str; 5] = ["applied", "failed", "halted", "interrupted", "rolled-back"];

pub(crate) fn lower(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let fields = &declared.fields;
    match (fields.get("webhook"), fields.get("command")) {
        (Some(url), None) => webhook(url, &mut wrong),
        (None, Some(command)) => self::command(command, &mut wrong),
        (None, None) => wrong.push(
            Invalid::at("", "a notice needs somebody to tell")
                .help("give it a `webhook` or a `command`"),
        ),
        (Some(_), Some(_)) => wrong.push(
            Invalid::at("command", "a notice goes one way")
                .help("make a second one for the command"),
        ),
    }
    let on = on(fields, &mut wrong);
    for key in fields.keys() {
        if !["webhook", "command", "on"].contains(&key.as_str()) {
            wrong.push(Invalid::at(key, format!("a notice has no `{key}`")));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut fields = fields.clone();
    fields.insert("on".to_owned(), on);
    Ok(Lowered {
        sort: Sort::Notice,
        identity: format!("{}/{}", scope.owner.environment, declared.address),
        fields,
        outputs: BTreeMap::new(),
        immutable: BTreeSet::new(),
        replace: ReplaceOrder::DeleteFirst,
        ..Lowered::default()
    })
}

fn webhook(url: &Value, wrong: &mut Vec<Invalid>) {
    match url {
        Value::Text(url) if !url.starts_with("http://") && !url.starts_with("https://") => wrong
            .push(
                Invalid::at("webhook", "that is not a url")
                    .help("begin it with http:// or https://"),
            ),
        Value::Text(_) | Value::Output(_) | Value::Format(_) | Value::Secret(_) => {}
        _ => wrong.push(Invalid::at("webhook", "the url is not text")),
    }
}

fn command(command: &Value, wrong: &mut Vec<Invalid>) {
    let words = command.as_list().unwrap_or_default();
    if words.first().is_none_or(|first| first.as_text().is_none_or(str::is_empty)) {
        wrong.push(
            Invalid::at("command", "the command names no program")
                .help("write a list, program first, as in `command = [\"./tell.sh\"]`"),
        );
    }
    if command.has_secret() {
        wrong.push(
            Invalid::at("command", "a secret may not stand among a command's arguments")
                .help("others on the machine can read them: let the command read it itself"),
        );
    }
    if words.iter().any(|word| matches!(word, Value::List(_) | Value::Map(_))) {
        wrong.push(Invalid::at("command", "a command is a list of texts"));
    }
}

/// The events to hear of: each once, in the order of their names; all where nothing is said.
fn on(fields: &Fields, wrong: &mut Vec<Invalid>) -> Value {
    let all = || Value::List(EVENTS.map(Value::from).to_vec());
    let Some(on) = fields.get("on") else { return all() };
    let named = on.as_list().unwrap_or_default();
    if named.is_empty() {
        wrong.push(
            Invalid::at("on", "a notice that hears of nothing")
                .help("leave `on` away to hear of everything"),
        );
    }
    let known = |it: &Value| it.as_text().is_some_and(|event| EVENTS.contains(&event));
    if let Some(unknown) = named.iter().find(|it| !known(it)) {
        let shown = unknown.as_text().unwrap_or("this");
        wrong.push(
            Invalid::at("on", format!("`{shown}` is nothing that happens to an apply"))
                .help(format!("there are {}", EVENTS.join(", "))),
        );
    }
    let once: BTreeSet<Value> = named.iter().cloned().collect();
    Value::List(once.into_iter().collect())
}
