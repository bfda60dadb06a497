//! What guards an apply: the stricter of what is recorded and what the plan declares, so that a
//! pull request cannot loosen its own guard.

use hive_contract::{Fields, Value};

const PROTECTED: &str = "protected";
const ON_FAILURE: &str = "on_failure";
const WINDOW: &str = "window";
const MINUTES: u16 = 24 * 60;

/// The guards that hold, from those recorded and those declared.
///
/// `protected` holds where either says it; `on_failure` is `rollback` where either says so; two
/// windows that differ become a list, all of which must be open. Other keys: the recorded value.
pub fn stricter(recorded: &Fields, declared: &Fields) -> Fields {
    let mut guards = declared.clone();
    guards.extend(recorded.clone());
    let either = |key: &str, value: &Value| {
        recorded.get(key) == Some(value) || declared.get(key) == Some(value)
    };
    if either(PROTECTED, &Value::Bool(true)) {
        guards.insert(PROTECTED.to_owned(), Value::Bool(true));
    }
    let rollback = Value::from("rollback");
    if either(ON_FAILURE, &rollback) {
        guards.insert(ON_FAILURE.to_owned(), rollback);
    }
    if let Some(window) = both_windows(recorded, declared) {
        guards.insert(WINDOW.to_owned(), window);
    }
    guards
}

fn both_windows(recorded: &Fields, declared: &Fields) -> Option<Value> {
    let mut all: Vec<Value> = Vec::new();
    for guards in [recorded, declared] {
        for window in windows(guards) {
            if !all.contains(window) {
                all.push(window.clone());
            }
        }
    }
    match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Value::List(all)),
    }
}

fn windows(guards: &Fields) -> &[Value] {
    match guards.get(WINDOW) {
        Some(Value::List(windows)) => windows,
        Some(window) => std::slice::from_ref(window),
        None => &[],
    }
}

/// Whether only a saved, approved plan may be applied.
pub fn protected(guards: &Fields) -> bool {
    guards.get(PROTECTED).and_then(Value::as_bool).unwrap_or(false)
}

/// What a failure leads to, where the guards say.
pub fn on_failure(guards: &Fields) -> Option<super::model::OnFailure> {
    match guards.get(ON_FAILURE)?.as_text()? {
        "halt" => Some(super::model::OnFailure::Halt),
        _ => Some(super::model::OnFailure::Rollback),
    }
}

/// Whether every window is open, on a day (`Mon` to `Sun`) and at a minute of that day, UTC; the
/// first that is shut where one is.
///
/// A window whose end is not after its start goes past midnight and belongs to the day it began.
///
/// # Errors
/// The window that is shut, in words.
pub fn open(guards: &Fields, day: &str, minute: u16) -> Result<(), String> {
    for window in windows(guards) {
        if !window.as_map().is_some_and(|window| is_open(window, day, minute)) {
            return Err(words(window));
        }
    }
    Ok(())
}

fn is_open(window: &Fields, day: &str, minute: u16) -> bool {
    // A time that cannot be read keeps the window shut.
    let (Some(from), Some(to)) = (time(window, "from", 0), time(window, "to", MINUTES)) else {
        return false;
    };
    let on = |day: &str| match window.get("days").and_then(Value::as_list) {
        Some(days) => days.iter().filter_map(Value::as_text).any(|it| same_day(it, day)),
        None => true,
    };
    match from < to {
        true => on(day) && (from..to).contains(&minute),
        false => (on(day) && minute >= from) || (on(before(day)) && minute < to),
    }
}

fn time(window: &Fields, key: &str, otherwise: u16) -> Option<u16> {
    let Some(value) = window.get(key) else { return Some(otherwise) };
    let (hours, minutes) = value.as_text()?.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let at = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && at <= MINUTES).then_some(at)
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn same_day(written: &str, day: &str) -> bool {
    written.get(..3).is_some_and(|it| it.eq_ignore_ascii_case(day))
}

fn before(day: &str) -> &'static str {
    let at = DAYS.iter().position(|it| *it == day).unwrap_or_default();
    DAYS[(at + 6) % 7]
}

fn words(window: &Value) -> String {
    let Some(window) = window.as_map() else { return "a window that cannot be read".to_owned() };
    let text = |key: &str, otherwise: &str| {
        window.get(key).and_then(Value::as_text).unwrap_or(otherwise).to_owned()
    };
    let days: Vec<&str> = match window.get("days").and_then(Value::as_list) {
        Some(days) => days.iter().filter_map(Value::as_text).collect(),
        None => vec!["every day"],
    };
    format!("{} from {} to {} UTC", days.join(", "), text("from", "00:00"), text("to", "24:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guards(json: &str) -> Fields {
        serde_json::from_str(json).expect("guards")
    }

    #[test]
    fn a_plan_cannot_loosen_its_own_guard() {
        let recorded = guards(r#"{"protected":true,"on_failure":"rollback"}"#);
        let declared = guards(r#"{"protected":false,"on_failure":"halt"}"#);
        assert_eq!(stricter(&recorded, &declared), recorded);
        assert_eq!(stricter(&declared, &recorded), recorded);
        assert_eq!(stricter(&Fields::new(), &declared), declared);
    }

    #[test]
    fn two_windows_must_both_be_open() {
        let recorded = guards(r#"{"window":{"days":["Tue"],"from":"09:00","to":"16:00"}}"#);
        let declared = guards(r#"{"window":{"days":["Tue","Sun"]}}"#);
        let both = stricter(&recorded, &declared);
        assert_eq!(open(&both, "Tue", 9 * 60), Ok(()));
        assert!(open(&both, "Tue", 16 * 60).is_err());
        assert_eq!(open(&both, "Sun", 10 * 60), Err("Tue from 09:00 to 16:00 UTC".to_owned()));
        assert_eq!(stricter(&recorded, &recorded), recorded);
        assert_eq!(open(&Fields::new(), "Sun", 0), Ok(()));
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_began() {
        let night = guards(r#"{"window":{"days":["Mon"],"from":"22:00","to":"02:00"}}"#);
        assert_eq!(open(&night, "Mon", 23 * 60), Ok(()));
        assert_eq!(open(&night, "Tue", 60), Ok(()));
        assert!(open(&night, "Mon", 60).is_err());
        let broken = guards(r#"{"window":{"from":"soon"}}"#);
        assert!(open(&broken, "Mon", 60).is_err());
    }
}
