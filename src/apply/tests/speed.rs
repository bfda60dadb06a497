//! The engine's work per step does not depend on the size of the plan.

use super::bed::{Bed, declare};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn journal_bytes_and_writes_per_step_are_the_same_in_a_small_and_a_large_plan() {
    let mut per_step = Vec::new();
    for count in [20_u64, 400] {
        let bed = Bed::new();
        let declared: Vec<_> = (0..count)
            .map(|it| declare(&format!("thing.t{it:06}"), json!({ "weight": 1 }), &[]))
            .collect();
        let plan = bed.plan(&declared).await;
        let before = bed.store.counts();
        bed.run(&plan).await.expect("applies");
        let after = bed.store.counts();
        let mut journal = 0;
        for key in bed.store.keys().iter().filter(|it| it.contains("/journal/")) {
            journal += bed.store.peek(key).expect("there").len() as u64;
        }
        let writes = after.writes - before.writes;
        assert!(writes <= count.div_ceil(10) + 15, "{writes} writes for {count} steps");
        per_step.push(journal / count);
    }
    let (small, large) = (per_step[0], per_step[1]);
    assert!(large <= small, "{small} bytes a step, then {large}");
}
