use super::*;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};

#[test]
fn results_come_in_the_order_of_their_items() {
    for threads in [1, 2, 7] {
        let mut pool = Pool::start(0..5000u64, threads, ResultOrder::OfItems, |number| {
            // Some take longer than others.
            (0..number % 97 * 50).fold(number, |sum, step| std::hint::black_box(sum ^ step ^ step))
        })
        .unwrap();
        let mut seen = Vec::new();
        pool.give(&Stop::new(), |number| {
            seen.push(number);
            Ok(())
        })
        .unwrap();
        assert!(seen.iter().copied().eq(0..5000), "{threads}");
    }
}

#[test]
fn early_results_are_bounded_while_one_is_late() {
    let (release, late) = mpsc::channel::<()>();
    let late = Mutex::new(late);
    let taken = Arc::new(AtomicU64::new(0));
    let counted = taken.clone();
    let items = (0..u64::MAX).inspect(move |_| {
        counted.fetch_add(1, SeqCst);
    });
    let mut pool = Pool::start(items, 2, ResultOrder::OfItems, move |number| {
        if number == 0 {
            let _ = late.lock().unwrap().recv();
        }
        number
    })
    .unwrap();
    while taken.load(SeqCst) < 128 {
        std::thread::yield_now();
    }
    std::thread::park_timeout(std::time::Duration::from_millis(50));
    assert_eq!(taken.load(SeqCst), 128);
    release.send(()).unwrap();
    let mut seen = 0;
    let error = pool.give(&Stop::new(), |_| {
        seen += 1;
        if seen < 1000 { Ok(()) } else { bail!("the disk is full") }
    });
    assert_eq!(error.unwrap_err().to_string(), "the disk is full");
    pool.join();
    assert!(taken.load(SeqCst) <= 1000 + 128);
}

#[test]
fn results_that_come_first_are_given_first_when_order_does_not_matter() {
    let (release, late) = mpsc::channel::<()>();
    let late = Mutex::new(late);
    let mut pool = Pool::start(0..20u64, 2, ResultOrder::OfResults, move |number| {
        if number == 0 {
            let _ = late.lock().unwrap().recv();
        }
        number
    })
    .unwrap();
    let mut seen = Vec::new();
    let take = |number| {
        seen.push(number);
        if seen.len() == 19 {
            release.send(()).unwrap();
        }
        Ok(())
    };
    pool.give(&Stop::new(), take).unwrap();
    assert!(seen[..19].iter().copied().eq(1..20) && seen[19] == 0, "{seen:?}");
}

#[test]
fn a_request_to_stop_ends_the_giving_while_cells_run() {
    let (_never, late) = mpsc::channel::<()>();
    let late = Mutex::new(late);
    let stop = Stop::new();
    let mut pool = Pool::start(0..1000u64, 2, ResultOrder::OfItems, move |number| {
        if number == 5 {
            let _ = late.lock().unwrap().recv();
        }
        number
    })
    .unwrap();
    let mut seen = 0;
    let take = |number| {
        seen += 1;
        if number == 4 {
            stop.request();
        }
        Ok(())
    };
    pool.give(&stop, take).unwrap();
    assert_eq!(seen, 5);
}

#[test]
fn a_panic_is_no_silence() {
    let mut pool = Pool::start(0..10u64, 2, ResultOrder::OfItems, |number| {
        assert_ne!(number, 3, "on purpose")
    })
    .unwrap();
    assert!(pool.give(&Stop::new(), |()| Ok(())).is_err());
}
