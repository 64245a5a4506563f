//! Clients and the driver at the door, in every order of their steps.
//!
//! Shuttle runs the threads one at a time and decides at each atomic operation which goes on. Its
//! depth-first scheduler tries all orders; where there are too many, a random one tries many.
//! `Notify` is tokio's own: it is taken for one step.

use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::{future, thread};

use crate::door::Door;
use crate::lifecycle::Period;

/// How many orders are tried where there are too many for all.
const RANDOM_ORDERS: usize = 20_000;

/// Two clients enter and leave, while the driver locks the door, stops, and opens it again.
fn enter_while_the_driver_locks() {
    let door = Arc::new(Door::default());
    door.open(Period(1));
    let stopping = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (door, stopping) = (Arc::clone(&door), Arc::clone(&stopping));
            thread::spawn(move || {
                if let Some(inside) = door.enter() {
                    assert!(!stopping.load(Ordering::SeqCst), "stopped under a client");
                    drop(inside);
                }
            })
        })
        .collect();
    if door.lock() {
        stopping.store(true, Ordering::SeqCst);
        assert_eq!(door.inside(), 0, "inside of a locked door");
        stopping.store(false, Ordering::SeqCst);
        door.open(Period(2));
    }
    for client in clients {
        client.join().expect("no client panics");
    }
    assert_eq!(door.inside(), 0);
}

#[test]
fn rule_5_no_client_is_inside_of_a_locked_door_in_any_order() {
    shuttle::check_dfs(enter_while_the_driver_locks, None);
}

/// The driver waits for the last client to leave, as it does before each cool-down.
fn hear_of_the_last_client() {
    let door = Arc::new(Door::default());
    door.open(Period(1));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let door = Arc::clone(&door);
            thread::spawn(move || drop(door.enter()))
        })
        .collect();
    let held = door.admit(Period(1));
    let driver = {
        let door = Arc::clone(&door);
        thread::spawn(move || {
            // Whoever comes and goes meanwhile: it hears of the last one, and the wait ends.
            future::block_on(async {
                loop {
                    door.vacated().await;
                    if door.inside() == 0 {
                        return;
                    }
                }
            });
        })
    };
    drop(held);
    for client in clients {
        client.join().expect("no client panics");
    }
    driver.join().expect("the driver hears of it, or this is a deadlock");
}

#[test]
fn rule_5_the_driver_hears_of_the_last_client_in_any_order() {
    shuttle::check_random(hear_of_the_last_client, RANDOM_ORDERS);
}

/// A client is admitted, past a door that is shut for others, while the driver opens it for a new
/// period: the count must not be lost, whichever comes first.
fn admit_while_the_driver_opens() {
    let door = Arc::new(Door::default());
    let guests = Arc::new(Mutex::new(Vec::new()));
    let admitting = {
        let (door, guests) = (Arc::clone(&door), Arc::clone(&guests));
        thread::spawn(move || guests.lock().expect("not poisoned").push(door.admit(Period(3))))
    };
    let entering = {
        let door = Arc::clone(&door);
        thread::spawn(move || drop(door.enter()))
    };
    door.open(Period(3));
    door.shut();
    admitting.join().expect("it does not panic");
    entering.join().expect("it does not panic");
    assert_eq!(door.inside(), 1);
    assert!(!door.lock(), "locked with a client inside");
    guests.lock().expect("not poisoned").clear();
    assert!(door.lock());
}

#[test]
fn no_client_is_lost_from_the_count_in_any_order() {
    shuttle::check_dfs(admit_while_the_driver_opens, None);
}
