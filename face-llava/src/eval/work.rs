//! Many items at a time, results in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Lets several threads do `one` for each item and gives what comes out to `each` in the items' order, on this thread.
/// Where `each` fails or panics, items in work are finished, and each thread begins one more at most.
pub(super) fn in_order<I: Sync, R: Send, E>(
    items: &[I],
    workers: usize,
    one: impl Fn(&I) -> R + Sync,
    mut each: impl FnMut(&I, R) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel(0);
        for _ in 0..workers.clamp(1, 256).min(items.len()) {
            let (send, next, one) = (send.clone(), &next, &one);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    // Nobody listens any more where `each` failed.
                    if send.send((at, one(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let (mut waiting, mut turn) = (BTreeMap::new(), 0);
        for (at, result) in receive {
            waiting.insert(at, result);
            while let Some(result) = waiting.remove(&turn) {
                each(&items[turn], result)?;
                turn += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_a_failure_ends_the_work() {
        let items: Vec<u64> = (0..40).collect();
        let mut seen = Vec::new();
        let slow_first = |item: &u64| {
            std::thread::sleep(std::time::Duration::from_micros(40 - item));
            item * 2
        };
        let done: Result<(), ()> = in_order(&items, 8, slow_first, |item, double| {
            seen.push((*item, double));
            Ok(())
        });
        assert!(done.is_ok() && seen == items.iter().map(|i| (*i, i * 2)).collect::<Vec<_>>());
        let begun = AtomicUsize::new(0);
        let count = |_: &u64| begun.fetch_add(1, Ordering::SeqCst);
        let failed = in_order(&items, 1, count, |item, _| if *item < 3 { Ok(()) } else { Err("full") });
        assert_eq!(failed, Err("full"));
        assert!(begun.load(Ordering::SeqCst) <= 5);
        assert_eq!(in_order(&[] as &[u64], 3, count, |_, _| Err("nothing to do")), Ok(()));
    }
}
