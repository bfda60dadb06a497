//! Steps under way: many futures, each polled only when it was woken.

use hive_contract::Task;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Futures by the number of their step. Ends are given in the order in which they are woken, and
/// in the order of their numbers where they are woken together, so a run in a simulated world is
/// the same each time. Dropping it drops all of them.
pub(super) struct UnderWay<'a, T> {
    tasks: BTreeMap<u32, (Task<'a, T>, Waker)>,
    woken: Arc<Mutex<Woken>>,
}

/// Which futures want to be polled, and who polls.
#[derive(Default)]
struct Woken {
    numbers: BTreeSet<u32>,
    whole: Option<Waker>,
}

struct One {
    number: u32,
    woken: Arc<Mutex<Woken>>,
}

impl Wake for One {
    fn wake(self: Arc<Self>) {
        let whole = {
            let mut woken = lock(&self.woken);
            woken.numbers.insert(self.number);
            woken.whole.take()
        };
        if let Some(whole) = whole {
            whole.wake();
        }
    }
}

fn lock(woken: &Mutex<Woken>) -> MutexGuard<'_, Woken> {
    woken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a, T> UnderWay<'a, T> {
    /// Nothing is under way.
    pub(super) fn new() -> Self {
        Self { tasks: BTreeMap::new(), woken: Arc::default() }
    }

    /// Sends one off. It is first polled by the next wait.
    pub(super) fn push(&mut self, number: u32, task: Task<'a, T>) {
        let one = One { number, woken: self.woken.clone() };
        self.tasks.insert(number, (task, Waker::from(Arc::new(one))));
        lock(&self.woken).numbers.insert(number);
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits for the next end; none where nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(u32, T)> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Waits for something else, and meanwhile lets everything under way go on. What ends
    /// meanwhile is put into `ended`.
    pub(super) async fn beside<F: Future>(
        &mut self,
        other: F,
        ended: &mut impl Extend<(u32, T)>,
    ) -> F::Output {
        let mut other = pin!(other);
        poll_fn(|context| {
            if let Poll::Ready(output) = other.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            while let Poll::Ready(Some(end)) = self.poll_next(context) {
                ended.extend([end]);
            }
            Poll::Pending
        })
        .await
    }

    /// Puts what has ended by now into `ended`, without waiting.
    pub(super) async fn by_now(&mut self, ended: &mut impl Extend<(u32, T)>) {
        poll_fn(|context| {
            while let Poll::Ready(Some(end)) = self.poll_next(context) {
                ended.extend([end]);
            }
            Poll::Ready(())
        })
        .await;
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(u32, T)>> {
        if self.tasks.is_empty() {
            return Poll::Ready(None);
        }
        // Only what was woken before this poll: one that wakes itself at once must not keep
        // everybody else from being polled.
        let mut numbers = {
            let mut woken = lock(&self.woken);
            woken.whole = Some(context.waker().clone());
            std::mem::take(&mut woken.numbers)
        };
        while let Some(number) = numbers.pop_first() {
            let Some((task, waker)) = self.tasks.get_mut(&number) else { continue };
            if let Poll::Ready(end) = task.as_mut().poll(&mut Context::from_waker(waker)) {
                self.tasks.remove(&number);
                lock(&self.woken).numbers.append(&mut numbers);
                return Poll::Ready(Some((number, end)));
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn after<'a>(ms: u64, value: u64) -> Task<'a, u64> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            value
        })
    }

    #[tokio::test(start_paused = true)]
    async fn ends_come_as_they_end() {
        let mut under_way = UnderWay::new();
        for (number, ms) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            under_way.push(number, after(ms, ms));
        }
        let mut ends = Vec::new();
        while let Some(end) = under_way.next().await {
            ends.push(end);
        }
        assert_eq!(ends, [(2, 10), (4, 10), (3, 20), (1, 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn everything_goes_on_beside_a_write() {
        let mut under_way = UnderWay::new();
        under_way.push(1, after(10, 1));
        under_way.push(2, after(50, 2));
        let mut ended = Vec::new();
        under_way.beside(tokio::time::sleep(Duration::from_millis(20)), &mut ended).await;
        assert_eq!(ended, [(1, 1)]);
        assert_eq!(under_way.next().await, Some((2, 2)));
        assert_eq!(under_way.next().await, None);
    }

    #[tokio::test]
    async fn one_that_wakes_itself_does_not_starve_the_others() {
        let mut under_way = UnderWay::new();
        under_way.push(
            1,
            Box::pin(async {
                loop {
                    tokio::task::yield_now().await;
                }
            }),
        );
        under_way.push(2, Box::pin(async { 2 }));
        assert_eq!(under_way.next().await, Some((2, 2)));
    }
}
