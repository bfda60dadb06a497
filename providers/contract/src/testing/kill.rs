//! A death at one chosen boundary, without a signal.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Stops everything that shares it at one boundary, as if the process had died there.
///
/// Whatever may not be interrupted half-way (a write, an effect) awaits [`Self::boundary`] right
/// before and right after. At the chosen boundary, counted from 1, the switch is dead: this future
/// and every later boundary stay pending for ever. A test runs hive beside [`Self::dead`], drops
/// hive when that ends, and goes on with a new switch and the same world:
///
/// ```ignore
/// tokio::select! {
///     biased;
///     () = switch.dead() => None,
///     report = apply(…) => Some(report),
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct KillSwitch(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    /// Which boundary is the last; none never is.
    at: Option<u64>,
    names: Vec<String>,
    dead: bool,
    waiting: Vec<Waker>,
}

impl KillSwitch {
    /// Counts and never kills.
    pub fn never() -> Self {
        Self::default()
    }

    /// Kills at the `boundary`-th boundary, counted from 1.
    pub fn at(boundary: u64) -> Self {
        let inside = Inside { at: Some(boundary), ..Inside::default() };
        Self(Arc::new(Mutex::new(inside)))
    }

    /// One point at which a death is possible. Returns at once, or never.
    pub async fn boundary(&self, name: &str) {
        if self.passes(name) {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Counts one boundary and says whether it is passed alive.
    fn passes(&self, name: &str) -> bool {
        let mut inside = self.inside();
        if inside.dead {
            return false;
        }
        inside.names.push(name.to_owned());
        if inside.at != Some(inside.names.len() as u64) {
            return true;
        }
        inside.dead = true;
        inside.waiting.drain(..).for_each(Waker::wake);
        false
    }

    /// Waits for the death. Never ends where there is none.
    pub fn dead(&self) -> Dead {
        Dead(self.clone())
    }

    /// Whether the death has come.
    pub fn is_dead(&self) -> bool {
        self.inside().dead
    }

    /// How many boundaries were reached, the deadly one included.
    pub fn count(&self) -> u64 {
        self.inside().names.len() as u64
    }

    /// The names of the boundaries reached, in order.
    pub fn log(&self) -> Vec<String> {
        self.inside().names.clone()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // A test that panicked elsewhere must not hide its own message behind this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait for a death, see [`KillSwitch::dead`].
#[derive(Debug)]
pub struct Dead(KillSwitch);

impl Future for Dead {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inside = self.0.inside();
        if inside.dead {
            return Poll::Ready(());
        }
        inside.waiting.push(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(future: Pin<&mut impl Future<Output = ()>>, count: &Arc<Count>) -> bool {
        let waker = Waker::from(count.clone());
        future.poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn a_switch_that_never_kills_counts_and_names() {
        let switch = KillSwitch::never();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        for name in ["before a", "after a"] {
            assert!(poll(pin!(switch.boundary(name)), &count));
        }
        assert_eq!(switch.count(), 2);
        assert_eq!(switch.log(), ["before a", "after a"]);
        assert!(!switch.is_dead());
        assert!(!poll(pin!(switch.dead()), &count));
    }

    #[test]
    fn nothing_passes_after_the_death() {
        let switch = KillSwitch::at(2);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let mut dead = pin!(switch.dead());
        assert!(!poll(dead.as_mut(), &count));
        assert!(poll(pin!(switch.boundary("one")), &count));
        assert!(!poll(pin!(switch.boundary("two")), &count));
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "the death wakes who waits for it");
        assert!(poll(dead.as_mut(), &count));
        assert!(!poll(pin!(switch.clone().boundary("three")), &count));
        assert_eq!(switch.log(), ["one", "two"], "a dead program reaches nothing more");
    }
}
