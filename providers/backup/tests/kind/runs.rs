//! Runs, retention and deaths.

use super::toy::{Desk, encrypt, map};
use hive_backup::{Seen, now_ms};
use hive_contract::{
    Action, Failure, FailureKind, Live, Outcome, Phase, Remains, Resolution, Value,
};
use std::fs;

const DAY: i64 = 86_400_000;

fn seen(outcome: &Outcome) -> Vec<Seen> {
    Seen::all(outcome.live.as_ref())
}

fn id(outcome: &Outcome) -> String {
    let live: &Live = outcome.live.as_ref().expect("is live");
    live.outputs["id"].as_text().expect("is text").to_owned()
}

fn verbs(steps: &[hive_contract::Operation]) -> Vec<&str> {
    steps.iter().map(|it| it.verb.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_backs_up_verifies_and_prunes_what_no_rule_keeps() {
    let desk = Desk::new();
    let policy = [
        ("keep", map(&[("minimum", 1.into())])),
        ("verify", map(&[("every", DAY.into())])),
        ("encrypt", encrypt()),
    ];
    let lowered = desk.registered(&policy).await;
    let mut ids = Vec::new();
    for round in 0..3 {
        ids.push(id(&desk.back_up(&lowered, &format!("t{round}")).await.expect("backs up")));
    }
    let asked = |now_ms: i64| [("verb", "run".into()), ("now_ms", now_ms.into())];
    let steps = desk.run(&lowered, &asked(now_ms())).await;
    assert_eq!(verbs(&steps), ["backup", "verify"], "nothing is verified, so nothing may go");
    assert!(steps[0].title.contains("back up database.main to backups"));
    assert!(steps[0].notes[0].contains("holds 690 bytes"), "{:?}", steps[0].notes);

    let outcome = desk.perform(&lowered, &steps[1], "v1").await.expect("verifies");
    let newest = seen(&outcome).pop().expect("is there");
    assert_eq!((newest.id.as_str(), newest.restore_ms), (ids[2].as_str(), Some(5)));
    let steps = desk.run(&lowered, &asked(now_ms())).await;
    assert_eq!(verbs(&steps), ["backup", "prune"], "verified today");
    let prune = &steps[1];
    assert_eq!(prune.phase, Phase::Prune);
    assert!(prune.title.starts_with("remove 2 backups that no rule keeps"), "{}", prune.title);
    assert!(prune.notes[0].starts_with(&format!("{}: ", ids[0])), "{:?}", prune.notes);
    let pinned = [&asked(now_ms())[..], &[("pins", Value::List(vec![ids[0].as_str().into()]))]];
    let kept = desk.run(&lowered, &pinned.concat()).await;
    assert_eq!(kept[1].notes.len(), 1, "a pinned one stays");
    let late = desk.run(&lowered, &asked(now_ms() + 2 * DAY)).await;
    assert_eq!(verbs(&late), ["backup", "verify", "prune"]);

    let request = desk.request(&lowered, prune, "p1").await;
    assert_eq!(desk.resolve(&request).await, Resolution::NotStarted { sealed: false });
    fs::remove_file(desk.path(&format!("{}/manifest.json", ids[0]))).expect("removes");
    assert!(matches!(desk.resolve(&request).await, Resolution::Partly { .. }));
    let outcome = desk.ask(&request).await.expect("goes on");
    assert_eq!(seen(&outcome).len(), 1);
    assert!(matches!(desk.resolve(&request).await, Resolution::Done(_)));
    desk.ask(&request).await.expect("is one effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_backup_is_due_once() {
    let desk = Desk::new();
    let lowered = desk.registered(&[("schedule", "0 3 * * *".into())]).await;
    let due = async |now_ms: i64| {
        let asked = [("verb", "run".into()), ("due", true.into()), ("now_ms", now_ms.into())];
        !desk.run(&lowered, &asked).await.is_empty()
    };
    assert!(due(now_ms()).await, "there was none yet");
    desk.back_up(&lowered, "t1").await.expect("backs up");
    assert!(!due(now_ms()).await, "there is one since the last time");
    assert!(due(now_ms() + DAY).await);
    // The clock went back: what was made at a time that is still to come counts for nothing.
    assert!(due(now_ms() - 2 * DAY).await);
    let never = desk.lowered(&[]);
    let asked = [("verb", "run".into()), ("due", true.into()), ("now_ms", now_ms().into())];
    assert!(desk.run(&never, &asked).await.is_empty(), "nobody scheduled it");
    let before = [("verb", "run".into()), ("kind", "run".into()), ("due", false.into())];
    assert_eq!(verbs(&desk.run(&lowered, &before).await), ["backup"], "in front of a migration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backup_is_not_there_and_the_same_token_completes_it() {
    let desk = Desk::new();
    desk.rows(200_000);
    let lowered = desk.registered(&[]).await;
    let steps = desk.run(&lowered, &[("verb", "run".into())]).await;
    let request = desk.request(&lowered, &steps[0], "t1").await;
    let mut cut = 0;
    for polls in 0..60 {
        let mut performing = std::pin::pin!(desk.ask(&request));
        let mut polled = 0;
        let ended = std::future::poll_fn(|context| {
            use std::task::Poll;
            match performing.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if polled == polls => Poll::Ready(None),
                Poll::Pending => {
                    polled += 1;
                    Poll::Pending
                }
            }
        });
        if let Some(done) = ended.await {
            done.expect("backs up");
            break;
        }
        cut += 1;
        match desk.resolve(&request).await {
            Resolution::NotStarted { .. } => {}
            Resolution::Done(outcome) => assert_eq!(seen(&outcome).len(), 1),
            other => panic!("cut off after {polls} polls it resolves as {other:?}"),
        }
    }
    assert!(cut > 3, "it was cut off {cut} times");
    let outcome = desk.ask(&request).await.expect("is one effect");
    assert_eq!(seen(&outcome).len(), 1);
    assert_eq!(id(&outcome), seen(&outcome)[0].id);
    assert!(matches!(desk.resolve(&request).await, Resolution::Done(_)));
    let verify = desk.run(&lowered, &[("verb", "verify".into())]).await;
    desk.perform(&lowered, &verify[0], "v1").await.expect("is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_has_shrunk_fails_the_step_and_does_not_count() {
    let desk = Desk::new();
    desk.rows(10_000);
    let lowered = desk.registered(&[]).await;
    let good = id(&desk.back_up(&lowered, "t1").await.expect("backs up"));
    desk.rows(10);
    let failure: Failure = desk.back_up(&lowered, "t2").await.expect_err("has shrunk");
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    assert!(
        failure.message.contains("60 bytes") && failure.message.contains("88.8 kB"),
        "{failure}"
    );
    let Remains::Left(outcome) = &failure.remains else { panic!("it says what is left") };
    assert_eq!((seen(outcome).len(), id(outcome)), (2, good.clone()));
    assert!(seen(outcome)[1].shrunk && !seen(outcome)[1].ok);
    let steps = desk.run(&lowered, &[("verb", "run".into())]).await;
    let request = desk.request(&lowered, &steps[0], "t2").await;
    assert!(matches!(desk.resolve(&request).await, Resolution::Failed(_)));
    let live = desk.look(&lowered).await.expect("is live");
    assert!(!live.status.ready && live.status.summary.contains("1 that do not count"));
    let safety = [("verb", "run".into()), ("kind", "safety".into())];
    let steps = desk.run(&lowered, &safety).await;
    desk.perform(&lowered, &steps[0], "t3").await.expect("what is left is saved all the same");
    assert!(failure.diagnosis.iter().any(|it| it.contains("--accept-smaller")), "{failure:?}");
    // Somebody says that it is right: it counts, and is what the next is compared with.
    let right = [("verb", "run".into()), ("smaller", true.into())];
    let steps = desk.run(&lowered, &right).await;
    let outcome = desk.perform(&lowered, &steps[0], "t4").await.expect("counts");
    assert_eq!(id(&outcome), seen(&outcome).last().expect("is there").id);
    desk.back_up(&lowered, "t5").await.expect("is as large as the last that counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_finds_something_wrong_is_recorded_and_fails() {
    let desk = Desk::new();
    let lowered = desk.registered(&[]).await;
    let damaged = id(&desk.back_up(&lowered, "t1").await.expect("backs up"));
    let folder = fs::read_dir(desk.path(&damaged)).expect("lists").flatten();
    let mut files = folder.map(|it| it.path());
    let data = files.find(|it| it.to_string_lossy().contains("/data-")).expect("has data");
    let mut bytes = fs::read(&data).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&data, bytes).expect("writes");
    let steps = desk.run(&lowered, &[("verb", "verify".into())]).await;
    let failure = desk.perform(&lowered, &steps[0], "v1").await.expect_err("is damaged");
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    assert!(failure.message.contains("another checksum"), "{failure}");
    let live = desk.look(&lowered).await.expect("is live");
    assert!(!Seen::all(Some(&live))[0].ok && live.outputs["id"] == Value::from(""));
    fs::remove_file(data).expect("removes");
    let asked = [("verb", "verify".into()), ("id", damaged.as_str().into())];
    let steps = desk.run(&lowered, &asked).await;
    let failure = desk.perform(&lowered, &steps[0], "v2").await.expect_err("is gone");
    assert!(failure.message.contains("is gone"), "{failure}");
    let none = desk.run(&lowered, &[("verb", "verify".into()), ("id", "nonsense".into())]).await;
    let failure = desk.perform(&lowered, &none[0], "v3").await.expect_err("is no backup");
    assert!(failure.message.contains("there is no backup `nonsense`"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_released_is_found_again_by_the_next_register() {
    let desk = Desk::new();
    let lowered = desk.registered(&[]).await;
    desk.back_up(&lowered, "t1").await.expect("backs up");
    let change = desk.change(&lowered, Action::Delete).await;
    let steps = hive_backup::steps_backup(&change);
    desk.perform(&lowered, &steps[0], "d1").await.expect("releases");
    assert!(desk.look(&lowered).await.is_none());
    let again = desk.registered(&[]).await;
    let live = desk.look(&again).await.expect("is live");
    assert_eq!(Seen::all(Some(&live)).len(), 1, "the backups stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_destination_is_another_place_and_the_old_one_is_let_go() {
    let desk = Desk::new();
    let before = desk.registered(&[]).await;
    let lowered = desk.lowered(&[("destination", "elsewhere".into())]);
    assert!(lowered.immutable.iter().any(|it| it.to_string() == "destination"));
    let mut gone = desk.change(&before, Action::Delete).await;
    gone.desired = None;
    let steps = hive_backup::steps_backup(&gone);
    desk.perform(&before, &steps[0], "d1").await.expect("releases the old one");
    let made = desk.change(&lowered, Action::Create).await;
    let steps_made = hive_backup::steps_backup(&made);
    desk.perform(&lowered, &steps_made[0], "c1").await.expect("makes the new one");
    assert!(desk.look(&before).await.is_none() && desk.look(&lowered).await.is_some());
    let hive_contract::Undo::By(undo) = &steps[0].undo else { panic!("it can be taken back") };
    desk.perform(&before, undo, "u1").await.expect("takes it back");
    assert!(desk.look(&before).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_behind_its_deadline_is_none() {
    let desk = Desk::new();
    let lowered = desk.registered(&[]).await;
    let pipe = desk.folder.path().join("data.txt");
    fs::remove_file(&pipe).expect("removes");
    // A dump that hangs: a pipe that nobody writes to.
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs");
    assert!(made.success());
    let mut steps = desk.run(&lowered, &[("verb", "run".into())]).await;
    steps[0].deadline_ms = 150;
    let late = desk.perform(&lowered, &steps[0], "t1").await;
    // Ends the read that is left on its thread.
    drop(fs::OpenOptions::new().read(true).write(true).open(&pipe).expect("opens"));
    let failure = late.expect_err("is late");
    assert_eq!((failure.kind, failure.remains), (FailureKind::TimedOut, Remains::Unsure));
    assert!(Seen::all(desk.look(&lowered).await.as_ref()).is_empty());
    fs::remove_file(&pipe).expect("removes");
}

#[tokio::test(flavor = "multi_thread")]
async fn most_of_the_backups_are_not_removed_at_once() {
    let desk = Desk::new();
    let lowered = desk.registered(&[("keep", map(&[("minimum", 1.into())]))]).await;
    for round in 0..5 {
        desk.back_up(&lowered, &format!("t{round}")).await.expect("backs up");
    }
    let verify = desk.run(&lowered, &[("verb", "verify".into())]).await;
    desk.perform(&lowered, &verify[0], "v").await.expect("verifies");
    let asked = [("verb", "run".into()), ("now_ms", now_ms().into())];
    let steps = desk.run(&lowered, &asked).await;
    assert_eq!(verbs(&steps), ["backup", "prune"], "the backup is made all the same");
    let held = &steps[1];
    assert!(held.title.contains("hold back the removal of 4 backups"), "{}", held.title);
    let failure = desk.perform(&lowered, held, "p1").await.expect_err("is held back");
    assert_eq!(
        failure.message,
        "4 of 5 backups would go at once, more than 50% of them: nothing was removed"
    );
    assert!(failure.diagnosis[0].contains("removes_at_most"), "{failure:?}");
    assert_eq!(seen(&desk.back_up(&lowered, "t5").await.expect("backs up")).len(), 6);
    // Who means it says so, and it goes on.
    let keep = map(&[("minimum", 1.into()), ("removes_at_most", "100%".into())]);
    let mut raised = lowered.clone();
    raised.material.insert("keep".to_owned(), keep);
    let steps = desk.run(&raised, &asked).await;
    let outcome = desk.perform(&raised, &steps[1], "p2").await.expect("removes");
    assert!(seen(&outcome).len() <= 3, "{:?}", seen(&outcome));
}
