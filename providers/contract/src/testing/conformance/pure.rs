//! The pure verbs.

use super::suite::Suite;
use super::{CANARY, Checked, Verdict};
use crate::mark::StackMark;
use crate::provider::LowerScope;
use crate::value::secrets_in;

/// `lower` says the same each time, in fields that it has, and knows nothing of the store.
pub(super) fn holds(suite: &Suite<'_>) -> Checked {
    let provider = suite.provider();
    let first = suite.lower(&suite.fixtures.declared(1))?;
    if first != suite.lower(&suite.fixtures.declared(1))? {
        return Err("`lower` says something else each time".to_owned());
    }
    let owner = StackMark { store: String::new(), ..suite.fixtures.owner() };
    let storeless = provider.lower(&suite.fixtures.declared(1), &LowerScope { owner });
    if storeless.as_ref() != Ok(&first) {
        return Err("`lower` depends on the store's id".to_owned());
    }
    let second = suite.lower(&suite.fixtures.declared(2))?;
    if second.identity != first.identity {
        return Err("version 2 has another identity".to_owned());
    }
    if suite.fixtures.changes() && second.fields == first.fields {
        return Err("version 2 is version 1".to_owned());
    }
    for (output, made) in &first.outputs {
        if let Some(field) = made.made_of.iter().find(|it| it.keys().is_empty()) {
            return Err(format!("the output `{output}` is made of `{field}`, which is no field"));
        }
    }
    let text = serde_json::to_string(&first).map_err(|error| error.to_string())?;
    if serde_json::from_str(&text).ok().as_ref() != Some(&first) {
        return Err("what `lower` gives does not survive JSON".to_owned());
    }
    let place = provider.place();
    if place != suite.provider().place() {
        return Err("the place is another each time".to_owned());
    }
    suite.hear(&place);
    if !secrets_in(&place.settings).is_empty() || format!("{place:?}").contains(CANARY) {
        return Err("the place's settings hold a secret".to_owned());
    }
    if place.provider != provider.name() {
        return Err(format!("the place says `{}`, the name is other", place.provider));
    }
    Ok(Verdict::Holds)
}

/// Every form that was released is read; a newer one is not.
pub(super) fn upgrades(suite: &Suite<'_>) -> Checked {
    let provider = suite.provider();
    let today = provider.form();
    if provider.upgrade(today + 1, crate::Fields::new()).is_ok() {
        return Err(format!("form {} is newer and was read all the same", today + 1));
    }
    let forms = suite.fixtures.forms();
    if let Some(missing) = (1..today).find(|form| !forms.iter().any(|it| it.0 == *form)) {
        return Err(format!("there is no fixture of form {missing}"));
    }
    for (form, fields, expected) in forms {
        match provider.upgrade(form, fields) {
            Ok(fields) if fields == expected => {}
            other => return Err(format!("form {form} became {other:?}")),
        }
    }
    Ok(if today == 1 { Verdict::NotOffered } else { Verdict::Holds })
}
