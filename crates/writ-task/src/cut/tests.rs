use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(signal: &mut CutSignal, count: &Arc<Count>) -> Poll<()> {
    let waker = Waker::from(Arc::clone(count));
    Pin::new(signal).poll(&mut Context::from_waker(&waker))
}

#[test]
fn every_waiter_is_woken_once_and_sees_the_cut() {
    let flag = Arc::new(CutFlag::default());
    let (mut one, mut two) = (
        CutSignal::new(Arc::clone(&flag)),
        CutSignal::new(Arc::clone(&flag)),
    );
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    assert!(poll(&mut one, &first).is_pending());
    assert!(
        poll(&mut one, &first).is_pending(),
        "polled twice, kept once"
    );
    assert!(poll(&mut two, &second).is_pending());
    flag.set();
    flag.wake();
    assert_eq!(first.0.load(Ordering::SeqCst), 1);
    assert_eq!(second.0.load(Ordering::SeqCst), 1);
    assert!(poll(&mut one, &first).is_ready() && one.clone().is_cut());
}

#[test]
fn a_signal_that_is_gone_is_not_woken_and_not_kept() {
    let flag = Arc::new(CutFlag::default());
    let count = Arc::new(Count::default());
    let mut signal = CutSignal::new(Arc::clone(&flag));
    assert!(poll(&mut signal, &count).is_pending());
    drop(signal);
    assert!(flag.waiting().wakers.is_empty());
    flag.set();
    flag.wake();
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
}

#[test]
fn a_cut_before_the_first_poll_is_seen() {
    let flag = Arc::new(CutFlag::default());
    flag.set();
    flag.wake();
    let mut late = CutSignal::new(flag);
    assert!(poll(&mut late, &Arc::new(Count::default())).is_ready());
}

/// The race that the second read is for: set and wake run while another thread registers.
#[test]
fn no_wake_is_lost_between_registration_and_cut() {
    for _ in 0..2_000 {
        let flag = Arc::new(CutFlag::default());
        let count = Arc::new(Count::default());
        let mut signal = CutSignal::new(Arc::clone(&flag));
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| {
                flag.set();
                flag.wake();
            });
            poll(&mut signal, &count)
        });
        let woken = count.0.load(Ordering::SeqCst) > 0;
        assert!(seen.is_ready() || woken, "pending and never woken");
    }
}

#[test]
fn what_is_taken_back_is_cut_and_told_apart_from_what_was_killed() {
    let flags = [CutFlag::default(), CutFlag::default()].map(Arc::new);
    let [taken, killed] = flags.clone().map(Canceller::new);
    let mut signal = CutSignal::new(Arc::clone(&flags[0]));
    let count = Arc::new(Count::default());
    assert!(poll(&mut signal, &count).is_pending());
    taken.cancel();
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "whoever waits is woken");
    flags[1].set();
    assert!(flags.iter().all(|flag| flag.is_set()));
    assert!(taken.is_cancelled() && !killed.is_cancelled());
    assert!(taken.is_of(&taken.clone()) && !taken.is_of(&killed));
}
