//! Whose an object is.
use crate::Secrets;

use super::life::{made, next, refused, same};
use super::suite::{How, Suite, said};
use super::{Checked, Verdict};
use crate::Target;
use crate::change::Action;
use crate::live::{Ask, AskOne, Live, Observed};
use crate::mark::StackMark;

pub(super) async fn forget_and_adopt(suite: &Suite<'_>) -> Checked {
    let (first, _) = made(suite).await?;
    let forgotten = suite.change(Action::Forget, None, Some(&first)).await?;
    let live = suite.live(&first.identity).await?;
    if live.mark.is_some() {
        return Err(format!("it is forgotten and still says {:?}", live.mark));
    }
    suite.undo(&forgotten).await.map_err(|why| format!("forget: {why}"))?;
    suite.as_desired(&first).await.map_err(|why| format!("forget undone: {why}"))?;
    suite.change(Action::Forget, None, Some(&first)).await?;
    let adopted = suite.change(Action::Adopt, Some(&first), None).await?;
    suite.as_desired(&first).await.map_err(|why| format!("adopted: {why}"))?;
    suite.undo(&adopted).await.map_err(|why| format!("adopt: {why}"))?;
    let live = suite.live(&first.identity).await?;
    if live.mark.is_some() {
        return Err(format!("an adopt was taken back and it still says {:?}", live.mark));
    }
    Ok(Verdict::Holds)
}

/// What is adopted and is not as declared ends as declared, in the same change.
pub(super) async fn adopt_another(suite: &Suite<'_>) -> Checked {
    if !suite.fixtures.changes() {
        return Ok(Verdict::NotOffered);
    }
    let (first, _) = made(suite).await?;
    suite.change(Action::Forget, None, Some(&first)).await?;
    let before = suite.live(&first.identity).await?;
    let second = next(suite, &first).await?;
    let adopted = suite.change(Action::Adopt, Some(&second), None).await?;
    suite.as_desired(&second).await?;
    suite.undo(&adopted).await?;
    let live = suite.live(&first.identity).await?;
    if live.mark.is_some() {
        return Err(format!("an adopt was taken back and it still says {:?}", live.mark));
    }
    let fields = |live: &Live| serde_json::to_string(&live.fields).unwrap_or_default();
    same(&fields(&before), &fields(&live), "an adopt and its undo")?;
    Ok(Verdict::Holds)
}

/// An object of another store by the same identity is seen as such, and left alone.
pub(super) async fn second_owner(suite: &Suite<'_>) -> Checked {
    let desired = suite.desired(&suite.fixtures.declared(1), None).await?;
    let mut theirs = suite.plan(Action::Create, Some(&desired), None).await?;
    theirs.mark = suite.foreign_mark();
    let ours = suite.plan(Action::Create, Some(&desired), None).await?;
    suite.perform_all(theirs).await?;
    let live = suite.live(&desired.identity).await?;
    if live.mark != Some(suite.foreign_mark()) {
        return Err(format!("the other's mark is seen as {:?}", live.mark));
    }
    let before = suite.picture(&desired.identity).await?;
    let create = ours.first(suite.token())?;
    refused(suite.perform(&create, How::default()).await, "a create over another's object")?;
    if suite.fixtures.changes() {
        let second = next(suite, &desired).await?;
        let update = suite.plan(Action::Update, Some(&second), Some(&desired)).await?;
        let update = update.first(suite.token())?;
        refused(suite.perform(&update, How::default()).await, "an update of another's object")?;
    }
    let delete = suite.plan(Action::Delete, None, Some(&desired)).await?;
    let delete = delete.first(suite.token())?;
    refused(suite.perform(&delete, How::default()).await, "a delete of another's object")?;
    same(&before, &suite.picture(&desired.identity).await?, "what was refused")?;
    Ok(Verdict::Holds)
}

/// Everything that carries this stack's mark is found, whatever its store, in one question with
/// parts that are there and parts that are not.
pub(super) async fn marked(suite: &Suite<'_>) -> Checked {
    let (first, _) = made(suite).await?;
    let here = Target::main(suite.mark().address);
    let nowhere = Target { part: "nowhere".to_owned(), ..here.clone() };
    let one = |target: &Target, identity: String| AskOne {
        target: target.clone(),
        identity,
        access: suite.access(&first.identity),
    };
    let ask = Ask {
        parts: vec![
            one(&here, first.identity.clone()),
            one(&nowhere, format!("{}-nowhere", first.identity)),
        ],
        marked: Some(StackMark { store: "a-lost-store".to_owned(), ..suite.fixtures.owner() }),
        facts: false,
    };
    let seen = suite.provider().observe(&ask, &Secrets::default()).await.map_err(|it| said(&it))?;
    suite.hear(&seen);
    if !matches!(seen.found.get(&here), Some(Ok(Observed::Present(_)))) {
        return Err(format!("what is there is seen as {:?}", seen.found.get(&here)));
    }
    if !matches!(seen.found.get(&nowhere), Some(Ok(Observed::Absent))) {
        return Err(format!("what is not there is seen as {:?}", seen.found.get(&nowhere)));
    }
    let found: Vec<&str> = seen.marked.iter().map(|it| it.identity.as_str()).collect();
    if found != [first.identity.as_str()] {
        return Err(format!("by its mark was found: {found:?}"));
    }
    let other = StackMark { stack: "another-stack".to_owned(), ..suite.fixtures.owner() };
    let ask = Ask { marked: Some(other), ..Ask::default() };
    let seen = suite.provider().observe(&ask, &Secrets::default()).await.map_err(|it| said(&it))?;
    if !seen.marked.is_empty() {
        return Err("another stack's mark finds ours".to_owned());
    }
    Ok(Verdict::Holds)
}
